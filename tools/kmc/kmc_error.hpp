// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

#include "sts6/exit_code.hpp"

namespace sts6::kmc {

/// Ends the program with a sentence on stderr and an exit code. Nothing has changed.
class KmcError : public std::runtime_error {
  public:
    KmcError(int exit_code, const std::string& text) : std::runtime_error(text), exit_code_(exit_code) {}
    [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

  private:
    int exit_code_;
};

[[noreturn]] inline void refuse(const std::string& text) {
    throw KmcError(kExitRefused, text);
}
[[noreturn]] inline void usage_error(const std::string& text) {
    throw KmcError(kExitUsage, text);
}
[[noreturn]] inline void damaged(const std::string& text) {
    throw KmcError(kExitIntegrity, text);
}

}  // namespace sts6::kmc
