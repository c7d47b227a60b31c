#include "signature.hpp"

#include <algorithm>

#include "kernels/shrink.hpp"

namespace agepred::core {

void Signature::refuse(const std::string &why) const {
    throw Error(AGEPRED_INVALID_MODEL, std::string(task_) + " " + model_.path() + ": " + why);
}

int Signature::crop_side() const {
    const onnx::TensorSpec &input = model_.inputs()[0];
    const auto &shape = input.shape;
    if (input.name != "image" || input.type != onnx::element_uint8 || shape.size() != 4 || shape[1] != 3 ||
        shape[2] != shape[3] || shape[2] < 1 || shape[2] > max_crop_side || (shape[0] > 0 && shape[0] != 1)) {
        refuse("its input must be image, uint8 [N,3,S,S]");
    }
    return static_cast<int>(shape[2]);
}

bool Signature::has_output(const std::string &name) const {
    return std::ranges::count(model_.outputs(), name, &onnx::TensorSpec::name) > 0;
}

std::size_t Signature::output(const std::string &name, const std::string &form, std::int64_t least,
                              std::int64_t most) const {
    const auto rank = static_cast<std::size_t>(std::count(form.begin(), form.end(), ',') + 1);
    for (std::size_t i = 0; i < model_.outputs().size(); ++i) {
        const onnx::TensorSpec &output = model_.outputs()[i];
        if (output.name == name && output.type == onnx::element_float && output.shape.size() == rank &&
            output.shape[1] >= least && output.shape[1] <= most) {
            return i;
        }
    }
    refuse("it must have an output " + name + ", float32 " + form);
}

void split_planes(const std::uint8_t *crop, int side, std::vector<std::uint8_t> &planes) {
    const std::size_t plane = static_cast<std::size_t>(side) * static_cast<std::size_t>(side);
    planes.resize(3 * plane);
    const std::ptrdiff_t row = std::ptrdiff_t{3} * side;
    kernels::shrink_scalar<std::uint8_t>(
        {crop, side, side, row, 3, {0, 1, 2}},
        {{planes.data(), planes.data() + plane, planes.data() + 2 * plane}, side, side, side, nullptr, nullptr});
}

} // namespace agepred::core
