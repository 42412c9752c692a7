// SPDX-License-Identifier: Apache-2.0
// EA07: STA, one 64-bit block under a 64-bit key, 16 rounds (docs/tokens.md 4). Time and memory accesses
// depend on neither key nor block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "firmware/sts/sta_tables.hpp"

namespace sts6::sts {

inline constexpr std::size_t kStaKeyOctets = 8;

/// Key, block and result are eight octets read big-endian.
std::uint64_t sta_encrypt(const StaTables& tables, std::span<const std::uint8_t, kStaKeyOctets> key,
                          std::uint64_t block) noexcept;
std::uint64_t sta_decrypt(const StaTables& tables, std::span<const std::uint8_t, kStaKeyOctets> key,
                          std::uint64_t block) noexcept;

/// The same without vector instructions, for processors that lack them.
std::uint64_t sta_encrypt_portable(const StaTables& tables, std::span<const std::uint8_t, kStaKeyOctets> key,
                                   std::uint64_t block) noexcept;
std::uint64_t sta_decrypt_portable(const StaTables& tables, std::span<const std::uint8_t, kStaKeyOctets> key,
                                   std::uint64_t block) noexcept;

}  // namespace sts6::sts
