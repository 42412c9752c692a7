// SPDX-License-Identifier: Apache-2.0
// What a key in the token does for us, one call each. No operation is left open behind a failure: the session
// is replaced then.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "firmware/util/secret.hpp"
#include "firmware/util/vending_key.hpp"
#include "src/pkcs11/session.hpp"

namespace sts6::p11 {

[[nodiscard]] CK_RV hmac_sha256(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t> data,
                                std::span<std::uint8_t, 32> mac);

/// One block through single DES, done as triple DES with three equal keys: single DES itself is listed by
/// tokens that do not have it.
[[nodiscard]] CK_RV des3_encrypt(Session& session, CK_OBJECT_HANDLE key,
                                 std::span<const std::uint8_t, 8> block,
                                 std::span<std::uint8_t, 8> encrypted);

[[nodiscard]] CK_RV hmac_sha384(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t> data,
                                std::span<std::uint8_t, 48> mac);

/// Whole blocks through AES, in ECB mode or in CBC mode with an IV of zeros. Precondition: equal sizes.
[[nodiscard]] CK_RV aes_encrypt(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t> blocks,
                                std::span<std::uint8_t> encrypted);
[[nodiscard]] CK_RV aes_cbc_encrypt(Session& session, CK_OBJECT_HANDLE key,
                                    std::span<const std::uint8_t> blocks, std::span<std::uint8_t> encrypted);

/// One block through AES in ECB mode.
[[nodiscard]] CK_RV aes_decrypt(Session& session, CK_OBJECT_HANDLE key,
                                std::span<const std::uint8_t, 16> encrypted,
                                std::span<std::uint8_t, 16> block);

/// SHA-384 of `head`, the octets of the two keys and `tail`; the token never shows the keys themselves.
[[nodiscard]] CK_RV sha384_of_keys(Session& session, std::span<const std::uint8_t> head,
                                   std::array<CK_OBJECT_HANDLE, 2> keys, std::span<const std::uint8_t> tail,
                                   std::span<std::uint8_t, 48> digest);

/// What a vending key makes of 8 zeros: HMAC-SHA-256 for DKG 04, the first 8 octets by DES for DKG 02, zeros
/// behind them.
[[nodiscard]] CK_RV image_of_zeros(Session& session, CK_OBJECT_HANDLE key, Dkga dkg, Secret<32>& image);

/// The check value of a vending key by an operation with it (docs/key-management.md).
[[nodiscard]] CkResult<Kcv> check_value(Session& session, CK_OBJECT_HANDLE key, Dkga dkg);

}  // namespace sts6::p11
