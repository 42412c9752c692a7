// SPDX-License-Identifier: Apache-2.0
// Objects of a token: made, copied, found, destroyed. All of it under the module's management lock.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "firmware/ports/hsm.hpp"
#include "src/pkcs11/attributes.hpp"
#include "src/pkcs11/session.hpp"

namespace sts6::p11 {

enum class Lifetime : std::uint8_t { session, token };

/// What stands in a label between a module's prefix and the key's name.
inline constexpr std::string_view kVendingKeyKind = "vk/";
inline constexpr std::string_view kStaticKeyKind = "ec/";
inline constexpr std::string_view kEphemeralKeyKind = "eph/";
inline constexpr std::string_view kKekKind = "kek/";
inline constexpr std::string_view kWrappingKeyKind = "wrap/";
/// All but the one that wraps.
inline constexpr std::array kKeyKinds = {kVendingKeyKind, kStaticKeyKind, kEphemeralKeyKind, kKekKind};

/// "<prefix><kind><KeyId in hexadecimal>".
[[nodiscard]] std::string object_label(std::string_view prefix, std::string_view kind, const KeyId& id);

/// The name in such a label of a key other than one that wraps.
[[nodiscard]] std::optional<KeyId> named_key(std::string_view prefix, std::string_view label);

/// Tries again without the optional attributes when the token refuses them all together.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> create_object(const Session& session, Attributes& attributes);

/// A key that the token makes; otherwise like create_object().
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> generate_key(const Session& session, CK_MECHANISM_TYPE type,
                                                      Attributes& attributes);

/// A key pair that the token makes, otherwise like create_object(): the handle of the private key; that of
/// the public one goes to `public_key`.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> generate_key_pair(const Session& session, CK_MECHANISM_TYPE type,
                                                           Attributes& public_attributes,
                                                           Attributes& attributes,
                                                           CK_OBJECT_HANDLE& public_key);

/// A key that the token makes from `base`; otherwise like create_object().
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> derive_key(const Session& session, CK_MECHANISM mechanism,
                                                    CK_OBJECT_HANDLE base, Attributes& attributes);

/// A session object with the key of `object`, as sensitive as that; it lives as long as `session`.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> copy_to_session(const Session& session, CK_OBJECT_HANDLE object);

[[nodiscard]] CK_RV destroy_object(const Session& session, CK_OBJECT_HANDLE object);

[[nodiscard]] CkResult<std::vector<CK_OBJECT_HANDLE>> find_objects(const Session& session,
                                                                   Attributes& attributes);

/// Token objects of every class.
[[nodiscard]] CkResult<std::vector<CK_OBJECT_HANDLE>> find_by_label(const Session& session,
                                                                    std::string_view label);

/// The labels of the token objects that begin with `prefix`; of objects that cannot be read, none.
[[nodiscard]] CkResult<std::vector<std::string>> labels_under(const Session& session,
                                                              std::string_view prefix);

/// True when `object` is what is left of one that SoftHSM was making when it was killed: without a label and
/// an ID, by which anybody could find it, or a wrapping key under `prefix` that was not generated yet.
[[nodiscard]] CkResult<bool> is_half_made(const Session& session, CK_OBJECT_HANDLE object,
                                          std::string_view prefix);

/// True when `object` is a key of that type that the token gives to nobody, and of that size unless it is 0:
/// one that the token would give out, or that was only half made, is not to be used.
[[nodiscard]] CkResult<bool> is_sealed_key(const Session& session, CK_OBJECT_HANDLE object, CK_KEY_TYPE type,
                                           std::size_t octets);

/// C_GetAttributeValue into the buffers that `attributes` names; once more after a failure that may pass, for
/// a key must not seem to be missing because of it.
[[nodiscard]] CK_RV read_attributes(const Session& session, CK_OBJECT_HANDLE object,
                                    std::span<CK_ATTRIBUTE> attributes);

}  // namespace sts6::p11
