// SPDX-License-Identifier: Apache-2.0
// The whole Hsm port in process memory, by OpenSSL: what the module's key management is tested on without a
// PKCS#11 token.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <openssl/evp.h>

#include "tests/support/fake_ports.hpp"

namespace sts6::test {

using Octets = std::vector<std::uint8_t>;

/// One party's half of a P-384 agreement.
class EcPair {
  public:
    EcPair();
    /// Of a published private key.
    EcPair(std::span<const std::uint8_t> secret, const EcPoint& point);

    [[nodiscard]] const EcPoint& point() const noexcept { return point_; }
    /// The x coordinate of the shared point.
    [[nodiscard]] Octets agree(const EcPoint& peer) const;

  private:
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
    EcPoint point_{};
};

bool is_on_curve(const EcPoint& point);
Sha384 sha384_of(std::span<const std::uint8_t> octets);
Octets hmac_sha384(std::span<const std::uint8_t> key, std::span<const std::uint8_t> data);
/// AES-192-CCM with a 16-octet tag behind the text.
Octets ccm_seal(std::span<const std::uint8_t> key, std::span<const std::uint8_t> nonce,
                std::span<const std::uint8_t> associated, std::span<const std::uint8_t> text);
/// Empty when the tag is wrong.
Octets ccm_open(std::span<const std::uint8_t> key, std::span<const std::uint8_t> nonce,
                std::span<const std::uint8_t> associated, std::span<const std::uint8_t> sealed);
Kcv kcv_of(std::span<const std::uint8_t> vending_key);

/// Ze || Zs and the other info, hashed: MacKey and KEK.
Octets derive_keys(const Octets& ze, const Octets& zs, std::span<const std::uint8_t> other_info);

/// A test may look at everything in it.
class SoftwareHsm final : public Hsm {
  public:
    Result<KeyHandle> find_key(const KeyId& id, Dkga dkg) override;
    Result<Kcv> check_value(KeyHandle key) override;
    void decoder_keys(std::span<const DerivationRequest> requests,
                      std::span<DerivationResult> results) override;
    Result<void> adopt(std::string_view module_id) override;
    Result<EcKey> generate_ec_key(EcKeyUse use) override;
    bool is_valid_point(const EcPoint& point) override { return is_on_curve(point); }
    Result<Sha384> sha384(std::span<const std::uint8_t> octets) override { return sha384_of(octets); }
    Result<KeyId> agree(const AgreementRequest& request) override;
    Result<LoadedKey> load_key(const SealedKey& sealed) override;
    Result<bool> is_same_key(const KeyReference& a, const KeyReference& b) override;
    Result<void> destroy_key(const KeyId& id) override;
    Result<std::size_t> list_keys(std::size_t index, std::span<KeyId> ids) override;
    Result<void> destroy_all_keys() override {
        if (destroy_error) return Unexpected{*destroy_error};
        pairs.clear();
        keks.clear();
        vending_keys.clear();
        return {};
    }
    std::optional<Errc> destroy_error;

    /// Every key in it.
    [[nodiscard]] std::size_t size() const { return pairs.size() + keks.size() + vending_keys.size(); }

    std::map<KeyId, EcPair> pairs;
    std::map<KeyId, Octets> keks;
    std::map<KeyId, Octets> vending_keys;
    std::string owner;
    bool away = false;  ///< everything fails with hsm_failed
    std::vector<KeyId> handles;

  private:
    KeyId new_id();
    std::uint8_t last_id_ = 0;
};

}  // namespace sts6::test
