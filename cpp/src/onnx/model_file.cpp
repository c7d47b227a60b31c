#include "onnx/model_file.hpp"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "onnx/wire.hpp"
#include "status.hpp"

namespace agepred::core::onnx {
namespace {

// Networks for small devices weigh a few megabytes; the limit keeps a wrong path from filling the memory.
constexpr std::uintmax_t max_model_bytes = std::uintmax_t{512} << 20;

// Deeper nesting than any exporter makes (subgraphs within subgraphs), shallow enough for every stack.
constexpr int max_depth = 64;

// The messages of onnx.proto that can lead to a tensor.
enum class Message { model, training, function, graph, node, attribute, sparse, tensor, other };

// Which message field number `field` of `parent` holds (onnx/onnx.proto3 of the ONNX standard).
Message child(Message parent, std::uint64_t field) {
    struct Edge { // NOLINT(clang-analyzer-optin.performance.Padding): read in the order parent, field, child
        Message parent;
        std::uint64_t field;
        Message child;
    };
    static constexpr Edge edges[] = {
        {Message::model, 7, Message::graph},         {Message::model, 20, Message::training},
        {Message::model, 25, Message::function},     {Message::training, 1, Message::graph},
        {Message::training, 2, Message::graph},      {Message::function, 7, Message::node},
        {Message::function, 11, Message::attribute}, {Message::graph, 1, Message::node},
        {Message::graph, 5, Message::tensor},        {Message::graph, 15, Message::sparse},
        {Message::node, 5, Message::attribute},      {Message::attribute, 5, Message::tensor},
        {Message::attribute, 6, Message::graph},     {Message::attribute, 10, Message::tensor},
        {Message::attribute, 11, Message::graph},    {Message::attribute, 22, Message::sparse},
        {Message::attribute, 23, Message::sparse},   {Message::sparse, 1, Message::tensor},
        {Message::sparse, 2, Message::tensor},
    };
    for (const Edge &edge : edges) {
        if (edge.parent == parent && edge.field == field) {
            return edge.child;
        }
    }
    return Message::other;
}

// NOLINTNEXTLINE(misc-no-recursion): max_depth bounds it
bool leads_outside(wire::Reader reader, Message message, int depth) {
    constexpr std::uint64_t external_data = 13;
    constexpr std::uint64_t data_location = 14;
    if (depth > max_depth) {
        wire::malformed();
    }
    while (!reader.done()) {
        const wire::Field field = reader.next();
        if (message == Message::tensor &&
            ((field.is(data_location, wire::varint) && field.value != 0) || field.is(external_data, wire::bytes))) {
            return true;
        }
        const Message next = field.type == wire::bytes ? child(message, field.number) : Message::other;
        if (next != Message::other && leads_outside(wire::Reader(field.bytes), next, depth + 1)) {
            return true;
        }
    }
    return false;
}

} // namespace

bool refers_to_other_files(std::span<const std::uint8_t> model) {
    return leads_outside(wire::Reader(model), Message::model, 0);
}

std::vector<std::uint8_t> read_model(const std::string &path) {
    namespace fs = std::filesystem;
    std::error_code failure;
    if (!fs::is_regular_file(path, failure)) {
        throw Error(AGEPRED_FILE_NOT_FOUND, "model file " + path + ": there is no such file");
    }
    const std::uintmax_t size = fs::file_size(path, failure);
    if (failure || size > max_model_bytes) {
        throw Error(AGEPRED_INVALID_MODEL, "model file " + path + " is larger than any model of agepred");
    }
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
    std::ifstream file(path, std::ios::binary);
    if (!file.read(reinterpret_cast<char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()))) {
        throw Error(AGEPRED_FILE_NOT_FOUND, "model file " + path + " cannot be read");
    }
    try {
        if (bytes.empty() || refers_to_other_files(bytes)) {
            throw Error(AGEPRED_INVALID_MODEL,
                        bytes.empty() ? "the file is empty" : "it keeps weights in other files (external data)");
        }
    } catch (const Error &error) {
        throw Error(error.status(), "model file " + path + ": " + error.what());
    }
    return bytes;
}

} // namespace agepred::core::onnx
