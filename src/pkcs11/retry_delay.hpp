// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

namespace sts6::p11 {

/// Spaces out attempts at something that keeps failing: at once the first time, then ever longer.
class RetryDelay {
  public:
    using Clock = std::chrono::steady_clock;

    [[nodiscard]] bool is_due() const noexcept { return !armed_ || Clock::now() >= next_; }
    /// Call when an attempt ends: it may itself have taken long.
    void attempted() noexcept {
        armed_ = true;
        next_ = Clock::now() + delay_;
        delay_ = std::min(2 * delay_, kLongest);
    }
    /// After a success that shows that the trouble is over.
    void reset() noexcept {
        if (armed_) *this = RetryDelay();
    }

  private:
    static constexpr std::chrono::milliseconds kFirst{250};
    static constexpr std::chrono::milliseconds kLongest{30'000};

    bool armed_ = false;
    Clock::time_point next_;
    std::chrono::milliseconds delay_ = kFirst;
};

}  // namespace sts6::p11
