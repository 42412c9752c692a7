// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace sts6 {

/// Lets one log line of its kind through in ten seconds.
class LogLimit {
  public:
    [[nodiscard]] bool due() noexcept {
        const auto now = std::chrono::steady_clock::now();
        if (now < next_) return false;
        next_ = now + std::chrono::seconds(10);
        return true;
    }

  private:
    std::chrono::steady_clock::time_point next_{};
};

}  // namespace sts6
