// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/key_agreement.hpp"

#include <memory>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "firmware/util/constant_time.hpp"
#include "src/pkcs11/ec_key.hpp"
#include "src/pkcs11/kek.hpp"
#include "src/pkcs11/operations.hpp"

namespace sts6::p11 {
namespace {

constexpr std::array<std::uint8_t, 4> kFirst = {0, 0, 0, 1};  ///< the counter of the one round of the KDF
constexpr std::size_t kDkmOctets = 48;
constexpr std::size_t kMacKeyOctets = 24;

enum class Next : std::uint8_t { derivation, mac };

/// A generic secret of the chain: good for the next derivation, or for the confirmation.
CkResult<CK_OBJECT_HANDLE> derive_secret(const Session& session, CK_MECHANISM mechanism,
                                         CK_OBJECT_HANDLE base, std::size_t octets, Next next) {
    Attributes attributes;
    attributes.number(CKA_CLASS, CKO_SECRET_KEY)
        .number(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
        .number(CKA_VALUE_LEN, octets)
        .flag(CKA_TOKEN, false)
        .flag(CKA_PRIVATE, true)
        .flag(CKA_SENSITIVE, true)
        .flag(CKA_EXTRACTABLE, false)
        .flag(CKA_DERIVE, next == Next::derivation)
        .flag(CKA_SIGN, next == Next::mac);
    return derive_key(session, mechanism, base, attributes);
}

/// A part of a key from the bit `first` on.
CK_MECHANISM extraction(CK_ULONG& first) {
    return {CKM_EXTRACT_KEY_FROM_KEY, &first, sizeof first};
}

CK_RV read_secret(const Session& session, CK_OBJECT_HANDLE secret,
                  std::span<std::uint8_t, kSharedSecretOctets> octets) {
    std::array<CK_ATTRIBUTE, 1> value{{{CKA_VALUE, octets.data(), octets.size()}}};
    const CK_RV rv = read_attributes(session, secret, value);
    return rv == CKR_OK && value[0].ulValueLen != octets.size() ? CKR_FUNCTION_FAILED : rv;
}

}  // namespace

CK_RV AgreementRun::derive(const Inputs& inputs) {
    const bool read = how_ == KeyAgreement::z_in_process;
    const Throwaway ze(objects_, derive_shared_secret(objects_, inputs.ephemeral_key, inputs.peer, read));
    if (ze.rv() != CKR_OK) return ze.rv();
    const Throwaway zs(objects_, derive_shared_secret(objects_, inputs.static_key, inputs.peer, read));
    if (zs.rv() != CKR_OK) return zs.rv();
    switch (how_) {
        case KeyAgreement::derive_chain:
            return derive_in_token(ze.handle(), zs.handle(), inputs.other_info);
        case KeyAgreement::digest_key:
            return sha384_of_keys(operations_, kFirst, {ze.handle(), zs.handle()}, inputs.other_info,
                                  dkm_.octets());
        case KeyAgreement::z_in_process:
            return hash_in_process(ze.handle(), zs.handle(), inputs.other_info);
        case KeyAgreement::none:
            break;
    }
    return CKR_FUNCTION_NOT_SUPPORTED;
}

CK_RV AgreementRun::derive_in_token(CK_OBJECT_HANDLE ze, CK_OBJECT_HANDLE zs,
                                    std::span<const std::uint8_t> other_info) {
    // Cryptoki does not say const; the data are read only.
    CK_KEY_DERIVATION_STRING_DATA head{const_cast<CK_BYTE*>(kFirst.data()), kFirst.size()};
    CK_KEY_DERIVATION_STRING_DATA tail{const_cast<CK_BYTE*>(other_info.data()), other_info.size()};
    std::size_t octets = kFirst.size() + kSharedSecretOctets;
    const Throwaway with_ze(
        objects_, derive_secret(objects_, {CKM_CONCATENATE_DATA_AND_BASE, &head, sizeof head}, ze, octets,
                                Next::derivation));
    if (with_ze.rv() != CKR_OK) return with_ze.rv();
    octets += kSharedSecretOctets;
    const Throwaway with_zs(objects_, derive_secret(objects_, {CKM_CONCATENATE_BASE_AND_KEY, &zs, sizeof zs},
                                                    with_ze.handle(), octets, Next::derivation));
    if (with_zs.rv() != CKR_OK) return with_zs.rv();
    octets += other_info.size();
    const Throwaway whole(objects_,
                          derive_secret(objects_, {CKM_CONCATENATE_BASE_AND_DATA, &tail, sizeof tail},
                                        with_zs.handle(), octets, Next::derivation));
    if (whole.rv() != CKR_OK) return whole.rv();
    dkm_object_.emplace(objects_, derive_secret(objects_, {CKM_SHA384_KEY_DERIVATION, nullptr, 0},
                                                whole.handle(), kDkmOctets, Next::derivation));
    return dkm_object_->rv();
}

CK_RV AgreementRun::hash_in_process(CK_OBJECT_HANDLE ze, CK_OBJECT_HANDLE zs,
                                    std::span<const std::uint8_t> other_info) {
    Secret<2 * kSharedSecretOctets> z;
    CK_RV rv = read_secret(objects_, ze, z.octets().first<kSharedSecretOctets>());
    if (rv == CKR_OK) rv = read_secret(objects_, zs, z.octets().last<kSharedSecretOctets>());
    if (rv != CKR_OK) return rv;
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    const bool done = hash != nullptr && EVP_DigestInit_ex(hash.get(), EVP_sha384(), nullptr) == 1 &&
                      EVP_DigestUpdate(hash.get(), kFirst.data(), kFirst.size()) == 1 &&
                      EVP_DigestUpdate(hash.get(), z.octets().data(), z.octets().size()) == 1 &&
                      EVP_DigestUpdate(hash.get(), other_info.data(), other_info.size()) == 1 &&
                      EVP_DigestFinal_ex(hash.get(), dkm_.octets().data(), nullptr) == 1;
    return done ? CKR_OK : CKR_HOST_MEMORY;
}

CK_RV AgreementRun::compute_mac(std::span<const std::uint8_t> mac_data, Secret<48>& mac) {
    if (how_ == KeyAgreement::derive_chain) {
        CK_ULONG first = 0;
        const Throwaway mac_key(objects_, derive_secret(objects_, extraction(first), dkm_object_->handle(),
                                                        kMacKeyOctets, Next::mac));
        if (mac_key.rv() != CKR_OK) return mac_key.rv();
        return hmac_sha384(operations_, mac_key.handle(), mac_data, mac.octets());
    }
    const auto* done = HMAC(EVP_sha384(), dkm_.octets().data(), static_cast<int>(kMacKeyOctets),
                            mac_data.data(), mac_data.size(), mac.octets().data(), nullptr);
    return done != nullptr ? CKR_OK : CKR_HOST_MEMORY;
}

CK_RV AgreementRun::confirm(std::span<const std::uint8_t> mac_data,
                            std::span<const std::uint8_t, 24> mac_tag) {
    Secret<48> mac;
    const CK_RV rv = compute_mac(mac_data, mac);
    if (rv != CKR_OK) return rv;
    return equal_constant_time(mac.octets().first(mac_tag.size()), mac_tag) ? CKR_OK : CKR_SIGNATURE_INVALID;
}

CkResult<CK_OBJECT_HANDLE> AgreementRun::make_kek(Lifetime lifetime, std::string_view label,
                                                  const KeyId& id) {
    Attributes attributes;
    if (how_ == KeyAgreement::derive_chain) {
        describe_kek(attributes, lifetime, label, id, {});
        CK_ULONG first = 8 * kMacKeyOctets;
        return derive_key(objects_, extraction(first), dkm_object_->handle(), attributes);
    }
    describe_kek(attributes, lifetime, label, id, std::span(dkm_.octets()).last<kKekOctets>());
    return create_object(objects_, attributes);
}

}  // namespace sts6::p11
