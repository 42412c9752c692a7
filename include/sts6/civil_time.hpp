// SPDX-License-Identifier: Apache-2.0
// Calendar time as the protocol and the key records write it: CCYYMMDDhhmmss, no leap seconds, years 0000 to
// 9999.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace sts6 {

/// A point in time in whole seconds. UTC on the wire; a token's issue time is local civil time
/// (docs/tokens.md 8).
using CivilTime = std::chrono::sys_seconds;

constexpr CivilTime civil_time(int year, unsigned month, unsigned day, int hour = 0, int minute = 0,
                               int second = 0) noexcept {
    using namespace std::chrono;
    return sys_days{std::chrono::year{year} / static_cast<int>(month) / static_cast<int>(day)} + hours{hour} +
           minutes{minute} + seconds{second};
}

/// Reads exactly "CCYYMMDDhhmmss"; none for another length, another character or an impossible date or time.
constexpr std::optional<CivilTime> parse_civil_time(std::string_view text) noexcept {
    if (text.size() != 14) return std::nullopt;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
    }
    const auto number = [text](std::size_t at, std::size_t count) {
        int value = 0;
        for (const char c : text.substr(at, count)) value = value * 10 + (c - '0');
        return value;
    };
    const std::chrono::year_month_day date{std::chrono::year{number(0, 4)},
                                           std::chrono::month{static_cast<unsigned>(number(4, 2))},
                                           std::chrono::day{static_cast<unsigned>(number(6, 2))}};
    const int hour = number(8, 2);
    const int minute = number(10, 2);
    const int second = number(12, 2);
    if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
    return std::chrono::sys_days{date} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
           std::chrono::seconds{second};
}

/// "CCYYMMDDhhmmss". Precondition: the year is 0 to 9999.
constexpr std::array<char, 14> format_civil_time(CivilTime time) noexcept {
    const auto days = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date{days};
    const std::chrono::hh_mm_ss clock{time - days};
    std::array<char, 14> text{};
    const auto put = [&text](std::size_t at, std::size_t count, unsigned value) {
        for (std::size_t i = count; i-- > 0; value /= 10) text[at + i] = static_cast<char>('0' + value % 10);
    };
    put(0, 4, static_cast<unsigned>(static_cast<int>(date.year())));
    put(4, 2, static_cast<unsigned>(date.month()));
    put(6, 2, static_cast<unsigned>(date.day()));
    put(8, 2, static_cast<unsigned>(clock.hours().count()));
    put(10, 2, static_cast<unsigned>(clock.minutes().count()));
    put(12, 2, static_cast<unsigned>(clock.seconds().count()));
    return text;
}

}  // namespace sts6
