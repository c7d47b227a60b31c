// The wire format of protocol buffers (protobuf.dev/programming-guides/encoding), in which ONNX files are written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "status.hpp"

namespace agepred::core::onnx::wire {

enum Type : unsigned { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

[[noreturn]] inline void malformed() { throw Error(AGEPRED_INVALID_MODEL, "not an ONNX file, or a damaged one"); }

// One field of a message.
struct Field {
    std::uint64_t number;
    unsigned type;                       // a Type
    std::uint64_t value;                 // of a varint
    std::span<const std::uint8_t> bytes; // of any other: borrowed from the message

    [[nodiscard]] bool is(std::uint64_t wanted, Type kind) const { return number == wanted && type == kind; }
};

// A cursor over the fields of a message. Throws Error(INVALID_MODEL) where the bytes are none.
class Reader {
  public:
    explicit Reader(std::span<const std::uint8_t> message) : rest_(message) {}

    [[nodiscard]] bool done() const { return rest_.empty(); }

    Field next() {
        const std::uint64_t key = number();
        // ONNX Runtime's parser keeps 32 bits of a key; a longer one would be one field to us and another to it.
        if (key > UINT32_MAX || key >> 3U == 0) {
            malformed();
        }
        Field field{key >> 3U, static_cast<unsigned>(key & 7U), 0, {}};
        switch (field.type) {
        case varint:
            field.value = number();
            break;
        case fixed64:
            field.bytes = take(8);
            break;
        case bytes:
            field.bytes = take(number());
            break;
        case fixed32:
            field.bytes = take(4);
            break;
        default: // groups, which ONNX never used
            malformed();
        }
        return field;
    }

    // The next number of a packed row, or of a key.
    std::uint64_t number() {
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

  private:
    std::span<const std::uint8_t> take(std::uint64_t count) {
        if (count > rest_.size()) {
            malformed();
        }
        const auto taken = rest_.first(static_cast<std::size_t>(count));
        rest_ = rest_.subspan(static_cast<std::size_t>(count));
        return taken;
    }

    std::span<const std::uint8_t> rest_;
};

} // namespace agepred::core::onnx::wire
