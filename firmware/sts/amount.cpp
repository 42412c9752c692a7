// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/amount.hpp"

#include <array>

namespace sts6::sts {

namespace {

constexpr unsigned kMantissaBits = 14;
constexpr unsigned kMantissas = 1U << kMantissaBits;
constexpr unsigned kUnitExponents = 4;
constexpr unsigned kCurrencyExponents = 32;
constexpr unsigned kSignBit = 1U << 19U;

/// What an exponent stands for: values from offset on, in steps.
struct Exponent {
    Magnitude step = 0;
    Magnitude offset = 0;
};

constexpr auto kExponents = [] {
    std::array<Exponent, kCurrencyExponents> table{};
    Magnitude step = 1;
    Magnitude offset = 0;
    for (Exponent& row : table) {
        row = {step, offset};
        offset += kMantissas * step;
        step *= 10;
    }
    return table;
}();

/// [e][m] of the smallest value that is not below `amount`.
std::optional<std::uint32_t> encode_up(Magnitude amount, unsigned exponents) noexcept {
    for (unsigned e = 0; e < exponents; ++e) {
        const auto& [step, offset] = kExponents[e];
        // Rounding up may have carried the amount past the last mantissa of the exponent before.
        const Magnitude above = amount <= offset ? 0 : amount - offset;
        const Magnitude mantissa = above / step + (above % step != 0 ? 1 : 0);
        if (mantissa < kMantissas) return (e << kMantissaBits) | static_cast<std::uint32_t>(mantissa);
    }
    return std::nullopt;
}

/// [e][m] of the largest value that is not above `amount`.
std::optional<std::uint32_t> encode_down(Magnitude amount, unsigned exponents) noexcept {
    for (unsigned e = 0; e < exponents; ++e) {
        const auto& [step, offset] = kExponents[e];
        const Magnitude mantissa = (amount - offset) / step;
        if (mantissa < kMantissas) return (e << kMantissaBits) | static_cast<std::uint32_t>(mantissa);
    }
    return std::nullopt;
}

Magnitude decode(std::uint32_t exponent_and_mantissa) noexcept {
    const auto& [step, offset] = kExponents[exponent_and_mantissa >> kMantissaBits];
    return offset + (exponent_and_mantissa & (kMantissas - 1)) * step;
}

}  // namespace

std::optional<std::uint16_t> encode_units(std::uint64_t smallest_units) noexcept {
    const auto field = encode_up(smallest_units, kUnitExponents);
    if (!field) return std::nullopt;
    return static_cast<std::uint16_t>(*field);
}

std::uint32_t decode_units(std::uint16_t field) noexcept {
    return static_cast<std::uint32_t>(decode(field));
}

std::optional<std::uint32_t> encode_currency(const Currency& amount) noexcept {
    if (!amount.negative || amount.magnitude == 0) return encode_up(amount.magnitude, kCurrencyExponents);
    const auto field = encode_down(amount.magnitude, kCurrencyExponents);
    if (!field) return std::nullopt;
    return kSignBit | *field;
}

Currency decode_currency(std::uint32_t field) noexcept {
    const Magnitude magnitude = decode(field & (kSignBit - 1));
    return {.negative = (field & kSignBit) != 0 && magnitude != 0, .magnitude = magnitude};
}

std::optional<Currency> parse_decimal(std::string_view text, unsigned decimals) noexcept {
    Currency value{.negative = text.starts_with('-')};
    if (value.negative) text.remove_prefix(1);
    const std::size_t point = text.find('.');
    const std::string_view whole = text.substr(0, point);
    const std::string_view part = point == std::string_view::npos ? "" : text.substr(point + 1);
    if (whole.empty() || (point != std::string_view::npos && part.empty())) return std::nullopt;
    const auto append = [&value](char c) {
        if (c < '0' || c > '9') return false;
        const auto digit = static_cast<unsigned>(c - '0');
        if (value.magnitude > (~Magnitude{0} - digit) / 10) return false;
        value.magnitude = value.magnitude * 10 + digit;
        return true;
    };
    for (const char digit : whole) {
        if (!append(digit)) return std::nullopt;
    }
    for (std::size_t i = 0; i < part.size() || i < decimals; ++i) {
        const char digit = i < part.size() ? part[i] : '0';
        if (i < decimals ? !append(digit) : digit != '0') return std::nullopt;
    }
    value.negative = value.negative && value.magnitude != 0;  // as decode_currency() gives it
    return value;
}

}  // namespace sts6::sts
