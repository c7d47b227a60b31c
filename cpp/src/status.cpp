#include "status.hpp"

namespace agepred::core {

const char *status_name(std::int32_t status) noexcept {
    switch (status) {
    case AGEPRED_OK:
        return "ok";
    case AGEPRED_INVALID_ARGUMENT:
        return "invalid argument";
    case AGEPRED_INVALID_IMAGE:
        return "invalid image";
    case AGEPRED_FILE_NOT_FOUND:
        return "file not found";
    case AGEPRED_INVALID_MODEL:
        return "invalid model";
    case AGEPRED_RUNTIME_MISSING:
        return "runtime missing";
    case AGEPRED_INFERENCE_FAILED:
        return "inference failed";
    case AGEPRED_OUT_OF_MEMORY:
        return "out of memory";
    case AGEPRED_BUFFER_TOO_SMALL:
        return "buffer too small";
    case AGEPRED_INTERNAL:
        return "internal error";
    default:
        return "unknown status";
    }
}

} // namespace agepred::core
