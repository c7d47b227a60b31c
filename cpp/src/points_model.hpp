// Five points to better ones: a network that looks at the face again, in a crop of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "contract.hpp"
#include "onnx/model.hpp"

namespace agepred::core {

class PointsModel {
  public:
    // Memory that calls reuse. One a thread.
    struct Workspace {
        std::vector<std::uint8_t> crop;
        std::vector<std::uint8_t> planar;
    };

    // Throws Error(INVALID_MODEL) for a file that breaks the contract, naming what is missing.
    PointsModel(std::shared_ptr<const onnx::Runtime> runtime, const std::string &path,
                const onnx::ModelSettings &settings);

    // Moves a detector's points, in pixels of the picture, to where the network sees them, looking as often as its file
    // says. They stay where no crop can be cut by them and where the answer is no face's: not finite, further than half
    // a side outside of the crop, or in a heap. Safe from any number of threads. Throws Error(INFERENCE_FAILED).
    void refine(const ImageView &image, Points &points, Workspace &workspace) const;

  private:
    // One look; false where the points stay.
    bool look(const ImageView &image, Points &points, Workspace &workspace) const;

    onnx::Model model_;
    PointsContract contract_{};
    int crop_side_ = 0;
    std::size_t points_ = 0; // index of that output
};

} // namespace agepred::core
