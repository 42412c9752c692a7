// SPDX-License-Identifier: Apache-2.0
// How administration writes times and octets.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sts6/civil_time.hpp"
#include "sts6/hex.hpp"

namespace sts6::admin {

inline std::string hex_text(std::span<const std::uint8_t> octets) {
    std::string text(2 * octets.size(), '0');
    write_hex(octets, text.data());
    return text;
}

/// CCYYMMDDThhmmssZ
inline std::string date_text(CivilTime time) {
    const auto digits = format_civil_time(time);
    const std::string_view text(digits.data(), digits.size());
    return std::string(text.substr(0, 8)) + "T" + std::string(text.substr(8)) + "Z";
}

}  // namespace sts6::admin
