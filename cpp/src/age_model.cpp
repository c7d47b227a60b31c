#include "age_model.hpp"

#include <algorithm>
#include <array>

#include "explanation.hpp"
#include "onnx/model_file.hpp"
#include "signature.hpp"
#include "status.hpp"

namespace agepred::core {
namespace {

constexpr std::int64_t max_ages = 1000; // more years than any life has
constexpr std::int64_t max_channels = 1 << 14;

// The map that explains, where the file has one; it is checked against the linear layer that weighs its channels.
std::optional<AgeModel::Features> read_features(const onnx::Model &model, const Signature &signature,
                                                std::size_t ages) {
    if (!signature.has_output("features")) {
        return std::nullopt;
    }
    AgeModel::Features features{};
    features.output = signature.output("features", "[N,C,h,w]", 1, max_channels);
    const std::vector<std::int64_t> &shape = model.outputs()[features.output].shape;
    if (std::ranges::any_of(shape.begin() + 2, shape.end(),
                            [](std::int64_t side) { return side < 1 || side > max_crop_side; })) {
        signature.refuse("h and w of its output features, float32 [N,C,h,w], must be declared");
    }
    const auto channels = static_cast<std::size_t>(shape[1]);
    features.rows = static_cast<std::size_t>(shape[2]);
    features.columns = static_cast<std::size_t>(shape[3]);
    features.grid = signature.read(read_feature_grid);
    try {
        features.layer = onnx::read_linear_layer(onnx::read_model(model.path()), "logits");
    } catch (const Error &error) {
        signature.refuse(std::string("it has an output features, but ") + error.what());
    }
    if (features.layer.outputs != ages || features.layer.inputs != channels) {
        signature.refuse("its output features has " + std::to_string(channels) + " channels, its linear layer takes " +
                         std::to_string(features.layer.inputs));
    }
    return features;
}

} // namespace

AgeModel::AgeModel(std::shared_ptr<const onnx::Runtime> runtime, const std::string &path,
                   const onnx::ModelSettings &settings, float interval_level)
    : model_(std::move(runtime), path, settings) {
    const Signature signature(model_, "age model");
    contract_ = signature.read(read_age_contract);
    crop_side_ = signature.crop_side();
    logits_ = signature.output("logits", "[N,K]", 2, max_ages);
    age_count_ = static_cast<std::size_t>(model_.outputs()[logits_].shape[1]);
    if (interval_level != 0) {
        contract_.interval_level = interval_level;
    }
    offsets_ = offsets_at(contract_.interval_offsets, contract_.interval_level);
    features_ = read_features(model_, signature, age_count_);
}

Estimate AgeModel::estimate(const std::uint8_t *crop, std::vector<std::uint8_t> &planar,
                            std::span<float> probabilities) const {
    const std::array wanted = {logits_};
    return answer(run(crop, planar, wanted), probabilities);
}

Estimate AgeModel::explain(const std::uint8_t *crop, std::vector<std::uint8_t> &planar, std::span<float> probabilities,
                           std::vector<float> &slopes, std::span<float> map) const {
    if (!features_) {
        throw Error(AGEPRED_INVALID_MODEL,
                    "age model " + model_.path() +
                        ": it has no output features and cannot explain its answers; use a file that `agepred export` "
                        "or `agepred quantize` wrote with that output (docs/explain.md)");
    }
    std::array wanted = {logits_, features_->output};
    std::ranges::sort(wanted);
    const onnx::Results results = run(crop, planar, wanted);
    const Estimate estimate = answer(results, probabilities);
    const std::span<const float> features = results.floats(features_->output);
    if (features.size() != features_->layer.inputs * features_->rows * features_->columns) {
        throw Error(AGEPRED_INFERENCE_FAILED, "the age model's output features has another size than it declares");
    }
    slopes.resize(features_->layer.inputs);
    age_slopes(probabilities, contract_.temperature, features_->layer.weights, slopes);
    age_map(slopes, features, map);
    return estimate;
}

onnx::Results AgeModel::run(const std::uint8_t *crop, std::vector<std::uint8_t> &planar,
                            std::span<const std::size_t> wanted) const {
    split_planes(crop, crop_side_, planar);
    const std::array<std::int64_t, 4> shape = {1, 3, crop_side_, crop_side_};
    return model_.run(std::span<const std::uint8_t>(planar), shape, wanted);
}

Estimate AgeModel::answer(const onnx::Results &results, std::span<float> probabilities) const {
    const std::span<const float> logits = results.floats(logits_);
    if (logits.size() != age_count_) {
        throw Error(AGEPRED_INFERENCE_FAILED, "the age model's output has another size than it declares");
    }
    softmax(logits, contract_.temperature, probabilities);
    return summarize(probabilities, contract_.first_age, contract_.interval_level, contract_.groups, offsets_);
}

} // namespace agepred::core
