// SPDX-License-Identifier: Apache-2.0
// The cryptography of the KMC, over OpenSSL's EVP alone: it shares none with the module, so that each shows
// the other's mistakes. Throws std::runtime_error when OpenSSL itself fails.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "firmware/keyload/identifier.hpp"
#include "firmware/keyload/records.hpp"
#include "firmware/util/ec_point.hpp"
#include "firmware/util/secret.hpp"
#include "firmware/util/vending_key.hpp"

namespace sts6::kmc {

inline constexpr std::size_t kScalarOctets = 48;  ///< of P-384
using Sha384Digest = std::array<std::uint8_t, 48>;
using Octets = std::span<const std::uint8_t>;

/// A key pair of P-384.
struct KeyPair {
    Secret<kScalarOctets> private_key;
    EcPoint public_key{};
};

[[nodiscard]] KeyPair generate_key_pair();
/// The private key is in its range and the public key belongs to it.
[[nodiscard]] bool is_key_pair(const KeyPair& key);
/// Full public key validation: coordinates in range, on the curve, of the right order, not infinity.
[[nodiscard]] bool is_public_key(const EcPoint& point);
/// The X coordinate of the product. Precondition: is_public_key(peer).
[[nodiscard]] Secret<kScalarOctets> shared_secret(const KeyPair& own, const EcPoint& peer);

[[nodiscard]] std::array<std::uint8_t, 20> sha1(std::string_view text);
[[nodiscard]] Sha384Digest sha384(Octets octets);
[[nodiscard]] Sha384Digest sha384(std::string_view text);
[[nodiscard]] keyload::Fingerprint fingerprint(const EcPoint& point);
[[nodiscard]] Sha384Digest hmac_sha384(Octets key, Octets message);

/// AES-192-CCM with a tag of 16 octets behind the ciphertext. Precondition: `out` holds both.
void seal_ccm(std::span<const std::uint8_t, 24> key, const keyload::Nonce& nonce, Octets associated,
              Octets plain, std::span<std::uint8_t> out);

/// The KCV of a vending key. Precondition: value.size() == vending_key_octets(dkg).
[[nodiscard]] Kcv check_value(Dkga dkg, Octets value);

void random_octets(std::span<std::uint8_t> out);

}  // namespace sts6::kmc
