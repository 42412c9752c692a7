// SPDX-License-Identifier: Apache-2.0
// What the tests of the PKCS#11 room have in common: a session of the test's own beside the product's, other
// functions in the module's list, and values in words.
#pragma once

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <dlfcn.h>

#include "src/pkcs11/pkcs11_hsm.hpp"
// By its whole path: the room alone has the library's include directory.
#include <p11-kit/pkcs11.h>

#include "sts6/hex.hpp"
#include "tests/support/test_token.hpp"

namespace sts6::test {

template <std::size_t N>
std::array<std::uint8_t, N> octets(std::string_view hex) {
    std::array<std::uint8_t, N> out{};
    REQUIRE(read_hex(hex, out));
    return out;
}

inline std::string hex(std::span<const std::uint8_t> value) {
    std::string text(2 * value.size(), '0');
    write_hex(value, text.data());
    return text;
}

/// The test runs once on each token.
inline std::unique_ptr<TestToken> each_token() {
    return GENERATE(from_range(std::begin(kTokenMakers), std::end(kTokenMakers)))();
}

inline std::unique_ptr<p11::Pkcs11Hsm> open(const TestToken& token) {
    auto hsm = p11::Pkcs11Hsm::open(token.config, token.pin);
    REQUIRE(hsm);
    return std::move(*hsm);
}

template <class T>
std::string error_name(const Result<T>& result) {
    return result ? "no error" : errc_name(result.error());
}

/// The module's function list, which the product calls through: a test may put other functions in it.
inline CK_FUNCTION_LIST& functions(const TestToken& token) {
    void* library = ::dlopen(token.config.module.c_str(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
    REQUIRE(get != nullptr);
    CK_FUNCTION_LIST* list = nullptr;
    REQUIRE(get(&list) == CKR_OK);
    return *list;
}

/// Somebody else's session in this process; login is shared with the product's.
class RawSession {
  public:
    explicit RawSession(const TestToken& token) : api_(functions(token)), nss_(token.is_nss()) {
        CK_ULONG count = 0;
        REQUIRE(api_.C_GetSlotList(CK_TRUE, nullptr, &count) == CKR_OK);
        std::vector<CK_SLOT_ID> slots(count);
        REQUIRE(api_.C_GetSlotList(CK_TRUE, slots.data(), &count) == CKR_OK);
        for (const CK_SLOT_ID slot : slots) {
            CK_TOKEN_INFO info{};
            REQUIRE(api_.C_GetTokenInfo(slot, &info) == CKR_OK);
            const std::string_view label(reinterpret_cast<const char*>(info.label), sizeof info.label);
            if (label.starts_with(token.config.token_label + " ")) slot_ = slot;
        }
        reopen();
    }
    void reopen() {
        REQUIRE(api_.C_OpenSession(slot_, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session_) ==
                CKR_OK);
    }

    [[nodiscard]] std::vector<CK_OBJECT_HANDLE> find(std::string label) const {
        CK_BBOOL yes = CK_TRUE;
        std::array<CK_ATTRIBUTE, 2> wanted{
            {{CKA_LABEL, label.data(), label.size()}, {CKA_TOKEN, &yes, sizeof yes}}};
        REQUIRE(api_.C_FindObjectsInit(session_, wanted.data(), wanted.size()) == CKR_OK);
        std::vector<CK_OBJECT_HANDLE> found(16);
        CK_ULONG count = 0;
        REQUIRE(api_.C_FindObjects(session_, found.data(), found.size(), &count) == CKR_OK);
        REQUIRE(api_.C_FindObjectsFinal(session_) == CKR_OK);
        found.resize(count);
        return found;
    }
    /// The label of every token object under `prefix`, in order.
    [[nodiscard]] std::vector<std::string> labels(std::string_view prefix) const {
        CK_BBOOL yes = CK_TRUE;
        CK_ATTRIBUTE wanted{CKA_TOKEN, &yes, sizeof yes};
        REQUIRE(api_.C_FindObjectsInit(session_, &wanted, 1) == CKR_OK);
        std::array<CK_OBJECT_HANDLE, 256> objects{};
        CK_ULONG count = 0;
        REQUIRE(api_.C_FindObjects(session_, objects.data(), objects.size(), &count) == CKR_OK);
        REQUIRE(api_.C_FindObjectsFinal(session_) == CKR_OK);
        std::vector<std::string> found;
        for (CK_ULONG i = 0; i < count; ++i) {
            std::array<char, 128> label{};
            CK_ATTRIBUTE attribute{CKA_LABEL, label.data(), label.size()};
            REQUIRE(api_.C_GetAttributeValue(session_, objects.at(i), &attribute, 1) == CKR_OK);
            const std::string_view text(label.data(), attribute.ulValueLen);
            if (text.starts_with(prefix)) found.emplace_back(text);
        }
        std::sort(found.begin(), found.end());
        return found;
    }
    void destroy(const std::string& label) const {
        const auto found = find(label);
        REQUIRE(found.size() == 1);
        REQUIRE(api_.C_DestroyObject(session_, found.front()) == CKR_OK);
    }
    /// A secret key that can do HMAC.
    void create(std::string label, std::span<const std::uint8_t> id, std::uint8_t fill) const {
        CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
        CK_KEY_TYPE type = CKK_GENERIC_SECRET;
        CK_BBOOL yes = CK_TRUE;
        std::vector<std::uint8_t> id_copy(id.begin(), id.end());
        std::array<std::uint8_t, 32> value{};
        value.fill(fill);
        std::array<CK_ATTRIBUTE, 8> key{{{CKA_CLASS, &object_class, sizeof object_class},
                                         {CKA_KEY_TYPE, &type, sizeof type},
                                         {CKA_TOKEN, &yes, sizeof yes},
                                         {CKA_PRIVATE, &yes, sizeof yes},
                                         {CKA_SIGN, &yes, sizeof yes},
                                         {CKA_LABEL, label.data(), label.size()},
                                         {CKA_ID, id_copy.data(), id_copy.size()},
                                         {CKA_VALUE, value.data(), value.size()}}};
        CK_OBJECT_HANDLE object = 0;
        REQUIRE(api_.C_CreateObject(session_, key.data(), key.size(), &object) == CKR_OK);
    }
    /// A P-384 key that can derive; known outside, so that only tests make such.
    void create_ec(std::string label, std::span<const std::uint8_t> id, std::span<const std::uint8_t> secret,
                   std::span<const std::uint8_t> point) const {
        constexpr CK_ATTRIBUTE_TYPE kNssDatabase = 0xD5A0DB00;  // NSS wants the public key there
        CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
        CK_KEY_TYPE type = CKK_EC;
        CK_BBOOL yes = CK_TRUE;
        std::array<std::uint8_t, 7> curve = {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22};
        std::vector<std::uint8_t> id_copy(id.begin(), id.end());
        std::vector<std::uint8_t> value(secret.begin(), secret.end());
        std::vector<std::uint8_t> public_key(point.begin(), point.end());
        std::vector<CK_ATTRIBUTE> key{{CKA_CLASS, &object_class, sizeof object_class},
                                      {CKA_KEY_TYPE, &type, sizeof type},
                                      {CKA_TOKEN, &yes, sizeof yes},
                                      {CKA_PRIVATE, &yes, sizeof yes},
                                      {CKA_SENSITIVE, &yes, sizeof yes},
                                      {CKA_DERIVE, &yes, sizeof yes},
                                      {CKA_LABEL, label.data(), label.size()},
                                      {CKA_ID, id_copy.data(), id_copy.size()},
                                      {CKA_EC_PARAMS, curve.data(), curve.size()},
                                      {CKA_VALUE, value.data(), value.size()}};
        if (nss_) key.push_back({kNssDatabase, public_key.data(), public_key.size()});
        CK_OBJECT_HANDLE object = 0;
        REQUIRE(api_.C_CreateObject(session_, key.data(), key.size(), &object) == CKR_OK);
    }
    [[nodiscard]] bool flag(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const {
        CK_BBOOL value = 2;
        CK_ATTRIBUTE attribute{type, &value, sizeof value};
        REQUIRE(api_.C_GetAttributeValue(session_, object, &attribute, 1) == CKR_OK);
        REQUIRE(value < 2);
        return value == CK_TRUE;
    }

    [[nodiscard]] CK_FUNCTION_LIST& api() const { return api_; }
    [[nodiscard]] CK_SESSION_HANDLE handle() const { return session_; }
    [[nodiscard]] CK_SLOT_ID slot() const { return slot_; }

  private:
    CK_FUNCTION_LIST& api_;
    bool nss_;
    CK_SLOT_ID slot_ = 0;
    CK_SESSION_HANDLE session_ = 0;
};

using Loss = void (*)(const RawSession&);

/// The test runs once with each way to lose what the product holds in the token.
inline Loss each_loss(const TestToken& token) {
    const Loss sessions = [](const RawSession& raw) {
        REQUIRE(raw.api().C_CloseAllSessions(raw.slot()) == CKR_OK);
    };
    const Loss login = [](const RawSession& raw) { REQUIRE(raw.api().C_Logout(raw.handle()) == CKR_OK); };
    const Loss library = [](const RawSession& raw) { REQUIRE(raw.api().C_Finalize(nullptr) == CKR_OK); };
    std::vector<Loss> losses{sessions};
    // NSS crashes when a token object is used after somebody's logout, or anything after C_Finalize.
    if (!token.is_nss()) losses.insert(losses.end(), {login, library});
    return GENERATE_COPY(from_range(losses));
}

/// Another function in the module's list for as long as it lives.
template <class Function>
class Patched {
  public:
    Patched(Function& place, Function other) : place_(place), original_(place) { place_ = other; }
    Patched(const Patched&) = delete;
    Patched& operator=(const Patched&) = delete;
    ~Patched() { place_ = original_; }

  private:
    Function& place_;
    Function original_;
};

}  // namespace sts6::test
