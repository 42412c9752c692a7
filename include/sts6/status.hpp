// SPDX-License-Identifier: Apache-2.0
// Wire status codes (`status.def`), STS 600-8-6.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "sts6/hex.hpp"

namespace sts6 {

/// The numeric value is the two characters on the wire read as hexadecimal: 0x41 is sent as "41".
enum class Status : std::uint8_t {
#define STS6_STATUS(code, name, meaning) name = (code),
#include "sts6/status.def"
#undef STS6_STATUS
};

struct StatusRow {
    Status status;
    const char* name;
    const char* meaning;
};

inline constexpr std::array kStatusTable = {
#define STS6_STATUS(code, name, meaning) StatusRow{Status::name, #name, meaning},
#include "sts6/status.def"
#undef STS6_STATUS
};

/// The two characters of a status as sent.
constexpr std::array<char, 2> status_code(Status status) noexcept {
    const auto value = static_cast<std::uint8_t>(status);
    return {hex_digit(value >> 4U), hex_digit(value)};
}

/// The row of a two-character code, or none when the code is not in the table.
constexpr std::optional<StatusRow> find_status(std::string_view code) noexcept {
    for (const StatusRow& row : kStatusTable) {
        const auto chars = status_code(row.status);
        if (code == std::string_view(chars.data(), chars.size())) return row;
    }
    return std::nullopt;
}

constexpr const char* status_name(Status status) noexcept {
    for (const StatusRow& row : kStatusTable) {
        if (row.status == status) return row.name;
    }
    return "unknown";
}

}  // namespace sts6
