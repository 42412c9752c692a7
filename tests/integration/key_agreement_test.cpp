// SPDX-License-Identifier: Apache-2.0
// Key pairs and key agreement in real PKCS#11 tokens, against published cases and against OpenSSL.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/agreement.hpp"
#include "tests/support/key_vectors.hpp"

namespace sts6::p11 {
namespace {

using test::Agreement;
using test::each_loss;
using test::each_token;
using test::error_name;
using test::fixed;
using test::functions;
using test::got;
using test::hex;
using test::label_of;
using test::Octets;
using test::open;
using test::Partners;
using test::Patched;
using test::RawSession;
using test::Sealed;
using test::TestToken;

constexpr CK_MECHANISM_TYPE kSha384Derivation = 0x394;

/// The profile's keys, brought into the token from outside.
Agreement profile1(const TestToken& token, const RawSession& raw, const test::Profile1Vectors& vectors) {
    const Agreement made{.static_key = {0x51},
                         .ephemeral_key = {0x52},
                         .peer = fixed<kEcPointOctets>(vectors.peer),
                         .other_info = vectors.other_info,
                         .mac_data = vectors.mac_data,
                         .mac_tag = fixed<24>(vectors.mac_tag)};
    raw.create_ec(label_of(token, "ec/", made.static_key), made.static_key, vectors.static_secret,
                  vectors.static_point);
    raw.create_ec(label_of(token, "eph/", made.ephemeral_key), made.ephemeral_key, vectors.ephemeral_secret,
                  vectors.ephemeral_point);
    return made;
}

/// Whether the token gives the value of an object away.
bool gives_away(const RawSession& raw, CK_OBJECT_HANDLE object) {
    std::array<std::uint8_t, 256> value{};
    CK_ATTRIBUTE attribute{CKA_VALUE, value.data(), value.size()};
    return raw.api().C_GetAttributeValue(raw.handle(), object, &attribute, 1) == CKR_OK;
}

CK_RV refuse_sha384_derivation(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE base,
                               CK_ATTRIBUTE* list, CK_ULONG count, CK_OBJECT_HANDLE* key);
CK_C_DeriveKey real_derive = nullptr;
CK_RV refuse_sha384_derivation(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE base,
                               CK_ATTRIBUTE* list, CK_ULONG count, CK_OBJECT_HANDLE* key) {
    if (mechanism->mechanism == kSha384Derivation) return CKR_MECHANISM_INVALID;
    return real_derive(session, mechanism, base, list, count, key);
}
CK_RV refuse_raw_points(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE base,
                        CK_ATTRIBUTE* list, CK_ULONG count, CK_OBJECT_HANDLE* key) {
    if (mechanism->mechanism == CKM_ECDH1_DERIVE) {
        const auto& parameters = *static_cast<const CK_ECDH1_DERIVE_PARAMS*>(mechanism->pParameter);
        if (parameters.ulPublicDataLen == kEcPointOctets) return CKR_MECHANISM_PARAM_INVALID;
    }
    return real_derive(session, mechanism, base, list, count, key);
}
std::size_t derivations_left = 0;
CK_RV derivation_fault = CKR_OK;
/// The last of `derivations_left` calls fails.
CK_RV fail_one_derivation(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE base,
                          CK_ATTRIBUTE* list, CK_ULONG count, CK_OBJECT_HANDLE* key) {
    if (derivations_left > 0 && --derivations_left == 0) return derivation_fault;
    return real_derive(session, mechanism, base, list, count, key);
}
CK_RV refuse_digest_key(CK_SESSION_HANDLE, CK_OBJECT_HANDLE) {
    return CKR_FUNCTION_NOT_SUPPORTED;
}
CK_RV refuse_key_pairs(CK_SESSION_HANDLE, CK_MECHANISM*, CK_ATTRIBUTE*, CK_ULONG, CK_ATTRIBUTE*, CK_ULONG,
                       CK_OBJECT_HANDLE*, CK_OBJECT_HANDLE*) {
    return CKR_MECHANISM_INVALID;
}

std::string open_error(const TestToken& token, Protection least) {
    TokenConfig config = token.config;
    config.min_protection = least;
    return error_name(Pkcs11Hsm::open(config, token.pin));
}

/// An agreement works, and a key comes through.
void check_agreement(Hsm& hsm) {
    const Partners partners(hsm);
    const auto kek = partners.agreement().with(hsm);
    REQUIRE(kek);
    CHECK(partners.seal(*kek, test::random_octets(20)).into(hsm).has_value());
}

std::vector<KeyId> listed(Hsm& hsm) {
    std::vector<KeyId> all(64);
    const auto count = hsm.list_keys(0, all);
    REQUIRE(count);
    all.resize(*count);
    return all;
}

}  // namespace

TEST_CASE("key agreement: the vectors of profile 1, to the last bit") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    const auto vectors = test::profile1_vectors();
    const auto kek = profile1(*token, raw, vectors).with(*hsm);
    REQUIRE(kek);
    REQUIRE(raw.labels(token->config.object_prefix + "kek/") == std::vector{label_of(*token, "kek/", *kek)});
    REQUIRE(vectors.records.size() == 2);
    for (const auto& record : vectors.records) {
        const Sealed sealed{*kek, fixed<12>(record.nonce), record.associated_data, record.sealed};
        const auto loaded = sealed.into(*hsm);
        REQUIRE(loaded);
        CHECK(hex(loaded->kcv) == hex(record.kcv));
        CHECK(loaded->dkg == (record.vending_key.size() == 8 ? Dkga::dkga02 : Dkga::dkga04));
        CHECK(loaded->wrapped_key.has_value() == (loaded->dkg == Dkga::dkga02));
        const auto handle = hsm->find_key(loaded->id, loaded->dkg);
        REQUIRE(handle);
        CHECK(hex(got(hsm->check_value(*handle))) == hex(record.kcv));
    }
}

TEST_CASE("key agreement: one bit of anything is another KEK, and leaves nothing") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    const Agreement right = profile1(*token, raw, test::profile1_vectors());
    const auto before = raw.labels("");
    const auto refused = [&](const Agreement& wrong) { return error_name(wrong.with(*hsm)); };
    for (const std::size_t at : {std::size_t{0}, std::size_t{23}}) {
        Agreement wrong = right;
        wrong.mac_tag.at(at) ^= 0x80;
        CHECK(refused(wrong) == "key_mismatch");
    }
    for (Octets Agreement::*field : {&Agreement::other_info, &Agreement::mac_data}) {
        for (const std::size_t at : {std::size_t{0}, (right.*field).size() / 2, (right.*field).size() - 1}) {
            Agreement wrong = right;
            (wrong.*field).at(at) ^= 1;
            CHECK(refused(wrong) == "key_mismatch");
        }
        Agreement shorter = right;
        (shorter.*field).pop_back();
        CHECK(refused(shorter) == "key_mismatch");
        Agreement longer = right;
        (longer.*field).push_back(0);
        CHECK(refused(longer) == "key_mismatch");
    }
    Agreement other_peer = right;
    other_peer.peer = test::times(test::random_octets(40), nullptr);
    CHECK(refused(other_peer) == "key_mismatch");
    Agreement off_curve = right;
    off_curve.peer.back() ^= 1;
    CHECK(refused(off_curve) == "invalid_argument");
    CHECK(raw.labels("") == before);
    CHECK(error_name(right.with(*hsm)) == "no error");
}

TEST_CASE("key agreement: the two pairs are not to be confused, nor missed") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    const Partners partners(*hsm);
    const Partners others(*hsm);
    const auto before = raw.labels("");
    Agreement wrong = partners.agreement();
    SECTION("each in the other's place") {
        std::swap(wrong.static_key, wrong.ephemeral_key);
    }
    SECTION("no such static key") {
        wrong.static_key[0] ^= 1;
    }
    SECTION("no such ephemeral key") {
        wrong.ephemeral_key[0] ^= 1;
    }
    SECTION("destroyed") {
        REQUIRE(hsm->destroy_key(partners.ephemeral_key.id));
        CHECK(error_name(wrong.with(*hsm)) == "key_missing");
        CHECK(raw.labels("").size() + 1 == before.size());
        return;
    }
    SECTION("another module's key") {
        wrong.static_key = others.static_key.id;
        CHECK(error_name(wrong.with(*hsm)) == "key_mismatch");
        wrong.static_key[0] ^= 1;
    }
    CHECK(error_name(wrong.with(*hsm)) == "key_missing");
    CHECK(raw.labels("") == before);
}

TEST_CASE("key agreement: random rounds against OpenSSL") {
    const auto token = each_token();
    token->config.sync_dir.clear();
    const auto hsm = open(*token);
    const auto own = hsm->generate_ec_key(EcKeyUse::agreement);
    REQUIRE(own);
    for (std::size_t round = 0; round < 12; ++round) {
        const auto fresh = hsm->generate_ec_key(EcKeyUse::ephemeral);
        REQUIRE(fresh);
        const test::SoftwareKmc kmc;
        const auto response = kmc.respond(fresh->point, own->point, test::random_octets(1 + 30 * round),
                                          test::random_octets(1 + 90 * round));
        const auto kek = Agreement{own->id,           fresh->id,       kmc.public_key(), response.other_info,
                                   response.mac_data, response.mac_tag}
                             .with(*hsm);
        REQUIRE(kek);
        const Octets nonce = test::random_octets(12);
        const Octets data = test::random_octets(1 + 90 * round);
        const auto key = test::random_octets(20);
        const auto sealed = test::sealed_by_openssl(response.kek, nonce, data, key);
        CHECK(Sealed{*kek, fixed<12>(nonce), data, sealed}.into(*hsm).has_value());
        REQUIRE(hsm->destroy_key(*kek));
        REQUIRE(hsm->destroy_key(fresh->id));
    }
}

TEST_CASE("key agreement: Wycheproof's points") {
    const auto cases = test::wycheproof_ecdh();
    if (cases.empty()) {
        WARN("SKIPPED: no Wycheproof files (STS6_WYCHEPROOF)");
        return;
    }
    const auto token = each_token();
    token->config.sync_dir.clear();  // what is durable is another test's question, and takes time
    const auto hsm = open(*token);
    const RawSession raw(*token);
    const Octets text = test::random_octets(40);
    std::size_t agreed = 0;
    std::vector<KeyId> present;
    Octets secret;
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const auto& it = cases[i];
        INFO(it.name);
        EcPoint peer{};
        std::copy_n(it.peer.begin(), std::min(it.peer.size(), peer.size()), peer.begin());
        CHECK(hsm->is_valid_point(peer) == it.valid);
        if (!it.valid || (it.doubling && i % 64 != 0)) continue;
        if (it.secret != secret) {
            secret = it.secret;
            for (const KeyId& id : present) REQUIRE(hsm->destroy_key(id));
            present = {KeyId{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8U), 1},
                       KeyId{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8U), 2}};
            Octets scalar = secret;
            scalar.erase(scalar.begin(), scalar.end() - std::min<std::ptrdiff_t>(48, std::ssize(scalar)));
            const EcPoint own = test::times(scalar, nullptr);
            raw.create_ec(label_of(*token, "ec/", present[0]), present[0], scalar, own);
            raw.create_ec(label_of(*token, "eph/", present[1]), present[1], scalar, own);
        }
        Octets z = it.shared;
        z.insert(z.end(), it.shared.begin(), it.shared.end());
        const auto expected = test::response_of(z, text, text);
        const auto kek = Agreement{present[0], present[1], peer, text, text, expected.mac_tag}.with(*hsm);
        CHECK(error_name(kek) == "no error");
        if (kek) CHECK(hsm->destroy_key(*kek).has_value());
        ++agreed;
    }
    CHECK(agreed > 100);
}

TEST_CASE("key agreement: what is no point of the curve") {
    const auto token = test::softhsm_token();
    const auto hsm = open(*token);
    const EcPoint right = test::times(Octets{3}, nullptr);
    CHECK(hsm->is_valid_point(right));
    CHECK_FALSE(hsm->is_valid_point({}));
    for (const std::size_t at : {1U, 48U, 49U, 96U}) {
        EcPoint wrong = right;
        wrong.at(at) ^= 1;
        CHECK_FALSE(hsm->is_valid_point(wrong));
    }
    // SEC 1's other forms: hybrid, compressed, infinity.
    for (const int form : {0, 2, 3, 5, 6, 7}) {
        EcPoint wrong = right;
        wrong[0] = static_cast<std::uint8_t>(form);
        CHECK_FALSE(hsm->is_valid_point(wrong));
    }
    // The same X again, beyond the field's prime.
    const auto prime = test::octets<48>(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFE"
        "FFFFFFFF0000000000000000FFFFFFFF");
    EcPoint large = test::small_point();
    CHECK(hsm->is_valid_point(large));
    unsigned carry = 0;
    for (std::size_t i = 48; i-- > 0;) {
        carry += static_cast<unsigned>(prime.at(i)) + large.at(1 + i);
        large.at(1 + i) = static_cast<std::uint8_t>(carry);
        carry >>= 8U;
    }
    CHECK(carry == 0);
    CHECK_FALSE(hsm->is_valid_point(large));
    // With the sign of Y changed it is another point.
    EcPoint negative = right;
    unsigned borrow = 0;
    for (std::size_t i = 48; i-- > 0;) {
        const unsigned difference = 0x100U + prime.at(i) - right.at(49 + i) - borrow;
        negative.at(49 + i) = static_cast<std::uint8_t>(difference);
        borrow = difference < 0x100U ? 1 : 0;
    }
    CHECK(hsm->is_valid_point(negative));
}

TEST_CASE("key agreement: SHA-384") {
    const auto token = test::softhsm_token();
    const auto hsm = open(*token);
    // FIPS 180-2, and RFC 6234 for nothing at all.
    constexpr std::array<std::uint8_t, 3> kAbc = {'a', 'b', 'c'};
    CHECK(hex(got(hsm->sha384(kAbc))) ==
          "CB00753F45A35E8BB5A03D699AC65007272C32AB0EDED1631A8B605A43FF5BED"
          "8086072BA1E7CC2358BAECA134C825A7");
    CHECK(hex(got(hsm->sha384({}))) ==
          "38B060A751AC96384CD9327EB1B1E36A21FDB71114BE07434C0CC7BF63F6E1DA"
          "274EDEBFE76F65FBD51AD2F14898B95B");
}

TEST_CASE("key agreement: new pairs are points, differ, and are kept by the token") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    const auto first = hsm->generate_ec_key(EcKeyUse::agreement);
    const auto second = hsm->generate_ec_key(EcKeyUse::ephemeral);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->id != second->id);
    CHECK(first->point != second->point);
    CHECK(hsm->is_valid_point(first->point));
    CHECK(hsm->is_valid_point(second->point));
    // No public objects.
    CHECK(raw.labels("") ==
          std::vector{label_of(*token, "ec/", first->id), label_of(*token, "eph/", second->id)});
    for (const auto& label : raw.labels("")) {
        const auto object = raw.find(label).front();
        CHECK(raw.flag(object, CKA_PRIVATE));
        CHECK(raw.flag(object, CKA_SENSITIVE));
        CHECK_FALSE(raw.flag(object, CKA_EXTRACTABLE));
        CHECK(raw.flag(object, CKA_DERIVE));
        CHECK_FALSE(raw.flag(object, CKA_SIGN));
        CHECK_FALSE(gives_away(raw, object));
        CK_MECHANISM ecdsa{CKM_ECDSA, nullptr, 0};
        CHECK(raw.api().C_SignInit(raw.handle(), &ecdsa, object) != CKR_OK);
    }
}

TEST_CASE("key agreement: the KEK is kept by the token, for encryption only") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    const Partners partners(*hsm);
    const auto kek = partners.agreement().with(*hsm);
    REQUIRE(kek);
    const auto object = raw.find(label_of(*token, "kek/", *kek)).front();
    CHECK(raw.flag(object, CKA_PRIVATE));
    CHECK(raw.flag(object, CKA_SENSITIVE));
    CHECK_FALSE(raw.flag(object, CKA_EXTRACTABLE));
    CHECK(raw.flag(object, CKA_ENCRYPT));
    for (const auto use : {CKA_DECRYPT, CKA_SIGN, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE}) {
        CHECK_FALSE(raw.flag(object, use));
    }
    CHECK_FALSE(gives_away(raw, object));
    CK_MECHANISM ecb{CKM_AES_ECB, nullptr, 0};
    CHECK(raw.api().C_DecryptInit(raw.handle(), &ecb, object) != CKR_OK);
}

TEST_CASE("key agreement: no session object outlives it") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    const Partners partners(*hsm);
    const auto objects = [&raw] {
        CK_BBOOL no = CK_FALSE;
        CK_ATTRIBUTE of_session{CKA_TOKEN, &no, sizeof no};
        REQUIRE(raw.api().C_FindObjectsInit(raw.handle(), &of_session, 1) == CKR_OK);
        std::array<CK_OBJECT_HANDLE, 64> found{};
        CK_ULONG count = 0;
        REQUIRE(raw.api().C_FindObjects(raw.handle(), found.data(), found.size(), &count) == CKR_OK);
        REQUIRE(raw.api().C_FindObjectsFinal(raw.handle()) == CKR_OK);
        return count;
    };
    CHECK(objects() == 0);
    Agreement wrong = partners.agreement();
    wrong.mac_tag[0] ^= 1;
    CHECK(error_name(wrong.with(*hsm)) == "key_mismatch");
    CHECK(objects() == 0);
    REQUIRE(partners.agreement().with(*hsm));
    CHECK(objects() == 0);
}

TEST_CASE("key agreement: pairs and KEK survive a restart") {
    const auto token = each_token();
    auto hsm = open(*token);
    const Partners partners(*hsm);
    hsm.reset();
    hsm = open(*token);
    const auto kek = partners.agreement().with(*hsm);
    REQUIRE(kek);
    hsm.reset();
    hsm = open(*token);
    CHECK(partners.seal(*kek, test::random_octets(20)).into(*hsm).has_value());
    CHECK(listed(*hsm).size() == 4);
}

TEST_CASE("key agreement: lost sessions, login or library are got back") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const Partners partners(*hsm);
    RawSession raw(*token);
    const auto lose = each_loss(*token);
    lose(raw);
    const auto kek = partners.agreement().with(*hsm);
    REQUIRE(kek);
    // A library that was finalised has none of the session's numbers any more.
    RawSession after(*token);
    lose(after);
    CHECK(error_name(hsm->generate_ec_key(EcKeyUse::ephemeral)) == "no error");
    RawSession later(*token);
    lose(later);
    CHECK(listed(*hsm).size() == 4);
    RawSession last(*token);
    lose(last);
    CHECK(error_name(hsm->destroy_key(*kek)) == "no error");
    CHECK(hsm->connected());
}

TEST_CASE("key agreement: what cannot be made durable is not made") {
    const auto token = each_token();
    auto hsm = open(*token);
    const Partners partners(*hsm);
    hsm.reset();
    TokenConfig config = token->config;
    config.softhsm_conf.clear();
    config.sync_dir = token->directory.path() / "not there";
    auto undurable = Pkcs11Hsm::open(config, token->pin);
    REQUIRE(undurable);
    const RawSession raw(*token);
    const auto before = raw.labels("");
    CHECK(error_name((*undurable)->generate_ec_key(EcKeyUse::agreement)) == "storage_failed");
    CHECK(error_name(partners.agreement().with(**undurable)) == "storage_failed");
    CHECK(raw.labels("") == before);
}

TEST_CASE("key agreement: a token that does less falls to the next best way") {
    const auto token = each_token();
    auto& list = functions(*token);
    real_derive = list.C_DeriveKey;
    const Patched no_chain(list.C_DeriveKey, &refuse_sha384_derivation);
    SECTION("by C_DigestKey") {
        const auto hsm = open(*token);
        CHECK(hsm->capabilities().key_agreement == KeyAgreement::digest_key);
        check_agreement(*hsm);
        CHECK(open_error(*token, Protection::kek_in_token) == "unsupported");
    }
    SECTION("with shared secrets that leave it, only when that is allowed") {
        const Patched no_digest(list.C_DigestKey, &refuse_digest_key);
        CHECK(open_error(*token, Protection::z_in_token) == "unsupported");
        CHECK(open_error(*token, Protection::kek_in_token) == "unsupported");
        token->config.min_protection = Protection::any;
        const auto hsm = open(*token);
        CHECK(hsm->capabilities().key_agreement == KeyAgreement::z_in_process);
        check_agreement(*hsm);
        const Partners partners(*hsm);
        Agreement wrong = partners.agreement();
        wrong.mac_tag[3] ^= 1;
        CHECK(error_name(wrong.with(*hsm)) == "key_mismatch");
    }
    SECTION("without key pairs") {
        const Patched no_pairs(list.C_GenerateKeyPair, &refuse_key_pairs);
        CHECK(open_error(*token, Protection::z_in_token) == "unsupported");
        token->config.min_protection = Protection::any;
        const auto hsm = open(*token);
        CHECK_FALSE(hsm->capabilities().ec_p384);
        CHECK(hsm->capabilities().key_agreement == KeyAgreement::none);
        CHECK(error_name(hsm->generate_ec_key(EcKeyUse::agreement)) == "unsupported");
        const EcPoint peer = test::times(Octets{3}, nullptr);
        CHECK(error_name(Agreement{{}, {}, peer, {1}, {1}, {}}.with(*hsm)) == "unsupported");
        CHECK(error_name(Sealed{{}, {}, {}, Octets(36)}.into(*hsm)) == "unsupported");
    }
}

TEST_CASE("key agreement: NSS keeps the KEK, SoftHSM does not") {
    const auto token = each_token();
    CHECK(open_error(*token, Protection::kek_in_token) == (token->is_nss() ? "no error" : "unsupported"));
    CHECK(open_error(*token, Protection::z_in_token) == "no error");
    CHECK(open_error(*token, Protection::any) == "no error");
}

TEST_CASE("key agreement: a token that wants its points in DER gets them") {
    const auto token = each_token();
    auto& list = functions(*token);
    real_derive = list.C_DeriveKey;
    const Patched der_only(list.C_DeriveKey, &refuse_raw_points);
    const auto hsm = open(*token);
    check_agreement(*hsm);
}

TEST_CASE("key agreement: a derivation that fails leaves nothing, whichever of the chain it is") {
    const auto token = test::nss_token();
    token->config.sync_dir.clear();
    auto& list = functions(*token);
    real_derive = list.C_DeriveKey;
    const Patched faulty(list.C_DeriveKey, &fail_one_derivation);
    const auto hsm = open(*token);
    REQUIRE(hsm->capabilities().key_agreement == KeyAgreement::derive_chain);
    const Partners partners(*hsm);
    // Two secrets, three concatenations, the hash, the MacKey, the KEK; that once more without the attributes
    // which may be left out, since NSS refuses them here.
    constexpr std::size_t kDerivations = 9;
    for (std::size_t at = 1; at <= kDerivations; ++at) {
        INFO("derivation " << at);
        const auto before = RawSession(*token).labels("");
        derivations_left = at;
        derivation_fault = CKR_HOST_MEMORY;
        CHECK(error_name(partners.agreement().with(*hsm)) == "hsm_failed");
        CHECK(derivations_left == 0);
        CHECK(RawSession(*token).labels("") == before);
        derivations_left = at;
        derivation_fault = CKR_SESSION_HANDLE_INVALID;
        const auto kek = partners.agreement().with(*hsm);
        REQUIRE(kek);
        CHECK(RawSession(*token).labels("").size() == before.size() + 1);
        CHECK(partners.seal(*kek, test::random_octets(20)).into(*hsm).has_value());
    }
    derivations_left = kDerivations + 1;
    REQUIRE(partners.agreement().with(*hsm));
    CHECK(derivations_left == 1);
    derivations_left = 0;
}

TEST_CASE("key names: all kinds are listed, and each can be destroyed") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    CHECK(listed(*hsm).empty());
    const Partners partners(*hsm);
    const auto kek = partners.agreement().with(*hsm);
    const auto dkg02 = hsm->create_vending_key(Dkga::dkga02, test::octets<8>("0123456789ABCDEF"));
    const auto dkg04 = hsm->create_vending_key(Dkga::dkga04, Octets(20, 7));
    REQUIRE(kek);
    REQUIRE(dkg02);
    REQUIRE(dkg04);
    std::vector<KeyId> all{partners.static_key.id, partners.ephemeral_key.id, *kek, dkg02->id, dkg04->id};
    std::sort(all.begin(), all.end());
    CHECK(listed(*hsm) == all);
    // In pieces, as they were when the first was asked for.
    std::array<KeyId, 2> piece{};
    REQUIRE(got(hsm->list_keys(0, piece)) == 2);
    CHECK(std::equal(piece.begin(), piece.end(), all.begin()));
    REQUIRE(got(hsm->list_keys(4, piece)) == 1);
    CHECK(piece[0] == all[4]);
    CHECK(got(hsm->list_keys(5, piece)) == 0);
    CHECK(got(hsm->list_keys(99, piece)) == 0);
    for (const KeyId& id : all) {
        CHECK(error_name(hsm->destroy_key(id)) == "no error");
        CHECK(error_name(hsm->destroy_key(id)) == "key_missing");
    }
    CHECK(listed(*hsm).empty());
    // The key that wraps is nobody's to destroy this way.
    CHECK(raw.labels("").size() == 1);
    CHECK(hsm->has_wrapping_key());
}

TEST_CASE("key names: foreign, half-made and strange objects") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    const std::string& prefix = token->config.object_prefix;
    const KeyId id{0xAB, 1};
    const KeyId other{0xAB, 2};
    raw.create("sts6/TEST02/vk/" + hex(KeyId{0xAB, 3}), KeyId{0xAB, 3}, 1);
    raw.create(prefix + "vk/" + hex(id) + "00", KeyId{0xAB, 4}, 1);
    raw.create(prefix + "vk/short", KeyId{0xAB, 5}, 1);
    raw.create(prefix + "other/" + hex(id), KeyId{0xAB, 6}, 1);
    raw.create(prefix + "wrap/" + hex(id), KeyId{0xAB, 7}, 1);
    raw.create(prefix + "vk/" + "abcd" + std::string(28, '0'), KeyId{0xAB, 8}, 1);
    CHECK(listed(*hsm).empty());
    const auto foreign = raw.labels("");
    // Ours by its label, with no key's value or name: to be destroyed all the same.
    raw.create(prefix + "kek/" + hex(id), std::array<std::uint8_t, 1>{9}, 1);
    raw.create(prefix + "vk/" + hex(other), std::array<std::uint8_t, 1>{8}, 1);
    CHECK(listed(*hsm) == std::vector{id, other});
    CHECK(error_name(hsm->find_key(other, Dkga::dkga04)) == "key_missing");
    CHECK(error_name(hsm->destroy_key(id)) == "no error");
    CHECK(error_name(hsm->destroy_key(other)) == "no error");
    CHECK(listed(*hsm).empty());
    CHECK(raw.labels("") == foreign);
}

TEST_CASE("adoption: keys belong to the new module, and none to a module that has some") {
    const auto token = each_token();
    auto hsm = open(*token);
    const RawSession raw(*token);
    const auto old_key = hsm->create_vending_key(Dkga::dkga04, Octets(20, 7));
    REQUIRE(old_key);
    raw.create("sts6/M2/eph/" + hex(KeyId{1}), KeyId{1}, 1);
    raw.create("sts6/M4/strange", KeyId{2}, 1);
    CHECK(error_name(hsm->adopt("TEST01")) == "already_exists");
    CHECK(error_name(hsm->adopt("M2")) == "already_exists");
    CHECK(error_name(hsm->adopt("M4")) == "already_exists");
    for (const std::string& wrong : {std::string(), std::string("A/B"), std::string(41, 'A')}) {
        CHECK(error_name(hsm->adopt(wrong)) == "invalid_argument");
    }
    CHECK(hsm->find_key(old_key->id, Dkga::dkga04).has_value());

    // M is no prefix of M2 in this sense.
    REQUIRE(hsm->adopt("M"));
    CHECK(error_name(hsm->find_key(old_key->id, Dkga::dkga04)) == "key_missing");
    CHECK(error_name(hsm->destroy_key(old_key->id)) == "key_missing");
    CHECK(listed(*hsm).empty());
    const auto pair = hsm->generate_ec_key(EcKeyUse::agreement);
    const auto key = hsm->create_vending_key(Dkga::dkga04, Octets(20, 9));
    REQUIRE(pair);
    REQUIRE(key);
    CHECK(raw.labels("sts6/M/") == std::vector{"sts6/M/ec/" + hex(pair->id), "sts6/M/vk/" + hex(key->id)});
    CHECK(hsm->check_value(got(hsm->find_key(key->id, Dkga::dkga04))).has_value());
    CHECK(error_name(hsm->adopt("M")) == "already_exists");
    hsm.reset();
    token->config.object_prefix = "sts6/M/";
    hsm = open(*token);
    CHECK(listed(*hsm).size() == 2);
}

}  // namespace sts6::p11
