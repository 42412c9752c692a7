// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firmware/ports/hsm.hpp"
#include "src/pkcs11/capabilities.hpp"
#include "src/pkcs11/pin.hpp"
#include "src/pkcs11/token_config.hpp"

namespace sts6::p11 {

/// What the token says of itself, for status and audit.
struct TokenIdentity {
    std::string label;
    std::string manufacturer;
    std::string model;
    std::string serial;
    std::string library;  ///< description and version of the PKCS#11 library
};

/// The Hsm port over a PKCS#11 token. All calls come from one thread, but connected().
///
/// Keys are found once, at login. When the token loses sessions, login or handles, they are found again and
/// what failed is tried once more; while the token is away every request gets hsm_failed at once, and it is
/// looked for again at growing intervals. A refused PIN is never presented twice: after it the token stays
/// away until the process starts anew.
class Pkcs11Hsm final : public Hsm {
  public:
    /// invalid_argument: the configuration; hsm_missing: no module file, no such token, or its set-up is not
    /// finished; pin_incorrect, pin_locked; unsupported: the token cannot do what is needed, the log says
    /// what.
    [[nodiscard]] static Result<std::unique_ptr<Pkcs11Hsm>> open(const TokenConfig& config, const Pin& pin);
    ~Pkcs11Hsm() override;

    /// key_missing; key_mismatch: the object is no key for `dkg`, or two objects claim the KeyId, or to be
    /// the key that wraps; unsupported.
    [[nodiscard]] Result<KeyHandle> find_key(const KeyId& id, Dkga dkg) override;
    /// Always by the token object itself, never by a copy of it.
    [[nodiscard]] Result<Kcv> check_value(KeyHandle key) override;
    void decoder_keys(std::span<const DerivationRequest> requests,
                      std::span<DerivationResult> results) override;

    /// Handles of keys that were found before are void.
    [[nodiscard]] Result<void> adopt(std::string_view module_id) override;
    /// unsupported, as from agree() and load_key(), when the token has no key agreement.
    [[nodiscard]] Result<EcKey> generate_ec_key(EcKeyUse use) override;
    [[nodiscard]] bool is_valid_point(const EcPoint& point) override;
    [[nodiscard]] Result<Sha384> sha384(std::span<const std::uint8_t> octets) override;
    [[nodiscard]] Result<KeyId> agree(const AgreementRequest& request) override;
    [[nodiscard]] Result<LoadedKey> load_key(const SealedKey& sealed) override;
    /// key_mismatch: a wrapped key is not its key's, or an object is not the key that it was.
    [[nodiscard]] Result<bool> is_same_key(const KeyReference& a, const KeyReference& b) override;
    /// With every object that bears its label.
    [[nodiscard]] Result<void> destroy_key(const KeyId& id) override;
    /// By their labels, so that half-made ones are among them.
    [[nodiscard]] Result<std::size_t> list_keys(std::size_t index, std::span<KeyId> ids) override;
    /// hsm_failed when one is found afterwards.
    [[nodiscard]] Result<void> destroy_all_keys() override;

    /// Fills `out` from the token's generator.
    [[nodiscard]] Result<void> random(std::span<std::uint8_t> out);

    /// For tests and benchmarks: the key passes through process memory in clear. Makes a vending
    /// key with a random KeyId, verified by its check value and durable when this returns. A key that fails
    /// any of it is destroyed. The first DKG 02 key brings the key that wraps, which stays from then on.
    [[nodiscard]] Result<LoadedKey> create_vending_key(Dkga dkg, std::span<const std::uint8_t> key);

    /// Whether there is a key that wraps, and its end, with that of everything
    /// it has wrapped. Durable when it returns; key_missing, key_mismatch when there are two.
    [[nodiscard]] bool has_wrapping_key() const noexcept;
    [[nodiscard]] Result<void> destroy_wrapping_key();

    /// The vending keys under the prefix, searched for anew.
    [[nodiscard]] Result<std::vector<KeyId>> vending_keys();

    [[nodiscard]] const Capabilities& capabilities() const noexcept;
    [[nodiscard]] const TokenIdentity& identity() const noexcept;
    /// False while the token is away. From any thread.
    [[nodiscard]] bool connected() const noexcept;

  private:
    class Impl;
    explicit Pkcs11Hsm(std::unique_ptr<Impl> impl) noexcept;

    std::unique_ptr<Impl> impl_;
};

}  // namespace sts6::p11
