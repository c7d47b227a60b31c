// What a loaded model must be like: the checks that all tasks share, and the words in which they refuse.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "contract.hpp"
#include "onnx/model.hpp"
#include "status.hpp"

namespace agepred::core {

class Signature {
  public:
    // task: what messages call the model, as "age model".
    Signature(const onnx::Model &model, const char *task) : model_(model), task_(task) {}

    // Throws Error(INVALID_MODEL), as all that follow do, with the task and the model's path before the reason.
    [[noreturn]] void refuse(const std::string &why) const;

    // The metadata keys as one of contract.hpp's functions reads them.
    template <class Contract> [[nodiscard]] Contract read(Contract (*reader)(const MetadataLookup &)) const {
        try {
            return reader([&](const char *key) { return model_.metadata(key); });
        } catch (const Error &error) {
            refuse(error.what());
        }
    }

    // The side of the crops that a model takes, whose input must be image, uint8 [N,3,S,S] with N free or 1.
    [[nodiscard]] int crop_side() const;

    // Whether there is an output of that name, of whatever type and shape.
    [[nodiscard]] bool has_output(const std::string &name) const;

    // The index of an output of floats by its name. form: its shape in words, such as [N,K], of as many dimensions; the
    // second one must be declared, from `least` to `most`.
    [[nodiscard]] std::size_t output(const std::string &name, const std::string &form, std::int64_t least,
                                     std::int64_t most) const;

  private:
    const onnx::Model &model_;
    const char *task_;
};

// A crop of side x side pixels, RGB, pixel by pixel, as the three planes of a model's input.
void split_planes(const std::uint8_t *crop, int side, std::vector<std::uint8_t> &planes);

} // namespace agepred::core
