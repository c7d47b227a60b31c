// Protocol buffers by hand, for model files that tests make themselves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace protobuf {

using Bytes = std::vector<std::uint8_t>;

inline Bytes varint(std::uint64_t value) {
    Bytes bytes;
    for (; value > 0x7F; value >>= 7) {
        bytes.push_back(static_cast<std::uint8_t>(value | 0x80U));
    }
    bytes.push_back(static_cast<std::uint8_t>(value));
    return bytes;
}

inline Bytes operator+(Bytes one, const Bytes &other) {
    one.insert(one.end(), other.begin(), other.end());
    return one;
}

// A length-delimited field.
inline Bytes field(std::uint64_t number, const Bytes &content) {
    return varint(number << 3 | 2) + varint(content.size()) + content;
}
inline Bytes text(std::uint64_t number, const std::string &characters) {
    return field(number, Bytes(characters.begin(), characters.end()));
}

// A field that is a number.
inline Bytes number(std::uint64_t field_number, std::uint64_t value) {
    return varint(field_number << 3) + varint(value);
}

} // namespace protobuf
