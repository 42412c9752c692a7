// SPDX-License-Identifier: Apache-2.0
// The seam to the PKCS#11 token: every operation with a long-lived key goes through it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

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
};

}  // namespace sts6
