// A face network's file, ours or YuNet's, and its answers for pictures that have been laid into its input.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "contract.hpp"
#include "faces.hpp"
#include "onnx/model.hpp"
#include "signature.hpp"

namespace agepred::core {

class FaceModel {
  public:
    static constexpr std::array<int, 3> strides = {8, 16, 32};
    static constexpr int alignment = 32; // sides of the input are multiples of the coarsest stride

    // Throws Error(INVALID_MODEL) for a file that breaks the contract, naming what is missing.
    FaceModel(std::shared_ptr<const onnx::Runtime> runtime, const std::string &path,
              const onnx::ModelSettings &settings);

    // YuNet's files say nothing of themselves: for them, what their authors and our tests say.
    [[nodiscard]] const FaceContract &contract() const { return contract_; }

    // Whether the input is that of YuNet, floats in BGR; else it is bytes in RGB.
    [[nodiscard]] bool is_yunet() const { return is_yunet_; }

    // Runs the network. planes: three of rows x columns, both multiples of `alignment`, of the type that is_yunet()
    // tells. Safe from any number of threads. Throws Error(INFERENCE_FAILED).
    template <class Pixel>
    [[nodiscard]] onnx::Results run(const std::vector<Pixel> &planes, int columns, int rows) const {
        const std::array<std::int64_t, 4> shape = {1, 3, rows, columns};
        return model_.run(std::span<const Pixel>(planes), shape);
    }

    // Fills `faces` with what the network says of an input of that size: in pixels of it, the likeliest first, none of
    // them twice. Throws Error(INFERENCE_FAILED).
    void decode_all(const onnx::Results &results, int columns, int rows, float min_score,
                    std::vector<Face> &faces) const;

  private:
    // Indices of a stride's outputs.
    struct Outputs {
        std::size_t score, objectness, box, points; // ours has no objectness
    };

    void read_ours(const Signature &signature);
    void read_yunet(const Signature &signature);
    [[nodiscard]] bool takes_any_size(onnx::ElementType type) const;

    onnx::Model model_;
    bool is_yunet_;
    FaceContract contract_{};
    std::array<Outputs, strides.size()> outputs_{};
};

} // namespace agepred::core
