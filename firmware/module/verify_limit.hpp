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

    /// False when no result may be given now.
    [[nodiscard]] bool allows(CivilTime now) noexcept {
        refill(now);
        return allowance_ > 0;
    }
    /// For a verification that failed. Precondition: allows().
    void spend() noexcept { --allowance_; }

  private:
    void refill(CivilTime now) noexcept {
        if (now <= last_refill_) return;
        const std::int64_t earned = (now - last_refill_).count();
        allowance_ = earned > kBurst - allowance_ ? kBurst : allowance_ + earned;
        last_refill_ = now;
    }

    std::int64_t allowance_ = kBurst;
    CivilTime last_refill_{};
};

}  // namespace sts6
