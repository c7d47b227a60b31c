#include "onnx/model_file.hpp"

#include <filesystem>
#include <fstream>
#include <system_error>

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

[[noreturn]] void malformed() { throw Error(AGEPRED_INVALID_MODEL, "not an ONNX file, or a damaged one"); }

// A cursor over the wire format of protocol buffers (protobuf.dev/programming-guides/encoding).
class Reader {
  public:
    explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

    [[nodiscard]] bool done() const { return bytes_.empty(); }

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const std::uint8_t byte = take(1)[0];
            value |= std::uint64_t{byte & 0x7FU} << shift;
            if ((byte & 0x80U) == 0) {
                return value;
            }
        }
        malformed();
    }

    // The key of a field: its number and wire type. ONNX Runtime's parser keeps 32 bits of it; a longer one would be
    // one field to us and another to it.
    std::uint64_t key() {
        const std::uint64_t value = varint();
        if (value > UINT32_MAX || value >> 3U == 0) {
            malformed();
        }
        return value;
    }

    std::span<const std::uint8_t> take(std::uint64_t count) {
        if (count > bytes_.size()) {
            malformed();
        }
        const auto taken = bytes_.first(static_cast<std::size_t>(count));
        bytes_ = bytes_.subspan(static_cast<std::size_t>(count));
        return taken;
    }

  private:
    std::span<const std::uint8_t> bytes_;
};

// NOLINTNEXTLINE(misc-no-recursion): max_depth bounds it
bool leads_outside(Reader reader, Message message, int depth) {
    if (depth > max_depth) {
        malformed();
    }
    while (!reader.done()) {
        const std::uint64_t key = reader.key();
        const std::uint64_t field = key >> 3;
        switch (key & 7U) {
        case 0: { // varint
            const std::uint64_t value = reader.varint();
            constexpr std::uint64_t data_location = 14;
            if (message == Message::tensor && field == data_location && value != 0) {
                return true;
            }
            break;
        }
        case 1: // 64 bits
            reader.take(8);
            break;
        case 2: { // length-delimited
            const auto bytes = reader.take(reader.varint());
            constexpr std::uint64_t external_data = 13;
            if (message == Message::tensor && field == external_data) {
                return true;
            }
            const Message next = child(message, field);
            if (next != Message::other && leads_outside(Reader(bytes), next, depth + 1)) {
                return true;
            }
            break;
        }
        case 5: // 32 bits
            reader.take(4);
            break;
        default: // groups, which ONNX never used
            malformed();
        }
    }
    return false;
}

} // namespace

bool refers_to_other_files(std::span<const std::uint8_t> model) {
    return leads_outside(Reader(model), Message::model, 0);
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
