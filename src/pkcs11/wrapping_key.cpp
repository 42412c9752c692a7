// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/wrapping_key.hpp"

#include <algorithm>

#include "firmware/util/constant_time.hpp"
#include "src/pkcs11/operations.hpp"
#include "sts6/hex.hpp"

namespace sts6::p11 {
namespace {

constexpr CK_ULONG kAes256Octets = 32;

}  // namespace

CkResult<CK_OBJECT_HANDLE> create_wrapping_key_object(const Session& session, Lifetime lifetime,
                                                      std::string_view label, const KeyId& id) {
    Attributes attributes;
    attributes.number(CKA_CLASS, CKO_SECRET_KEY)
        .number(CKA_KEY_TYPE, CKK_AES)
        .number(CKA_VALUE_LEN, kAes256Octets)
        .flag(CKA_TOKEN, lifetime == Lifetime::token)
        .flag(CKA_PRIVATE, true)
        .flag(CKA_SENSITIVE, true)
        .flag(CKA_EXTRACTABLE, false)
        .text(CKA_LABEL, label)
        .octets(CKA_ID, id)
        .flag(CKA_ENCRYPT, true)
        .flag(CKA_DECRYPT, true)
        .flag(CKA_SIGN, false)
        .flag(CKA_VERIFY, false)
        .flag(CKA_WRAP, false)
        .flag(CKA_UNWRAP, false)
        .flag(CKA_DERIVE, false);
    const CK_ULONG mechanism = CKM_AES_ECB;
    attributes.optional_from_here()
        .number(CKA_ALLOWED_MECHANISMS, mechanism)
        .flag(CKA_COPYABLE, true)
        .flag(CKA_DESTROYABLE, true);
    return generate_key(session, CKM_AES_KEY_GEN, attributes);
}

std::string wrapping_key_label(std::string_view prefix, const KeyId& id) {
    return object_label(prefix, kWrappingKeyKind, id);
}

CkResult<bool> is_sealed_wrapping_key(const Session& session, CK_OBJECT_HANDLE object) {
    return is_sealed_key(session, object, CKK_AES, kAes256Octets);
}

CkResult<WrappedKey> wrap_key(Session& session, CK_OBJECT_HANDLE wrapping_key,
                              std::span<const std::uint8_t, kDkg02Octets> key, const KeyId& id) {
    Secret<16> block;
    std::copy_n(key.begin(), kDkg02Octets, block.octets().begin());
    std::copy_n(id.begin(), block.octets().size() - kDkg02Octets, block.octets().begin() + kDkg02Octets);
    WrappedKey wrapped{};
    const CK_RV rv = aes_encrypt(session, wrapping_key, block.octets(), wrapped);
    if (rv != CKR_OK) return Unexpected{rv};
    return wrapped;
}

CK_RV unwrap_key(Session& session, CK_OBJECT_HANDLE wrapping_key, const WrappedKey& wrapped, const KeyId& id,
                 Secret<kDkg02Octets>& key) {
    Secret<16> block;
    const CK_RV rv = aes_decrypt(session, wrapping_key, wrapped, block.octets());
    if (rv != CKR_OK) return rv;
    const auto name = block.octets().subspan<kDkg02Octets>();
    if (!equal_constant_time(name, std::span(id).first<name.extent>())) return CKR_WRAPPED_KEY_INVALID;
    std::copy_n(block.octets().begin(), kDkg02Octets, key.octets().begin());
    return CKR_OK;
}

}  // namespace sts6::p11
