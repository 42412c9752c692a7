// SPDX-License-Identifier: Apache-2.0
// Amounts of class 0 tokens and power limits (docs/tokens.md 9): exact integers in both directions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sts6::sts {

/// 128 bits: currency amounts reach 1.82e35 hundred-thousandths.
__extension__ using Magnitude = unsigned __int128;

inline constexpr std::uint32_t kMostUnits = 18201624;  ///< smallest units that 16 bits can code

/// The 16-bit field for an amount in smallest units (0.1 kWh, 0.1 m3, 0.1 minute; 1 W for power limits),
/// rounded up to what the field can hold. None above kMostUnits.
std::optional<std::uint16_t> encode_units(std::uint64_t smallest_units) noexcept;

/// The amount of a 16-bit field in smallest units, 0..18201624.
std::uint32_t decode_units(std::uint16_t field) noexcept;

/// A currency amount in 0.00001 of the base unit.
struct Currency {
    bool negative = false;
    Magnitude magnitude = 0;
    friend bool operator==(const Currency&, const Currency&) = default;
};

/// The 20-bit field [s:1][e:5][m:14] for a currency amount, rounded towards plus infinity. None above the
/// largest that the field can hold (about 1.82e35).
std::optional<std::uint32_t> encode_currency(const Currency& amount) noexcept;

/// The amount of a 20-bit field. Only the low 20 bits count.
Currency decode_currency(std::uint32_t field) noexcept;

/// Reads "-12.345" as an integer of 10^-decimals: digits, optionally one point with digits on both sides, and
/// an optional minus. None for anything else, for a value finer than 10^-decimals and for one that does not
/// fit. Rounding of a finer value is left to whoever asks for the amount (docs/tokens.md 9.1).
std::optional<Currency> parse_decimal(std::string_view text, unsigned decimals) noexcept;

}  // namespace sts6::sts
