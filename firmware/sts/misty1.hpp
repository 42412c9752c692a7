// SPDX-License-Identifier: Apache-2.0
// EA11: one block of MISTY1 (RFC 2994), 8 rounds, no mode and no padding (docs/tokens.md 5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sts6::sts {

inline constexpr std::size_t kMisty1KeyOctets = 16;

/// `block` and the result are eight octets read big-endian.
std::uint64_t misty1_encrypt(std::span<const std::uint8_t, kMisty1KeyOctets> key,
                             std::uint64_t block) noexcept;
std::uint64_t misty1_decrypt(std::span<const std::uint8_t, kMisty1KeyOctets> key,
                             std::uint64_t block) noexcept;

}  // namespace sts6::sts
