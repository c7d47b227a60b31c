// Pictures to faces.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "faces.hpp"
#include "image.hpp"
#include "kernels/shrink.hpp"
#include "onnx/model.hpp"

namespace agepred::core {

struct DetectorSettings {
    float min_score = 0.6F; // low enough for faces that fill a chip cut tight, which YuNet is less sure of
    int max_side = 640;     // pixels; what YuNet was trained at
};

class Detector {
  public:
    // Memory that calls reuse, so that a warm detector allocates nothing of its own. One a thread.
    struct Workspace {
        std::vector<float> input;
        std::vector<kernels::Span> columns;
        std::vector<Face> faces; // the answer of detect()
        std::vector<Face> fine;  // what the first of two looks found
    };

    // Throws Error(INVALID_MODEL) for a file that is no face model.
    Detector(std::shared_ptr<const onnx::Runtime> runtime, const std::string &path,
             const onnx::ModelSettings &model_settings, const DetectorSettings &settings);

    // Fills workspace.faces, in pixels of the picture, largest box first. Throws Error(INFERENCE_FAILED).
    // Looks twice where the first look found nothing or a very large face: then also from further away, with a border
    // around the picture.
    void detect(const ImageView &image, Workspace &workspace) const;

  private:
    // How a picture is laid into the network's input: shrunk to a longer side of at most max_side and surrounded by
    // a border of the picture's outermost pixels, as wide as this share of each side.
    struct Look {
        int max_side;
        double border;
    };
    void look(const ImageView &image, const Look &look, Workspace &workspace) const;

    onnx::Model model_;
    std::array<std::size_t, 12> outputs_; // indices of cls, obj, bbox, kps, each at strides 8, 16, 32
    DetectorSettings settings_;
};

} // namespace agepred::core
