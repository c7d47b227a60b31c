// The weights of the linear layer whose answer is an output of a model, read from its file: ONNX Runtime hands out what
// nodes answer, not what they are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace agepred::core::onnx {

// outputs x inputs numbers, a row an output.
struct LinearLayer {
    std::size_t outputs = 0;
    std::size_t inputs = 0;
    std::vector<float> weights;
};

// model: an ONNX file that ONNX Runtime has loaded. The output must be made by a node Gemm with transB and without
// further factors, whose weights are a constant: float32, or int8 behind a DequantizeLinear with one scale, or one a
// row, and zero points of 0. Throws Error(INVALID_MODEL) where it is not, or where the file is damaged.
LinearLayer read_linear_layer(std::span<const std::uint8_t> model, const std::string &output);

} // namespace agepred::core::onnx
