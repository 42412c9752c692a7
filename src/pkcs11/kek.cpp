// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/kek.hpp"

#include <algorithm>
#include <array>

#include "firmware/util/constant_time.hpp"
#include "src/pkcs11/operations.hpp"

namespace sts6::p11 {

void describe_kek(Attributes& attributes, Lifetime lifetime, std::string_view label, const KeyId& id,
                  std::span<const std::uint8_t> value) {
    attributes.number(CKA_CLASS, CKO_SECRET_KEY)
        .number(CKA_KEY_TYPE, CKK_AES)
        .flag(CKA_TOKEN, lifetime == Lifetime::token)
        .flag(CKA_PRIVATE, true)
        .flag(CKA_SENSITIVE, true)
        .flag(CKA_EXTRACTABLE, false)
        .text(CKA_LABEL, label)
        .octets(CKA_ID, id)
        .flag(CKA_ENCRYPT, true)
        .flag(CKA_DECRYPT, false)
        .flag(CKA_SIGN, false)
        .flag(CKA_VERIFY, false)
        .flag(CKA_WRAP, false)
        .flag(CKA_UNWRAP, false)
        .flag(CKA_DERIVE, false);
    if (value.empty()) {
        attributes.number(CKA_VALUE_LEN, kKekOctets);
    } else {
        attributes.octets(CKA_VALUE, value);
    }
    constexpr std::array<CK_MECHANISM_TYPE, 2> kMechanisms = {CKM_AES_ECB, CKM_AES_CBC};
    attributes.optional_from_here()
        .octets(CKA_ALLOWED_MECHANISMS,
                {reinterpret_cast<const std::uint8_t*>(kMechanisms.data()), sizeof kMechanisms})
        .flag(CKA_DESTROYABLE, true);
}

CK_RV open_sealed(Session& session, CK_OBJECT_HANDLE kek, const SealedKey& sealed, Payload& payload) {
    payload.size = 0;
    if (sealed.sealed.size() < ccm::kTag) return CKR_SIGNATURE_INVALID;
    const std::size_t size = sealed.sealed.size() - ccm::kTag;
    if (size > ccm::kMostPayload || sealed.associated_data.size() > ccm::kMostAssociatedData) {
        return CKR_DATA_LEN_RANGE;
    }
    const auto encrypted = sealed.sealed.first(size);
    std::array<std::uint8_t, ccm::kMostCounterOctets> counter_buffer{};
    const auto counters = ccm::counter_blocks(sealed.nonce, size, counter_buffer);
    Secret<ccm::kMostCounterOctets> stream;
    CK_RV rv = aes_encrypt(session, kek, counters, stream.octets().first(counters.size()));
    if (rv != CKR_OK) return rv;
    Payload opened;
    std::ranges::transform(encrypted, stream.octets().subspan(ccm::kBlock), opened.buffer.octets().begin(),
                           [](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a ^ b); });
    opened.size = size;

    Secret<ccm::kMostMacOctets> blocks_buffer;
    const auto blocks =
        ccm::mac_blocks(sealed.nonce, sealed.associated_data, opened.octets(), blocks_buffer.octets());
    Secret<ccm::kMostMacOctets> chain;
    rv = aes_cbc_encrypt(session, kek, blocks, chain.octets().first(blocks.size()));
    if (rv != CKR_OK) return rv;
    const auto tag = chain.octets().first(blocks.size()).last<ccm::kTag>();
    for (std::size_t i = 0; i < tag.size(); ++i) tag[i] ^= stream.octets()[i];
    if (!equal_constant_time(tag, sealed.sealed.last<ccm::kTag>())) return CKR_SIGNATURE_INVALID;
    payload = std::move(opened);
    return CKR_OK;
}

}  // namespace sts6::p11
