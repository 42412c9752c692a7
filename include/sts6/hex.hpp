// SPDX-License-Identifier: Apache-2.0
// Hexadecimal text. Upper case is written; upper and lower case are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sts6 {

/// The upper-case digit of the low four bits of `value`.
constexpr char hex_digit(unsigned value) noexcept {
    return "0123456789ABCDEF"[value & 0xFU];
}

/// 0..15, or none for a character that is no hexadecimal digit.
constexpr std::optional<unsigned> hex_value(char digit) noexcept {
    if (digit >= '0' && digit <= '9') return static_cast<unsigned>(digit - '0');
    if (digit >= 'A' && digit <= 'F') return static_cast<unsigned>(digit - 'A' + 10);
    if (digit >= 'a' && digit <= 'f') return static_cast<unsigned>(digit - 'a' + 10);
    return std::nullopt;
}

/// Writes 2 * octets.size() digits to `out`, which must hold them.
constexpr void write_hex(std::span<const std::uint8_t> octets, char* out) noexcept {
    for (const std::uint8_t octet : octets) {
        *out++ = hex_digit(octet >> 4U);
        *out++ = hex_digit(octet);
    }
}

/// True when `text` is exactly 2 * out.size() hexadecimal digits; `out` then holds the octets.
constexpr bool read_hex(std::string_view text, std::span<std::uint8_t> out) noexcept {
    if (text.size() != out.size() * 2) return false;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto high = hex_value(text[2 * i]);
        const auto low = hex_value(text[2 * i + 1]);
        if (!high || !low) return false;
        out[i] = static_cast<std::uint8_t>((*high << 4U) | *low);
    }
    return true;
}

}  // namespace sts6
