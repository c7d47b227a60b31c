#include "age_model.hpp"

#include <array>

#include "signature.hpp"
#include "status.hpp"

namespace agepred::core {
namespace {

constexpr std::int64_t max_ages = 1000; // more years than any life has

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
}

Estimate AgeModel::estimate(const std::uint8_t *crop, std::vector<std::uint8_t> &planar,
                            std::span<float> probabilities) const {
    split_planes(crop, crop_side_, planar);
    const std::array<std::int64_t, 4> shape = {1, 3, crop_side_, crop_side_};
    const onnx::Results results = model_.run(std::span<const std::uint8_t>(planar), shape);
    const std::span<const float> logits = results.floats(logits_);
    if (logits.size() != age_count_) {
        throw Error(AGEPRED_INFERENCE_FAILED, "the age model's output has another size than it declares");
    }
    softmax(logits, contract_.temperature, probabilities);
    return summarize(probabilities, contract_.first_age, contract_.interval_level, contract_.groups, offsets_);
}

} // namespace agepred::core
