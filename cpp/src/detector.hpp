// Pictures to faces.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "face_model.hpp"
#include "image.hpp"
#include "kernels/shrink.hpp"
#include "points_model.hpp"

namespace agepred::core {

struct DetectorSettings {
    std::string face_model;
    std::string points_model; // empty: the points stay those of the face model
    float min_score = 0;      // 0: the face model's own
    int max_side = 640;       // pixels; what YuNet was trained at
    float smallest_face =
        0; // pixels of the picture: the network's input is made no larger than such a face needs; 0: off
};

// What the stages of a call took, in nanoseconds; agepred-bench reads it.
struct StageTimes {
    std::int64_t fill = 0;    // the picture into the network's input
    std::int64_t network = 0; // the face model
    std::int64_t decode = 0;  // its answers to faces: decoding, suppression, onto the picture, sorting
    std::int64_t refine = 0;  // the points model and its crops, of all faces
    int looks = 0;            // runs of the face model
    std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();

    // Adds the time since the last call, or since there is this object, to a stage.
    void end(std::int64_t &stage) {
        const auto now = std::chrono::steady_clock::now();
        stage += std::chrono::nanoseconds(now - last).count();
        last = now;
    }
};

class Detector {
  public:
    // Memory that calls reuse, so that a warm detector allocates nothing of its own. One a thread.
    struct Workspace {
        std::vector<std::uint8_t> bytes; // the network's input, in one type or the other
        std::vector<float> floats;
        std::vector<kernels::Span> columns;
        std::vector<float> row;
        std::vector<Face> faces;  // the answer of detect()
        std::vector<Face> nearer; // what the looks before the last found
        PointsModel::Workspace points;
        StageTimes times; // of the last call of detect()
    };

    // Throws Error(INVALID_MODEL) for a file that is no face model, or no points model.
    Detector(const std::shared_ptr<const onnx::Runtime> &runtime, const DetectorSettings &settings,
             const onnx::ModelSettings &model_settings);

    // Fills workspace.faces, in pixels of the picture, largest box first. Throws Error(INFERENCE_FAILED).
    // Looks again where the first look found nothing or a very large face, or was so close that it would not notice
    // one: then also from further away, with a border around the picture, and so on, until a face as large as the
    // picture is seen whole.
    void detect(const ImageView &image, Workspace &workspace) const;

  private:
    // How a picture is laid into the network's input: scaled and surrounded by a border of the picture's outermost
    // pixels, as wide as this share of each side.
    struct Look {
        double scale; // at most 1
        double border;
    };
    [[nodiscard]] double scale_for(const ImageView &image) const;
    void look(const ImageView &image, const Look &look, Workspace &workspace) const;
    // Adds to workspace.faces, the findings so far, what is seen from further away. scale: the last look's.
    void look_again(const ImageView &image, const Look &further, double scale, Workspace &workspace) const;
    // Whether a look at this scale may overlook a face as large as the picture. side: the picture's longer one.
    [[nodiscard]] bool overlooks_large(int side, double scale) const;
    // Whether the findings so far leave room for faces that are too large for a look at this scale.
    [[nodiscard]] bool misses_large(const std::vector<Face> &faces, double scale) const;
    [[nodiscard]] bool is_sure(const Face &face) const;

    FaceModel face_model_;
    std::optional<PointsModel> points_model_;
    DetectorSettings settings_;
};

} // namespace agepred::core
