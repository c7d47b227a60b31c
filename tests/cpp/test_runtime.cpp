// ONNX Runtime that is missing, wrong or dangerous is a message, not a crash.
#include "onnx/runtime.hpp"

#include <cstdlib>
#include <string>

#include "check.hpp"
#include "status.hpp"

using namespace agepred::core;

namespace {

bool missing(const char *path, const std::string &word) {
    return check::throws<Error>([&] { (void)onnx::Runtime::open(path); },
                                [&](const Error &error) {
                                    return error.status() == AGEPRED_RUNTIME_MISSING &&
                                           std::string(error.what()).find(word) != std::string::npos;
                                });
}

} // namespace

int main() {
    CHECK(missing("/no/such/libonnxruntime.so", "/no/such/libonnxruntime.so"));
    CHECK(missing("/no/such/libonnxruntime.so", "pip install onnxruntime"));
    CHECK(missing("libc.so.6", "OrtGetApiBase")); // a library, but not ONNX Runtime
    CHECK(missing("/etc/passwd", "/etc/passwd"));
    setenv("AGEPRED_ONNXRUNTIME", "/nowhere/ort.so", 1);
    CHECK(missing(nullptr, "/nowhere/ort.so"));
    CHECK(missing("", "/nowhere/ort.so"));

    // 1.21.0 ends the process on Arm cores without the dot product, such as a Raspberry Pi 4's, and only there.
    CHECK(!onnx::refusal("1.21.0", true, false).empty());
    CHECK(onnx::refusal("1.21.0", true, true).empty());
    CHECK(onnx::refusal("1.21.0", false, false).empty());
    CHECK(onnx::refusal("1.21.1", true, false).empty());
    return check::result();
}
