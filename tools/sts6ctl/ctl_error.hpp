// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

#include "sts6/exit_code.hpp"

namespace sts6::ctl {

/// Ends the program with a message on stderr and an exit code.
class CtlError : public std::runtime_error {
  public:
    CtlError(int exit_code, const std::string& text) : std::runtime_error(text), exit_code_(exit_code) {}
    [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

  private:
    int exit_code_;
};

[[noreturn]] inline void usage_error(const std::string& text) {
    throw CtlError(kExitUsage, text);
}

}  // namespace sts6::ctl
