// SPDX-License-Identifier: Apache-2.0
// The Hsm port over a real PKCS#11 token, and what it does when something else is done to that token at the
// same time, by Cryptoki calls of the test's own.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>

#include "firmware/util/bytes.hpp"
#include "src/pkcs11/pkcs11_hsm.hpp"
#include "src/pkcs11/provision.hpp"
#include "tests/support/raw_session.hpp"

namespace sts6::p11 {
namespace {

using test::blank_softhsm_token;
using test::each_token;
using test::error_name;
using test::functions;
using test::hex;
using test::nss_token;
using test::octets;
using test::open;
using test::Patched;
using test::RawSession;
using test::softhsm_token;
using test::TestToken;

// docs/tokens.md 3.3, worked.
constexpr const char* kVendingKey = "ABABABABABABABAB949494949494949401234567";
constexpr const char* kEa11Key = "929BD3A415C9420A05EC5EE9F3CE91C3";
constexpr const char* kEa07Key = "87F3ECBB2E46B48F";

std::array<std::uint8_t, 20> vending_key() {
    return octets<20>(kVendingKey);
}

DerivationRequest request(KeyHandle key, Ea ea, std::string_view ti = "01") {
    DerivationRequest made{.key = key, .dkga = Dkga::dkga04, .ea = ea, .data = {}, .wrapped_key = {}};
    ByteWriter data(made.data);
    const auto item = [&data](std::string_view text) {
        data.put_be(text.size(), 1);
        data.put(text);
    };
    data.put_be(4, 1);
    item("04");
    item("14");
    item(ea == Ea::sta ? "07" : "11");
    item(ti);
    data.put_be(0, 1);
    data.put_be(4, 1);
    item("201457");
    item("2");
    item("1");
    item("600727000000000009");
    data.put_be(ea == Ea::sta ? 64 : 128, 4);
    REQUIRE(data.written().size() == 49);
    return made;
}

/// The answer to one request: the key in hexadecimal, or the error's name.
std::string derive(Pkcs11Hsm& hsm, KeyHandle key, Ea ea = Ea::misty1) {
    const DerivationRequest asked = request(key, ea);
    DerivationResult result;
    hsm.decoder_keys({&asked, 1}, {&result, 1});
    if (result.error) return errc_name(*result.error);
    return hex(result.key.octets().first(decoder_key_octets(ea)));
}

std::array<std::uint8_t, 32> hmac(std::span<const std::uint8_t> key, std::span<const std::uint8_t> data) {
    std::array<std::uint8_t, 32> mac{};
    REQUIRE(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), mac.data(),
                 nullptr) != nullptr);
    return mac;
}

KeyHandle add_key(Pkcs11Hsm& hsm, KeyId* id = nullptr) {
    const auto made = hsm.create_vending_key(Dkga::dkga04, vending_key());
    REQUIRE(made);
    if (id != nullptr) *id = made->id;
    const auto key = hsm.find_key(made->id, Dkga::dkga04);
    REQUIRE(key);
    return *key;
}

// What the replaced functions count and answer.
CK_C_Login real_login = nullptr;
CK_C_Sign real_sign = nullptr;
std::atomic<int> logins{0};
std::atomic<int> open_sessions{0};
std::atomic<int> signs_to_fail{0};
std::atomic<CK_RV> sign_answer{CKR_OK};

CK_RV count_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR* pin, CK_ULONG size) {
    ++logins;
    return real_login(session, user, pin, size);
}
CK_RV refuse_login(CK_SESSION_HANDLE, CK_USER_TYPE, CK_UTF8CHAR*, CK_ULONG) {
    ++logins;
    return CKR_PIN_INCORRECT;
}
CK_RV no_session(CK_SLOT_ID, CK_FLAGS, void*, CK_NOTIFY, CK_SESSION_HANDLE*) {
    ++open_sessions;
    return CKR_DEVICE_REMOVED;
}
CK_RV removed_sign_init(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE) {
    return CKR_DEVICE_REMOVED;
}
CK_RV no_mechanism(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE) {
    return CKR_MECHANISM_INVALID;
}
CK_RV no_objects(CK_SESSION_HANDLE, CK_OBJECT_HANDLE*, CK_ULONG, CK_ULONG* found) {
    *found = 0;
    return CKR_OK;
}
CK_RV failing_sign(CK_SESSION_HANDLE session, CK_BYTE* data, CK_ULONG size, CK_BYTE* mac,
                   CK_ULONG* mac_size) {
    // The operation stays open, as after a call that never arrived.
    if (signs_to_fail > 0 && signs_to_fail-- > 0) return sign_answer;
    return real_sign(session, data, size, mac, mac_size);
}
CK_RV wrong_sign(CK_SESSION_HANDLE session, CK_BYTE* data, CK_ULONG size, CK_BYTE* mac, CK_ULONG* mac_size) {
    const CK_RV rv = real_sign(session, data, size, mac, mac_size);
    // The known-answer tests at login sign "Hi There"; only the check value of a new key goes wrong.
    mac[0] ^= 1;
    return rv;
}

struct LoginCounter {
    explicit LoginCounter(CK_FUNCTION_LIST& list, CK_C_Login other = count_login)
        : patch((real_login = list.C_Login, logins = 0, list.C_Login), other) {}
    Patched<CK_C_Login> patch;
};

std::string key_label(const TestToken& token, const KeyId& id) {
    return token.config.object_prefix + "vk/" + hex(id);
}

void write_file(const std::filesystem::path& path, std::string_view text, mode_t mode = 0600) {
    std::ofstream(path) << text;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
}

}  // namespace

TEST_CASE("decoder keys by DKGA04 are those of the worked examples") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const KeyHandle key = add_key(*hsm);
    for (int use = 0; use < 2; ++use) {  // the first use makes the session copy
        CHECK(derive(*hsm, key, Ea::misty1) == kEa11Key);
        CHECK(derive(*hsm, key, Ea::sta) == kEa07Key);
    }
}

TEST_CASE("an EA07 key leaves nothing of the MAC behind it") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const DerivationRequest asked = request(add_key(*hsm), Ea::sta);
    DerivationResult result;
    result.key.octets()[15] = 0xFF;
    hsm->decoder_keys({&asked, 1}, {&result, 1});
    CHECK(hex(result.key.octets()) == std::string(kEa07Key) + "0000000000000000");
}

TEST_CASE("keys outlive the process that made them") {
    const auto token = each_token();
    KeyId id{};
    {
        const auto hsm = open(*token);
        add_key(*hsm, &id);
    }
    const auto hsm = open(*token);
    const auto key = hsm->find_key(id, Dkga::dkga04);
    REQUIRE(key);
    CHECK(derive(*hsm, *key) == kEa11Key);
    const auto listed = hsm->vending_keys();
    REQUIRE(listed);
    CHECK(*listed == std::vector<KeyId>{id});
}

TEST_CASE("check values are computed in the token") {
    const auto token = each_token();
    const auto hsm = open(*token);
    SECTION("DKG 04: HMAC-SHA-256 of eight zero octets") {
        const auto kcv = hsm->check_value(add_key(*hsm));
        REQUIRE(kcv);
        CHECK(hex(*kcv) == hex(hmac(vending_key(), std::array<std::uint8_t, 8>{})).substr(0, 6));
    }
    SECTION("DKG 02: the published key load file has C33F45") {
        const auto made = hsm->create_vending_key(Dkga::dkga02, octets<8>("ABABABABABABABAB"));
        REQUIRE(made);
        const auto key = hsm->find_key(made->id, Dkga::dkga02);
        REQUIRE(key);
        const auto kcv = hsm->check_value(*key);
        REQUIRE(kcv);
        CHECK(hex(*kcv) == "C33F45");
    }
}

TEST_CASE("four sessions answer a batch as one session does") {
    const auto token = each_token();
    KeyId id{};
    std::array<std::vector<std::string>, 2> answers;
    for (const unsigned sessions : {1U, 4U}) {
        token->config.sessions = sessions;
        const auto hsm = open(*token);
        const auto key = sessions == 1 ? add_key(*hsm, &id) : *hsm->find_key(id, Dkga::dkga04);
        std::vector<DerivationRequest> requests;
        for (int i = 0; i < 100; ++i) {
            const std::string ti{static_cast<char>('0' + i / 10), static_cast<char>('0' + i % 10)};
            requests.push_back(request(key, i % 2 == 0 ? Ea::misty1 : Ea::sta, ti));
        }
        requests[17].key = static_cast<KeyHandle>(999);
        requests[18].dkga = Dkga::dkga02;
        requests[19].dkga = Dkga::dkga02;
        std::vector<DerivationResult> results(requests.size());
        hsm->decoder_keys(requests, results);
        for (const DerivationResult& result : results) {
            answers[sessions / 4].push_back(result.error ? errc_name(*result.error)
                                                         : hex(result.key.octets()));
        }
        for (std::size_t i = 0; i < requests.size(); ++i) {
            if (i >= 17 && i <= 19) continue;
            const auto mac = hmac(vending_key(), requests[i].data);
            CHECK(answers[sessions / 4][i].substr(0, 16) == hex(mac).substr(0, 16));
        }
    }
    CHECK(answers[0] == answers[1]);
    CHECK(answers[0][17] == "key_missing");
    CHECK(answers[0][18] == "invalid_argument");  // EA11 has no DKGA02 key
    CHECK(answers[0][19] == "key_mismatch");
}

TEST_CASE("a batch of nothing, and spans of different lengths") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const DerivationRequest asked = request(add_key(*hsm), Ea::misty1);
    std::array<DerivationResult, 2> results;
    hsm->decoder_keys({}, {});
    hsm->decoder_keys({&asked, 1}, results);
    CHECK(results[0].error == Errc::hsm_failed);
    CHECK(results[1].error == Errc::hsm_failed);
}

TEST_CASE("a vending key can neither be read nor used for anything else") {
    const auto token = each_token();
    const auto hsm = open(*token);
    KeyId id{};
    CHECK(derive(*hsm, add_key(*hsm, &id)) == kEa11Key);
    const RawSession raw(*token);
    const auto found = raw.find(key_label(*token, id));
    REQUIRE(found.size() == 1);
    CHECK(raw.flag(found[0], CKA_SENSITIVE));
    CHECK_FALSE(raw.flag(found[0], CKA_EXTRACTABLE));
    CHECK(raw.flag(found[0], CKA_PRIVATE));
    CHECK(raw.flag(found[0], CKA_TOKEN));
    CHECK(raw.flag(found[0], CKA_SIGN));
    for (const auto other : {CKA_VERIFY, CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE}) {
        CHECK_FALSE(raw.flag(found[0], other));
    }
    std::array<std::uint8_t, 64> value{};
    CK_ATTRIBUTE attribute{CKA_VALUE, value.data(), value.size()};
    CHECK(raw.api().C_GetAttributeValue(raw.handle(), found[0], &attribute, 1) == CKR_ATTRIBUTE_SENSITIVE);
    CHECK(value == std::array<std::uint8_t, 64>{});
}

TEST_CASE("session copies are as sensitive as the keys, and no second token key") {
    const auto token = each_token();
    const auto hsm = open(*token);
    REQUIRE(hsm->capabilities().session_copies);
    KeyId id{};
    CHECK(derive(*hsm, add_key(*hsm, &id)) == kEa11Key);
    const RawSession raw(*token);
    std::string label = key_label(*token, id);
    CK_ATTRIBUTE wanted{CKA_LABEL, label.data(), label.size()};
    REQUIRE(raw.api().C_FindObjectsInit(raw.handle(), &wanted, 1) == CKR_OK);
    std::array<CK_OBJECT_HANDLE, 8> objects{};
    CK_ULONG count = 0;
    REQUIRE(raw.api().C_FindObjects(raw.handle(), objects.data(), objects.size(), &count) == CKR_OK);
    REQUIRE(raw.api().C_FindObjectsFinal(raw.handle()) == CKR_OK);
    REQUIRE(count == 2);
    for (CK_ULONG i = 0; i < count; ++i) {
        CHECK(raw.flag(objects[i], CKA_SENSITIVE));
        CHECK_FALSE(raw.flag(objects[i], CKA_EXTRACTABLE));
    }
    CHECK(hsm->vending_keys()->size() == 1);
}

TEST_CASE("an unknown key is missing, a known one of another DKG a mismatch") {
    const auto token = each_token();
    const auto hsm = open(*token);
    KeyId id{};
    add_key(*hsm, &id);
    CHECK(error_name(hsm->find_key(id, Dkga::dkga02)) == "key_mismatch");
    CHECK(error_name(hsm->find_key(KeyId{1}, Dkga::dkga04)) == "key_missing");
    CHECK(error_name(hsm->check_value(static_cast<KeyHandle>(7))) == "key_missing");
    CHECK(derive(*hsm, static_cast<KeyHandle>(7)) == "key_missing");
    CHECK(error_name(hsm->destroy_key(KeyId{1})) == "key_missing");
}

TEST_CASE("a destroyed key is gone for everybody") {
    const auto token = each_token();
    const auto hsm = open(*token);
    KeyId id{};
    const KeyHandle key = add_key(*hsm, &id);
    const KeyHandle other = add_key(*hsm);
    CHECK(derive(*hsm, key) == kEa11Key);
    REQUIRE(hsm->destroy_key(id));
    CHECK(derive(*hsm, key) == "key_missing");
    CHECK(error_name(hsm->check_value(key)) == "key_missing");
    CHECK(error_name(hsm->find_key(id, Dkga::dkga04)) == "key_missing");
    CHECK(error_name(hsm->destroy_key(id)) == "key_missing");
    CHECK(RawSession(*token).find(key_label(*token, id)).empty());
    CHECK(derive(*hsm, other) == kEa11Key);
}

TEST_CASE("a vending key of the wrong length is not made") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const std::array<std::uint8_t, 32> key{};
    for (const std::size_t size : {0U, 8U, 19U, 21U, 32U}) {
        CHECK(error_name(hsm->create_vending_key(Dkga::dkga04, std::span(key).first(size))) ==
              "invalid_argument");
    }
    CHECK(error_name(hsm->create_vending_key(Dkga::dkga02, std::span(key).first(20))) == "invalid_argument");
    CHECK(hsm->vending_keys()->empty());
}

TEST_CASE("a new key that computes something else is destroyed") {
    const auto token = each_token();
    const auto hsm = open(*token);
    auto& list = functions(*token);
    real_sign = list.C_Sign;
    {
        const Patched patch(list.C_Sign, CK_C_Sign{wrong_sign});
        CHECK(error_name(hsm->create_vending_key(Dkga::dkga04, vending_key())) == "hsm_failed");
    }
    CHECK(hsm->vending_keys()->empty());
}

TEST_CASE("a new key that cannot be made durable is destroyed") {
    const auto token = each_token();
    token->config.sync_dir = token->directory.path() / "nowhere";
    const auto hsm = open(*token);
    CHECK(error_name(hsm->create_vending_key(Dkga::dkga04, vending_key())) == "storage_failed");
    CHECK(hsm->vending_keys()->empty());
}

TEST_CASE("a wrong PIN is presented once") {
    const auto token = each_token();
    const LoginCounter counter(functions(*token));
    const auto refused = Pkcs11Hsm::open(token->config, Pin::from_text("user-pin-87654322"));
    CHECK(error_name(refused) == "pin_incorrect");
    CHECK(logins == 1);
    CHECK(Pkcs11Hsm::open(token->config, token->pin));
    CHECK(logins == 2);
}

TEST_CASE("a locked PIN is not presented at all") {
    const auto token = each_token();
    auto& list = functions(*token);
    const LoginCounter counter(list);
    static CK_C_GetTokenInfo real_info;
    real_info = list.C_GetTokenInfo;
    const CK_C_GetTokenInfo locked = [](CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
        const CK_RV rv = real_info(slot, info);
        info->flags |= CKF_USER_PIN_LOCKED;
        return rv;
    };
    const Patched patch(list.C_GetTokenInfo, locked);
    CHECK(error_name(Pkcs11Hsm::open(token->config, token->pin)) == "pin_locked");
    CHECK(logins == 0);
}

TEST_CASE("what is not there is named") {
    const auto token = each_token();
    SECTION("no module file") {
        token->config.module = token->directory.path() / "libnothing.so";
    }
    SECTION("a file that is no library") {
        token->config.module = token->directory.path() / "text";
        write_file(token->config.module, "no library");
    }
    SECTION("a library that is no PKCS#11 module") {
        token->config.module = "/lib/x86_64-linux-gnu/libz.so.1";
    }
    SECTION("no token of that label") {
        token->config.token_label = "sts6-tes";
    }
    CHECK(error_name(Pkcs11Hsm::open(token->config, token->pin)) == "hsm_missing");
}

TEST_CASE("a blank token is not used") {
    const auto token = blank_softhsm_token();
    const LoginCounter counter(functions(*token));
    CHECK(error_name(Pkcs11Hsm::open(token->config, token->pin)) == "hsm_missing");
    CHECK(logins == 0);
}

TEST_CASE("a configuration out of range is refused") {
    auto config = blank_softhsm_token()->config;
    SECTION("no module") {
        config.module.clear();
    }
    SECTION("no label") {
        config.token_label.clear();
    }
    SECTION("a label that no token can have") {
        config.token_label = std::string(33, 'x');
    }
    SECTION("no prefix") {
        config.object_prefix.clear();
    }
    SECTION("a prefix of nothing") {
        config.object_prefix = "/";
    }
    SECTION("a prefix that could begin another's") {
        config.object_prefix = "sts6/TEST01";
    }
    SECTION("a prefix too long") {
        config.object_prefix = std::string(64, 'x') + "/";
    }
    SECTION("no session") {
        config.sessions = 0;
    }
    SECTION("too many sessions") {
        config.sessions = 65;
    }
    CHECK(error_name(Pkcs11Hsm::open(config, Pin::from_text("1234"))) == "invalid_argument");
}

TEST_CASE("a token without HMAC-SHA-256 is refused") {
    const auto token = each_token();
    auto& list = functions(*token);
    const Patched patch(list.C_SignInit, CK_C_SignInit{no_mechanism});
    CHECK(error_name(Pkcs11Hsm::open(token->config, token->pin)) == "unsupported");
}

TEST_CASE("NSS's capabilities are what was measured") {
    const auto token = nss_token();
    const auto hsm = open(*token);
    const Capabilities& found = hsm->capabilities();
    CHECK(found.hmac_native_20);
    CHECK(found.hmac_padded_32);
    CHECK(found.des3_kkk);
    CHECK(found.aes_256);
    CHECK(found.copy_object);
    CHECK(found.random);
    CHECK(found.ec_p384);
    CHECK(found.key_agreement == KeyAgreement::derive_chain);
    CHECK(found.aes_192_ccm);
    CHECK(hsm->identity().label == "NSS Certificate DB");
    CHECK(hsm->identity().model == "NSS 3");
}

TEST_CASE("SoftHSM's capabilities are what was measured") {
    const auto token = softhsm_token();
    const auto hsm = open(*token);
    const Capabilities& found = hsm->capabilities();
    CHECK_FALSE(found.hmac_native_20);
    CHECK(found.hmac_padded_32);
    CHECK(found.des3_kkk);
    CHECK(found.aes_256);
    CHECK(found.copy_object);
    CHECK(found.random);
    CHECK(found.ec_p384);
    CHECK(found.key_agreement == KeyAgreement::digest_key);
    CHECK(found.aes_192_ccm);
    CHECK(found.lines.size() == 11);
    CHECK(hsm->identity().label == "sts6-test");
    CHECK(hsm->identity().model == "SoftHSM v2");
    CHECK(hsm->identity().serial.size() == 16);
}

TEST_CASE("the probes leave nothing in the token") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    REQUIRE(raw.api().C_FindObjectsInit(raw.handle(), nullptr, 0) == CKR_OK);
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG count = 1;
    REQUIRE(raw.api().C_FindObjects(raw.handle(), &object, 1, &count) == CKR_OK);
    CHECK(count == 0);
}

TEST_CASE("random octets differ") {
    const auto token = each_token();
    const auto hsm = open(*token);
    std::array<std::uint8_t, 32> first{};
    std::array<std::uint8_t, 32> second{};
    REQUIRE(hsm->random(first));
    REQUIRE(hsm->random(second));
    REQUIRE(hsm->random({}));
    CHECK(first != second);
}

TEST_CASE("a key destroyed behind our back is missing, and the others are not") {
    const auto token = each_token();
    const auto hsm = open(*token);
    KeyId id{};
    const KeyHandle key = add_key(*hsm, &id);
    const KeyHandle other = add_key(*hsm);
    SECTION("before its first use") {
        RawSession(*token).destroy(key_label(*token, id));
        std::array requests{request(other, Ea::misty1), request(key, Ea::misty1), request(other, Ea::misty1)};
        std::array<DerivationResult, 3> results;
        hsm->decoder_keys(requests, results);
        CHECK_FALSE(results[0].error);
        CHECK(hex(results[0].key.octets()) == kEa11Key);
        CHECK(results[1].error == Errc::key_missing);
        CHECK_FALSE(results[2].error);
        CHECK(hex(results[2].key.octets()) == kEa11Key);
    }
    SECTION("when there is a session copy: found out by the check value") {
        CHECK(derive(*hsm, key) == kEa11Key);
        RawSession(*token).destroy(key_label(*token, id));
        CHECK(error_name(hsm->check_value(key)) == "key_missing");
    }
    SECTION("found out by listing") {
        CHECK(derive(*hsm, key) == kEa11Key);
        RawSession(*token).destroy(key_label(*token, id));
        CHECK(hsm->vending_keys()->size() == 1);
    }
    SECTION("found out by destroying it") {
        RawSession(*token).destroy(key_label(*token, id));
        CHECK(error_name(hsm->destroy_key(id)) == "key_missing");
    }
    SECTION("found out by the verification after listing") {
        CHECK(hsm->vending_keys()->size() == 2);
        RawSession(*token).destroy(key_label(*token, id));
        CHECK(derive(*hsm, key) == "key_missing");
    }
    CHECK(derive(*hsm, key) == "key_missing");
    CHECK(error_name(hsm->find_key(id, Dkga::dkga04)) == "key_missing");
    CHECK(derive(*hsm, other) == kEa11Key);
    CHECK(hsm->connected());
}

TEST_CASE("a SoftHSM token whose file was emptied by a kill at login is brought back") {
    const auto token = softhsm_token();
    namespace fs = std::filesystem;
    const fs::path store = token->config.sync_dir;
    KeyId id{};
    {
        const auto hsm = open(*token);
        add_key(*hsm, &id);
    }
    fs::path file;
    for (const auto& entry : fs::directory_iterator(store)) file = entry.path() / "token.object";
    REQUIRE(fs::file_size(file) > 0);
    const auto emptied = GENERATE(std::uintmax_t{0}, std::uintmax_t{100});
    fs::resize_file(file, emptied);
    const auto hsm = open(*token);
    const auto key = hsm->find_key(id, Dkga::dkga04);
    REQUIRE(key);
    CHECK(derive(*hsm, *key) == kEa11Key);
    CHECK(fs::file_size(file) > emptied);
    const fs::path kept = fs::path(store.string() + ".kept") / file.parent_path().filename() / "token.object";
    CHECK((fs::status(kept).permissions() & ~fs::perms::owner_all) == fs::perms::none);
}

TEST_CASE("a token that shows none of its keys is away, and not emptied") {
    const auto token = softhsm_token();
    const auto hsm = open(*token);
    const KeyHandle key = add_key(*hsm);
    const KeyHandle other = add_key(*hsm);
    auto& list = functions(*token);
    {
        // As SoftHSM answers when it can open no file: sessions are lost, and the search finds nothing.
        const Patched patch(list.C_FindObjects, CK_C_FindObjects{no_objects});
        REQUIRE(list.C_CloseAllSessions(RawSession(*token).slot()) == CKR_OK);
        CHECK(derive(*hsm, key) == "hsm_failed");
        CHECK_FALSE(hsm->connected());
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (derive(*hsm, key) != kEa11Key && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }
    CHECK(derive(*hsm, key) == kEa11Key);
    CHECK(derive(*hsm, other) == kEa11Key);
}

TEST_CASE("another key put in the place of ours makes no decoder key") {
    const auto token = each_token();
    const auto hsm = open(*token);
    KeyId id{};
    const KeyHandle key = add_key(*hsm, &id);
    CHECK(derive(*hsm, key) == kEa11Key);
    const RawSession raw(*token);
    raw.destroy(key_label(*token, id));
    raw.create(key_label(*token, id), id, 0x42);
    REQUIRE(raw.api().C_CloseAllSessions(raw.slot()) == CKR_OK);
    CHECK(derive(*hsm, key) == "key_mismatch");
    CHECK(error_name(hsm->check_value(key)) == "key_mismatch");
}

TEST_CASE("two objects that claim one KeyId are both refused") {
    const auto token = softhsm_token();  // in NSS there cannot be two
    const auto hsm = open(*token);
    KeyId id{};
    const KeyHandle key = add_key(*hsm, &id);
    const RawSession raw(*token);
    raw.create(key_label(*token, id), id, 0x42);
    CHECK(hsm->vending_keys()->size() == 1);
    CHECK(derive(*hsm, key) == "key_mismatch");
    CHECK(error_name(hsm->find_key(id, Dkga::dkga04)) == "key_mismatch");
    CHECK(error_name(hsm->check_value(key)) == "key_mismatch");
    // A key that is revoked goes, whatever bears its name.
    CHECK(error_name(hsm->destroy_key(id)) == "no error");
    CHECK(raw.find(key_label(*token, id)).empty());
    CHECK(error_name(hsm->destroy_key(id)) == "key_missing");
}

TEST_CASE("sessions, login or library lost behind our back are got back") {
    const auto token = each_token();
    token->config.sessions = GENERATE(1U, 4U);
    const auto hsm = open(*token);
    KeyId id{};
    const KeyHandle key = add_key(*hsm, &id);
    CHECK(derive(*hsm, key) == kEa11Key);
    auto& list = functions(*token);
    const test::Loss lose = test::each_loss(*token);
    const LoginCounter counter(list);
    for (int times = 1; times <= 3; ++times) {
        lose(RawSession(*token));
        std::vector<DerivationRequest> requests(50, request(key, Ea::misty1));
        std::vector<DerivationResult> results(requests.size());
        hsm->decoder_keys(requests, results);
        for (const DerivationResult& result : results) {
            CHECK_FALSE(result.error);
            CHECK(hex(result.key.octets()) == kEa11Key);
        }
        CHECK(logins == times);
    }
    lose(RawSession(*token));
    CHECK(hsm->check_value(key));
    lose(RawSession(*token));
    std::array<std::uint8_t, 8> octets{};
    CHECK(hsm->random(octets));
    lose(RawSession(*token));
    CHECK(hsm->create_vending_key(Dkga::dkga04, vending_key()));
    lose(RawSession(*token));
    CHECK(hsm->destroy_key(id));
    lose(RawSession(*token));
    CHECK(hsm->vending_keys()->size() == 1);
    CHECK(derive(*hsm, key) == "key_missing");
}

TEST_CASE("a PIN refused at a new login is not presented again") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const KeyHandle key = add_key(*hsm);
    auto& list = functions(*token);
    REQUIRE(RawSession(*token).api().C_CloseAllSessions(RawSession(*token).slot()) == CKR_OK);
    {
        const LoginCounter counter(list, refuse_login);
        for (int i = 0; i < 100; ++i) CHECK(derive(*hsm, key) == "hsm_failed");
        CHECK(error_name(hsm->check_value(key)) == "hsm_failed");
        CHECK(logins == 1);
    }
    const LoginCounter counter(list);
    CHECK(derive(*hsm, key) == "hsm_failed");
    CHECK(logins == 0);
    CHECK_FALSE(hsm->connected());
}

TEST_CASE("while the device is away every request fails at once, and it is found when it is back") {
    const auto token = each_token();
    token->config.sessions = GENERATE(1U, 4U);
    const auto hsm = open(*token);
    const KeyHandle key = add_key(*hsm);
    auto& list = functions(*token);
    open_sessions = 0;
    {
        const Patched no_sign(list.C_SignInit, CK_C_SignInit{removed_sign_init});
        const Patched no_open(list.C_OpenSession, CK_C_OpenSession{no_session});
        std::vector<DerivationRequest> requests(1000, request(key, Ea::misty1));
        std::vector<DerivationResult> results(requests.size());
        hsm->decoder_keys(requests, results);
        CHECK(std::all_of(results.begin(), results.end(),
                          [](const auto& result) { return result.error == Errc::hsm_failed; }));
        CHECK_FALSE(hsm->connected());
        // One attempt to recover, which asks for a session before and after it looked for the token.
        CHECK(open_sessions == 2);
        CHECK(error_name(hsm->check_value(key)) == "hsm_failed");
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    std::string answer;
    while (answer != kEa11Key && std::chrono::steady_clock::now() < deadline) {
        answer = derive(*hsm, key);
        std::this_thread::yield();
    }
    CHECK(answer == kEa11Key);
    CHECK(hsm->connected());
}

TEST_CASE("an operation that fails halfway is not left open") {
    const auto token = each_token();
    token->config.sessions = GENERATE(1U, 4U);
    const auto hsm = open(*token);
    const KeyHandle key = add_key(*hsm);
    auto& list = functions(*token);
    real_sign = list.C_Sign;
    const Patched patch(list.C_Sign, CK_C_Sign{failing_sign});
    SECTION("once, in a way that a recovery cures") {
        for (const CK_RV answer : {CKR_DEVICE_ERROR, CKR_GENERAL_ERROR, CKR_SESSION_HANDLE_INVALID}) {
            sign_answer = answer;
            signs_to_fail = 1;
            CHECK(derive(*hsm, key) == kEa11Key);
            CHECK(signs_to_fail <= 0);
        }
    }
    SECTION("in a way that nothing cures") {
        sign_answer = CKR_KEY_FUNCTION_NOT_PERMITTED;
        signs_to_fail = 1;
        CHECK(derive(*hsm, key) == "hsm_failed");
    }
    SECTION("on and on") {
        sign_answer = CKR_GENERAL_ERROR;
        signs_to_fail = 1000;
        for (int i = 0; i < 20; ++i) CHECK(derive(*hsm, key) == "hsm_failed");
        CHECK(hsm->connected());
        // Each failure costs one call, but for the first, which is tried again after a recovery.
        CHECK(signs_to_fail == 1000 - 21);
        signs_to_fail = 0;
    }
    signs_to_fail = 0;
    CHECK(derive(*hsm, key) == kEa11Key);
    CHECK(hsm->connected());
}

TEST_CASE("an operation left open in our session by a call that was lost is done away with") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const KeyHandle key = add_key(*hsm);
    auto& list = functions(*token);
    static CK_C_SignInit real_init;
    static int twice;
    real_init = list.C_SignInit;
    twice = 1;
    const CK_C_SignInit doubled = [](CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                                     CK_OBJECT_HANDLE object) {
        if (twice-- > 0) static_cast<void>(real_init(session, mechanism, object));
        return real_init(session, mechanism, object);
    };
    const Patched patch(list.C_SignInit, doubled);
    CHECK(derive(*hsm, key) == kEa11Key);
}

TEST_CASE("objects of others are never touched") {
    const auto token = each_token();
    const auto hsm = open(*token);
    const RawSession raw(*token);
    const std::vector<std::string> labels{"something else",
                                          "sts6/TEST02/vk/" + hex(KeyId{0xAA, 1}),
                                          "sts6/TEST01",
                                          "sts6/TEST01/vk/" + hex(KeyId{1}),
                                          "xsts6/TEST01/vk/" + hex(KeyId{0xAA, 4}),
                                          std::string(300, 'x')};
    // Each with an ID of its own: in NSS a key takes the place of another with the same one.
    std::vector<KeyId> ids;
    for (const std::string& label : labels) {
        ids.push_back({0xAA, static_cast<std::uint8_t>(ids.size())});
        raw.create(label, ids.back(), 0x11);
    }
    raw.create("sts6/TEST01/vk/short", std::array<std::uint8_t, 2>{1, 2}, 0x11);
    raw.create("a long ID", std::array<std::uint8_t, 40>{}, 0x11);

    CHECK(hsm->vending_keys()->empty());
    for (const KeyId& theirs : ids) {
        CHECK(error_name(hsm->find_key(theirs, Dkga::dkga04)) == "key_missing");
        CHECK(error_name(hsm->destroy_key(theirs)) == "key_missing");
    }
    KeyId ours{};
    const KeyHandle key = add_key(*hsm, &ours);
    CHECK(derive(*hsm, key) == kEa11Key);
    REQUIRE(hsm->destroy_key(ours));
    for (const std::string& label : labels) CHECK(raw.find(label).size() == 1);
    CHECK(raw.find("sts6/TEST01/vk/short").size() == 1);
    CHECK(raw.find("a long ID").size() == 1);
}

TEST_CASE("two users of one library share it, and each may go first") {
    const auto token = each_token();
    auto first = open(*token);
    KeyId id{};
    const KeyHandle key = add_key(*first, &id);
    auto second = open(*token);
    const auto found = second->find_key(id, Dkga::dkga04);
    REQUIRE(found);
    CHECK(derive(*second, *found) == kEa11Key);
    SECTION("the first") {
        first.reset();
        CHECK(derive(*second, *found) == kEa11Key);
    }
    SECTION("the second") {
        second.reset();
        CHECK(derive(*first, key) == kEa11Key);
    }
    SECTION("but not with other arguments") {
        auto config = token->config;
        config.init_args += " ";
        CHECK(error_name(Pkcs11Hsm::open(config, token->pin)) == "in_use");
        CHECK(derive(*first, key) == kEa11Key);
    }
}

TEST_CASE("a token is initialised once") {
    const auto token = softhsm_token();
    CHECK(error_name(init_token(token->config, token->so_pin, Pin::from_text("another-pin"))) ==
          "already_exists");
    CHECK(Pkcs11Hsm::open(token->config, token->pin));
}

TEST_CASE("a second token beside the first gets a label of its own") {
    const auto token = softhsm_token();
    auto config = token->config;
    config.token_label = "another";
    const Pin pin = Pin::from_text("another-pin");
    REQUIRE(init_token(config, token->so_pin, pin));
    CHECK(Pkcs11Hsm::open(config, pin));
    CHECK(error_name(Pkcs11Hsm::open(config, token->pin)) == "pin_incorrect");
    CHECK(Pkcs11Hsm::open(token->config, token->pin));
}

TEST_CASE("an initialisation that is refused leaves the token blank") {
    const auto token = blank_softhsm_token();
    const Pin good = token->pin.clone();
    CHECK(error_name(init_token(token->config, token->so_pin, Pin::from_text("123"))) == "invalid_argument");
    CHECK(error_name(init_token(token->config, Pin::from_text(""), good)) == "invalid_argument");
    auto config = token->config;
    config.token_label.clear();
    CHECK(error_name(init_token(config, token->so_pin, good)) == "invalid_argument");
    config.token_label = std::string(33, 'x');
    CHECK(error_name(init_token(config, token->so_pin, good)) == "invalid_argument");
    config = token->config;
    config.module = "/nowhere/libnothing.so";
    CHECK(error_name(init_token(config, token->so_pin, good)) == "hsm_missing");
    CHECK(error_name(Pkcs11Hsm::open(token->config, token->pin)) == "hsm_missing");
    CHECK(init_token(token->config, token->so_pin, good));
    CHECK(Pkcs11Hsm::open(token->config, good));
}

TEST_CASE("a PIN file holds one line and is closed to all others") {
    const conform::TemporaryDirectory directory;
    const auto path = directory.path() / "user.pin";
    const auto read = [&path](std::string_view text) -> std::string {
        write_file(path, text);
        const auto pin = Pin::read_file(path);
        return pin ? std::string(pin->view()) : errc_name(pin.error());
    };
    CHECK(read("12345678") == "12345678");
    CHECK(read("12345678\n") == "12345678");
    CHECK(read("12345678\r\n") == "12345678");
    CHECK(read(" two words ") == " two words ");
    const std::string longest(Pin::kLongest, 'x');
    CHECK(read(longest) == longest);
    CHECK(read(longest + "\r\n") == longest);

    for (const std::string& text : std::initializer_list<std::string>{
             "", "\n", "\r\n", "1234\n\n", "1234\n5678\n", "1234\t",
             std::string("12\0"
                         "34",
                         5),
             longest + "x", longest + "\nx", longest + "\r\nx", std::string(100'000, 'x')}) {
        CHECK(read(text) == "malformed");
    }
    for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0610U, 0601U, 0666U}) {
        write_file(path, "12345678", mode);
        CHECK(error_name(Pin::read_file(path)) == "permission");
    }
    write_file(path, "12345678", 0400);
    CHECK(Pin::read_file(path));
    CHECK(error_name(Pin::read_file(directory.path())) == "malformed");
    CHECK(error_name(Pin::read_file("/dev/null")) == "malformed");
    CHECK(error_name(Pin::read_file(directory.path() / "nowhere.pin")) == "not_found");
}

TEST_CASE("a PIN moves and leaves nothing behind") {
    Pin first = Pin::from_text("12345678");
    Pin second = std::move(first);
    CHECK(second.view() == "12345678");
    CHECK(second.c_str()[8] == '\0');
    const Pin copy = second.clone();
    second = Pin::from_text("1");
    CHECK(second.view() == "1");
    CHECK(copy.view() == "12345678");
}

}  // namespace sts6::p11
