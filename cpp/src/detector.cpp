#include "detector.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "status.hpp"

namespace agepred::core {
namespace {

constexpr std::array<int, 3> strides = {8, 16, 32};
constexpr int alignment = 32;       // sides of the input are multiples of the coarsest stride
constexpr float max_overlap = 0.3F; // YuNet's authors' threshold for suppression
constexpr double wide_border = 0.3; // share of a side; faces cut off by the picture's border are found with it
// Pixels of the network's input. Above about 300 YuNet misses faces or takes their parts for faces (opencv_zoo
// issue 31); 256 leaves a margin.
constexpr double large_face = 256;

// The outputs of a YuNet file, in the order in which Detector reads them.
constexpr std::array<const char *, 4> output_kinds = {"cls_", "obj_", "bbox_", "kps_"};

int round_up(int size) { return (size + alignment - 1) / alignment * alignment; }

int shrunk(int side, double scale) { return std::max(1, static_cast<int>(std::lround(side * scale))); }

// Repeats the outermost pixels of a width x height picture at (left, top) of a plane into its border.
void extend_border(float *plane, std::ptrdiff_t stride, int width, int height, int left, int top) {
    for (int y = top; y < top + height; ++y) {
        float *row = plane + y * stride;
        std::fill_n(row, left, row[left]);
        std::fill_n(row + left + width, left, row[left + width - 1]);
    }
    for (int y = 0; y < top; ++y) {
        std::copy_n(plane + top * stride, width + 2 * left, plane + y * stride);
        std::copy_n(plane + (top + height - 1) * stride, width + 2 * left, plane + (top + height + y) * stride);
    }
}

// The index of each output of a YuNet file, kind by kind, fine to coarse.
std::array<std::size_t, 12> find_outputs(const onnx::Model &model) {
    const auto &outputs = model.outputs();
    const onnx::TensorSpec &input = model.inputs()[0];
    std::array<std::size_t, 12> indices{};
    std::size_t count = 0;
    for (const char *kind : output_kinds) {
        for (const int stride : strides) {
            const std::string name = kind + std::to_string(stride);
            const auto at = std::find_if(outputs.begin(), outputs.end(),
                                         [&](const onnx::TensorSpec &spec) { return spec.name == name; });
            if (at == outputs.end() || input.type != onnx::element_float) {
                throw Error(AGEPRED_INVALID_MODEL,
                            "model file " + model.path() +
                                " is not a face model: it lacks one of YuNet's twelve outputs, " + name);
            }
            indices[count++] = static_cast<std::size_t>(at - outputs.begin());
        }
    }
    if (input.shape.size() != 4 || input.shape[0] > 1 || input.shape[1] != 3 || input.shape[2] > 0 ||
        input.shape[3] > 0) {
        throw Error(AGEPRED_INVALID_MODEL,
                    "model file " + model.path() +
                        " takes pictures of one size only: use YuNet's file for every size, yunet_n_dynamic.onnx");
    }
    return indices;
}

} // namespace

Detector::Detector(std::shared_ptr<const onnx::Runtime> runtime, const std::string &path,
                   const onnx::ModelSettings &model_settings, const DetectorSettings &settings)
    : model_(std::move(runtime), path, model_settings), outputs_(find_outputs(model_)), settings_(settings) {}

void Detector::detect(const ImageView &image, Workspace &workspace) const {
    look(image, {settings_.max_side, 0.0}, workspace);
    std::vector<Face> &faces = workspace.faces;
    const double shrunk_by =
        std::max(1.0, static_cast<double>(std::max(image.width, image.height)) / settings_.max_side);
    const auto large = static_cast<float>(large_face * shrunk_by);
    const auto is_at_least = [](float side) {
        return [side](const Face &face) { return std::max(face.width, face.height) >= side; };
    };
    if (faces.empty() || std::any_of(faces.begin(), faces.end(), is_at_least(large))) {
        workspace.fine.swap(faces);
        look(image, {std::max(1, settings_.max_side / 4), wide_border}, workspace);
        if (!workspace.fine.empty()) {
            // From further away only the large ones are seen well.
            std::erase_if(faces, std::not_fn(is_at_least(large / 2)));
        }
        add_uncovered(workspace.fine, faces);
    }
    std::sort(faces.begin(), faces.end(),
              [](const Face &a, const Face &b) { return a.width * a.height > b.width * b.height; });
}

void Detector::look(const ImageView &image, const Look &look, Workspace &workspace) const {
    const double scale = std::min(1.0, static_cast<double>(look.max_side) / std::max(image.width, image.height));
    const int width = shrunk(image.width, scale);
    const int height = shrunk(image.height, scale);
    const int left = static_cast<int>(std::lround(width * look.border));
    const int top = static_cast<int>(std::lround(height * look.border));
    const int columns = round_up(width + 2 * left);
    const int rows = round_up(height + 2 * top);
    const std::size_t plane = static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows);

    workspace.input.assign(3 * plane, 0.0F);
    workspace.columns.resize(static_cast<std::size_t>(width));
    float *planes = workspace.input.data();
    const std::ptrdiff_t origin = std::ptrdiff_t{top} * columns + left;
    // YuNet sees BGR.
    kernels::shrink_scalar({image.pixels,
                            image.width,
                            image.height,
                            image.stride,
                            image.pixel_bytes,
                            {image.blue, image.green, image.red}},
                           {{planes + origin, planes + plane + origin, planes + 2 * plane + origin},
                            width,
                            height,
                            columns,
                            workspace.columns.data()});
    for (int c = 0; c < 3; ++c) {
        extend_border(planes + static_cast<std::size_t>(c) * plane, columns, width, height, left, top);
    }

    const std::array<std::int64_t, 4> shape = {1, 3, rows, columns};
    const onnx::Results results = model_.run(std::span<const float>(workspace.input), shape);
    workspace.faces.clear();
    for (std::size_t s = 0; s < strides.size(); ++s) {
        const auto output = [&](std::size_t kind) { return results.floats(outputs_[kind * strides.size() + s]); };
        const YuNetGrid grid{strides[s], columns / strides[s], rows / strides[s], output(0), output(1), output(2),
                             output(3)};
        if (!grid.complete()) {
            throw Error(AGEPRED_INFERENCE_FAILED, "the face model's outputs do not fit the size of its input");
        }
        decode(grid, settings_.min_score, workspace.faces);
    }
    suppress(workspace.faces, max_overlap);

    const auto to_picture_x = static_cast<float>(static_cast<double>(image.width) / width);
    const auto to_picture_y = static_cast<float>(static_cast<double>(image.height) / height);
    for (Face &face : workspace.faces) {
        face.x = (face.x - static_cast<float>(left)) * to_picture_x;
        face.y = (face.y - static_cast<float>(top)) * to_picture_y;
        face.width *= to_picture_x;
        face.height *= to_picture_y;
        for (std::size_t i = 0; i < face.points.size(); i += 2) {
            face.points[i] = (face.points[i] - static_cast<float>(left)) * to_picture_x;
            face.points[i + 1] = (face.points[i + 1] - static_cast<float>(top)) * to_picture_y;
        }
    }
}

} // namespace agepred::core
