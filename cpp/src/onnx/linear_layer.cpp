#include "onnx/linear_layer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "onnx/wire.hpp"
#include "status.hpp"

namespace agepred::core::onnx {
namespace {

using Bytes = std::span<const std::uint8_t>;

// More outputs or inputs than any linear layer of ours has; the product fits into every size_t.
constexpr std::uint64_t max_side = 1U << 15U;

[[noreturn]] void refuse(const std::string &why) { throw Error(AGEPRED_INVALID_MODEL, why); }

std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char *>(bytes.data()), bytes.size()}; }

// What is read of a node; all parts are borrowed from the file.
struct Node {
    std::string_view kind;
    std::vector<std::string_view> inputs;
    std::vector<std::string_view> outputs;
    std::vector<Bytes> attributes;
};

// What is read of a constant; all parts are borrowed from the file. Field numbers of onnx.proto3 here and below.
struct Tensor {
    std::string_view name;
    std::vector<std::uint64_t> dims;
    std::uint64_t type = 0;
    Bytes raw;                // raw_data, or
    Bytes floats;             // float_data, packed, or
    Bytes ints;               // int32_data, packed
    bool single_ints = false; // int32_data, number by number: none of ours is
};

constexpr std::uint64_t type_float = 1;
constexpr std::uint64_t type_int8 = 3;

Node read_node(Bytes message) {
    Node node;
    for (wire::Reader reader(message); !reader.done();) {
        const wire::Field field = reader.next();
        if (field.is(1, wire::bytes)) {
            node.inputs.push_back(as_text(field.bytes));
        } else if (field.is(2, wire::bytes)) {
            node.outputs.push_back(as_text(field.bytes));
        } else if (field.is(4, wire::bytes)) {
            node.kind = as_text(field.bytes);
        } else if (field.is(5, wire::bytes)) {
            node.attributes.push_back(field.bytes);
        }
    }
    return node;
}

Tensor read_tensor(Bytes message) {
    Tensor tensor;
    for (wire::Reader reader(message); !reader.done();) {
        const wire::Field field = reader.next();
        if (field.is(1, wire::varint)) {
            tensor.dims.push_back(field.value);
        } else if (field.is(1, wire::bytes)) { // packed
            for (wire::Reader row(field.bytes); !row.done();) {
                tensor.dims.push_back(row.number());
            }
        } else if (field.is(2, wire::varint)) {
            tensor.type = field.value;
        } else if (field.is(4, wire::bytes)) {
            tensor.floats = field.bytes;
        } else if (field.is(5, wire::bytes)) {
            tensor.ints = field.bytes;
        } else if (field.is(5, wire::varint)) { // not packed
            tensor.single_ints = true;
        } else if (field.is(8, wire::bytes)) {
            tensor.name = as_text(field.bytes);
        } else if (field.is(9, wire::bytes)) {
            tensor.raw = field.bytes;
        }
    }
    return tensor;
}

// A node's attribute that is an integer, or one that is a float and a whole number, such as alpha.
double attribute(const Node &node, std::string_view wanted, double otherwise) {
    for (const Bytes message : node.attributes) {
        std::string_view name;
        double value = 0;
        for (wire::Reader reader(message); !reader.done();) {
            const wire::Field field = reader.next();
            if (field.is(1, wire::bytes)) {
                name = as_text(field.bytes);
            } else if (field.is(2, wire::fixed32)) {
                float number = 0;
                std::memcpy(&number, field.bytes.data(), sizeof number);
                value = static_cast<double>(number);
            } else if (field.is(3, wire::varint)) {
                value = static_cast<double>(field.value);
            }
        }
        if (name == wanted) {
            return value;
        }
    }
    return otherwise;
}

// The main graph's nodes and constants.
class Graph {
  public:
    explicit Graph(Bytes model) {
        constexpr std::uint64_t graph = 7;
        for (wire::Reader reader(model); !reader.done();) {
            const wire::Field field = reader.next();
            if (field.is(graph, wire::bytes)) {
                read(field.bytes);
            }
        }
    }

    [[nodiscard]] const Node *maker(std::string_view value) const {
        const auto makes = [&](const Node &node) { return std::ranges::count(node.outputs, value) > 0; };
        const auto found = std::ranges::find_if(nodes_, makes);
        return found != nodes_.end() ? &*found : nullptr;
    }

    [[nodiscard]] const Tensor *constant(std::string_view name) const {
        const auto found = std::ranges::find(constants_, name, &Tensor::name);
        return found != constants_.end() ? &*found : nullptr;
    }

  private:
    void read(Bytes message) {
        for (wire::Reader reader(message); !reader.done();) {
            const wire::Field field = reader.next();
            if (field.is(1, wire::bytes)) {
                nodes_.push_back(read_node(field.bytes));
            } else if (field.is(5, wire::bytes)) {
                constants_.push_back(read_tensor(field.bytes));
            }
        }
    }

    std::vector<Node> nodes_;
    std::vector<Tensor> constants_;
};

// The floats of a constant that holds so many; the file is little-endian, as every processor that we build for.
std::vector<float> floats_of(const Tensor &tensor, std::size_t count) {
    const Bytes bytes = !tensor.raw.empty() ? tensor.raw : tensor.floats;
    if (tensor.type != type_float || bytes.size() != count * sizeof(float)) {
        refuse("a constant of its linear layer is not of " + std::to_string(count) + " floats");
    }
    std::vector<float> values(count);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

std::size_t size_of(const Tensor &tensor) { return tensor.dims.empty() ? 1 : static_cast<std::size_t>(tensor.dims[0]); }

// Turns the layer's int8 weights, as dequantizer reads them, into floats.
void dequantize(const Graph &graph, const Node &dequantizer, const Tensor &weights, LinearLayer &layer) {
    const Tensor *scale = dequantizer.inputs.size() > 1 ? graph.constant(dequantizer.inputs[1]) : nullptr;
    const Tensor *zero = dequantizer.inputs.size() > 2 ? graph.constant(dequantizer.inputs[2]) : nullptr;
    const bool by_row = scale != nullptr && scale->dims.size() == 1 && scale->dims[0] == layer.outputs;
    const bool single = scale != nullptr && (scale->dims.empty() || (scale->dims.size() == 1 && scale->dims[0] == 1));
    const bool scaled = single || (by_row && attribute(dequantizer, "axis", 1) == 0);
    const auto counts = [](std::uint8_t byte) { return byte != 0; };
    const bool named = dequantizer.inputs.size() > 2 && !dequantizer.inputs[2].empty();
    const bool shifted = zero != nullptr ? zero->single_ints || std::ranges::any_of(zero->raw, counts) ||
                                               std::ranges::any_of(zero->ints, counts)
                                         : named; // made by a node: it may be anything
    if (!scaled || shifted || weights.raw.size() != layer.outputs * layer.inputs) {
        refuse("the weights of its linear layer are not int8 with one scale, or one a row, and zero points of 0");
    }
    const std::vector<float> scales = floats_of(*scale, size_of(*scale));
    layer.weights.resize(layer.outputs * layer.inputs);
    for (std::size_t i = 0; i < layer.weights.size(); ++i) {
        const auto step = static_cast<float>(static_cast<std::int8_t>(weights.raw[i]));
        layer.weights[i] = step * scales[by_row ? i / layer.inputs : 0];
    }
}

} // namespace

LinearLayer read_linear_layer(std::span<const std::uint8_t> model, const std::string &output) {
    const Graph graph(model);
    const Node *gemm = graph.maker(output);
    if (gemm == nullptr || gemm->kind != "Gemm" || gemm->inputs.size() < 2 || attribute(*gemm, "transB", 0) != 1 ||
        attribute(*gemm, "transA", 0) != 0 || attribute(*gemm, "alpha", 1) != 1) {
        refuse("its output " + output + " is not made by a linear layer (Gemm with transB)");
    }
    const Tensor *weights = graph.constant(gemm->inputs[1]);
    const Node *dequantizer = weights == nullptr ? graph.maker(gemm->inputs[1]) : nullptr;
    if (dequantizer != nullptr && dequantizer->kind == "DequantizeLinear" && !dequantizer->inputs.empty()) {
        weights = graph.constant(dequantizer->inputs[0]);
    }
    const auto fits = [](std::uint64_t side) { return side > 0 && side <= max_side; };
    if (weights == nullptr || weights->dims.size() != 2 || !std::ranges::all_of(weights->dims, fits) ||
        weights->type != (dequantizer != nullptr ? type_int8 : type_float)) {
        refuse("the weights of its linear layer are no constant of float32, or of int8 and dequantized");
    }
    LinearLayer layer{static_cast<std::size_t>(weights->dims[0]), static_cast<std::size_t>(weights->dims[1]), {}};
    if (dequantizer != nullptr) {
        dequantize(graph, *dequantizer, *weights, layer);
    } else {
        layer.weights = floats_of(*weights, layer.outputs * layer.inputs);
    }
    if (!std::ranges::all_of(layer.weights, [](float weight) { return std::isfinite(weight); })) {
        refuse("a weight of its linear layer is not finite");
    }
    return layer;
}

} // namespace agepred::core::onnx
