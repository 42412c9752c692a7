// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/crc.hpp"

#include <array>

namespace sts6::sts {

namespace {

constexpr unsigned kReflectedPolynomial = 0xA001;  // x^16 + x^15 + x^2 + 1
constexpr unsigned kInitial = 0xFFFF;

constexpr auto kTable = [] {
    std::array<std::uint16_t, 256> table{};
    for (unsigned octet = 0; octet < table.size(); ++octet) {
        unsigned value = octet;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value & 1U) != 0 ? (value >> 1U) ^ kReflectedPolynomial : value >> 1U;
        }
        table[octet] = static_cast<std::uint16_t>(value);
    }
    return table;
}();

constexpr unsigned add_octet(unsigned crc, std::uint64_t octet) noexcept {
    return (crc >> 8U) ^ kTable[(crc ^ octet) & 0xFFU];
}

unsigned crc_of(unsigned token_class, std::uint64_t top48) noexcept {
    unsigned crc = add_octet(kInitial, token_class);
    for (unsigned shift = 48; shift > 0;) {
        shift -= 8;
        crc = add_octet(crc, top48 >> shift);
    }
    return crc;
}

std::uint16_t swapped(unsigned crc) noexcept {
    return static_cast<std::uint16_t>((crc << 8U) | (crc >> 8U));
}

}  // namespace

std::uint16_t token_crc(unsigned token_class, std::uint64_t top48) noexcept {
    return swapped(crc_of(token_class, top48));
}

std::uint16_t token_crc_c(unsigned token_class, std::uint64_t top48) noexcept {
    return swapped(add_octet(crc_of(token_class, top48), 0x01));
}

}  // namespace sts6::sts
