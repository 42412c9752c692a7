// SPDX-License-Identifier: Apache-2.0
// What a key in the token does for us, one call each. No operation is left open behind a failure: the session
// is replaced then.
#pragma once

#include <cstdint>
#include <span>

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

/// One block through AES in ECB mode.
[[nodiscard]] CK_RV aes_encrypt(Session& session, CK_OBJECT_HANDLE key,
                                std::span<const std::uint8_t, 16> block,
                                std::span<std::uint8_t, 16> encrypted);
[[nodiscard]] CK_RV aes_decrypt(Session& session, CK_OBJECT_HANDLE key,
                                std::span<const std::uint8_t, 16> encrypted,
                                std::span<std::uint8_t, 16> block);

/// The check value of a vending key by an operation with it (docs/key-management.md).
[[nodiscard]] CkResult<Kcv> check_value(Session& session, CK_OBJECT_HANDLE key, Dkga dkg);

}  // namespace sts6::p11
