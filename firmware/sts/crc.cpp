// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/crc.hpp"

#include <array>
#include <cstddef>

namespace sts6::sts {

namespace {

constexpr unsigned kReflectedPolynomial = 0xA001;  // x^16 + x^15 + x^2 + 1
constexpr unsigned kInitial = 0xFFFF;

constexpr std::size_t kOctets = 7;
constexpr std::uint64_t kLow48Bits = 0xFFFFFFFFFFFF;

constexpr unsigned add_octet(unsigned crc, unsigned octet) noexcept {
    crc ^= octet;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? (crc >> 1U) ^ kReflectedPolynomial : crc >> 1U;
    return crc;
}

/// What an octet adds to the CRC with n octets behind it: the CRC is linear, so the seven look-ups of a token
/// don't wait for one another.
constexpr auto kTables = [] {
    std::array<std::array<std::uint16_t, 256>, kOctets> tables{};
    for (unsigned octet = 0; octet < 256; ++octet) {
        unsigned crc = add_octet(0, octet);
        for (auto& table : tables) {
            table[octet] = static_cast<std::uint16_t>(crc);
            crc = add_octet(crc, 0);
        }
    }
    return tables;
}();

unsigned crc_of(unsigned token_class, std::uint64_t top48) noexcept {
    // The initial value meets the first two octets.
    const std::uint64_t octets = ((static_cast<std::uint64_t>(token_class) << 48U) | (top48 & kLow48Bits)) ^
                                 (static_cast<std::uint64_t>(kInitial) << 40U);
    unsigned crc = 0;
    for (std::size_t behind = 0; behind < kOctets; ++behind)
        crc ^= kTables[behind][(octets >> (8 * behind)) & 0xFFU];
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
