// Failures inside the library: one exception that carries a status and a message for the user.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

#include "agepred/agepred.h"

namespace agepred::core {

class Error : public std::exception {
  public:
    Error(agepred_status status, std::string message) : status_(status), message_(std::move(message)) {}

    [[nodiscard]] agepred_status status() const noexcept { return status_; }
    [[nodiscard]] const char *what() const noexcept override { return message_.c_str(); }

  private:
    agepred_status status_;
    std::string message_;
};

// The English name of a status; "unknown status" for a number that is none.
const char *status_name(std::int32_t status) noexcept;

} // namespace agepred::core
