// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace sts6::p11 {

/// Spaces out attempts to get a token back: at once the first time, then so that a token that is back is
/// found within a second however long it was away. An attempt that takes long, on a network that swallows
/// calls, is followed by as long a pause, in which requests are answered. After a login that failed for no
/// clear reason the pause doubles: the token may have counted it as a wrong PIN.
class RetryDelay {
  public:
    using Clock = std::chrono::steady_clock;
    enum class Login : std::uint8_t { harmless, unclear };

    static constexpr std::chrono::milliseconds kShortest{250};
    static constexpr std::chrono::milliseconds kLongest{30'000};

    [[nodiscard]] bool is_due(Clock::time_point now) const noexcept { return !armed_ || now >= next_; }
    void attempted(Clock::time_point began, Clock::time_point ended, Login login) noexcept {
        after_login_ = login == Login::unclear ? std::min(2 * after_login_, kLongest) : kShortest;
        armed_ = true;
        next_ = ended + std::clamp<Clock::duration>(ended - began, after_login_, kLongest);
    }
    [[nodiscard]] bool is_armed() const noexcept { return armed_; }
    /// After a success that shows that the trouble is over.
    void reset() noexcept { *this = RetryDelay(); }

  private:
    bool armed_ = false;
    Clock::time_point next_;
    std::chrono::milliseconds after_login_ = kShortest;
};

}  // namespace sts6::p11
