// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "firmware/ports/clock.hpp"

namespace sts6 {

class HostClock final : public Clock {
  public:
    CivilTime now() noexcept override {
        return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    }
};

/// Starts at a given time and runs on: --lab-time.
class PresetClock final : public Clock {
  public:
    explicit PresetClock(CivilTime start) noexcept : start_(start) {}
    CivilTime now() noexcept override {
        return start_ + std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now() - zero_);
    }

  private:
    CivilTime start_;
    std::chrono::steady_clock::time_point zero_ = std::chrono::steady_clock::now();
};

}  // namespace sts6
