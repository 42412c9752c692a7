// SPDX-License-Identifier: Apache-2.0
// What is in the PKCS#11 token of a module whose daemon is dead, against what its database names.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <dlfcn.h>

#include "src/daemon/state_dir.hpp"
#include "src/pkcs11/pkcs11_hsm.hpp"
#include "src/store/sqlite_store.hpp"
// By its whole path: the room alone has the library's include directory.
#include <p11-kit/pkcs11.h>

#include "sts6/hex.hpp"
#include "tests/crash/site.hpp"
#include "tests/support/programs.hpp"

namespace sts6::crash {

namespace {

constexpr const char* kSoftHsm = "/usr/lib/softhsm/libsofthsm2.so";

std::string name_of(const KeyId& id) {
    std::string text(2 * id.size(), '0');
    write_hex(id, text.data());
    return text;
}

/// The label of every object, or something else when it cannot be read; none when there is no token.
std::optional<std::vector<std::string>> labels(const StateDir& dir) {
    ::setenv("SOFTHSM2_CONF", (dir.hsm() / "softhsm2.conf").c_str(), 1);
    void* library = ::dlopen(kSoftHsm, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
    CK_FUNCTION_LIST* api = nullptr;
    REQUIRE(get != nullptr);
    REQUIRE(get(&api) == CKR_OK);
    REQUIRE(api->C_Initialize(nullptr) == CKR_OK);
    std::array<CK_SLOT_ID, 8> slots{};
    CK_ULONG count = slots.size();
    REQUIRE(api->C_GetSlotList(CK_TRUE, slots.data(), &count) == CKR_OK);
    CK_SESSION_HANDLE session = 0;
    const CK_RV opened =
        api->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session);
    if (opened == CKR_TOKEN_NOT_RECOGNIZED) {
        // SoftHSM's login empties the token's own file and writes it anew; the module's next start mends it.
        REQUIRE(api->C_Finalize(nullptr) == CKR_OK);
        return std::nullopt;
    }
    REQUIRE(opened == CKR_OK);
    std::string pin = test::file_text(dir.pins() / "hsm-user.pin");
    pin.resize(pin.find('\n'));
    REQUIRE(api->C_Login(session, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size()) ==
            CKR_OK);
    REQUIRE(api->C_FindObjectsInit(session, nullptr, 0) == CKR_OK);
    std::array<CK_OBJECT_HANDLE, 256> objects{};
    REQUIRE(api->C_FindObjects(session, objects.data(), objects.size(), &count) == CKR_OK);
    REQUIRE(count < objects.size());
    std::vector<std::string> found;
    for (CK_ULONG i = 0; i < count; ++i) {
        std::array<char, 256> label{};
        CK_ATTRIBUTE attribute{CKA_LABEL, label.data(), label.size()};
        const CK_RV rv = api->C_GetAttributeValue(session, objects.at(i), &attribute, 1);
        found.push_back(rv == CKR_OK ? std::string(label.data(), attribute.ulValueLen)
                                     : "unreadable: " + std::to_string(rv));
    }
    REQUIRE(api->C_Finalize(nullptr) == CKR_OK);
    ::dlclose(library);
    return found;
}

std::size_t object_files(const StateDir& dir) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.hsm() / "tokens")) {
        const auto name = entry.path().filename();
        count += name.extension() == ".object" && name != "token.object" ? 1 : 0;
    }
    return count;
}

/// The keys that the rows name.
std::set<std::string> names(const StateDir& dir) {
    const auto store = SqliteStore::open(dir.database());
    REQUIRE(store);
    std::set<KeyId> ids;
    const auto state = (*store)->load_state();
    REQUIRE(state);
    ids.insert(state->agreement_key.id);
    for (std::uint8_t number = 1; number <= 4; ++number) {
        const auto slot = (*store)->load_slot(number);
        REQUIRE(slot);
        if (!slot->has_value()) continue;
        ids.insert((*slot)->session.ephemeral.id);
        ids.insert((*slot)->session.kek);
    }
    for (std::uint16_t after = 0;;) {
        const auto row = (*store)->load_next_register(after);
        REQUIRE(row);
        if (!row->has_value()) break;
        ids.insert((*row)->key);
        after = (*row)->number;
    }
    for (std::uint16_t after = 0;;) {
        const auto key = (*store)->load_next_staged(after);
        REQUIRE(key);
        if (!key->has_value()) break;
        ids.insert((*key)->row.key);
        after = (*key)->row.number;
    }
    ids.erase(KeyId{});
    std::set<std::string> found;
    for (const KeyId& id : ids) found.insert(name_of(id));
    return found;
}

}  // namespace

Objects compare_objects(const Site& site) {
    const StateDir dir(site.dir());
    std::set<std::string> named = names(dir);
    Objects found;
    bool wraps = false;
    const auto all = labels(dir);
    if (!all) return found;
    found.litter = object_files(dir) - all->size();
    for (const std::string& label : *all) {
        const std::string name = label.substr(std::min(label.size(), label.rfind('/') + 1));
        // No row names the key that wraps those of DKG 02: the module takes the one that is there.
        const bool wrapping = label.find("/wrap/") != std::string::npos;
        if (wrapping ? std::exchange(wraps, true) : named.erase(name) == 0) found.orphans.push_back(label);
    }
    found.lost.assign(named.begin(), named.end());
    return found;
}

}  // namespace sts6::crash
