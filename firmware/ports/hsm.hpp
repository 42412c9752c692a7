// SPDX-License-Identifier: Apache-2.0
// The seam to the PKCS#11 token: every operation with a long-lived key goes through it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "firmware/util/ec_point.hpp"
#include "firmware/util/secret.hpp"
#include "firmware/util/vending_key.hpp"
#include "sts6/result.hpp"

namespace sts6 {

/// Name of a key object in the PKCS#11 token (its CKA_ID), stored with the register that uses it.
using KeyId = std::array<std::uint8_t, 16>;

/// The 8 octets of a DKG 02 key as its owner gave them and the first 8 of its KeyId, one block, encrypted
/// under an AES-256 key that never leaves the PKCS#11 token. Stored with the register: DKGA02 needs the key's
/// own octets, and no token gives those out, nor keeps them when it mends the parity of DES keys.
using WrappedKey = std::array<std::uint8_t, 16>;

/// A key that the HSM has found; stays valid until the process ends, also when the HSM had to find it again.
enum class KeyHandle : std::uint32_t {};

/// One decoder key to derive (docs/tokens.md 3).
struct DerivationRequest {
    KeyHandle key{};
    Dkga dkga = Dkga::dkga04;
    Ea ea = Ea::misty1;
    /// DKGA04: the data block D, 49 octets. DKGA02: the block X, the first 8 octets.
    std::array<std::uint8_t, 49> data{};
    WrappedKey wrapped_key{};  ///< DKGA02 only: the register's
};

/// `error` says why there is no key; `key` is valid without one. EA07 uses the first 8 octets. A wrapped key
/// that is not the one of the request's key is key_mismatch.
struct DerivationResult {
    std::optional<Errc> error;
    Secret<16> key;
};

using Sha384 = std::array<std::uint8_t, 48>;

/// A P-384 key pair whose secret half never leaves the PKCS#11 token.
struct EcKey {
    KeyId id{};
    EcPoint point{};
};
enum class EcKeyUse : std::uint8_t { agreement, ephemeral };

/// C(1e,2s) as party U, the key derivation and the confirmation (docs/key-management.md 3.4):
/// Z = ECDH(ephemeral_key, peer) || ECDH(static_key, peer), DKM = SHA-384(00000001 || Z || other_info),
/// MacKey = DKM[0:24], KEK = DKM[24:48]; mac_tag must be HMAC-SHA-384(MacKey, mac_data)[0:24].
struct AgreementRequest {
    KeyId static_key{};
    KeyId ephemeral_key{};
    const EcPoint& peer;  ///< validated
    std::span<const std::uint8_t> other_info;
    std::span<const std::uint8_t> mac_data;
    std::span<const std::uint8_t, 24> mac_tag;
};

/// A vending key in AES-192-CCM under a KEK: `sealed` is the encrypted key and its 16-octet tag. The length
/// of the key says its algorithm: 8 octets for DKG 02, 20 for DKG 04.
struct SealedKey {
    KeyId kek{};
    std::span<const std::uint8_t, 12> nonce;
    std::span<const std::uint8_t> associated_data;
    std::span<const std::uint8_t> sealed;
};

/// A vending key that was just brought into the PKCS#11 token, durable, and its check value as the token
/// computes it.
struct LoadedKey {
    KeyId id{};
    std::optional<WrappedKey> wrapped_key;  ///< of a DKG 02 key
    Dkga dkg = Dkga::dkga04;
    Kcv kcv{};
};

/// A key that two registers might share, as the registers name it.
struct KeyReference {
    KeyHandle key{};
    std::optional<WrappedKey> wrapped_key;
};

class Hsm {
  public:
    Hsm() = default;
    Hsm(const Hsm&) = delete;
    Hsm& operator=(const Hsm&) = delete;
    virtual ~Hsm() = default;

    /// Looks a vending key up in what was enumerated at login. key_missing when it, or for DKG 02 the key
    /// that wraps, is not there; unsupported when the token cannot do what `dkg` needs.
    [[nodiscard]] virtual Result<KeyHandle> find_key(const KeyId& id, Dkga dkg) = 0;

    /// The key's check value, computed by an operation in the token.
    [[nodiscard]] virtual Result<Kcv> check_value(KeyHandle key) = 0;

    /// Derives results.size() == requests.size() decoder keys, each with its own error. One call for a whole
    /// batch, so that an implementation may spread it over several sessions.
    virtual void decoder_keys(std::span<const DerivationRequest> requests,
                              std::span<DerivationResult> results) = 0;

    // Key management. An HSM that is away answers hsm_failed; what an operation made before it failed is
    // destroyed again, or found as an orphan by the next start.

    /// From now on keys belong to the module of this name. already_exists, and nothing has changed, when the
    /// PKCS#11 token has keys of that name already.
    [[nodiscard]] virtual Result<void> adopt(std::string_view module_id) = 0;

    /// Durable when it returns.
    [[nodiscard]] virtual Result<EcKey> generate_ec_key(EcKeyUse use) = 0;

    /// Full public key validation: coordinates in range, on the curve, not the point at infinity.
    [[nodiscard]] virtual bool is_valid_point(const EcPoint& point) = 0;

    [[nodiscard]] virtual Result<Sha384> sha384(std::span<const std::uint8_t> octets) = 0;

    /// The KEK, durable; Z and the MacKey are gone when it returns. key_mismatch: the MacTag is another one,
    /// compared in constant time; key_missing: one of the pairs is not there.
    [[nodiscard]] virtual Result<KeyId> agree(const AgreementRequest& request) = 0;

    /// key_mismatch: the tag is not right, and nothing was created; malformed: it is, and the key has no
    /// length that an algorithm uses; unsupported: this token cannot hold such a key; key_missing: no KEK.
    [[nodiscard]] virtual Result<LoadedKey> load_key(const SealedKey& sealed) = 0;

    /// Whether both are one key, all octets of it. Both are of one algorithm.
    [[nodiscard]] virtual Result<bool> is_same_key(const KeyReference& a, const KeyReference& b) = 0;

    /// Any key of this module, by its name; durable when it returns. key_missing when there is none.
    [[nodiscard]] virtual Result<void> destroy_key(const KeyId& id) = 0;

    /// Every key of this module, the one that wraps too, and looks whether any is left. An error: some may
    /// be.
    [[nodiscard]] virtual Result<void> destroy_all_keys() = 0;

    /// The names of this module's keys in the PKCS#11 token, of every kind but the key that wraps, from the
    /// one at `index` on; how many of `ids` were filled. They are enumerated anew when index is 0.
    [[nodiscard]] virtual Result<std::size_t> list_keys(std::size_t index, std::span<KeyId> ids) = 0;
};

}  // namespace sts6
