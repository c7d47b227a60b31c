// Our declarations of ONNX Runtime's functions against its official header: positions and signatures.
#include "onnx/api.hpp"

#include <onnxruntime_c_api.h>

#include <type_traits>

#include "check.hpp"

namespace {

namespace ours = agepred::core::onnx;

struct Opaque;

// A type as the ABI sees it: classes, and thus pointers to them, are all alike; enumerations are integers of their
// size; const stays, so that an input is not taken for an output.
template <class T> struct Seen {
    using type = T;
};
template <class T>
    requires std::is_class_v<T>
struct Seen<T> {
    using type = Opaque;
};
template <class T>
    requires std::is_enum_v<T>
struct Seen<T> {
    using type = std::conditional_t<sizeof(T) == sizeof(int), int, void>;
};
template <class T> struct Seen<const T> {
    using type = const typename Seen<T>::type;
};
template <class T> struct Seen<T *> {
    using type = typename Seen<T>::type *;
};
template <class T> struct Seen<T *const> {
    using type = typename Seen<T>::type *const;
};
template <class Result, class... Arguments> struct Seen<Result(Arguments...)> {
    using type = typename Seen<Result>::type(typename Seen<Arguments>::type...);
};
template <class Result, class... Arguments> struct Seen<Result (*)(Arguments...) noexcept> {
    using type = typename Seen<Result(Arguments...)>::type *;
};
template <class Result, class... Arguments> struct Seen<Result (*)(Arguments...)> {
    using type = typename Seen<Result(Arguments...)>::type *;
};

template <class Entry, class Official> constexpr bool same_signature() {
    return std::is_same_v<typename Seen<typename Entry::Function>::type, typename Seen<Official>::type>;
}

} // namespace

#define COMPARE_AS(ours_name, official_name)                                                                           \
    CHECK(ours::entry::ours_name::position == offsetof(OrtApi, official_name) / sizeof(void *));                       \
    CHECK((same_signature<ours::entry::ours_name, decltype(OrtApi::official_name)>()))
#define COMPARE(name) COMPARE_AS(name, name)

int main() {
    COMPARE(GetErrorMessage);
    COMPARE(CreateEnv);
    COMPARE(CreateSessionFromArray);
    COMPARE(Run);
    COMPARE(CreateSessionOptions);
    COMPARE(DisableMemPattern);
    COMPARE(DisableCpuMemArena);
    COMPARE(SetSessionGraphOptimizationLevel);
    COMPARE(SetIntraOpNumThreads);
    COMPARE(SessionGetInputCount);
    COMPARE(SessionGetOutputCount);
    COMPARE(SessionGetInputTypeInfo);
    COMPARE(SessionGetOutputTypeInfo);
    COMPARE(SessionGetInputName);
    COMPARE(SessionGetOutputName);
    COMPARE_AS(CreateTensorWithDataAsValue, CreateTensorWithDataAsOrtValue);
    COMPARE(GetTensorMutableData);
    COMPARE(CastTypeInfoToTensorInfo);
    COMPARE(GetTensorElementType);
    COMPARE(GetDimensionsCount);
    COMPARE(GetDimensions);
    COMPARE(GetTensorShapeElementCount);
    COMPARE(GetTensorTypeAndShape);
    COMPARE(CreateCpuMemoryInfo);
    COMPARE(AllocatorFree);
    COMPARE(GetAllocatorWithDefaultOptions);
    COMPARE(ReleaseEnv);
    COMPARE(ReleaseStatus);
    COMPARE(ReleaseMemoryInfo);
    COMPARE(ReleaseSession);
    COMPARE(ReleaseValue);
    COMPARE(ReleaseTypeInfo);
    COMPARE_AS(ReleaseTensorInfo, ReleaseTensorTypeAndShapeInfo);
    COMPARE(ReleaseSessionOptions);
    COMPARE(SessionGetModelMetadata);
    COMPARE_AS(ModelMetadataLookup, ModelMetadataLookupCustomMetadataMap);
    COMPARE(ReleaseModelMetadata);
    COMPARE(AddSessionConfigEntry);

    CHECK(ours::element_float == static_cast<int>(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT));
    CHECK(ours::element_uint8 == static_cast<int>(ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8));
    CHECK(ours::log_fatal == static_cast<int>(ORT_LOGGING_LEVEL_FATAL));
    CHECK(ours::graph_optimize_all == static_cast<int>(ORT_ENABLE_ALL));
    CHECK(ours::device_allocator == static_cast<int>(OrtDeviceAllocator));
    CHECK(ours::default_memory == static_cast<int>(OrtMemTypeDefault));
    CHECK(offsetof(ours::ApiBase, GetVersionString) == offsetof(OrtApiBase, GetVersionString));
    CHECK(ours::api_version <= ORT_API_VERSION);
    return check::result();
}
