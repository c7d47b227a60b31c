#include "age_model.hpp"

#include <array>

#include "status.hpp"

namespace agepred::core {
namespace {

constexpr std::int64_t max_ages = 1000; // more years than any life has

[[noreturn]] void refuse(const onnx::Model &model, const std::string &why) {
    throw Error(AGEPRED_INVALID_MODEL, "age model " + model.path() + ": " + why);
}

AgeContract read_contract(const onnx::Model &model) {
    try {
        return read_age_contract([&](const char *key) { return model.metadata(key); });
    } catch (const Error &error) {
        refuse(model, error.what());
    }
}

int read_crop_side(const onnx::Model &model) {
    const onnx::TensorSpec &input = model.inputs()[0];
    const auto &shape = input.shape;
    if (input.name != "image" || input.type != onnx::element_uint8 || shape.size() != 4 || shape[1] != 3 ||
        shape[2] != shape[3] || shape[2] < 1 || shape[2] > max_crop_side || (shape[0] > 0 && shape[0] != 1)) {
        refuse(model, "its input must be image, uint8 [N,3,S,S]");
    }
    return static_cast<int>(shape[2]);
}

std::size_t find_logits(const onnx::Model &model) {
    for (std::size_t i = 0; i < model.outputs().size(); ++i) {
        const onnx::TensorSpec &output = model.outputs()[i];
        if (output.name == "logits" && output.type == onnx::element_float && output.shape.size() == 2 &&
            output.shape[1] >= 2 && output.shape[1] <= max_ages) {
            return i;
        }
    }
    refuse(model, "it must have an output logits, float32 [N,K]");
}

} // namespace

AgeModel::AgeModel(std::shared_ptr<const onnx::Runtime> runtime, const std::string &path,
                   const onnx::ModelSettings &settings, float interval_level)
    : model_(std::move(runtime), path, settings), contract_(read_contract(model_)), crop_side_(read_crop_side(model_)),
      logits_(find_logits(model_)) {
    age_count_ = static_cast<std::size_t>(model_.outputs()[logits_].shape[1]);
    if (interval_level != 0) {
        contract_.interval_level = interval_level;
    }
}

Estimate AgeModel::estimate(const std::uint8_t *crop, std::vector<std::uint8_t> &planar,
                            std::span<float> probabilities) const {
    planar.resize(crop_bytes());
    const std::size_t plane = crop_bytes() / 3;
    for (std::size_t i = 0; i < plane; ++i) {
        planar[i] = crop[3 * i];
        planar[plane + i] = crop[3 * i + 1];
        planar[2 * plane + i] = crop[3 * i + 2];
    }
    const std::array<std::int64_t, 4> shape = {1, 3, crop_side_, crop_side_};
    const onnx::Results results = model_.run(std::span<const std::uint8_t>(planar), shape);
    const std::span<const float> logits = results.floats(logits_);
    if (logits.size() != age_count_) {
        throw Error(AGEPRED_INFERENCE_FAILED, "the age model's output has another size than it declares");
    }
    softmax(logits, contract_.temperature, probabilities);
    return summarize(probabilities, contract_.first_age, contract_.interval_level, contract_.groups);
}

} // namespace agepred::core
