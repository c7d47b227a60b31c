// ONNX Runtime, found and opened at run time, so that one build of agepred serves every copy of it.
#pragma once

#include <memory>
#include <string>

#include "agepred/agepred.h"
#include "onnx/api.hpp"

namespace agepred::core::onnx {

class Runtime {
  public:
    // Opens the shared library at path; where path is null or empty, the one that $AGEPRED_ONNXRUNTIME names,
    // else one that the process has loaded, else the system's. Throws Error(RUNTIME_MISSING).
    static std::shared_ptr<const Runtime> open(const char *path);

    Runtime(const Runtime &) = delete;
    Runtime &operator=(const Runtime &) = delete;
    ~Runtime();

    [[nodiscard]] const Api &api() const { return api_; }
    [[nodiscard]] const Env *env() const { return env_; }
    [[nodiscard]] Allocator *allocator() const { return allocator_; }
    [[nodiscard]] const MemoryInfo *cpu_memory() const { return cpu_memory_; }
    [[nodiscard]] const std::string &version() const { return version_; }
    [[nodiscard]] const std::string &path() const { return path_; }

    // Throws Error with the runtime's own message if status tells of a failure; frees it.
    void check(Status *status, agepred_status failure, const char *doing) const;

  private:
    Runtime(const void *table, std::string version, std::string path);

    Api api_;
    std::string version_;
    std::string path_;
    Env *env_ = nullptr;
    Allocator *allocator_ = nullptr; // the runtime's own, never freed
    MemoryInfo *cpu_memory_ = nullptr;
};

// Why a version of ONNX Runtime must not run on this processor; empty where it may. Version 1.21.0 executes
// instructions that a Raspberry Pi 4 lacks (microsoft/onnxruntime issue 23957) and would end the process.
std::string refusal(const std::string &version, bool is_aarch64, bool has_dot_product);

} // namespace agepred::core::onnx
