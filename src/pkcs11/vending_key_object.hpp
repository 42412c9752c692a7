// SPDX-License-Identifier: Apache-2.0
// How a vending key lies in a token.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "firmware/ports/hsm.hpp"
#include "firmware/util/vending_key.hpp"
#include "src/pkcs11/objects.hpp"

namespace sts6::p11 {

/// Some tokens (SoftHSM) refuse HMAC-SHA-256 with a key below 32 octets. HMAC itself fills the key with zeros
/// up to the hash's block, so a key stored with zeros behind it gives the same values.
enum class HmacKeyForm : std::uint8_t { as_it_is, padded_to_32 };

/// Sensitive, non-extractable, private, good for one use: HMAC for DKG 04, DES for DKG 02. The label is
/// `label`, the CKA_ID `id`. Precondition: vending_key_octets(dkg) octets of key.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> create_vending_key_object(const Session& session, Dkga dkg,
                                                                   HmacKeyForm form, Lifetime lifetime,
                                                                   std::string_view label, const KeyId& id,
                                                                   std::span<const std::uint8_t> key);

/// "<prefix>vk/<KeyId in hexadecimal>".
[[nodiscard]] std::string vending_key_label(std::string_view prefix, const KeyId& id);

/// The check value by OpenSSL, to hold against the token's. Same precondition.
[[nodiscard]] Result<Kcv> software_check_value(Dkga dkg, std::span<const std::uint8_t> key);

}  // namespace sts6::p11
