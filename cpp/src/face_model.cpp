#include "face_model.hpp"

#include <algorithm>

#include "status.hpp"

namespace agepred::core {
namespace {

constexpr float max_overlap = 0.3F; // YuNet's authors' threshold for suppression

// What YuNet's files do not say. Its authors' threshold is higher, but faces that fill a chip cut tight get no more
// than 0.6. Above about 300 pixels it misses faces or takes their parts for faces (opencv_zoo issue 31): 256 leaves a
// margin. WIDER FACE, its training set, labels faces from 10 pixels on.
FaceContract yunet_contract() {
    FaceContract contract;
    contract.int8_exact = true; // floats
    contract.min_score = 0.6F;
    contract.smallest = 10;
    contract.largest = 256;
    return contract;
}

} // namespace

FaceModel::FaceModel(std::shared_ptr<const onnx::Runtime> runtime, const std::string &path,
                     const onnx::ModelSettings &settings)
    : model_(std::move(runtime), path, settings), is_yunet_(!model_.metadata("agepred.format")) {
    const Signature signature(model_, "face model");
    is_yunet_ ? read_yunet(signature) : read_ours(signature);
}

void FaceModel::read_ours(const Signature &signature) {
    contract_ = signature.read(read_face_contract);
    if (model_.inputs()[0].name != "image" || !takes_any_size(onnx::element_uint8)) {
        signature.refuse("its input must be image, uint8 [1,3,H,W], H and W free");
    }
    for (std::size_t s = 0; s < strides.size(); ++s) {
        const auto output = [&](const char *kind, const char *form, std::int64_t channels) {
            return signature.output(kind + std::to_string(strides[s]), form, channels, channels);
        };
        outputs_[s] = {output("score_", "[1,1,H/s,W/s]", 1), 0, output("box_", "[1,4,H/s,W/s]", 4),
                       output("points_", "[1,10,H/s,W/s]", 10)};
    }
}

void FaceModel::read_yunet(const Signature &signature) {
    contract_ = yunet_contract();
    const auto &outputs = model_.outputs();
    for (std::size_t s = 0; s < strides.size(); ++s) {
        const auto output = [&](const char *kind) {
            const std::string name = kind + std::to_string(strides[s]);
            const auto at = std::find_if(outputs.begin(), outputs.end(), [&](const onnx::TensorSpec &spec) {
                return spec.name == name && spec.type == onnx::element_float;
            });
            if (at == outputs.end()) {
                signature.refuse(
                    "its metadata key agepred.format is missing: not a model of agepred; nor is it YuNet's "
                    "file, which has an output " +
                    name);
            }
            return static_cast<std::size_t>(at - outputs.begin());
        };
        outputs_[s] = {output("cls_"), output("obj_"), output("bbox_"), output("kps_")};
    }
    if (!takes_any_size(onnx::element_float)) {
        signature.refuse("it takes pictures of one size only: use YuNet's file for every size, yunet_n_dynamic.onnx");
    }
}

bool FaceModel::takes_any_size(onnx::ElementType type) const {
    const onnx::TensorSpec &input = model_.inputs()[0];
    return input.type == type && input.shape.size() == 4 && input.shape[0] <= 1 && input.shape[1] == 3 &&
           input.shape[2] <= 0 && input.shape[3] <= 0;
}

void FaceModel::decode_all(const onnx::Results &results, int columns, int rows, float min_score,
                           std::vector<Face> &faces) const {
    faces.clear();
    for (std::size_t s = 0; s < strides.size(); ++s) {
        const Outputs &at = outputs_[s];
        const Grid grid{strides[s],
                        columns / strides[s],
                        rows / strides[s],
                        !is_yunet_,
                        results.floats(at.score),
                        is_yunet_ ? results.floats(at.objectness) : std::span<const float>(),
                        results.floats(at.box),
                        results.floats(at.points)};
        if (!grid.complete()) {
            throw Error(AGEPRED_INFERENCE_FAILED, "the face model's outputs do not fit the size of its input");
        }
        decode(grid, min_score, faces);
    }
    suppress(faces, max_overlap);
}

} // namespace agepred::core
