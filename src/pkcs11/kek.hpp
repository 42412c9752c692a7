// SPDX-License-Identifier: Apache-2.0
// The key under which a key load brings vending keys.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "firmware/ports/hsm.hpp"
#include "firmware/util/secret.hpp"
#include "src/pkcs11/ccm.hpp"
#include "src/pkcs11/objects.hpp"

namespace sts6::p11 {

inline constexpr std::size_t kKekOctets = 24;

/// The template of a KEK: AES-192, sensitive, non-extractable, private, good for encryption only, which is
/// all that CCM needs. `value` is empty when the token derives it.
void describe_kek(Attributes& attributes, Lifetime lifetime, std::string_view label, const KeyId& id,
                  std::span<const std::uint8_t> value);

/// What a KEK opens: `octets()` of it are the payload.
struct Payload {
    Secret<ccm::kMostPayload> buffer;
    std::size_t size = 0;
    [[nodiscard]] std::span<const std::uint8_t> octets() const noexcept {
        return std::span(buffer.octets()).first(size);
    }
};

/// AES-192-CCM, composed of what the token does in ECB and in CBC mode. CKR_SIGNATURE_INVALID: the tag is
/// another one, compared in constant time; CKR_DATA_LEN_RANGE: longer than a key record can be. `payload` is
/// empty after any failure.
[[nodiscard]] CK_RV open_sealed(Session& session, CK_OBJECT_HANDLE kek, const SealedKey& sealed,
                                Payload& payload);

}  // namespace sts6::p11
