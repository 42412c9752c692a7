// SPDX-License-Identifier: Apache-2.0
// Token identifiers: minutes since the vending key's base date (docs/tokens.md 8).
#pragma once

#include <cstdint>
#include <optional>

#include "firmware/util/vending_key.hpp"
#include "sts6/civil_time.hpp"

namespace sts6::sts {

inline constexpr std::uint32_t kMostTid = 0xFFFFFF;  ///< 24 bits, about 31.9 years
inline constexpr std::uint32_t kMinutesOfDay = 24 * 60;

/// True for minute 00:01 of a day, which no ordinary token may carry.
constexpr bool is_reserved_tid(std::uint32_t tid) noexcept {
    return tid % kMinutesOfDay == 1;
}

/// The TID of an ordinary token issued at a time; seconds are dropped, and 00:01 becomes 00:02. The time is
/// local civil time (docs/tokens.md 14). None before the base date and beyond the range of 24 bits.
constexpr std::optional<std::uint32_t> tid_of(CivilTime issued, BaseDate base_date) noexcept {
    const auto minutes = std::chrono::floor<std::chrono::minutes>(issued - base_time(base_date)).count();
    if (minutes < 0 || minutes > kMostTid) return std::nullopt;
    const auto tid = static_cast<std::uint32_t>(minutes);
    return is_reserved_tid(tid) ? tid + 1 : tid;
}

/// The TID of one more token for the same meter in the same minute. CONVENTION: the reserved minute is
/// skipped while counting on. None beyond the range.
constexpr std::optional<std::uint32_t> next_tid(std::uint32_t tid) noexcept {
    if (tid >= kMostTid) return std::nullopt;
    return is_reserved_tid(tid + 1) ? tid + 2 : tid + 1;  // the last minute of the range is not reserved
}

constexpr CivilTime time_of_tid(std::uint32_t tid, BaseDate base_date) noexcept {
    return base_time(base_date) + std::chrono::minutes{tid};
}

}  // namespace sts6::sts
