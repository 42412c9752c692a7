// SPDX-License-Identifier: Apache-2.0
// The 16-bit checksum inside a token (docs/tokens.md 7): CRC-16/MODBUS with its two octets swapped.
#pragma once

#include <cstdint>

namespace sts6::sts {

/// Over the token class and bits 63..16 of the block, given as the low 48 bits of `top48`.
std::uint16_t token_crc(unsigned token_class, std::uint64_t top48) noexcept;

/// CRC_C, for class 0 SubClass 4..7: one octet 01 follows.
std::uint16_t token_crc_c(unsigned token_class, std::uint64_t top48) noexcept;

}  // namespace sts6::sts
