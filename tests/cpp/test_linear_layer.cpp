// The linear layer behind an output: as floats, as dequantized integers, and what is refused.
#include "onnx/linear_layer.hpp"

#include "check.hpp"
#include "status.hpp"
#include "tiny_models.hpp"

using namespace agepred::core;
using onnx::LinearLayer;
using onnx::read_linear_layer;
using tiny::Bytes;
using tiny::field;
using tiny::number;
using tiny::text;
using tiny::operator+;

namespace {

bool refused(const Bytes &model, const std::string &words, const std::string &output = "logits") {
    return check::throws<Error>([&] { read_linear_layer(model, output); },
                                [&](const Error &error) {
                                    return error.status() == AGEPRED_INVALID_MODEL &&
                                           std::string(error.what()).find(words) != std::string::npos;
                                });
}

// A float attribute.
Bytes factor(const std::string &name, float value) {
    Bytes raw(sizeof value);
    std::memcpy(raw.data(), &value, sizeof value);
    Bytes bytes = text(1, name) + protobuf::varint(2U << 3U | 5U);
    return bytes + raw + number(20, 1);
}

Bytes int8_tensor(const std::string &name, const std::vector<std::uint64_t> &shape, const Bytes &values) {
    Bytes dims;
    for (const std::uint64_t side : shape) {
        dims = dims + number(1, side);
    }
    return field(5, dims + number(2, 3) + text(8, name) + field(9, values));
}

// Two outputs of three inputs, quantized as ONNX Runtime's quantizer writes them.
struct Quantized {
    std::vector<float> scales = {0.5F, 0.25F};
    std::uint64_t axis = 0;
    Bytes zeros = {0, 0};
    std::string zero = "zeros"; // name of the dequantizer's zero points

    [[nodiscard]] Bytes bytes() const {
        const Bytes nodes =
            tiny::node("DequantizeLinear", {"steps", "scales", zero}, "weights", {tiny::integer("axis", axis)}) +
            tiny::node("Gemm", {"flat", "weights", "bias"}, "logits", {tiny::integer("transB", 1)});
        // 0xFF is -1.
        return tiny::model(nodes + int8_tensor("steps", {2, 3}, {1, 2, 0xFF, 4, 0, 0x80}) +
                               field(5, tiny::tensor("scales", {scales.size()}, scales)) +
                               int8_tensor("zeros", {zeros.size()}, zeros),
                           {});
    }
};

void test_floats() {
    const tiny::AgeModel model;
    const LinearLayer layer = read_linear_layer(model.bytes(), "logits");
    CHECK(layer.outputs == 4 && layer.inputs == 3 && layer.weights == model.weights);
}

void test_integers() {
    const LinearLayer by_row = read_linear_layer(Quantized{}.bytes(), "logits");
    CHECK(by_row.outputs == 2 && by_row.inputs == 3);
    CHECK((by_row.weights == std::vector<float>{0.5F, 1.0F, -0.5F, 1.0F, 0.0F, -32.0F}));
    const LinearLayer single = read_linear_layer(Quantized{.scales = {2.0F}, .zeros = {0}}.bytes(), "logits");
    CHECK((single.weights == std::vector<float>{2, 4, -2, 8, 0, -256}));
}

void test_refused() {
    const Bytes good = tiny::AgeModel().bytes();
    CHECK(refused(good, "output nothing is not made by a linear layer", "nothing"));
    CHECK(refused(good, "not made by a linear layer", "mean"));
    tiny::AgeModel model;
    model.transposed = false;
    CHECK(refused(model.bytes(), "not made by a linear layer"));
    const auto gemm = [](const Bytes &attribute, const std::vector<std::uint64_t> &shape, std::size_t count) {
        return tiny::model(tiny::node("Gemm", {"x", "w"}, "logits", {tiny::integer("transB", 1), attribute}) +
                               field(5, tiny::tensor("w", shape, std::vector<float>(count))),
                           {});
    };
    CHECK(read_linear_layer(gemm(factor("alpha", 1), {2, 3}, 6), "logits").weights.size() == 6);
    CHECK(refused(gemm(factor("alpha", 0.5F), {2, 3}, 6), "not made by a linear layer"));
    // Sizes that the bytes do not bear out, and such whose product would overflow.
    CHECK(refused(gemm(factor("alpha", 1), {2, 4}, 6), "is not of 8 floats"));
    CHECK(refused(gemm(factor("alpha", 1), {6}, 6), "no constant"));
    CHECK(refused(gemm(factor("alpha", 1), {std::uint64_t{1} << 62U, 4}, 6), "no constant"));
    model = {};
    model.weights[2] = std::numeric_limits<float>::quiet_NaN();
    CHECK(refused(model.bytes(), "not finite"));

    CHECK(refused(Quantized{.zeros = {0, 3}}.bytes(), "zero points of 0"));
    // Zero points that no constant of the graph holds may be anything.
    CHECK(refused(Quantized{.zero = "made_by_a_node"}.bytes(), "zero points of 0"));
    CHECK(refused(gemm(factor("alpha", 1), {0, 3}, 3), "no constant"));
    CHECK(read_linear_layer(Quantized{.zero = ""}.bytes(), "logits").outputs == 2);
    CHECK(refused(Quantized{.axis = 1}.bytes(), "one a row"));
    CHECK(refused(Quantized{.scales = {1.0F, 2.0F, 3.0F}}.bytes(), "one a row"));
    // Cut off anywhere, the file is refused, or whole but for keys that follow the graph; never read beyond its end.
    for (std::size_t size = 0; size < good.size(); ++size) {
        const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(refused(cut, "") || read_linear_layer(cut, "logits").weights == tiny::AgeModel().weights);
    }
}

} // namespace

int main() {
    test_floats();
    test_integers();
    test_refused();
    return check::result();
}
