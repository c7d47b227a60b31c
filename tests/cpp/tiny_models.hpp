// A face model and a points model of a few nodes, as bytes: their answers are constants.
#pragma once

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "protobuf.hpp"

namespace tiny {

using protobuf::Bytes;
using protobuf::field;
using protobuf::number;
using protobuf::text;
using protobuf::operator+;
using Keys = std::map<std::string, std::string>;

inline Keys face_keys() {
    return {{"agepred.format", "1"},         {"agepred.task", "face"},       {"agepred.version", "0.0.1"},
            {"agepred.exact", "1"},          {"agepred.record", "00"},       {"agepred.face.min_score", "0.5"},
            {"agepred.face.smallest", "10"}, {"agepred.face.largest", "256"}};
}

inline Keys points_keys() {
    return {{"agepred.format", "1"},
            {"agepred.task", "points"},
            {"agepred.version", "0.0.1"},
            {"agepred.exact", "1"},
            {"agepred.record", "00"},
            {"agepred.crop.points", "0.3,0.29;0.7,0.29;0.5,0.52;0.34,0.75;0.67,0.75"},
            {"agepred.crop.detector", "a test's"}};
}

// ---- the parts of an ONNX file, by the numbers of onnx.proto

inline Bytes tensor(const std::string &name, const std::vector<std::uint64_t> &shape,
                    const std::vector<float> &values) {
    Bytes dims;
    for (const std::uint64_t side : shape) {
        dims = dims + number(1, side);
    }
    Bytes raw(values.size() * sizeof(float));
    std::memcpy(raw.data(), values.data(), raw.size());
    return dims + number(2, 1) + text(8, name) + field(9, raw);
}

inline Bytes integer(const std::string &name, std::uint64_t value) {
    return text(1, name) + number(3, value) + number(20, 2);
}

inline Bytes integers(const std::string &name, const std::vector<std::uint64_t> &values) {
    Bytes bytes = text(1, name);
    for (const std::uint64_t value : values) {
        bytes = bytes + number(8, value);
    }
    return bytes + number(20, 7);
}

inline Bytes node(const std::string &kind, const std::vector<std::string> &inputs, const std::string &output,
                  const std::vector<Bytes> &attributes = {}) {
    Bytes bytes;
    for (const std::string &input : inputs) {
        bytes = bytes + text(1, input);
    }
    bytes = bytes + text(2, output) + text(4, kind);
    for (const Bytes &attribute : attributes) {
        bytes = bytes + field(5, attribute);
    }
    return field(1, bytes);
}

// An input or output; sides that are 0 are free. type: 1 for floats, 2 for bytes.
inline Bytes value(const std::string &name, std::uint64_t type, const std::vector<std::uint64_t> &shape) {
    Bytes dims;
    for (const std::uint64_t side : shape) {
        dims = dims + field(1, side != 0 ? number(1, side) : Bytes());
    }
    return text(1, name) + field(2, field(1, number(1, type) + field(2, dims)));
}

inline Bytes model(const Bytes &graph, const Keys &keys) {
    Bytes bytes = number(1, 8) + field(8, text(1, std::string()) + number(2, 17)) + field(7, graph + text(2, "tiny"));
    for (const auto &[key, content] : keys) {
        bytes = bytes + field(14, text(1, key) + text(2, content));
    }
    return bytes;
}

// ---- the models

// On the grid of 32 pixels every cell is a face of that size with this score; the finer grids see none.
inline Bytes face_model(float score, const Keys &keys = face_keys()) {
    const std::vector<float> box = {0.5F, 0.5F, 0.0F, 0.0F};
    const std::vector<float> points = {0.3F, 0.3F, 0.7F, 0.3F, 0.5F, 0.5F, 0.3F, 0.7F, 0.7F, 0.7F};
    Bytes nodes = node("Cast", {"image"}, "pixels", {integer("to", 1)});
    Bytes constants;
    Bytes outputs;
    for (const std::uint64_t stride : {8U, 16U, 32U}) {
        const std::string at = std::to_string(stride);
        const std::vector<std::uint64_t> cell = {stride, stride};
        nodes = nodes + node("AveragePool", {"pixels"}, "mean_" + at,
                             {integers("kernel_shape", cell), integers("strides", cell)});
        const auto output = [&](const std::string &kind, const std::vector<float> &answer) {
            const std::string name = kind + "_" + at;
            const std::uint64_t channels = answer.size();
            constants = constants +
                        field(5, tensor(name + "_weight", {channels, 3, 1, 1}, std::vector<float>(3 * channels))) +
                        field(5, tensor(name + "_bias", {channels}, answer));
            nodes = nodes + node("Conv", {"mean_" + at, name + "_weight", name + "_bias"}, name);
            outputs = outputs + field(12, value(name, 1, {1, channels, 0, 0}));
        };
        output("score", {stride == 32 ? score : 0.0F});
        output("box", box);
        output("points", points);
    }
    return model(nodes + constants + field(11, value("image", 2, {1, 3, 0, 0})) + outputs, keys);
}

// Answers these points for every crop of side x side pixels.
inline Bytes points_model(const std::array<float, 10> &answer, std::uint64_t side, const Keys &keys = points_keys()) {
    const Bytes nodes = node("Cast", {"image"}, "pixels", {integer("to", 1)}) +
                        node("GlobalAveragePool", {"pixels"}, "mean") + node("Flatten", {"mean"}, "flat") +
                        node("Gemm", {"flat", "weight", "bias"}, "points");
    const Bytes constants = field(5, tensor("weight", {3, 10}, std::vector<float>(30))) +
                            field(5, tensor("bias", {10}, std::vector<float>(answer.begin(), answer.end())));
    return model(nodes + constants + field(11, value("image", 2, {0, 3, side, side})) +
                     field(12, value("points", 1, {0, 10})),
                 keys);
}

// ---- an age model

inline Keys age_keys() {
    Keys keys = {{"agepred.task", "age"},           {"agepred.age.first", "10"},       {"agepred.temperature", "2"},
                 {"agepred.groups", "0-20,21-116"}, {"agepred.features.first", "0.5"}, {"agepred.features.step", "8"}};
    keys.merge(points_keys());
    return keys;
}

// What an age model of a few nodes is made of. Its map has a cell for every 8 x 8 pixels, and three channels: the mean
// of red, green and blue there. features: that output, as value() writes it.
struct AgeModel {
    std::uint64_t side = 32;
    std::vector<float> weights = {0.02F, 0.0F, -0.01F, 0.0F, 0.03F, 0.01F, -0.01F, 0.01F, 0.0F, 0.01F, -0.02F, 0.02F};
    Bytes features = value("features", 1, {0, 3, 4, 4});
    bool explains = true;
    std::size_t copies = 1; // of the map's channels in the features; 1 is right
    bool flat = false;      // whether the features have two dimensions in place of four
    bool transposed = true; // weights a row an age
    Keys keys = age_keys();

    [[nodiscard]] Bytes bytes() const {
        const std::uint64_t ages = weights.size() / 3;
        const std::vector<std::uint64_t> cell = {8, 8};
        const std::vector<std::uint64_t> shape =
            transposed ? std::vector<std::uint64_t>{ages, 3} : std::vector<std::uint64_t>{3, ages};
        const Bytes nodes =
            node("Cast", {"image"}, "pixels", {integer("to", 1)}) +
            node("AveragePool", {"pixels"}, "map", {integers("kernel_shape", cell), integers("strides", cell)}) +
            (flat ? node("Flatten", {"map"}, "features")
                  : node("Concat", std::vector<std::string>(copies, "map"), "features", {integer("axis", 1)})) +
            node("GlobalAveragePool", {"map"}, "mean") + node("Flatten", {"mean"}, "flat") +
            node("Gemm", {"flat", "weights", "bias"}, "logits", {integer("transB", transposed ? 1 : 0)});
        const Bytes constants =
            field(5, tensor("weights", shape, weights)) + field(5, tensor("bias", {ages}, std::vector<float>(ages)));
        return model(nodes + constants + field(11, value("image", 2, {0, 3, side, side})) +
                         (explains ? field(12, features) : Bytes()) + field(12, value("logits", 1, {0, ages})),
                     keys);
    }
};

// A file beside this program, as long as the object lives.
class ModelFile {
  public:
    ModelFile(std::string path, const Bytes &bytes) : path_(std::move(path)) {
        std::ofstream(path_, std::ios::binary)
            .write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    ModelFile(const ModelFile &) = delete;
    ModelFile &operator=(const ModelFile &) = delete;
    ~ModelFile() { std::remove(path_.c_str()); }
    [[nodiscard]] const char *path() const { return path_.c_str(); }

  private:
    std::string path_;
};

} // namespace tiny
