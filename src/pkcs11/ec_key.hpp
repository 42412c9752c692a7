// SPDX-License-Identifier: Apache-2.0
// P-384 key pairs of which the token keeps the secret half.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "firmware/ports/hsm.hpp"
#include "firmware/util/ec_point.hpp"
#include "firmware/util/secret.hpp"
#include "src/pkcs11/objects.hpp"

namespace sts6::p11 {

inline constexpr std::size_t kSharedSecretOctets = 48;

/// Coordinates in range and on the curve, by OpenSSL.
[[nodiscard]] bool is_on_curve(const EcPoint& point);

/// A CKA_EC_POINT: what the standard says, a DER OCTET STRING, or the point itself, as some tokens have it.
[[nodiscard]] std::optional<EcPoint> parse_ec_point(std::span<const std::uint8_t> attribute);

/// Has the token make a key pair: the handle of the private key, which is sensitive, non-extractable, private
/// and good for derivation only. Its public key goes to `point`, and leaves no object.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> create_ec_key(const Session& session, Lifetime lifetime,
                                                       std::string_view label, const KeyId& id,
                                                       EcPoint& point);

/// The shared secret of the private key and a point as a session object for derivations: kept in the token,
/// or `extractable`.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> derive_shared_secret(const Session& session,
                                                              CK_OBJECT_HANDLE private_key,
                                                              const EcPoint& peer, bool extractable);

}  // namespace sts6::p11
