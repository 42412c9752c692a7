// SPDX-License-Identifier: Apache-2.0
// AES-CCM (NIST SP 800-38C) without the AES: the blocks for a cipher in ECB and in CBC mode, which is all
// that PKCS#11 tokens offer. A nonce of 12 octets, a length of 3, a tag of 16. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sts6::p11::ccm {

inline constexpr std::size_t kBlock = 16;
inline constexpr std::size_t kNonce = 12;
inline constexpr std::size_t kTag = 16;

/// More than any key record has.
inline constexpr std::size_t kMostPayload = 1024;
inline constexpr std::size_t kMostAssociatedData = 1072;

constexpr std::size_t whole_blocks(std::size_t octets) noexcept {
    return (octets + kBlock - 1) / kBlock * kBlock;
}

inline constexpr std::size_t kMostCounterOctets = kBlock + whole_blocks(kMostPayload);
inline constexpr std::size_t kMostMacOctets =
    kBlock + whole_blocks(2 + kMostAssociatedData) + whole_blocks(kMostPayload);

/// The counter blocks: encrypted in ECB mode, the first masks the tag and the others the payload.
/// Precondition: payload_octets <= kMostPayload.
[[nodiscard]] std::span<std::uint8_t> counter_blocks(
    std::span<const std::uint8_t, kNonce> nonce, std::size_t payload_octets,
    std::span<std::uint8_t, kMostCounterOctets> out) noexcept;

/// What the tag is computed over: encrypted in CBC mode with an IV of zeros, the last block is the tag before
/// it is masked. Precondition: both sizes within the bounds above.
[[nodiscard]] std::span<std::uint8_t> mac_blocks(std::span<const std::uint8_t, kNonce> nonce,
                                                 std::span<const std::uint8_t> associated_data,
                                                 std::span<const std::uint8_t> payload,
                                                 std::span<std::uint8_t, kMostMacOctets> out) noexcept;

}  // namespace sts6::p11::ccm
