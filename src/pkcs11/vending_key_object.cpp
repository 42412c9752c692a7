// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/vending_key_object.hpp"

#include <algorithm>
#include <memory>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "firmware/util/secret.hpp"
#include "firmware/util/wipe.hpp"

namespace sts6::p11 {
namespace {

constexpr std::size_t kDesOctets = 8;

/// The single DES key three times: a triple DES key that does single DES.
Secret<24> repeated(std::span<const std::uint8_t> key) {
    Secret<24> three;
    for (std::size_t i = 0; i < 24; ++i) three.octets()[i] = key[i % kDesOctets];
    return three;
}

void describe_use(Attributes& attributes, Dkga dkg) {
    const bool mac = dkg == Dkga::dkga04;
    attributes.flag(CKA_SIGN, mac)
        .flag(CKA_ENCRYPT, !mac)
        .flag(CKA_VERIFY, false)
        .flag(CKA_DECRYPT, false)
        .flag(CKA_WRAP, false)
        .flag(CKA_UNWRAP, false)
        .flag(CKA_DERIVE, false);
}

}  // namespace

CkResult<CK_OBJECT_HANDLE> create_vending_key_object(const Session& session, Dkga dkg, HmacKeyForm form,
                                                     Lifetime lifetime, std::string_view label,
                                                     const KeyId& id, std::span<const std::uint8_t> key) {
    const bool mac = dkg == Dkga::dkga04;
    Attributes attributes;
    attributes.number(CKA_CLASS, CKO_SECRET_KEY)
        .number(CKA_KEY_TYPE, mac ? CKK_GENERIC_SECRET : CKK_DES3)
        .flag(CKA_TOKEN, lifetime == Lifetime::token)
        .flag(CKA_PRIVATE, true)
        .flag(CKA_SENSITIVE, true)
        .flag(CKA_EXTRACTABLE, false)
        .text(CKA_LABEL, label)
        .octets(CKA_ID, id);
    describe_use(attributes, dkg);
    if (mac) {
        Secret<32> padded;
        std::copy_n(key.begin(), std::min<std::size_t>(key.size(), 32), padded.octets().begin());
        const std::size_t size = form == HmacKeyForm::padded_to_32 ? 32 : key.size();
        attributes.octets(CKA_VALUE, padded.octets().first(size));
    } else {
        attributes.octets(CKA_VALUE, repeated(key).octets());
    }
    const CK_ULONG mechanism = mac ? CKM_SHA256_HMAC : CKM_DES3_ECB;
    attributes.optional_from_here()
        .number(CKA_ALLOWED_MECHANISMS, mechanism)
        .flag(CKA_COPYABLE, true)  // for session copies; SoftHSM wants CKA_MODIFIABLE for them too
        .flag(CKA_DESTROYABLE, true);
    return create_object(session, attributes);
}

std::string vending_key_label(std::string_view prefix, const KeyId& id) {
    return object_label(prefix, kVendingKeyKind, id);
}

Result<Kcv> software_check_value(Dkga dkg, std::span<const std::uint8_t> key) {
    constexpr std::array<std::uint8_t, 8> kZeros{};
    std::array<std::uint8_t, 32> out{};
    bool done = false;
    if (dkg == Dkga::dkga04) {
        done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), kZeros.data(), kZeros.size(),
                    out.data(), nullptr) != nullptr;
    } else {
        const auto three = repeated(key);
        const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(),
                                                                                      &EVP_CIPHER_CTX_free);
        int size = 0;
        done = context != nullptr &&
               EVP_EncryptInit_ex(context.get(), EVP_des_ede3_ecb(), nullptr, three.octets().data(),
                                  nullptr) == 1 &&
               EVP_EncryptUpdate(context.get(), out.data(), &size, kZeros.data(), kZeros.size()) == 1 &&
               size == static_cast<int>(kDesOctets);
    }
    const Kcv kcv{out[0], out[1], out[2]};
    wipe(out.data(), out.size());
    if (!done) return Unexpected{Errc::hsm_failed};
    return kcv;
}

}  // namespace sts6::p11
