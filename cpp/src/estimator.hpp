// The whole chain: pixels -> faces -> aligned crops -> age distributions -> estimates.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "age_model.hpp"
#include "detector.hpp"

namespace agepred::core {

class Estimator {
  public:
    struct Workspace {
        Detector::Workspace detector;
        std::vector<std::uint8_t> crop;
        std::vector<std::uint8_t> planar;
        std::vector<float> probabilities; // a row a face, in the order of detector.faces
        std::vector<Estimate> estimates;
        std::vector<float> slopes; // of explanations; empty until one is asked for
        std::vector<float> map;    // likewise
    };

    // The detector's face model may be empty: then only single crops can be estimated. interval_level: as in AgeModel.
    Estimator(const std::shared_ptr<const onnx::Runtime> &runtime, const std::string &age_model,
              const DetectorSettings &detector_settings, const onnx::ModelSettings &model_settings,
              float interval_level);

    [[nodiscard]] const AgeModel &age_model() const { return age_model_; }

    // Finds faces into workspace.detector.faces. Throws Error(INVALID_ARGUMENT) without a face model.
    void detect(const ImageView &image, Workspace &workspace) const;

    // The rest of the chain, for the faces that detect() left: fills estimates and probabilities.
    void estimate(const ImageView &image, Workspace &workspace) const;

  private:
    AgeModel age_model_;
    std::optional<Detector> detector_;
};

} // namespace agepred::core
