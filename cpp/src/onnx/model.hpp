// One loaded model. The rest of the library sees names, shapes and floats, never ONNX Runtime's own types.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "onnx/runtime.hpp"

namespace agepred::core::onnx {

struct ModelSettings {
    int threads = 1;
    bool allow_spinning = false;
    bool arena = true;
};

// An input or output as the model declares it; a dimension that is free has the value -1.
struct TensorSpec {
    std::string name;
    ElementType type;
    std::vector<std::int64_t> shape;
};

// What a run gave, in the order of outputs(), those that were asked for; freed with it. Moves, so that a caller may
// keep it.
class Results {
  public:
    static constexpr std::size_t capacity = 16;

    explicit Results(const Runtime &runtime) : runtime_(&runtime) {}
    Results(Results &&other) noexcept : runtime_(other.runtime_), values_(other.values_) { other.values_ = {}; }
    Results &operator=(Results &&) = delete;
    ~Results();

    // The floats of output i, which must have been asked for. Throws Error(INFERENCE_FAILED) where it has another type.
    [[nodiscard]] std::span<const float> floats(std::size_t i) const;

  private:
    friend class Model;
    const Runtime *runtime_;
    std::array<Value *, capacity> values_{};
};

class Model {
  public:
    // Loads a checked model (onnx/model_file.hpp). Throws Error(INVALID_MODEL) with path in its message.
    Model(std::shared_ptr<const Runtime> runtime, const std::string &path, const ModelSettings &settings);
    Model(const Model &) = delete;
    Model &operator=(const Model &) = delete;
    ~Model();

    [[nodiscard]] const std::string &path() const { return path_; }
    [[nodiscard]] const std::vector<TensorSpec> &inputs() const { return inputs_; }
    [[nodiscard]] const std::vector<TensorSpec> &outputs() const { return outputs_; }

    // The value of a metadata key of the file, if it has one.
    [[nodiscard]] std::optional<std::string> metadata(const char *key) const;

    // Runs the model on its one input, whose element type must be that of the pointer. Safe from any number of
    // threads. wanted: indices of the outputs asked for, ascending; none for all. Throws Error(INFERENCE_FAILED).
    [[nodiscard]] Results run(std::span<const float> input, std::span<const std::int64_t> shape,
                              std::span<const std::size_t> wanted = {}) const;
    [[nodiscard]] Results run(std::span<const std::uint8_t> input, std::span<const std::int64_t> shape,
                              std::span<const std::size_t> wanted = {}) const;

  private:
    [[nodiscard]] TensorSpec spec(std::size_t index, bool input) const;
    Results run(const void *input, std::size_t bytes, ElementType type, std::span<const std::int64_t> shape,
                std::span<const std::size_t> wanted) const;
    void read_signature();

    std::shared_ptr<const Runtime> runtime_;
    std::string path_;
    Session *session_ = nullptr;
    std::vector<TensorSpec> inputs_;
    std::vector<TensorSpec> outputs_;
    std::array<const char *, Results::capacity> output_names_{};
};

} // namespace agepred::core::onnx
