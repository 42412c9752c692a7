// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/ec_key.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

#include "src/pkcs11/throwaway.hpp"

namespace sts6::p11 {
namespace {

/// DER of the curve's object identifier, 1.3.132.0.34.
constexpr std::array<std::uint8_t, 7> kP384 = {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22};
constexpr std::uint8_t kUncompressed = 0x04;
/// Of the DER OCTET STRING with a point in it.
constexpr std::array<std::uint8_t, 2> kDerHead = {0x04, kEcPointOctets};

CkResult<EcPoint> read_point(const Session& session, CK_OBJECT_HANDLE public_key) {
    std::array<std::uint8_t, kDerHead.size() + kEcPointOctets> octets{};
    std::array<CK_ATTRIBUTE, 1> attribute{{{CKA_EC_POINT, octets.data(), octets.size()}}};
    const CK_RV rv = read_attributes(session, public_key, attribute);
    if (rv != CKR_OK) return Unexpected{rv};
    const auto size = std::min<std::size_t>(attribute[0].ulValueLen, octets.size());
    const auto point = parse_ec_point(std::span(octets).first(size));
    if (!point || !is_on_curve(*point)) return Unexpected<CK_RV>{CKR_FUNCTION_REJECTED};
    return *point;
}

}  // namespace

bool is_on_curve(const EcPoint& point) {
    if (point[0] != kUncompressed) return false;
    const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(EC_GROUP_new_by_curve_name(NID_secp384r1),
                                                                    &EC_GROUP_free);
    if (group == nullptr) return false;
    const std::unique_ptr<EC_POINT, decltype(&EC_POINT_free)> read(EC_POINT_new(group.get()), &EC_POINT_free);
    const bool valid = read != nullptr &&
                       EC_POINT_oct2point(group.get(), read.get(), point.data(), point.size(), nullptr) == 1;
    ERR_clear_error();
    return valid;
}

std::optional<EcPoint> parse_ec_point(std::span<const std::uint8_t> attribute) {
    if (attribute.size() == kDerHead.size() + kEcPointOctets &&
        std::ranges::equal(attribute.first<kDerHead.size()>(), kDerHead)) {
        attribute = attribute.subspan(kDerHead.size());
    }
    EcPoint point{};
    if (attribute.size() != point.size() || attribute[0] != kUncompressed) return std::nullopt;
    std::copy_n(attribute.begin(), point.size(), point.begin());
    return point;
}

CkResult<CK_OBJECT_HANDLE> create_ec_key(const Session& session, Lifetime lifetime, std::string_view label,
                                         const KeyId& id, EcPoint& point) {
    Attributes public_attributes;
    public_attributes.number(CKA_CLASS, CKO_PUBLIC_KEY)
        .number(CKA_KEY_TYPE, CKK_EC)
        .flag(CKA_TOKEN, false)
        .octets(CKA_EC_PARAMS, kP384)
        .text(CKA_LABEL, label)
        .octets(CKA_ID, id);
    Attributes attributes;
    attributes.number(CKA_CLASS, CKO_PRIVATE_KEY)
        .number(CKA_KEY_TYPE, CKK_EC)
        .flag(CKA_TOKEN, lifetime == Lifetime::token)
        .flag(CKA_PRIVATE, true)
        .flag(CKA_SENSITIVE, true)
        .flag(CKA_EXTRACTABLE, false)
        .text(CKA_LABEL, label)
        .octets(CKA_ID, id)
        .flag(CKA_DERIVE, true)
        .flag(CKA_SIGN, false)
        .flag(CKA_DECRYPT, false)
        .flag(CKA_UNWRAP, false);
    const CK_ULONG mechanism = CKM_ECDH1_DERIVE;
    attributes.optional_from_here().number(CKA_ALLOWED_MECHANISMS, mechanism).flag(CKA_DESTROYABLE, true);
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
    const auto private_key =
        generate_key_pair(session, CKM_EC_KEY_PAIR_GEN, public_attributes, attributes, public_key);
    if (!private_key) return private_key;
    const Throwaway public_half(session, CkResult<CK_OBJECT_HANDLE>(public_key));
    const auto read = read_point(session, public_key);
    const auto sealed = is_sealed_key(session, *private_key, CKK_EC, 0);
    CK_RV rv = read ? CKR_OK : read.error();
    if (rv == CKR_OK && !sealed) rv = sealed.error();
    if (rv == CKR_OK && !*sealed) rv = CKR_FUNCTION_REJECTED;
    if (rv != CKR_OK) {
        static_cast<void>(destroy_object(session, *private_key));
        return Unexpected{rv};
    }
    point = *read;
    return private_key;
}

CkResult<CK_OBJECT_HANDLE> derive_shared_secret(const Session& session, CK_OBJECT_HANDLE private_key,
                                                const EcPoint& peer, bool extractable) {
    Attributes attributes;
    attributes.number(CKA_CLASS, CKO_SECRET_KEY)
        .number(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
        .number(CKA_VALUE_LEN, kSharedSecretOctets)  // SoftHSM keeps none of it without
        .flag(CKA_TOKEN, false)
        .flag(CKA_PRIVATE, true)
        .flag(CKA_SENSITIVE, !extractable)
        .flag(CKA_EXTRACTABLE, extractable)
        .flag(CKA_DERIVE, true);
    std::array<std::uint8_t, kDerHead.size() + kEcPointOctets> der{};
    std::copy(kDerHead.begin(), kDerHead.end(), der.begin());
    std::copy(peer.begin(), peer.end(), der.begin() + kDerHead.size());
    const auto derive = [&](std::span<std::uint8_t> point) {
        CK_ECDH1_DERIVE_PARAMS parameters{CKD_NULL, 0, nullptr, point.size(), point.data()};
        return derive_key(session, {CKM_ECDH1_DERIVE, &parameters, sizeof parameters}, private_key,
                          attributes);
    };
    const auto secret = derive(std::span(der).subspan(kDerHead.size()));
    // The standard lets a token want either form.
    return secret || may_pass(secret.error()) ? secret : derive(der);
}

}  // namespace sts6::p11
