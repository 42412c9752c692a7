// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "sts6/civil_time.hpp"

namespace sts6 {

/// Limits failed verifications of the whole module, since one random guess in 65,536 passes a token's CRC
/// (docs/protocol.md): a burst of 50, then one a second.
class VerifyLimit {
  public:
    static constexpr std::int64_t kBurst = 50;
    /// More than these on one day of module time are audited, once a day.
    static constexpr std::uint32_t kManyADay = 1000;

    /// False when no result may be given now.
    [[nodiscard]] bool allows(CivilTime now) noexcept {
        refill(now);
        return allowance_ > 0;
    }
    /// For a verification that failed; true when it is the first of too many today. Precondition:
    /// allows(now).
    [[nodiscard]] bool spend(CivilTime now) noexcept {
        --allowance_;
        const auto today = std::chrono::floor<std::chrono::days>(now);
        if (today != day_) failed_ = 0;
        day_ = today;
        return ++failed_ == kManyADay + 1;
    }

  private:
    void refill(CivilTime now) noexcept {
        if (now <= last_refill_) return;
        const std::int64_t earned = (now - last_refill_).count();
        allowance_ = earned > kBurst - allowance_ ? kBurst : allowance_ + earned;
        last_refill_ = now;
    }

    std::int64_t allowance_ = kBurst;
    CivilTime last_refill_{};
    std::chrono::sys_days day_{};
    std::uint32_t failed_ = 0;  ///< on that day
};

}  // namespace sts6
