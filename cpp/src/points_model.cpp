#include "points_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>

#include "signature.hpp"
#include "status.hpp"

namespace agepred::core {
namespace {

// Of the crop's side. A detector's points are off by a tenth of it or two; what lies further away is no point of the
// face.
constexpr float far_outside = 0.5F;
// Of the size that the five points have in the crop. Below it they lie in a heap.
constexpr double least_scale = 0.1;

// To the crop's side. A step is thousands of times what processors differ by, and a hundredth of what the network errs.
constexpr float grid_steps = 8192.0F;

// The answer of a network as points in the crop, if it can be one.
std::optional<Points> as_points(std::span<const float> numbers, const Points &targets) {
    Points points{};
    if (numbers.size() != points.size()) {
        throw Error(AGEPRED_INFERENCE_FAILED, "the points model's output has another size than it declares");
    }
    std::copy(numbers.begin(), numbers.end(), points.begin());
    points = snapped(points, grid_steps);
    const auto inside = [](float number) { return number >= -far_outside && number <= 1 + far_outside; }; // not NaN
    if (!std::all_of(points.begin(), points.end(), inside) || fit(targets, points).scale() < least_scale) {
        return std::nullopt;
    }
    return points;
}

} // namespace

PointsModel::PointsModel(std::shared_ptr<const onnx::Runtime> runtime, const std::string &path,
                         const onnx::ModelSettings &settings)
    : model_(std::move(runtime), path, settings) {
    const Signature signature(model_, "points model");
    contract_ = signature.read(read_points_contract);
    crop_side_ = signature.crop_side();
    points_ = signature.output("points", "[N,10]", 10, 10);
}

void PointsModel::refine(const ImageView &image, Points &points, Workspace &workspace) const {
    for (int pass = 0; pass < contract_.passes && look(image, points, workspace); ++pass) {
    }
}

bool PointsModel::look(const ImageView &image, Points &points, Workspace &workspace) const {
    workspace.crop.resize(3 * static_cast<std::size_t>(crop_side_) * static_cast<std::size_t>(crop_side_));
    Similarity onto_picture{};
    try {
        onto_picture = align(image, points, contract_.crop_points, crop_side_, workspace.crop.data());
    } catch (const Error &) { // of these points; the picture has others
        return false;
    }
    split_planes(workspace.crop.data(), crop_side_, workspace.planar);
    const std::array<std::int64_t, 4> shape = {1, 3, crop_side_, crop_side_};
    const onnx::Results results = model_.run(std::span<const std::uint8_t>(workspace.planar), shape);
    const auto seen = as_points(results.floats(points_), contract_.crop_points);
    if (seen) {
        points = onto_picture.apply(*seen);
    }
    return seen.has_value();
}

} // namespace agepred::core
