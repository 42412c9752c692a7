// SPDX-License-Identifier: Apache-2.0
// DKG 02 keys in a real PKCS#11 token: single DES inside it, the key's own octets wrapped outside it.
#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>

#include "tests/support/programs.hpp"
#include "tests/support/raw_session.hpp"

namespace sts6::p11 {
namespace {

using test::each_token;
using test::error_name;
using test::functions;
using test::hex;
using test::octets;
using test::open;
using test::Patched;
using test::RawSession;
using test::TestToken;

// docs/tokens.md 3.2, worked: KT 2, SGC 123456, TI 01, KRN 1 of two meters.
constexpr const char* kVendingKey = "ABABABABABABABAB";
constexpr const char* kX = "2151356011FFFFFF";
constexpr const char* kDecoderKey = "E653341F9D5BF36F";
constexpr const char* kOtherX = "2123556011FFFFF7";
constexpr const char* kOtherDecoderKey = "E94023262E9993C2";
// The same key for DES, every parity bit wrong: the last xor shows them, each octet by 01.
constexpr const char* kWrongParity = "AAAAAAAAAAAAAAAA";
constexpr const char* kWrongParityDecoderKey = "E752351E9C5AF26E";
constexpr const char* kDkg04Key = "ABABABABABABABAB949494949494949401234567";

/// A key, and all that its register would hold.
struct Key {
    KeyId id{};
    WrappedKey wrapped{};
    KeyHandle handle{};
};

Key add_key(Pkcs11Hsm& hsm, const char* vending_key = kVendingKey) {
    const auto made = hsm.create_vending_key(Dkga::dkga02, octets<8>(vending_key));
    REQUIRE(made);
    REQUIRE(made->wrapped_key);
    const auto handle = hsm.find_key(made->id, Dkga::dkga02);
    REQUIRE(handle);
    return {made->id, *made->wrapped_key, *handle};
}

LoadedKey add_dkg04_key(Pkcs11Hsm& hsm) {
    const auto made = hsm.create_vending_key(Dkga::dkga04, octets<20>(kDkg04Key));
    REQUIRE(made);
    return *made;
}

DerivationRequest request(const Key& key, const char* x = kX) {
    DerivationRequest made{
        .key = key.handle, .dkga = Dkga::dkga02, .ea = Ea::sta, .data = {}, .wrapped_key = key.wrapped};
    const auto block = octets<8>(x);
    std::copy(block.begin(), block.end(), made.data.begin());
    return made;
}

std::string answer(Pkcs11Hsm& hsm, const DerivationRequest& asked) {
    DerivationResult result;
    hsm.decoder_keys({&asked, 1}, {&result, 1});
    const std::string key = hex(result.key.octets());
    if (!result.error) return key.substr(0, 16) + (key.substr(16) == std::string(16, '0') ? "" : " and more");
    CHECK(key == std::string(32, '0'));
    return errc_name(*result.error);
}

std::string derive(Pkcs11Hsm& hsm, const Key& key, const char* x = kX) {
    return answer(hsm, request(key, x));
}

std::string vending_key_label(const TestToken& token, const KeyId& id) {
    return token.config.object_prefix + "vk/" + hex(id);
}

std::vector<std::string> wrapping_keys(const TestToken& token) {
    return RawSession(token).labels(token.config.object_prefix + "wrap/");
}

std::vector<std::string> vending_keys(const TestToken& token) {
    return RawSession(token).labels(token.config.object_prefix + "vk/");
}

std::string only_wrapping_key(const TestToken& token) {
    const auto found = wrapping_keys(token);
    REQUIRE(found.size() == 1);
    return found.front();
}

/// Somebody else's AES key under the label of one of ours.
std::string make_wrapping_key(const TestToken& token, std::uint8_t name, bool extractable) {
    const RawSession raw(token);
    KeyId id{};
    id.fill(name);
    std::string label = token.config.object_prefix + "wrap/" + hex(id);
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ULONG size = 32;
    std::array<CK_ATTRIBUTE, 9> key{{{CKA_TOKEN, &yes, sizeof yes},
                                     {CKA_PRIVATE, &yes, sizeof yes},
                                     {CKA_SENSITIVE, extractable ? &no : &yes, sizeof yes},
                                     {CKA_EXTRACTABLE, extractable ? &yes : &no, sizeof yes},
                                     {CKA_ENCRYPT, &yes, sizeof yes},
                                     {CKA_DECRYPT, &yes, sizeof yes},
                                     {CKA_VALUE_LEN, &size, sizeof size},
                                     {CKA_LABEL, label.data(), label.size()},
                                     {CKA_ID, id.data(), id.size()}}};
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_OBJECT_HANDLE object = 0;
    REQUIRE(raw.api().C_GenerateKey(raw.handle(), &mechanism, key.data(), key.size(), &object) == CKR_OK);
    return label;
}

/// DES_VK(X) xor X xor VK by OpenSSL.
std::string expected_key(const char* vending_key, const char* x) {
    const auto vk = octets<8>(vending_key);
    const auto block = octets<8>(x);
    std::array<std::uint8_t, 24> three{};
    for (std::size_t i = 0; i < three.size(); ++i) three[i] = vk[i % 8];
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(),
                                                                                  &EVP_CIPHER_CTX_free);
    std::array<std::uint8_t, 32> out{};
    int size = 0;
    REQUIRE(EVP_EncryptInit_ex(context.get(), EVP_des_ede3_ecb(), nullptr, three.data(), nullptr) == 1);
    REQUIRE(EVP_EncryptUpdate(context.get(), out.data(), &size, block.data(), 8) == 1);
    for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::uint8_t>(out[i] ^ block[i] ^ vk[i]);
    return hex(std::span(out).first(8));
}

/// HMAC-SHA-256 of `data` by OpenSSL, as far as an EA07 key goes.
std::string expected_dkg04_key(std::span<const std::uint8_t> data) {
    const auto vk = octets<20>(kDkg04Key);
    std::array<std::uint8_t, 32> mac{};
    REQUIRE(HMAC(EVP_sha256(), vk.data(), static_cast<int>(vk.size()), data.data(), data.size(), mac.data(),
                 nullptr) != nullptr);
    return hex(std::span(mac).first(8));
}

// What the replaced functions do, and how often.
std::atomic<int> failures_left{0};
std::atomic<CK_RV> failure{CKR_OK};
CK_C_Encrypt real_encrypt = nullptr;
CK_C_Decrypt real_decrypt = nullptr;
CK_C_EncryptInit real_encrypt_init = nullptr;
CK_C_CreateObject real_create = nullptr;

// The operation stays open, as after a call that never arrived.
CK_RV failing_encrypt(CK_SESSION_HANDLE session, CK_BYTE* in, CK_ULONG size, CK_BYTE* out,
                      CK_ULONG* out_size) {
    if (failures_left > 0 && failures_left-- > 0) return failure;
    return real_encrypt(session, in, size, out, out_size);
}
CK_RV failing_decrypt(CK_SESSION_HANDLE session, CK_BYTE* in, CK_ULONG size, CK_BYTE* out,
                      CK_ULONG* out_size) {
    if (failures_left > 0 && failures_left-- > 0) return failure;
    return real_decrypt(session, in, size, out, out_size);
}
CK_RV wrong_decrypt(CK_SESSION_HANDLE session, CK_BYTE* in, CK_ULONG size, CK_BYTE* out, CK_ULONG* out_size) {
    const CK_RV rv = real_decrypt(session, in, size, out, out_size);
    out[0] ^= 1;
    return rv;
}
CK_RV wrong_encrypt(CK_SESSION_HANDLE session, CK_BYTE* in, CK_ULONG size, CK_BYTE* out, CK_ULONG* out_size) {
    const CK_RV rv = real_encrypt(session, in, size, out, out_size);
    if (size == 8) out[0] ^= 1;
    return rv;
}
CK_RV no_des(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key) {
    if (mechanism->mechanism == CKM_DES3_ECB) return CKR_MECHANISM_INVALID;
    return real_encrypt_init(session, mechanism, key);
}
CK_RV no_generation(CK_SESSION_HANDLE, CK_MECHANISM*, CK_ATTRIBUTE*, CK_ULONG, CK_OBJECT_HANDLE*) {
    return CKR_MECHANISM_INVALID;
}
CK_RV refused_create(CK_SESSION_HANDLE, CK_ATTRIBUTE*, CK_ULONG, CK_OBJECT_HANDLE*) {
    return CKR_DEVICE_MEMORY;
}
/// Like tokens that mend the parity of DES keys without a word.
CK_RV mending_create(CK_SESSION_HANDLE session, CK_ATTRIBUTE* attributes, CK_ULONG count,
                     CK_OBJECT_HANDLE* object) {
    std::array<std::uint8_t, 24> mended{};
    std::vector<CK_ATTRIBUTE> list(attributes, attributes + count);
    for (CK_ATTRIBUTE& attribute : list) {
        if (attribute.type != CKA_VALUE || attribute.ulValueLen != mended.size()) continue;
        std::copy_n(static_cast<const std::uint8_t*>(attribute.pValue), mended.size(), mended.begin());
        for (std::uint8_t& octet : mended) {
            if (__builtin_popcount(octet) % 2 == 0) octet ^= 1;
        }
        attribute.pValue = mended.data();
    }
    return real_create(session, list.data(), list.size(), object);
}

}  // namespace

TEST_CASE("decoder keys by DKGA02 are those of the worked examples") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    for (int use = 0; use < 2; ++use) {  // the first use makes the session copies
        CHECK(derive(*hsm, key, kX) == kDecoderKey);
        CHECK(derive(*hsm, key, kOtherX) == kOtherDecoderKey);
    }
}

TEST_CASE("the parity bits of a DKG 02 key are part of its decoder keys") {
    const auto token = each_token();
    const auto hsm = open(*token);
    auto& list = functions(*token);
    real_create = list.C_CreateObject;
    const bool mends = GENERATE(false, true);
    const Patched patch(list.C_CreateObject, mends ? CK_C_CreateObject{mending_create} : real_create);
    const Key right = add_key(*hsm, kVendingKey);
    const Key wrong = add_key(*hsm, kWrongParity);
    CHECK(derive(*hsm, right) == kDecoderKey);
    CHECK(derive(*hsm, wrong) == kWrongParityDecoderKey);
    // One octet of each kind: the first has an even number of ones, the second an odd one.
    const char* mixed = "0001FE7F80101123";
    CHECK(derive(*hsm, add_key(*hsm, mixed), kOtherX) == expected_key(mixed, kOtherX));
    // The check value is DES alone: the same for both.
    CHECK(hex(*hsm->check_value(right.handle)) == "C33F45");
    CHECK(hex(*hsm->check_value(wrong.handle)) == "C33F45");
}

TEST_CASE("a DKG 02 key outlives the process that made it") {
    const auto token = each_token();
    Key key;
    {
        const auto hsm = open(*token);
        key = add_key(*hsm);
    }
    const auto hsm = open(*token);
    const auto found = hsm->find_key(key.id, Dkga::dkga02);
    REQUIRE(found);
    key.handle = *found;
    CHECK(derive(*hsm, key) == kDecoderKey);
    CHECK(*hsm->vending_keys() == std::vector<KeyId>{key.id});
    CHECK(derive(*hsm, add_key(*hsm)) == kDecoderKey);
    CHECK(wrapping_keys(*token).size() == 1);
}

TEST_CASE("the key that wraps is made with the first DKG 02 key and only then") {
    const auto token = each_token();
    const auto hsm = open(*token);
    CHECK_FALSE(add_dkg04_key(*hsm).wrapped_key);
    CHECK_FALSE(hsm->has_wrapping_key());
    CHECK(wrapping_keys(*token).empty());
    CHECK(error_name(hsm->destroy_wrapping_key()) == "key_missing");
    const Key key = add_key(*hsm);
    const Key same = add_key(*hsm);
    CHECK(hsm->has_wrapping_key());
    CHECK(wrapping_keys(*token).size() == 1);
    // The same octets under two names are two blocks.
    CHECK(key.wrapped != same.wrapped);
    REQUIRE(hsm->destroy_key(key.id));
    CHECK(derive(*hsm, same) == kDecoderKey);

    REQUIRE(hsm->destroy_wrapping_key());
    CHECK(wrapping_keys(*token).empty());
    CHECK_FALSE(hsm->has_wrapping_key());
    CHECK(derive(*hsm, same) == "key_missing");
}

TEST_CASE("neither a DKG 02 key nor the key that wraps can be read or used for anything else") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    CHECK(derive(*hsm, key) == kDecoderKey);  // makes the session copies
    const RawSession raw(*token);
    const std::vector<std::pair<std::string, std::vector<CK_ATTRIBUTE_TYPE>>> objects{
        {vending_key_label(*token, key.id), {CKA_ENCRYPT}},
        {only_wrapping_key(*token), {CKA_ENCRYPT, CKA_DECRYPT}}};
    for (auto [label, uses] : objects) {
        CAPTURE(label);
        CK_ATTRIBUTE wanted{CKA_LABEL, label.data(), label.size()};
        REQUIRE(raw.api().C_FindObjectsInit(raw.handle(), &wanted, 1) == CKR_OK);
        std::array<CK_OBJECT_HANDLE, 8> found{};
        CK_ULONG count = 0;
        REQUIRE(raw.api().C_FindObjects(raw.handle(), found.data(), found.size(), &count) == CKR_OK);
        REQUIRE(raw.api().C_FindObjectsFinal(raw.handle()) == CKR_OK);
        REQUIRE(count == 2);  // the object and its copy
        for (CK_ULONG i = 0; i < count; ++i) {
            CHECK(raw.flag(found[i], CKA_SENSITIVE));
            CHECK(raw.flag(found[i], CKA_PRIVATE));
            CHECK_FALSE(raw.flag(found[i], CKA_EXTRACTABLE));
            for (const CK_ATTRIBUTE_TYPE use :
                 {CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE}) {
                CAPTURE(use);
                CHECK(raw.flag(found[i], use) == (std::find(uses.begin(), uses.end(), use) != uses.end()));
            }
            std::array<std::uint8_t, 64> value{};
            CK_ATTRIBUTE attribute{CKA_VALUE, value.data(), value.size()};
            CHECK(raw.api().C_GetAttributeValue(raw.handle(), found[i], &attribute, 1) ==
                  CKR_ATTRIBUTE_SENSITIVE);
            CHECK(value == std::array<std::uint8_t, 64>{});
        }
    }
}

TEST_CASE("a wrapped key that was changed makes no decoder key") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    for (std::size_t i = 0; i < key.wrapped.size(); ++i) {
        Key changed = key;
        changed.wrapped[i] ^= 0x80;
        CHECK(derive(*hsm, changed) == "key_mismatch");
    }
    Key none = key;
    none.wrapped = {};
    CHECK(derive(*hsm, none) == "key_mismatch");
    CHECK(derive(*hsm, key) == kDecoderKey);
    CHECK(hsm->connected());
}

TEST_CASE("the wrapped key of another register makes no decoder key") {
    const auto token = each_token();
    const auto hsm = open(*token);
    Key first = add_key(*hsm);
    Key second = add_key(*hsm, "0123456789ABCDEF");
    std::swap(first.wrapped, second.wrapped);
    CHECK(derive(*hsm, first) == "key_mismatch");
    CHECK(derive(*hsm, second) == "key_mismatch");
    std::swap(first.wrapped, second.wrapped);
    CHECK(derive(*hsm, first) == kDecoderKey);
    CHECK(derive(*hsm, second) == expected_key("0123456789ABCDEF", kX));
}

TEST_CASE("DKGA02 has no key for EA11, and no use for a DKG 04 key") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    DerivationRequest asked = request(key);
    asked.ea = Ea::misty1;
    CHECK(answer(*hsm, asked) == "invalid_argument");
    asked = request(key);
    asked.dkga = Dkga::dkga04;
    CHECK(answer(*hsm, asked) == "key_mismatch");
    asked = request(key);
    asked.key = *hsm->find_key(add_dkg04_key(*hsm).id, Dkga::dkga04);
    CHECK(answer(*hsm, asked) == "key_mismatch");
    asked.key = static_cast<KeyHandle>(99);
    CHECK(answer(*hsm, asked) == "key_missing");
    CHECK(error_name(hsm->find_key(key.id, Dkga::dkga04)) == "key_mismatch");
    for (const std::size_t size : {0U, 7U, 9U, 16U, 24U}) {
        const std::vector<std::uint8_t> wrong(size);
        CHECK(error_name(hsm->create_vending_key(Dkga::dkga02, wrong)) == "invalid_argument");
    }
}

TEST_CASE("batches of both algorithms, with failures among them, on one session and on four") {
    const auto token = each_token();
    token->config.sessions = GENERATE(1U, 4U);
    const auto hsm = open(*token);
    const std::array<const char*, 3> values{kVendingKey, kWrongParity, "0123456789ABCDEF"};
    const std::array<Key, 3> keys{add_key(*hsm, values[0]), add_key(*hsm, values[1]),
                                  add_key(*hsm, values[2])};
    const KeyHandle dkg04 = *hsm->find_key(add_dkg04_key(*hsm).id, Dkga::dkga04);
    std::vector<DerivationRequest> requests;
    std::vector<std::string> expected;
    for (std::size_t i = 0; i < 120; ++i) {
        const std::size_t which = i % 3;
        const char* x = i % 2 == 0 ? kX : kOtherX;
        requests.push_back(request(keys[which], x));
        expected.push_back(expected_key(values[which], x));
        DerivationRequest& made = requests.back();
        if (i % 5 == 1) {
            made.key = dkg04;
            made.dkga = Dkga::dkga04;
            expected.back() = expected_dkg04_key(made.data);
        } else if (i % 5 == 2) {
            made.wrapped_key = keys[(which + 1) % 3].wrapped;
            expected.back() = "key_mismatch";
        } else if (i % 5 == 3 && i > 100) {
            made.key = static_cast<KeyHandle>(999);
            expected.back() = "key_missing";
        }
    }
    for (int round = 0; round < 2; ++round) {
        std::vector<DerivationResult> results(requests.size());
        hsm->decoder_keys(requests, results);
        for (std::size_t i = 0; i < results.size(); ++i) {
            CAPTURE(i);
            CHECK((results[i].error ? errc_name(*results[i].error) : hex(results[i].key.octets().first(8))) ==
                  expected[i]);
        }
    }
    CHECK(hsm->connected());
}

TEST_CASE("the key that wraps destroyed behind our back: DKG 02 keys are missing, others are not") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    const KeyHandle dkg04 = *hsm->find_key(add_dkg04_key(*hsm).id, Dkga::dkga04);
    DerivationRequest other{.key = dkg04, .dkga = Dkga::dkga04, .ea = Ea::sta, .data = {}, .wrapped_key = {}};
    const std::string label = only_wrapping_key(*token);
    SECTION("before its first use") {
        RawSession(*token).destroy(label);
        const std::array requests{other, request(key), other};
        std::array<DerivationResult, 3> results;
        hsm->decoder_keys(requests, results);
        CHECK_FALSE(results[0].error);
        CHECK(results[1].error == Errc::key_missing);
        CHECK_FALSE(results[2].error);
        CHECK(hex(results[2].key.octets().first(8)) == expected_dkg04_key(other.data));
    }
    SECTION("when there is a session copy: found out by listing") {
        CHECK(derive(*hsm, key) == kDecoderKey);
        RawSession(*token).destroy(label);
        CHECK(hsm->vending_keys()->size() == 2);
    }
    SECTION("found out by a login anew") {
        CHECK(derive(*hsm, key) == kDecoderKey);
        RawSession(*token).destroy(label);
        const RawSession raw(*token);
        REQUIRE(raw.api().C_CloseAllSessions(raw.slot()) == CKR_OK);
    }
    CHECK(derive(*hsm, key) == "key_missing");
    CHECK(error_name(hsm->find_key(key.id, Dkga::dkga02)) == "key_missing");
    CHECK(answer(*hsm, other) == expected_dkg04_key(other.data));
    CHECK(hsm->connected());

    // A new one opens what it has wrapped, and nothing of the old one.
    const Key fresh = add_key(*hsm);
    CHECK(only_wrapping_key(*token) != label);
    CHECK(derive(*hsm, fresh) == kDecoderKey);
    CHECK(derive(*hsm, key) == "key_mismatch");
}

TEST_CASE("the key that wraps destroyed before a key is made: a new one is made with it") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    const std::string label = only_wrapping_key(*token);
    RawSession(*token).destroy(label);
    CHECK(derive(*hsm, add_key(*hsm)) == kDecoderKey);
    CHECK(only_wrapping_key(*token) != label);
    CHECK(vending_keys(*token).size() == 2);
    CHECK(derive(*hsm, key) == "key_mismatch");
}

TEST_CASE("two keys that claim to wrap are both refused") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    CHECK(derive(*hsm, key) == kDecoderKey);
    make_wrapping_key(*token, 0x77, false);
    CHECK(hsm->vending_keys()->size() == 1);
    CHECK(derive(*hsm, key) == "key_mismatch");
    CHECK(error_name(hsm->find_key(key.id, Dkga::dkga02)) == "key_mismatch");
    CHECK(error_name(hsm->create_vending_key(Dkga::dkga02, octets<8>(kVendingKey))) == "key_mismatch");
    CHECK(error_name(hsm->destroy_wrapping_key()) == "key_mismatch");
    CHECK(wrapping_keys(*token).size() == 2);
    CHECK(vending_keys(*token).size() == 1);
}

TEST_CASE("a key put in the place of the one that wraps opens nothing") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    RawSession(*token).destroy(only_wrapping_key(*token));
    make_wrapping_key(*token, 0x77, false);
    CHECK(derive(*hsm, key) == "key_mismatch");
}

TEST_CASE("a key that the token would give out wraps nothing") {
    const auto token = each_token();
    auto hsm = open(*token);
    const std::string readable = make_wrapping_key(*token, 0x77, true);
    hsm.reset();
    hsm = open(*token);
    CHECK_FALSE(hsm->has_wrapping_key());
    CHECK(derive(*hsm, add_key(*hsm)) == kDecoderKey);
    const auto found = wrapping_keys(*token);
    CHECK(found.size() == 2);
    CHECK(std::count(found.begin(), found.end(), readable) == 1);
}

TEST_CASE("DKG 02 keys come back with sessions, login or library") {
    const auto token = each_token();
    token->config.sessions = GENERATE(1U, 4U);
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    const test::Loss lose = test::each_loss(*token);
    CHECK(derive(*hsm, key) == kDecoderKey);
    lose(RawSession(*token));
    const std::vector<DerivationRequest> requests(40, request(key));
    std::vector<DerivationResult> results(requests.size());
    hsm->decoder_keys(requests, results);
    for (const DerivationResult& result : results) {
        CHECK_FALSE(result.error);
        CHECK(hex(result.key.octets().first(8)) == kDecoderKey);
    }
    lose(RawSession(*token));
    CHECK(derive(*hsm, add_key(*hsm)) == kDecoderKey);
    CHECK(wrapping_keys(*token).size() == 1);
}

TEST_CASE("a DKGA02 operation that fails halfway is not left open") {
    const auto token = each_token();
    token->config.sessions = GENERATE(1U, 4U);
    const auto hsm = open(*token);
    const Key key = add_key(*hsm);
    auto& list = functions(*token);
    real_encrypt = list.C_Encrypt;
    real_decrypt = list.C_Decrypt;
    const bool encrypts = GENERATE(true, false);
    const Patched encrypt(list.C_Encrypt, encrypts ? CK_C_Encrypt{failing_encrypt} : real_encrypt);
    const Patched decrypt(list.C_Decrypt, encrypts ? real_decrypt : CK_C_Decrypt{failing_decrypt});
    SECTION("once, in a way that a recovery cures") {
        for (const CK_RV rv : {CKR_DEVICE_ERROR, CKR_GENERAL_ERROR, CKR_SESSION_HANDLE_INVALID}) {
            failure = rv;
            failures_left = 1;
            CHECK(derive(*hsm, key) == kDecoderKey);
            CHECK(failures_left <= 0);
        }
    }
    SECTION("in a way that nothing cures") {
        failure = CKR_KEY_FUNCTION_NOT_PERMITTED;
        failures_left = 1;
        CHECK(derive(*hsm, key) == "hsm_failed");
    }
    failures_left = 0;
    CHECK(derive(*hsm, key) == kDecoderKey);
    CHECK(hsm->connected());
}

TEST_CASE("a token without triple DES or without AES serves DKG 04 keys") {
    const auto token = each_token();
    Key key;
    {
        const auto hsm = open(*token);
        key = add_key(*hsm);
    }
    auto& list = functions(*token);
    real_encrypt_init = list.C_EncryptInit;
    const bool des = GENERATE(true, false);
    const Patched without_des(list.C_EncryptInit, des ? real_encrypt_init : CK_C_EncryptInit{no_des});
    const Patched without_aes(list.C_GenerateKey, des ? CK_C_GenerateKey{no_generation} : list.C_GenerateKey);
    const auto hsm = open(*token);
    CHECK(hsm->capabilities().des3_kkk == des);
    CHECK(hsm->capabilities().aes_256 != des);
    CHECK(error_name(hsm->find_key(key.id, Dkga::dkga02)) == "unsupported");
    CHECK(derive(*hsm, key) == "unsupported");
    CHECK(error_name(hsm->create_vending_key(Dkga::dkga02, octets<8>(kVendingKey))) == "unsupported");
    CHECK(vending_keys(*token).size() == 1);
    DerivationRequest other{.key = *hsm->find_key(add_dkg04_key(*hsm).id, Dkga::dkga04),
                            .dkga = Dkga::dkga04,
                            .ea = Ea::sta,
                            .data = {},
                            .wrapped_key = {}};
    CHECK(answer(*hsm, other) == expected_dkg04_key(other.data));
}

TEST_CASE("a DKG 02 key that fails its making leaves no key behind") {
    const auto token = each_token();
    auto& list = functions(*token);
    real_encrypt = list.C_Encrypt;
    real_decrypt = list.C_Decrypt;
    const auto refused = [](Pkcs11Hsm& hsm) {
        return error_name(hsm.create_vending_key(Dkga::dkga02, octets<8>(kVendingKey)));
    };
    SECTION("the token opens something else than it wrapped") {
        const auto hsm = open(*token);
        const Patched patch(list.C_Decrypt, CK_C_Decrypt{wrong_decrypt});
        CHECK(refused(*hsm) == "hsm_failed");
    }
    SECTION("the token computes another check value") {
        const auto hsm = open(*token);
        const Patched patch(list.C_Encrypt, CK_C_Encrypt{wrong_encrypt});
        CHECK(refused(*hsm) == "hsm_failed");
    }
    SECTION("the token makes no key that wraps") {
        const auto hsm = open(*token);
        const Patched patch(list.C_GenerateKey, CK_C_GenerateKey{no_generation});
        CHECK(refused(*hsm) == "unsupported");
        CHECK_FALSE(hsm->has_wrapping_key());
    }
    SECTION("the token takes no key") {
        const auto hsm = open(*token);
        const Patched patch(list.C_CreateObject, CK_C_CreateObject{refused_create});
        CHECK(refused(*hsm) == "hsm_failed");
    }
    SECTION("it cannot be made durable") {
        token->config.sync_dir = token->directory.path() / "nowhere";
        const auto hsm = open(*token);
        CHECK(refused(*hsm) == "storage_failed");
    }
    const auto hsm = open(*token);
    CHECK(vending_keys(*token).empty());
    CHECK(hsm->vending_keys()->empty());
}

TEST_CASE("a set-up on a given token adds its key pair and touches nothing else") {
    const auto token = each_token();
    // A lab module's own prefix; opened, the token's configuration is the programs' too.
    token->config.object_prefix = "sts6/SOFTSM01/";
    auto hsm = open(*token);
    const Key earlier = add_key(*hsm);
    const auto before = RawSession(*token).labels("");
    const auto& place = token->directory.path();
    std::vector<std::string> arguments{"setup", "--dir", (place / "module").string(), "--profile", "lab"};
    const auto options = test::setup_options(*token);
    arguments.insert(arguments.end(), options.begin(), options.end());
    CHECK(test::run_program("sts6ctl", arguments).code == 0);
    CHECK(RawSession(*token).labels("").size() == before.size() + 1);
    CHECK(derive(*hsm, earlier) == kDecoderKey);
    // The directory is there: nothing is added to the token for a set-up that is refused.
    CHECK(test::run_program("sts6ctl", arguments).code == 1);
    CHECK(RawSession(*token).labels("").size() == before.size() + 1);
}

}  // namespace sts6::p11
