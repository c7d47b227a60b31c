// The part of ONNX Runtime's C interface that agepred calls, in our own words.
//
// ONNX Runtime hands out a table of function pointers that only ever grows at its end: the position of an
// entry and its signature are its ABI promise (docs/Versioning.md of ONNX Runtime). Each Entry below names
// such a position and the signature there; tests/cpp/test_onnx_api.cpp compares both with the official header.
#pragma once

#include <cstddef>
#include <cstdint>

namespace agepred::core::onnx {

// Opaque objects of ONNX Runtime.
struct Status;
struct Env;
struct Session;
struct SessionOptions;
struct RunOptions;
struct Value;
struct MemoryInfo;
struct Allocator;
struct TypeInfo;
struct TensorInfo;
struct ModelMetadata;

// Enumerations of the C interface travel as int; their values are part of the ABI as well.
enum LogLevel : int { log_fatal = 4 };
enum GraphLevel : int { graph_optimize_all = 99 };
enum AllocatorType : int { device_allocator = 0 };
enum MemoryType : int { default_memory = 0 };
enum ElementType : int { element_undefined = 0, element_float = 1, element_uint8 = 2 };

// A function at a fixed position of the table.
template <std::size_t Position, class Signature> struct Entry {
    static constexpr std::size_t position = Position;
    using Function = Signature *;
};

namespace entry {
using GetErrorMessage = Entry<2, const char *(const Status *)>;
using CreateEnv = Entry<3, Status *(LogLevel, const char *, Env **)>;
using CreateSessionFromArray =
    Entry<8, Status *(const Env *, const void *, std::size_t, const SessionOptions *, Session **)>;
using Run = Entry<9, Status *(Session *, const RunOptions *, const char *const *, const Value *const *, std::size_t,
                              const char *const *, std::size_t, Value **)>;
using CreateSessionOptions = Entry<10, Status *(SessionOptions **)>;
using DisableMemPattern = Entry<17, Status *(SessionOptions *)>;
using DisableCpuMemArena = Entry<19, Status *(SessionOptions *)>;
using SetSessionGraphOptimizationLevel = Entry<23, Status *(SessionOptions *, GraphLevel)>;
using SetIntraOpNumThreads = Entry<24, Status *(SessionOptions *, int)>;
using SessionGetInputCount = Entry<30, Status *(const Session *, std::size_t *)>;
using SessionGetOutputCount = Entry<31, Status *(const Session *, std::size_t *)>;
using SessionGetInputTypeInfo = Entry<33, Status *(const Session *, std::size_t, TypeInfo **)>;
using SessionGetOutputTypeInfo = Entry<34, Status *(const Session *, std::size_t, TypeInfo **)>;
using SessionGetInputName = Entry<36, Status *(const Session *, std::size_t, Allocator *, char **)>;
using SessionGetOutputName = Entry<37, Status *(const Session *, std::size_t, Allocator *, char **)>;
using CreateTensorWithDataAsValue = Entry<49, Status *(const MemoryInfo *, void *, std::size_t, const std::int64_t *,
                                                       std::size_t, ElementType, Value **)>;
using GetTensorMutableData = Entry<51, Status *(Value *, void **)>;
using CastTypeInfoToTensorInfo = Entry<55, Status *(const TypeInfo *, const TensorInfo **)>;
using GetTensorElementType = Entry<60, Status *(const TensorInfo *, ElementType *)>;
using GetDimensionsCount = Entry<61, Status *(const TensorInfo *, std::size_t *)>;
using GetDimensions = Entry<62, Status *(const TensorInfo *, std::int64_t *, std::size_t)>;
using GetTensorShapeElementCount = Entry<64, Status *(const TensorInfo *, std::size_t *)>;
using GetTensorTypeAndShape = Entry<65, Status *(const Value *, TensorInfo **)>;
using CreateCpuMemoryInfo = Entry<69, Status *(AllocatorType, MemoryType, MemoryInfo **)>;
using AllocatorFree = Entry<76, Status *(Allocator *, void *)>;
using GetAllocatorWithDefaultOptions = Entry<78, Status *(Allocator **)>;
using ReleaseEnv = Entry<92, void(Env *)>;
using ReleaseStatus = Entry<93, void(Status *)>;
using ReleaseMemoryInfo = Entry<94, void(MemoryInfo *)>;
using ReleaseSession = Entry<95, void(Session *)>;
using ReleaseValue = Entry<96, void(Value *)>;
using ReleaseTypeInfo = Entry<98, void(TypeInfo *)>;
using ReleaseTensorInfo = Entry<99, void(TensorInfo *)>;
using ReleaseSessionOptions = Entry<100, void(SessionOptions *)>;
using SessionGetModelMetadata = Entry<111, Status *(const Session *, ModelMetadata **)>;
using ModelMetadataLookup = Entry<116, Status *(const ModelMetadata *, Allocator *, const char *, char **)>;
using ReleaseModelMetadata = Entry<118, void(ModelMetadata *)>;
using AddSessionConfigEntry = Entry<130, Status *(SessionOptions *, const char *, const char *)>;
} // namespace entry

// The lowest version of the table that has every entry above: 1.5 of ONNX Runtime brought position 130.
inline constexpr std::uint32_t api_version = 5;

// The table of function pointers as the runtime hands it out.
class Api {
  public:
    explicit Api(const void *table) : table_(static_cast<const Slot *>(table)) {}

    template <class E, class... Arguments> auto call(Arguments... arguments) const {
        return reinterpret_cast<E::Function>(table_[E::position])(arguments...);
    }

  private:
    using Slot = void (*)();
    const Slot *table_;
};

// What the one exported symbol, OrtGetApiBase, returns.
struct ApiBase {
    const void *(*GetApi)(std::uint32_t version);
    const char *(*GetVersionString)();
};

} // namespace agepred::core::onnx
