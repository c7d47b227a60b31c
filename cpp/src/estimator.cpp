#include "estimator.hpp"

#include "status.hpp"

namespace agepred::core {

Estimator::Estimator(const std::shared_ptr<const onnx::Runtime> &runtime, const std::string &age_model,
                     const DetectorSettings &detector_settings, const onnx::ModelSettings &model_settings,
                     float interval_level)
    : age_model_(runtime, age_model, model_settings, interval_level) {
    if (!detector_settings.face_model.empty()) {
        detector_.emplace(runtime, detector_settings, model_settings);
    }
}

void Estimator::detect(const ImageView &image, Workspace &workspace) const {
    if (!detector_) {
        throw Error(AGEPRED_INVALID_ARGUMENT, "the estimator was made without a face model");
    }
    detector_->detect(image, workspace.detector);
}

void Estimator::estimate(const ImageView &image, Workspace &workspace) const {
    const std::vector<Face> &faces = workspace.detector.faces;
    const std::size_t ages = age_model_.age_count();
    workspace.crop.resize(age_model_.crop_bytes());
    workspace.probabilities.resize(faces.size() * ages);
    workspace.estimates.resize(faces.size());
    for (std::size_t i = 0; i < faces.size(); ++i) {
        align(image, faces[i].points, age_model_.contract().crop_points, age_model_.crop_side(), workspace.crop.data());
        const std::span<float> row = std::span(workspace.probabilities).subspan(i * ages, ages);
        workspace.estimates[i] = age_model_.estimate(workspace.crop.data(), workspace.planar, row);
    }
}

} // namespace agepred::core
