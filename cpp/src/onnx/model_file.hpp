// A model file as bytes, checked before ONNX Runtime sees it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace agepred::core::onnx {

// Reads a whole file. Throws Error(FILE_NOT_FOUND), or Error(INVALID_MODEL) for a file that is too large to
// be a model or that is no ONNX file standing on its own.
std::vector<std::uint8_t> read_model(const std::string &path);

// Whether an ONNX file keeps tensors in other files. ONNX Runtime would open whatever path stands there.
// Throws Error(INVALID_MODEL) where the bytes are not a well-formed protocol buffer.
bool refers_to_other_files(std::span<const std::uint8_t> model);

} // namespace agepred::core::onnx
