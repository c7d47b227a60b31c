// Model files are checked as bytes before ONNX Runtime sees them: damaged ones are refused, and so are those that
// would make it open other files.
#include "onnx/model_file.hpp"

#include <cstdio>
#include <fstream>
#include <random>

#include "agepred/agepred.h"
#include "check.hpp"
#include "protobuf.hpp"
#include "status.hpp"

using namespace agepred::core;
using protobuf::Bytes;
using protobuf::field;
using protobuf::varint;
using protobuf::operator+;

namespace {

const Bytes external_location = varint(14 << 3) + varint(1);
const Bytes external_key = field(13, {1, 2, 3});
const Bytes inline_tensor = varint(2 << 3) + varint(1) + field(9, {0, 0, 128, 63});

bool malformed(const Bytes &bytes) {
    return check::throws<Error>([&] { (void)onnx::refers_to_other_files(bytes); },
                                [](const Error &error) { return error.status() == AGEPRED_INVALID_MODEL; });
}

void test_finds_external_tensors_wherever_they_hide() {
    for (const Bytes &tensor : {external_location, external_key}) {
        const Bytes initializer = field(5, tensor);
        const Bytes attribute = field(5, tensor);
        const Bytes sparse = field(15, field(1, tensor));
        CHECK(onnx::refers_to_other_files(field(7, initializer)));
        CHECK(onnx::refers_to_other_files(field(7, sparse)));
        CHECK(onnx::refers_to_other_files(field(7, field(1, field(5, attribute)))));
        CHECK(onnx::refers_to_other_files(field(7, field(1, field(5, field(6, initializer)))))); // a subgraph
        CHECK(onnx::refers_to_other_files(field(25, field(7, field(5, attribute)))));            // a function
        CHECK(onnx::refers_to_other_files(field(20, field(1, initializer))));                    // training info
    }
    CHECK(!onnx::refers_to_other_files(field(7, field(5, inline_tensor))));
    CHECK(!onnx::refers_to_other_files({}));
}

// ONNX Runtime's parser cuts a key to 32 bits: with higher bits set, field 7 of a model would be its graph to it and an
// unknown field to a reader that keeps 64. Such a file was once taken for harmless.
void test_refuses_keys_beyond_32_bits() {
    const Bytes graph = field(5, external_key);
    for (int bit = 32; bit < 64; ++bit) {
        CHECK(malformed(varint(1ULL << bit | 7U << 3 | 2U) + varint(graph.size()) + graph));
    }
    CHECK(malformed(Bytes{0x02, 0x00})); // field 0, which no message has
}

void test_refuses_damaged_bytes() {
    const Bytes good = field(7, field(5, inline_tensor));
    for (std::size_t length = 1; length < good.size(); ++length) {
        CHECK(malformed(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length))));
    }
    CHECK(malformed(Bytes(20, 0xFF)));                    // a varint without end
    CHECK(malformed(field(7, {}) + Bytes{0x0B}));         // a group
    CHECK(malformed(varint(7 << 3 | 2) + varint(~0ULL))); // a length beyond all memory
    Bytes deep;
    for (int i = 0; i < 1000; ++i) { // subgraphs in subgraphs must not exhaust the stack
        deep = field(1, field(5, field(6, deep)));
    }
    CHECK(malformed(field(7, deep)));
}

// Random bytes: any answer will do, so long as there is one.
void test_survives_noise() {
    std::mt19937 random(3); // NOLINT(cert-msc51-cpp): the same bytes in each run
    int answers = 0;
    for (int round = 0; round < 20000; ++round) {
        Bytes bytes(random() % 64);
        for (std::uint8_t &byte : bytes) {
            byte = static_cast<std::uint8_t>(random() % 4 == 0 ? 0x3A : random());
        }
        try {
            answers += onnx::refers_to_other_files(bytes) ? 1 : 2;
        } catch (const Error &) {
            ++answers;
        }
    }
    CHECK(answers >= 20000);
}

void test_files() {
    const auto status_of = [](const std::string &path) {
        try {
            onnx::read_model(path);
        } catch (const Error &error) {
            CHECK(std::string(error.what()).find(path) != std::string::npos);
            return error.status();
        }
        return AGEPRED_OK;
    };
    CHECK(status_of("no/such/file.onnx") == AGEPRED_FILE_NOT_FOUND);
    CHECK(status_of("/") == AGEPRED_FILE_NOT_FOUND);
    CHECK(status_of("/dev/zero") == AGEPRED_FILE_NOT_FOUND); // endless, and no regular file
    const std::string path = "test_model_file.onnx";
    std::ofstream(path).close();
    CHECK(status_of(path) == AGEPRED_INVALID_MODEL);
    std::ofstream(path) << "this is a text";
    CHECK(status_of(path) == AGEPRED_INVALID_MODEL);
    std::remove(path.c_str());
}

} // namespace

int main() {
    test_finds_external_tensors_wherever_they_hide();
    test_refuses_keys_beyond_32_bits();
    test_refuses_damaged_bytes();
    test_survives_noise();
    test_files();
    return check::result();
}
