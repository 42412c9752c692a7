// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sts6/civil_time.hpp"

namespace sts6 {

class Clock {
  public:
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    virtual ~Clock() = default;

    /// UTC, whole seconds.
    [[nodiscard]] virtual CivilTime now() noexcept = 0;
};

}  // namespace sts6
