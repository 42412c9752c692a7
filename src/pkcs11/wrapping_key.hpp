// SPDX-License-Identifier: Apache-2.0
// The key that never leaves the token and under which the octets of DKG 02 keys are kept outside it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "firmware/ports/hsm.hpp"
#include "firmware/util/secret.hpp"
#include "firmware/util/vending_key.hpp"
#include "src/pkcs11/objects.hpp"

namespace sts6::p11 {

inline constexpr std::size_t kDkg02Octets = vending_key_octets(Dkga::dkga02);

/// Has the token make an AES-256 key: sensitive, non-extractable, private, good for encryption and decryption
/// only.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> create_wrapping_key_object(const Session& session, Lifetime lifetime,
                                                                    std::string_view label, const KeyId& id);

/// "<prefix>wrap/<KeyId in hexadecimal>".
[[nodiscard]] std::string wrapping_key_label(std::string_view prefix, const KeyId& id);

/// True when `object` is an AES key that the token gives to nobody: one that it would give out, or that was
/// only half made, must not wrap anything.
[[nodiscard]] CkResult<bool> is_sealed_wrapping_key(const Session& session, CK_OBJECT_HANDLE object);

/// Wraps the key named `id`.
[[nodiscard]] CkResult<WrappedKey> wrap_key(Session& session, CK_OBJECT_HANDLE wrapping_key,
                                            std::span<const std::uint8_t, kDkg02Octets> key, const KeyId& id);

/// The octets of the key named `id`. CKR_WRAPPED_KEY_INVALID when the block is not that key's: changed, of
/// another key, or of another wrapping key; `key` is as it was after any failure.
[[nodiscard]] CK_RV unwrap_key(Session& session, CK_OBJECT_HANDLE wrapping_key, const WrappedKey& wrapped,
                               const KeyId& id, Secret<kDkg02Octets>& key);

}  // namespace sts6::p11
