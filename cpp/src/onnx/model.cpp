#include "onnx/model.hpp"

#include <type_traits>
#include <utility>

#include "onnx/model_file.hpp"
#include "status.hpp"

namespace agepred::core::onnx {
namespace {

// An object of ONNX Runtime that is released by entry E when it goes out of scope.
template <class T, class E> class Owned {
  public:
    explicit Owned(const Runtime &runtime) : runtime_(runtime) {}
    Owned(const Owned &) = delete;
    Owned &operator=(const Owned &) = delete;
    ~Owned() {
        if (object_ != nullptr) {
            runtime_.api().call<E>(object_);
        }
    }
    T **out() { return &object_; }
    [[nodiscard]] T *get() const { return object_; }

  private:
    const Runtime &runtime_;
    T *object_ = nullptr;
};

// A text that ONNX Runtime allocated, copied and given back. Null becomes nothing.
std::optional<std::string> take_text(const Runtime &runtime, char *text) {
    if (text == nullptr) {
        return std::nullopt;
    }
    std::string copy = text;
    runtime.check(runtime.api().call<entry::AllocatorFree>(runtime.allocator(), static_cast<void *>(text)),
                  AGEPRED_INTERNAL, "free a text");
    return copy;
}

} // namespace

Results::~Results() {
    for (Value *value : values_) {
        if (value != nullptr) {
            runtime_->api().call<entry::ReleaseValue>(value);
        }
    }
}

std::span<const float> Results::floats(std::size_t i) const {
    const Api &api = runtime_->api();
    const auto check = [this](Status *status) { runtime_->check(status, AGEPRED_INFERENCE_FAILED, "read an output"); };
    Owned<TensorInfo, entry::ReleaseTensorInfo> info(*runtime_);
    check(api.call<entry::GetTensorTypeAndShape>(static_cast<const Value *>(values_[i]), info.out()));
    ElementType type = element_undefined;
    std::size_t count = 0;
    void *data = nullptr;
    check(api.call<entry::GetTensorElementType>(static_cast<const TensorInfo *>(info.get()), &type));
    check(api.call<entry::GetTensorShapeElementCount>(static_cast<const TensorInfo *>(info.get()), &count));
    if (type != element_float) {
        throw Error(AGEPRED_INFERENCE_FAILED, "an output of the model is not of type float");
    }
    check(api.call<entry::GetTensorMutableData>(values_[i], &data));
    return {static_cast<const float *>(data), count};
}

Model::Model(std::shared_ptr<const Runtime> runtime, const std::string &path, const ModelSettings &settings)
    : runtime_(std::move(runtime)), path_(path) {
    const std::vector<std::uint8_t> bytes = read_model(path);
    const Api &api = runtime_->api();
    const std::string loading = "load " + path;
    const auto check = [&](Status *status) { runtime_->check(status, AGEPRED_INVALID_MODEL, loading.c_str()); };

    Owned<SessionOptions, entry::ReleaseSessionOptions> options(*runtime_);
    check(api.call<entry::CreateSessionOptions>(options.out()));
    check(api.call<entry::SetIntraOpNumThreads>(options.get(), settings.threads));
    check(api.call<entry::SetSessionGraphOptimizationLevel>(options.get(), graph_optimize_all));
    check(api.call<entry::AddSessionConfigEntry>(options.get(), "session.intra_op.allow_spinning",
                                                 settings.allow_spinning ? "1" : "0"));
    if (!settings.arena) {
        // The memory pattern presumes an arena: without one it would only plan in vain.
        check(api.call<entry::DisableCpuMemArena>(options.get()));
        check(api.call<entry::DisableMemPattern>(options.get()));
    }
    check(api.call<entry::CreateSessionFromArray>(runtime_->env(), static_cast<const void *>(bytes.data()),
                                                  bytes.size(), static_cast<const SessionOptions *>(options.get()),
                                                  &session_));
    try {
        read_signature();
    } catch (...) { // the destructor does not run for a half-made object
        api.call<entry::ReleaseSession>(session_);
        throw;
    }
}

Model::~Model() { runtime_->api().call<entry::ReleaseSession>(session_); }

void Model::read_signature() {
    const Api &api = runtime_->api();
    const auto *session = static_cast<const Session *>(session_);
    std::size_t input_count = 0;
    std::size_t output_count = 0;
    runtime_->check(api.call<entry::SessionGetInputCount>(session, &input_count), AGEPRED_INVALID_MODEL, "inspect");
    runtime_->check(api.call<entry::SessionGetOutputCount>(session, &output_count), AGEPRED_INVALID_MODEL, "inspect");
    if (input_count != 1 || output_count == 0 || output_count > Results::capacity) {
        throw Error(AGEPRED_INVALID_MODEL, "model file " + path_ + " has " + std::to_string(input_count) +
                                               " inputs and " + std::to_string(output_count) +
                                               " outputs: agepred's models have one input and 1 to " +
                                               std::to_string(Results::capacity) + " outputs");
    }
    inputs_.push_back(spec(0, true));
    for (std::size_t i = 0; i < output_count; ++i) {
        outputs_.push_back(spec(i, false));
    }
    for (std::size_t i = 0; i < output_count; ++i) {
        output_names_[i] = outputs_[i].name.c_str();
    }
}

TensorSpec Model::spec(std::size_t index, bool input) const {
    const Api &api = runtime_->api();
    const auto *session = static_cast<const Session *>(session_);
    const auto check = [this](Status *status) { runtime_->check(status, AGEPRED_INVALID_MODEL, "inspect a model"); };

    char *name = nullptr;
    check(input ? api.call<entry::SessionGetInputName>(session, index, runtime_->allocator(), &name)
                : api.call<entry::SessionGetOutputName>(session, index, runtime_->allocator(), &name));
    TensorSpec result{take_text(*runtime_, name).value_or(""), element_undefined, {}};

    Owned<TypeInfo, entry::ReleaseTypeInfo> type(*runtime_);
    check(input ? api.call<entry::SessionGetInputTypeInfo>(session, index, type.out())
                : api.call<entry::SessionGetOutputTypeInfo>(session, index, type.out()));
    const TensorInfo *tensor = nullptr; // borrowed from type
    check(api.call<entry::CastTypeInfoToTensorInfo>(static_cast<const TypeInfo *>(type.get()), &tensor));
    if (tensor == nullptr) {
        throw Error(AGEPRED_INVALID_MODEL, "model file " + path_ + ": " + result.name + " is not a tensor");
    }
    std::size_t rank = 0;
    check(api.call<entry::GetTensorElementType>(tensor, &result.type));
    check(api.call<entry::GetDimensionsCount>(tensor, &rank));
    result.shape.resize(rank);
    check(api.call<entry::GetDimensions>(tensor, result.shape.data(), rank));
    return result;
}

std::optional<std::string> Model::metadata(const char *key) const {
    const Api &api = runtime_->api();
    Owned<ModelMetadata, entry::ReleaseModelMetadata> metadata(*runtime_);
    runtime_->check(api.call<entry::SessionGetModelMetadata>(static_cast<const Session *>(session_), metadata.out()),
                    AGEPRED_INVALID_MODEL, "read metadata");
    char *text = nullptr;
    runtime_->check(api.call<entry::ModelMetadataLookup>(static_cast<const ModelMetadata *>(metadata.get()),
                                                         runtime_->allocator(), key, &text),
                    AGEPRED_INVALID_MODEL, "read metadata");
    return take_text(*runtime_, text);
}

Results Model::run(const void *input, std::size_t bytes, ElementType type, std::span<const std::int64_t> shape,
                   std::span<const std::size_t> wanted) const {
    const Api &api = runtime_->api();
    Owned<Value, entry::ReleaseValue> value(*runtime_);
    // ONNX Runtime takes inputs by a mutable pointer and leaves them as they are.
    runtime_->check(api.call<entry::CreateTensorWithDataAsValue>(runtime_->cpu_memory(), const_cast<void *>(input),
                                                                 bytes, shape.data(), shape.size(), type, value.out()),
                    AGEPRED_INFERENCE_FAILED, "take an input");
    std::array<const char *, Results::capacity> names = output_names_;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        names[i] = output_names_[wanted[i]];
    }
    const std::size_t count = wanted.empty() ? outputs_.size() : wanted.size();
    Results results(*runtime_);
    const char *input_name = inputs_[0].name.c_str();
    const Value *input_value = value.get();
    runtime_->check(api.call<entry::Run>(session_, static_cast<const RunOptions *>(nullptr), &input_name, &input_value,
                                         std::size_t{1}, names.data(), count, results.values_.data()),
                    AGEPRED_INFERENCE_FAILED, "run the model");
    for (std::size_t i = wanted.size(); i-- > 0;) { // ascending, so none lies before its place
        std::swap(results.values_[i], results.values_[wanted[i]]);
    }
    return results;
}

Results Model::run(std::span<const float> input, std::span<const std::int64_t> shape,
                   std::span<const std::size_t> wanted) const {
    return run(input.data(), input.size_bytes(), element_float, shape, wanted);
}

Results Model::run(std::span<const std::uint8_t> input, std::span<const std::int64_t> shape,
                   std::span<const std::size_t> wanted) const {
    return run(input.data(), input.size_bytes(), element_uint8, shape, wanted);
}

} // namespace agepred::core::onnx
