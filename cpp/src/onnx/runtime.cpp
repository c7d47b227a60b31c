#include "onnx/runtime.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "cpu.hpp"
#include "status.hpp"

namespace agepred::core::onnx {
namespace {

constexpr const char *advice = " Install it with `pip install onnxruntime` or your system's package "
                               "(libonnxruntime), or name its shared library in AGEPRED_ONNXRUNTIME.";

[[noreturn]] void refuse(const std::string &why) { throw Error(AGEPRED_RUNTIME_MISSING, why + advice); }

// The path of an ONNX Runtime that this process has loaded already, also one that was loaded privately (as
// Python loads extensions), which dlsym would not see. Empty if there is none.
std::string loaded_path() {
    std::string found;
    dl_iterate_phdr(
        [](dl_phdr_info *info, std::size_t, void *result) {
            const char *slash = std::strrchr(info->dlpi_name, '/');
            const char *name = slash != nullptr ? slash + 1 : info->dlpi_name;
            if (std::strncmp(name, "libonnxruntime.so", std::strlen("libonnxruntime.so")) != 0) {
                return 0;
            }
            *static_cast<std::string *>(result) = info->dlpi_name;
            return 1; // ends the walk
        },
        &found);
    return found;
}

// dlopen with the reason for a failure. Libraries are never closed: ONNX Runtime keeps threads and static
// objects that would outlive its code.
void *open_library(const std::string &path, std::string &reason) {
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char *error = dlerror(); // NOLINT(concurrency-mt-unsafe): glibc keeps it by thread
        reason = error != nullptr ? error : "unknown reason";
    }
    return library;
}

struct Found {
    void *library;
    std::string path;
};

Found find_library(const char *path) {
    std::string reason;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): unsafe only beside setenv, which no library can guard against
    const char *environment = std::getenv("AGEPRED_ONNXRUNTIME");
    const char *named = path != nullptr && *path != '\0' ? path : environment;
    if (named != nullptr && *named != '\0') {
        if (void *library = open_library(named, reason)) {
            return {library, named};
        }
        refuse("ONNX Runtime cannot be opened at " + std::string(named) + ": " + reason + ".");
    }
    const std::string loaded = loaded_path();
    for (const std::string &name : {loaded, std::string("libonnxruntime.so.1"), std::string("libonnxruntime.so")}) {
        if (name.empty()) {
            continue;
        }
        if (void *library = open_library(name, reason)) {
            return {library, name};
        }
    }
    refuse("ONNX Runtime was not found on this system.");
}

} // namespace

std::string refusal(const std::string &version, bool is_aarch64, bool has_dot_product) {
    if (version == "1.21.0" && is_aarch64 && !has_dot_product) {
        return "ONNX Runtime 1.21.0 would end this process with an illegal instruction on this processor "
               "(onnxruntime issue 23957): install another version.";
    }
    return {};
}

std::shared_ptr<const Runtime> Runtime::open(const char *path) {
    const Found found = find_library(path);
    void *symbol = dlsym(found.library, "OrtGetApiBase");
    if (symbol == nullptr) {
        refuse(found.path + " is not ONNX Runtime: it has no OrtGetApiBase.");
    }
    const auto *base = reinterpret_cast<const ApiBase *(*)()>(symbol)();
    const std::string version = base->GetVersionString();
    if (const std::string why = refusal(version, cpu().aarch64, cpu().dot_product); !why.empty()) {
        throw Error(AGEPRED_RUNTIME_MISSING, why);
    }
    const void *table = base->GetApi(api_version);
    if (table == nullptr) {
        refuse("ONNX Runtime " + version + " at " + found.path + " is too old.");
    }
    return std::shared_ptr<const Runtime>(new Runtime(table, version, found.path));
}

Runtime::Runtime(const void *table, std::string version, std::string path)
    : api_(table), version_(std::move(version)), path_(std::move(path)) {
    // Only fatal messages: a library prints nothing, what fails is told in the caller's error.
    check(api_.call<entry::CreateEnv>(log_fatal, "agepred", &env_), AGEPRED_RUNTIME_MISSING, "start");
    check(api_.call<entry::GetAllocatorWithDefaultOptions>(&allocator_), AGEPRED_RUNTIME_MISSING, "start");
    check(api_.call<entry::CreateCpuMemoryInfo>(device_allocator, default_memory, &cpu_memory_),
          AGEPRED_RUNTIME_MISSING, "start");
}

Runtime::~Runtime() {
    api_.call<entry::ReleaseMemoryInfo>(cpu_memory_);
    api_.call<entry::ReleaseEnv>(env_);
}

void Runtime::check(Status *status, agepred_status failure, const char *doing) const {
    if (status == nullptr) {
        return;
    }
    const std::string reason = api_.call<entry::GetErrorMessage>(static_cast<const Status *>(status));
    api_.call<entry::ReleaseStatus>(status);
    throw Error(failure, std::string("ONNX Runtime could not ") + doing + ": " + reason);
}

} // namespace agepred::core::onnx
