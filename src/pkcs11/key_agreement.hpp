// SPDX-License-Identifier: Apache-2.0
// C(1e,2s), the derivation of the KEK and the key confirmation (docs/key-management.md 3.4), in as few places
// outside the token as it lets us.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "firmware/ports/hsm.hpp"
#include "firmware/util/secret.hpp"
#include "src/pkcs11/capabilities.hpp"
#include "src/pkcs11/throwaway.hpp"
#include "src/pkcs11/token_config.hpp"

namespace sts6::p11 {

/// The names of those that do something, the best first.
struct KeyAgreementRow {
    KeyAgreement how;
    Protection protection;
    const char* name;
};
inline constexpr std::array<KeyAgreementRow, 3> kKeyAgreements = {{
    {KeyAgreement::derive_chain, Protection::kek_in_token, "derive chain in the token"},
    {KeyAgreement::digest_key, Protection::z_in_token, "by C_DigestKey"},
    {KeyAgreement::z_in_process, Protection::any, "shared secrets read from the token"},
}};

/// One key agreement. All that it makes but the KEK is gone with it.
class AgreementRun {
  public:
    /// Objects are made in the one session, operations done in the other, which a failure replaces.
    AgreementRun(const Session& objects, Session& operations, KeyAgreement how)
        : objects_(objects), operations_(operations), how_(how) {}

    struct Inputs {
        CK_OBJECT_HANDLE ephemeral_key;
        CK_OBJECT_HANDLE static_key;
        const EcPoint& peer;
        std::span<const std::uint8_t> other_info;
    };
    [[nodiscard]] CK_RV derive(const Inputs& inputs);
    /// CKR_SIGNATURE_INVALID: the tag is another one, compared in constant time. After derive().
    [[nodiscard]] CK_RV confirm(std::span<const std::uint8_t> mac_data,
                                std::span<const std::uint8_t, 24> mac_tag);
    /// After confirm().
    [[nodiscard]] CkResult<CK_OBJECT_HANDLE> make_kek(Lifetime lifetime, std::string_view label,
                                                      const KeyId& id);

  private:
    [[nodiscard]] CK_RV derive_in_token(CK_OBJECT_HANDLE ze, CK_OBJECT_HANDLE zs,
                                        std::span<const std::uint8_t> other_info);
    [[nodiscard]] CK_RV hash_in_process(CK_OBJECT_HANDLE ze, CK_OBJECT_HANDLE zs,
                                        std::span<const std::uint8_t> other_info);
    [[nodiscard]] CK_RV compute_mac(std::span<const std::uint8_t> mac_data, Secret<48>& mac);

    const Session& objects_;
    Session& operations_;
    KeyAgreement how_;
    std::optional<Throwaway> dkm_object_;  ///< of derive_chain
    Secret<48> dkm_;                       ///< of the others
};

}  // namespace sts6::p11
