// SPDX-License-Identifier: Apache-2.0
// Vending keys that come sealed under a KEK, in real PKCS#11 tokens.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/agreement.hpp"
#include "tests/support/key_vectors.hpp"

namespace sts6::p11 {
namespace {

using test::each_loss;
using test::each_token;
using test::error_name;
using test::functions;
using test::got;
using test::hex;
using test::label_of;
using test::Octets;
using test::open;
using test::Partners;
using test::Patched;
using test::random_octets;
using test::RawSession;
using test::Sealed;
using test::TestToken;

constexpr const char* kDkg04Key = "ABABABABABABABAB949494949494949401234567";
constexpr const char* kDkg04Kcv = "0F353D";
constexpr const char* kDkg02Key = "ABABABABABABABAB";
// DES takes it for the same key, and the last xor of DKGA02 does not.
constexpr const char* kOtherParity = "AAABABABABABABAB";
constexpr const char* kDkg02Kcv = "C33F45";

Octets of_hex(std::string_view text) {
    Octets octets(text.size() / 2);
    REQUIRE(read_hex(text, octets));
    return octets;
}

/// An open token, and a KEK in it that the other side knows too.
struct Loading {
    explicit Loading(std::unique_ptr<TestToken> made)
        : token(std::move(made)), hsm(open(*token)), partners(*hsm), raw(*token) {
        kek = got(partners.agreement().with(*hsm));
    }
    [[nodiscard]] Sealed seal(const Octets& key, std::size_t data_octets = 200) const {
        return partners.seal(kek, key, data_octets);
    }
    [[nodiscard]] KeyReference load(const char* key) const {
        const auto loaded = got(seal(of_hex(key)).into(*hsm));
        return {got(hsm->find_key(loaded.id, loaded.dkg)), loaded.wrapped_key};
    }

    std::unique_ptr<TestToken> token;
    std::unique_ptr<Pkcs11Hsm> hsm;
    Partners partners;
    RawSession raw;
    KeyId kek{};
};

/// An AES-192 key with that value and the label of a KEK.
void create_kek(const TestToken& token, const RawSession& raw, const KeyId& id, const Octets& value) {
    CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BBOOL yes = CK_TRUE;
    std::string label = label_of(token, "kek/", id);
    KeyId name = id;
    Octets octets = value;
    std::array<CK_ATTRIBUTE, 9> key{{{CKA_CLASS, &object_class, sizeof object_class},
                                     {CKA_KEY_TYPE, &type, sizeof type},
                                     {CKA_TOKEN, &yes, sizeof yes},
                                     {CKA_PRIVATE, &yes, sizeof yes},
                                     {CKA_SENSITIVE, &yes, sizeof yes},
                                     {CKA_ENCRYPT, &yes, sizeof yes},
                                     {CKA_LABEL, label.data(), label.size()},
                                     {CKA_ID, name.data(), name.size()},
                                     {CKA_VALUE, octets.data(), octets.size()}}};
    CK_OBJECT_HANDLE object = 0;
    REQUIRE(raw.api().C_CreateObject(raw.handle(), key.data(), key.size(), &object) == CKR_OK);
}

CK_RV refuse_des(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key);
CK_C_EncryptInit real_encrypt_init = nullptr;
CK_RV refuse_des(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key) {
    if (mechanism->mechanism == CKM_DES3_ECB) return CKR_MECHANISM_INVALID;
    return real_encrypt_init(session, mechanism, key);
}

}  // namespace

TEST_CASE("key load: Wycheproof's AES-192-CCM in the token") {
    const auto cases = test::wycheproof_ccm();
    if (cases.empty()) {
        WARN("SKIPPED: no Wycheproof files (STS6_WYCHEPROOF)");
        return;
    }
    const auto token = each_token();
    token->config.sync_dir.clear();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    std::size_t valid = 0;
    std::size_t invalid = 0;
    for (const auto& it : cases) {
        INFO(it.name);
        const KeyId id{9, static_cast<std::uint8_t>(valid), static_cast<std::uint8_t>(invalid)};
        create_kek(*token, raw, id, it.key);
        const auto before = raw.labels("");
        const auto loaded = Sealed{id, test::fixed<12>(it.nonce), it.associated_data, it.sealed}.into(*hsm);
        const bool is_key = it.payload.size() == 8 || it.payload.size() == 20;
        CHECK(error_name(loaded) == (!it.valid ? "key_mismatch" : is_key ? "no error" : "malformed"));
        if (!loaded) CHECK(raw.labels("") == before);
        if (loaded) CHECK(hsm->destroy_key(loaded->id).has_value());
        CHECK(hsm->destroy_key(id).has_value());
        ++(it.valid ? valid : invalid);
    }
    CHECK(valid > 20);
    CHECK(invalid > 20);
}

TEST_CASE("key load: what is sealed with any associated data is opened, 8 and 20 octets are keys") {
    const Loading loading(each_token());
    for (const std::size_t data : {0U, 1U, 13U, 14U, 15U, 16U, 30U, 31U, 600U, 1048U, 1072U}) {
        INFO(data);
        CHECK(error_name(loading.seal(random_octets(20), data).into(*loading.hsm)) == "no error");
    }
    const auto before = loading.raw.labels("");
    for (const std::size_t size :
         {0U, 1U, 7U, 9U, 15U, 16U, 17U, 19U, 21U, 24U, 31U, 32U, 33U, 500U, 1024U}) {
        INFO(size);
        CHECK(error_name(loading.seal(random_octets(size)).into(*loading.hsm)) == "malformed");
    }
    // More than any record can have.
    CHECK(error_name(loading.seal(random_octets(1025)).into(*loading.hsm)) == "malformed");
    CHECK(error_name(loading.seal(random_octets(20), 1073).into(*loading.hsm)) == "malformed");
    CHECK(loading.raw.labels("") == before);
}

TEST_CASE("key load: one bit of anything, and nothing is created") {
    const Loading loading(each_token());
    for (const std::size_t octets : {std::size_t{8}, std::size_t{20}}) {
        const Sealed right = loading.seal(random_octets(octets));
        const auto before = loading.raw.labels("");
        const auto refused = [&](const Sealed& wrong) { return error_name(wrong.into(*loading.hsm)); };
        for (std::size_t at = 0; at < right.sealed.size(); ++at) {
            Sealed wrong = right;
            wrong.sealed[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
            CHECK(refused(wrong) == "key_mismatch");
        }
        for (std::size_t at = 0; at < right.nonce.size(); ++at) {
            Sealed wrong = right;
            wrong.nonce.at(at) ^= 0x10;
            CHECK(refused(wrong) == "key_mismatch");
        }
        for (const std::size_t at : {0U, 1U, 100U, 199U}) {
            Sealed wrong = right;
            wrong.associated_data[at] ^= 1;
            CHECK(refused(wrong) == "key_mismatch");
        }
        Sealed wrong = right;
        wrong.associated_data.pop_back();
        CHECK(refused(wrong) == "key_mismatch");
        wrong = right;
        wrong.associated_data.push_back(0);
        CHECK(refused(wrong) == "key_mismatch");
        wrong = right;
        wrong.associated_data.clear();
        CHECK(refused(wrong) == "key_mismatch");
        for (const std::size_t size :
             {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{16}, right.sealed.size() - 1}) {
            wrong = right;
            wrong.sealed.resize(size);
            CHECK(refused(wrong) == "key_mismatch");
        }
        wrong = right;
        wrong.sealed.push_back(0);
        CHECK(refused(wrong) == "key_mismatch");
        CHECK(loading.raw.labels("") == before);
        CHECK(refused(right) == "no error");
    }
}

TEST_CASE("key load: a KEK that is not there, or another one") {
    const Loading loading(each_token());
    const auto other = got(Partners(*loading.hsm).agreement().with(*loading.hsm));
    Sealed wrong = loading.seal(random_octets(20));
    wrong.kek = other;
    CHECK(error_name(wrong.into(*loading.hsm)) == "key_mismatch");
    wrong.kek = loading.partners.static_key.id;
    CHECK(error_name(wrong.into(*loading.hsm)) == "key_missing");
    wrong.kek = KeyId{1, 2, 3};
    CHECK(error_name(wrong.into(*loading.hsm)) == "key_missing");
    REQUIRE(loading.hsm->destroy_key(loading.kek));
    wrong.kek = loading.kek;
    CHECK(error_name(wrong.into(*loading.hsm)) == "key_missing");
    CHECK(loading.raw.labels(loading.token->config.object_prefix + "vk/").empty());
}

TEST_CASE("key load: loaded keys are whole, kept by the token, and survive a restart") {
    Loading loading(each_token());
    const auto dkg04 = got(loading.seal(of_hex(kDkg04Key)).into(*loading.hsm));
    const auto dkg02 = got(loading.seal(of_hex(kDkg02Key)).into(*loading.hsm));
    CHECK(dkg04.dkg == Dkga::dkga04);
    CHECK(hex(dkg04.kcv) == kDkg04Kcv);
    CHECK_FALSE(dkg04.wrapped_key.has_value());
    CHECK(dkg02.dkg == Dkga::dkga02);
    CHECK(hex(dkg02.kcv) == kDkg02Kcv);
    REQUIRE(dkg02.wrapped_key.has_value());
    for (const KeyId& id : {dkg04.id, dkg02.id}) {
        const auto object = loading.raw.find(label_of(*loading.token, "vk/", id)).front();
        CHECK(loading.raw.flag(object, CKA_SENSITIVE));
        CHECK_FALSE(loading.raw.flag(object, CKA_EXTRACTABLE));
        CHECK(loading.raw.flag(object, CKA_PRIVATE));
        std::array<std::uint8_t, 64> value{};
        CK_ATTRIBUTE attribute{CKA_VALUE, value.data(), value.size()};
        CHECK(loading.raw.api().C_GetAttributeValue(loading.raw.handle(), object, &attribute, 1) != CKR_OK);
    }
    loading.hsm.reset();
    loading.hsm = open(*loading.token);
    CHECK(hex(got(loading.hsm->check_value(got(loading.hsm->find_key(dkg04.id, Dkga::dkga04))))) ==
          kDkg04Kcv);
    const DerivationRequest asked{.key = got(loading.hsm->find_key(dkg02.id, Dkga::dkga02)),
                                  .dkga = Dkga::dkga02,
                                  .ea = Ea::sta,
                                  .data = {0x21, 0x51, 0x35, 0x60, 0x11, 0xFF, 0xFF, 0xFF},
                                  .wrapped_key = *dkg02.wrapped_key};
    DerivationResult result;
    loading.hsm->decoder_keys({&asked, 1}, {&result, 1});
    CHECK_FALSE(result.error.has_value());
    // docs/tokens.md 3.2, worked.
    CHECK(hex(result.key.octets().first<8>()) == "E653341F9D5BF36F");
}

TEST_CASE("key load: the same key is known again, another is not") {
    const Loading loading(each_token());
    Hsm& hsm = *loading.hsm;
    SECTION("DKG 04") {
        const auto first = loading.load(kDkg04Key);
        const auto again = loading.load(kDkg04Key);
        const auto other = loading.load("ABABABABABABABAB949494949494949401234566");
        CHECK(got(hsm.is_same_key(first, again)));
        CHECK(got(hsm.is_same_key(first, first)));
        CHECK_FALSE(got(hsm.is_same_key(first, other)));
        const KeyReference strange{first.key, WrappedKey{}};
        CHECK(error_name(hsm.is_same_key(strange, again)) == "invalid_argument");
        CHECK(error_name(hsm.is_same_key(first, loading.load(kDkg02Key))) == "invalid_argument");
        CHECK(error_name(hsm.is_same_key(first, {static_cast<KeyHandle>(99), {}})) == "key_missing");
    }
    SECTION("DKG 02, also by its parity") {
        const auto first = loading.load(kDkg02Key);
        const auto again = loading.load(kDkg02Key);
        const auto parity = loading.load(kOtherParity);
        const auto other = loading.load("ABABABABABABAB01");
        CHECK(got(hsm.is_same_key(first, again)));
        CHECK_FALSE(got(hsm.is_same_key(first, parity)));
        CHECK_FALSE(got(hsm.is_same_key(parity, first)));
        CHECK_FALSE(got(hsm.is_same_key(first, other)));
        KeyReference wrong = again;
        (*wrong.wrapped_key)[0] ^= 1;
        CHECK(error_name(hsm.is_same_key(first, wrong)) == "key_mismatch");
        CHECK(error_name(hsm.is_same_key({first.key, again.wrapped_key}, again)) == "key_mismatch");
        CHECK(error_name(hsm.is_same_key({first.key, {}}, again)) == "invalid_argument");
        REQUIRE(loading.hsm->destroy_wrapping_key());
        CHECK(error_name(hsm.is_same_key(first, again)) == "key_missing");
    }
    SECTION("one of them is gone") {
        const auto id = got(loading.seal(of_hex(kDkg04Key)).into(hsm)).id;
        const KeyReference gone{got(hsm.find_key(id, Dkga::dkga04)), {}};
        const auto there = loading.load(kDkg04Key);
        REQUIRE(hsm.destroy_key(id));
        CHECK(error_name(hsm.is_same_key(gone, there)) == "key_missing");
        CHECK(error_name(hsm.is_same_key(there, gone)) == "key_missing");
    }
}

TEST_CASE("key load: lost sessions, login or library are got back") {
    const Loading loading(each_token());
    const auto lose = each_loss(*loading.token);
    const auto first = loading.load(kDkg02Key);
    lose(RawSession(*loading.token));
    const auto loaded = loading.seal(of_hex(kDkg02Key)).into(*loading.hsm);
    REQUIRE(loaded);
    lose(RawSession(*loading.token));
    const KeyReference second{got(loading.hsm->find_key(loaded->id, Dkga::dkga02)), loaded->wrapped_key};
    CHECK(got(loading.hsm->is_same_key(first, second)));
    lose(RawSession(*loading.token));
    CHECK(error_name(loading.hsm->adopt("TEST01")) == "already_exists");
}

TEST_CASE("key load: a token that takes no DKG 02 key says so, and keeps none") {
    auto token = each_token();
    auto& list = functions(*token);
    real_encrypt_init = list.C_EncryptInit;
    const Patched no_des(list.C_EncryptInit, &refuse_des);
    const Loading loading(std::move(token));
    const auto before = loading.raw.labels("");
    CHECK(error_name(loading.seal(of_hex(kDkg02Key)).into(*loading.hsm)) == "unsupported");
    CHECK(loading.raw.labels("") == before);
    CHECK(error_name(loading.seal(of_hex(kDkg04Key)).into(*loading.hsm)) == "no error");
}

TEST_CASE("key load: with two keys that wrap, no DKG 02 key is taken") {
    Loading loading(each_token());
    static_cast<void>(loading.load(kDkg02Key));
    CK_MECHANISM generation{CKM_AES_KEY_GEN, nullptr, 0};
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ULONG size = 32;
    KeyId name{0x77};
    std::string label = label_of(*loading.token, "wrap/", name);
    std::array<CK_ATTRIBUTE, 8> key{{{CKA_TOKEN, &yes, sizeof yes},
                                     {CKA_PRIVATE, &yes, sizeof yes},
                                     {CKA_SENSITIVE, &yes, sizeof yes},
                                     {CKA_EXTRACTABLE, &no, sizeof no},
                                     {CKA_ENCRYPT, &yes, sizeof yes},
                                     {CKA_VALUE_LEN, &size, sizeof size},
                                     {CKA_LABEL, label.data(), label.size()},
                                     {CKA_ID, name.data(), name.size()}}};
    CK_OBJECT_HANDLE object = 0;
    REQUIRE(loading.raw.api().C_GenerateKey(loading.raw.handle(), &generation, key.data(), key.size(),
                                            &object) == CKR_OK);
    REQUIRE(loading.hsm->vending_keys());
    const auto before = loading.raw.labels("");
    CHECK(error_name(loading.seal(of_hex(kDkg02Key)).into(*loading.hsm)) == "unsupported");
    CHECK(loading.raw.labels("") == before);
}

TEST_CASE("key load: what cannot be made durable is not kept") {
    Loading loading(each_token());
    loading.hsm.reset();
    TokenConfig config = loading.token->config;
    config.softhsm_conf.clear();
    config.sync_dir = loading.token->directory.path() / "not there";
    const auto undurable = Pkcs11Hsm::open(config, loading.token->pin);
    REQUIRE(undurable);
    const RawSession raw(*loading.token);
    const auto before = raw.labels("");
    CHECK(error_name(loading.seal(of_hex(kDkg04Key)).into(**undurable)) == "storage_failed");
    CHECK(raw.labels("") == before);
}

}  // namespace sts6::p11
