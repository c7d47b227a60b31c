// Crops to age distributions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "contract.hpp"
#include "onnx/linear_layer.hpp"
#include "onnx/model.hpp"

namespace agepred::core {

class AgeModel {
  public:
    // What a model has that can explain its answers.
    struct Features {
        FeatureGrid grid;
        std::size_t rows;    // of the map
        std::size_t columns; // of the map
        std::size_t output;  // index of that output
        onnx::LinearLayer layer;
    };

    // interval_level: in place of the file's own; 0 keeps that. Throws Error(INVALID_MODEL) for a file that breaks the
    // contract, naming what is missing.
    AgeModel(std::shared_ptr<const onnx::Runtime> runtime, const std::string &path, const onnx::ModelSettings &settings,
             float interval_level);

    [[nodiscard]] const AgeContract &contract() const { return contract_; }
    [[nodiscard]] int crop_side() const { return crop_side_; }
    [[nodiscard]] std::size_t age_count() const { return age_count_; }
    [[nodiscard]] std::size_t crop_bytes() const {
        return std::size_t{3} * static_cast<std::size_t>(crop_side_) * static_cast<std::size_t>(crop_side_);
    }

    // crop: crop_bytes() bytes, RGB, pixel by pixel; planar: memory that the call uses up;
    // probabilities: age_count() floats. Safe from any number of threads. Throws Error(INFERENCE_FAILED).
    Estimate estimate(const std::uint8_t *crop, std::vector<std::uint8_t> &planar,
                      std::span<float> probabilities) const;

    // Nothing for a model that cannot explain.
    [[nodiscard]] const std::optional<Features> &features() const { return features_; }

    // As estimate(), and where in the crop the age comes from (explanation.hpp). slopes: memory that the call uses up;
    // map: rows x columns floats. Throws Error(INVALID_MODEL), too: for a model that cannot explain.
    Estimate explain(const std::uint8_t *crop, std::vector<std::uint8_t> &planar, std::span<float> probabilities,
                     std::vector<float> &slopes, std::span<float> map) const;

  private:
    [[nodiscard]] onnx::Results run(const std::uint8_t *crop, std::vector<std::uint8_t> &planar,
                                    std::span<const std::size_t> wanted) const;
    [[nodiscard]] Estimate answer(const onnx::Results &results, std::span<float> probabilities) const;

    onnx::Model model_;
    AgeContract contract_{};
    IntervalOffsets offsets_; // of the contract's level
    int crop_side_ = 0;
    std::size_t age_count_ = 0;
    std::size_t logits_ = 0; // index of that output
    std::optional<Features> features_;
};

} // namespace agepred::core
