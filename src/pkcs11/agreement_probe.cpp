// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/agreement_probe.hpp"

#include <algorithm>
#include <memory>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/obj_mac.h>

#include "src/pkcs11/ec_key.hpp"
#include "src/pkcs11/kek.hpp"
#include "src/pkcs11/operations.hpp"

namespace sts6::p11 {
namespace {

constexpr const char* kLabel = "sts6 known-answer test";
// Any text will do for what is hashed and sealed. Nothing here is a secret.
constexpr std::array<std::uint8_t, 12> kText = {'k', 'n', 'o', 'w', 'n', '-', 'a', 'n', 's', 'w', 'e', 'r'};
constexpr std::array<std::uint8_t, 48> kPeerSecret = {0x5A, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77};
constexpr std::size_t kSealedOctets = 20 + ccm::kTag;

template <auto kFree>
struct Free {
    template <class T>
    void operator()(T* object) const noexcept {
        kFree(object);
    }
};
template <class T, auto kFree>
using Owned = std::unique_ptr<T, Free<kFree>>;

/// The peer, who is OpenSSL.
class Peer {
  public:
    Peer()
        : group_(EC_GROUP_new_by_curve_name(NID_secp384r1)),
          secret_(BN_bin2bn(kPeerSecret.data(), static_cast<int>(kPeerSecret.size()), nullptr)) {}

    [[nodiscard]] bool public_key(EcPoint& point) const {
        const Owned<EC_POINT, EC_POINT_free> made(EC_POINT_new(group_.get()));
        return made != nullptr && secret_ != nullptr &&
               EC_POINT_mul(group_.get(), made.get(), secret_.get(), nullptr, nullptr, nullptr) == 1 &&
               write(*made, point);
    }
    /// X of the peer's secret times `point`.
    [[nodiscard]] bool shared_secret(const EcPoint& point, std::span<std::uint8_t, 48> secret) const {
        const Owned<EC_POINT, EC_POINT_free> made(EC_POINT_new(group_.get()));
        EcPoint product{};
        if (made == nullptr ||
            EC_POINT_oct2point(group_.get(), made.get(), point.data(), point.size(), nullptr) != 1 ||
            EC_POINT_mul(group_.get(), made.get(), nullptr, made.get(), secret_.get(), nullptr) != 1 ||
            !write(*made, product)) {
            return false;
        }
        std::copy_n(product.begin() + 1, secret.size(), secret.begin());
        return true;
    }

  private:
    [[nodiscard]] bool write(const EC_POINT& from, EcPoint& to) const {
        return EC_POINT_point2oct(group_.get(), &from, POINT_CONVERSION_UNCOMPRESSED, to.data(), to.size(),
                                  nullptr) == to.size();
    }

    Owned<EC_GROUP, EC_GROUP_free> group_;
    Owned<BIGNUM, BN_free> secret_;
};

/// What OpenSSL makes of it all.
struct Answer {
    std::array<std::uint8_t, 48> dkm{};
    std::array<std::uint8_t, 48> mac{};
    std::array<std::uint8_t, kSealedOctets> sealed{};

    [[nodiscard]] bool compute(const Peer& peer, const EcPoint& ephemeral, const EcPoint& other) {
        std::array<std::uint8_t, 4 + 2 * 48 + kText.size()> hashed{0, 0, 0, 1};
        std::copy(kText.begin(), kText.end(), hashed.end() - kText.size());
        const auto z = std::span(hashed).subspan<4, 96>();
        return peer.shared_secret(ephemeral, z.first<48>()) && peer.shared_secret(other, z.last<48>()) &&
               EVP_Digest(hashed.data(), hashed.size(), dkm.data(), nullptr, EVP_sha384(), nullptr) == 1 &&
               HMAC(EVP_sha384(), dkm.data(), 24, kText.data(), kText.size(), mac.data(), nullptr) !=
                   nullptr &&
               seal();
    }
    /// A message of zeros.
    [[nodiscard]] bool seal() {
        const Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> cipher(EVP_CIPHER_CTX_new());
        constexpr int kSize = kSealedOctets - ccm::kTag;
        constexpr std::array<std::uint8_t, kSize> kZeros{};
        int size = 0;
        EVP_CIPHER_CTX* c = cipher.get();
        return c != nullptr && EVP_EncryptInit_ex(c, EVP_aes_192_ccm(), nullptr, nullptr, nullptr) == 1 &&
               EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, ccm::kNonce, nullptr) == 1 &&
               EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, ccm::kTag, nullptr) == 1 &&
               EVP_EncryptInit_ex(c, nullptr, nullptr, dkm.data() + 24, kText.data()) == 1 &&
               EVP_EncryptUpdate(c, nullptr, &size, nullptr, kSize) == 1 &&
               EVP_EncryptUpdate(c, nullptr, &size, kText.data(), kText.size()) == 1 &&
               EVP_EncryptUpdate(c, sealed.data(), &size, kZeros.data(), kSize) == 1 && size == kSize &&
               EVP_EncryptFinal_ex(c, sealed.data() + kSize, &size) == 1 &&
               EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, ccm::kTag, sealed.data() + kSize) == 1;
    }
};

CK_RV as_wrong_answer(CK_RV rv) {
    return rv == CKR_SIGNATURE_INVALID ? kWrongAnswer : rv;
}

}  // namespace

AgreementOutcome probe_agreement(Session& session, KeyAgreement how) {
    AgreementOutcome outcome;
    EcPoint ephemeral_point{};
    EcPoint static_point{};
    const Throwaway ephemeral_key(session,
                                  create_ec_key(session, Lifetime::session, kLabel, {}, ephemeral_point));
    outcome.key_pairs = ephemeral_key.rv();
    if (outcome.key_pairs != CKR_OK) return outcome;
    const Throwaway static_key(session, create_ec_key(session, Lifetime::session, kLabel, {}, static_point));
    outcome.key_pairs = static_key.rv();
    if (outcome.key_pairs != CKR_OK) return outcome;

    const Peer peer;
    Answer answer;
    EcPoint peer_point{};
    outcome.agreement = CKR_HOST_MEMORY;
    if (!peer.public_key(peer_point) || !answer.compute(peer, ephemeral_point, static_point)) return outcome;
    AgreementRun run(session, session, how);
    outcome.agreement = run.derive({ephemeral_key.handle(), static_key.handle(), peer_point, kText});
    if (outcome.agreement != CKR_OK) return outcome;
    outcome.agreement = as_wrong_answer(run.confirm(kText, std::span(answer.mac).first<24>()));
    if (outcome.agreement != CKR_OK) return outcome;
    const Throwaway kek(session, run.make_kek(Lifetime::session, kLabel, {}));
    outcome.agreement = kek.rv();
    if (outcome.agreement != CKR_OK) return outcome;

    Payload payload;
    outcome.ccm =
        as_wrong_answer(open_sealed(session, kek.handle(), {{}, kText, kText, answer.sealed}, payload));
    if (outcome.ccm == CKR_OK && std::ranges::count(payload.octets(), 0) != kSealedOctets - ccm::kTag) {
        outcome.ccm = kWrongAnswer;
    }
    return outcome;
}

}  // namespace sts6::p11
