// SPDX-License-Identifier: Apache-2.0
// The Hsm port over a token that fails: each call that the port makes, with each of the answers that a broken
// or absent device gives. Whatever fails, every result is right or a clear error, nothing is left behind, and
// everything works again when the device does.
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "firmware/sts/decoder_key.hpp"
#include "tests/support/agreement.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_session.hpp"
#include "tests/support/shimmed_token.hpp"

namespace sts6::p11 {
namespace {

using test::eventually;
using test::hex;
using test::octets;
using test::RawSession;
using test::ShimmedToken;
using test::softhsm_token;

// docs/tokens.md 3.2 and 3.3, worked.
constexpr const char* kDkg04Key = "ABABABABABABABAB949494949494949401234567";
constexpr const char* kEa11Key = "929BD3A415C9420A05EC5EE9F3CE91C3";
constexpr const char* kEa07Key = "87F3ECBB2E46B48F";
constexpr const char* kDkg02Key = "ABABABABABABABAB";
constexpr const char* kX = "2151356011FFFFFF";
constexpr const char* kDkga02Key = "E653341F9D5BF36F";

constexpr std::array<CK_RV, 8> kFaults = {
    CKR_DEVICE_ERROR,          CKR_DEVICE_REMOVED,     CKR_SESSION_HANDLE_INVALID,
    CKR_OBJECT_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN, CKR_PIN_LOCKED,
    CKR_HOST_MEMORY,           CKR_GENERAL_ERROR};

/// What is wrong with one call.
struct Fault {
    std::string_view call;
    CK_RV rv = CKR_OK;
    std::uint64_t at = 0;
};

std::string as_text(const Fault& fault) {
    return std::string(fault.call) + " number " + std::to_string(fault.at) + " answers " +
           std::to_string(fault.rv);
}

DerivationRequest dkga04_request(KeyHandle key, Ea ea) {
    DerivationRequest made{.key = key, .dkga = Dkga::dkga04, .ea = ea, .data = {}, .wrapped_key = {}};
    const sts::DecoderKeyParameters parameters{.kt = KeyType::dutk,
                                               .sgc = 201457,
                                               .ti = 1,
                                               .krn = 1,
                                               .pan = sts::Pan::parse("600727000000000009").value(),
                                               .ea = ea,
                                               .base_date = BaseDate::y2014};
    sts::dkga04_data(parameters, made.data);
    return made;
}

DerivationRequest dkga02_request(KeyHandle key, const WrappedKey& wrapped) {
    DerivationRequest made{
        .key = key, .dkga = Dkga::dkga02, .ea = Ea::sta, .data = {}, .wrapped_key = wrapped};
    const auto x = octets<8>(kX);
    std::copy(x.begin(), x.end(), made.data.begin());
    return made;
}

struct Key {
    KeyId id{};
    Dkga dkga = Dkga::dkga04;
    WrappedKey wrapped{};
};

/// What a script goes through: key management takes long.
enum class Scope : std::uint8_t { vending, key_management };

/// Everything that the port can do, in an order in which a module does it, on a token that holds one key.
/// Each result is judged; what the port has said that it made or destroyed is kept in mind.
class Script {
  public:
    Script(ShimmedToken& shimmed, const Key& kept, Scope scope = Scope::vending)
        : shimmed_(shimmed), kept_(kept), scope_(scope) {}

    void run(const Fault& fault) {
        fault_ = fault;
        if (!open()) return;
        if (scope_ == Scope::key_management) {
            manage_keys();
            return;
        }
        use(kept_);
        shimmed_.control.drop_sessions();
        use(kept_);
        draw_random();
        create(Dkga::dkga04);
        create(Dkga::dkga02);
        derive();
        derive();  // by the session copies
        list();
        destroy_made();
    }

    /// The fault is over.
    void check_afterwards() {
        shimmed_.control.clear();
        fault_ = {};
        if (!hsm_) REQUIRE(open());
        REQUIRE(eventually([this] { return works(); }));
        CHECK(hsm_->connected());
        CHECK(token_labels() == expected_labels());
        list();
        if (scope_ == Scope::key_management) list_all();
        destroy_others();
        CHECK(others_.empty());
        destroy_made();
        CHECK(made_.empty());
        CHECK_FALSE(hsm_->has_wrapping_key());
        CHECK(token_labels() == expected_labels());
        derive();
    }

    /// Sessions of the port, and session objects: the copy of the kept key, and what a failed call left.
    void check_leaks(int excused) {
        CHECK(shimmed_.control.sessions() <= shimmed_.token->config.sessions + 1 + excused);
        CHECK(shimmed_.control.session_objects() <= 1 + excused);
        hsm_.reset();
        CHECK(shimmed_.control.sessions() == 0);
        CHECK(shimmed_.control.left_open() <= excused);
    }

    [[nodiscard]] Pkcs11Hsm* hsm() { return hsm_.get(); }
    void close() { hsm_.reset(); }

    [[nodiscard]] bool works() {
        const auto key = hsm_->find_key(kept_.id, Dkga::dkga04);
        if (!key) return false;
        const DerivationRequest asked = dkga04_request(*key, Ea::misty1);
        DerivationResult result;
        hsm_->decoder_keys({&asked, 1}, {&result, 1});
        return !result.error && hex(result.key.octets()) == kEa11Key;
    }
    [[nodiscard]] std::string kept_check_value() {
        const auto key = hsm_->find_key(kept_.id, Dkga::dkga04);
        REQUIRE(key);
        return test::error_name(hsm_->check_value(*key));
    }

  private:
    void judge(const char* operation, std::optional<Errc> error, bool opening = false,
               std::optional<Errc> wanted = std::nullopt) const {
        if (!error) {
            INFO(operation);
            CHECK_FALSE(wanted.has_value());
            return;
        }
        if (error == wanted) return;
        INFO(operation << ": " << errc_name(*error));
        const bool is_clear = *error == Errc::hsm_failed ||
                              (*error == Errc::pin_locked && fault_.rv == CKR_PIN_LOCKED) ||
                              (*error == Errc::hsm_missing && opening);
        CHECK(is_clear);
        CHECK_FALSE(fault_.call.empty());
    }
    template <class T>
    const Result<T>& judged(const char* operation, const Result<T>& result, bool opening = false,
                            std::optional<Errc> wanted = std::nullopt) const {
        judge(operation, result ? std::nullopt : std::optional(result.error()), opening, wanted);
        return result;
    }

    bool open() {
        auto opened = Pkcs11Hsm::open(shimmed_.token->config, shimmed_.token->pin);
        if (!judged("open", opened, true)) return false;
        hsm_ = std::move(*opened);
        CHECK(hsm_->capabilities().des3_kkk);
        CHECK(hsm_->capabilities().aes_256);
        CHECK(hsm_->capabilities().key_agreement == KeyAgreement::digest_key);
        CHECK(hsm_->capabilities().aes_192_ccm);
        return true;
    }

    void use(const Key& key) {
        const auto handle = judged("find_key", hsm_->find_key(key.id, key.dkga));
        if (!handle) return;
        const auto kcv = judged("check_value", hsm_->check_value(*handle));
        if (kcv) CHECK(hex(*kcv) == (key.dkga == Dkga::dkga04 ? "0F353D" : "C33F45"));
        derive();
    }

    /// One batch with all keys there are.
    void derive() {
        std::vector<DerivationRequest> requests;
        std::vector<std::string> expected;
        std::vector<Key> keys = made_;
        keys.push_back(kept_);
        for (const Key& key : keys) {
            const auto handle = judged("find_key", hsm_->find_key(key.id, key.dkga));
            if (!handle) continue;
            if (key.dkga == Dkga::dkga02) {
                requests.push_back(dkga02_request(*handle, key.wrapped));
                expected.emplace_back(kDkga02Key);
                continue;
            }
            for (const Ea ea : {Ea::misty1, Ea::sta}) {
                requests.push_back(dkga04_request(*handle, ea));
                expected.emplace_back(ea == Ea::misty1 ? kEa11Key : kEa07Key);
            }
        }
        std::vector<DerivationResult> results(requests.size());
        hsm_->decoder_keys(requests, results);
        for (std::size_t i = 0; i < results.size(); ++i) {
            judge("decoder_keys", results[i].error);
            if (results[i].error) continue;
            CHECK(hex(results[i].key.octets().first(decoder_key_octets(requests[i].ea))) == expected[i]);
        }
    }

    void draw_random() {
        std::array<std::uint8_t, 32> drawn{};
        if (judged("random", hsm_->random(drawn))) CHECK(drawn != std::array<std::uint8_t, 32>{});
    }

    void create(Dkga dkga) {
        const auto made = dkga == Dkga::dkga04 ? hsm_->create_vending_key(dkga, octets<20>(kDkg04Key))
                                               : hsm_->create_vending_key(dkga, octets<8>(kDkg02Key));
        if (!judged("create_vending_key", made)) return;
        CHECK(made->wrapped_key.has_value() == (dkga == Dkga::dkga02));
        made_.push_back({made->id, dkga, made->wrapped_key.value_or(WrappedKey{})});
    }

    /// A key pair for each purpose, an agreement, a load, and the end of it all.
    void manage_keys() {
        const auto own = generate(EcKeyUse::agreement, "ec/");
        const auto fresh = generate(EcKeyUse::ephemeral, "eph/");
        if (own && fresh) agree(*own, *fresh);
        shimmed_.control.drop_sessions();
        list_all();
        for (const Key& key : made_) compare(key);
        judged("adopt", hsm_->adopt("TEST02"), false, Errc::already_exists);
        destroy_others();
        destroy_made();
    }

    std::optional<EcKey> generate(EcKeyUse purpose, const char* kind) {
        const auto made = judged("generate_ec_key", hsm_->generate_ec_key(purpose));
        if (!made) return std::nullopt;
        CHECK(hsm_->is_valid_point(made->point));
        others_.emplace_back(kind, made->id);
        return *made;
    }

    void agree(const EcKey& own, const EcKey& fresh) {
        const auto response = kmc_.respond(fresh.point, own.point, {1, 2, 3}, {4, 5, 6});
        test::Agreement right{
            own.id, fresh.id, kmc_.public_key(), response.other_info, response.mac_data, response.mac_tag};
        test::Agreement wrong = right;
        wrong.mac_tag[0] ^= 1;
        judged("agree", wrong.with(*hsm_), false, Errc::key_mismatch);
        const auto kek = judged("agree", right.with(*hsm_));
        if (!kek) return;
        others_.emplace_back("kek/", *kek);
        for (const char* text : {kDkg04Key, kDkg02Key}) {
            test::Octets key(std::string_view(text).size() / 2);
            REQUIRE(read_hex(text, key));
            const test::Octets nonce(12, 3);
            auto sealed = test::sealed_by_openssl(response.kek, nonce, {7, 8, 9}, key);
            sealed[0] ^= 1;
            const test::Sealed broken{*kek, test::fixed<12>(nonce), {7, 8, 9}, sealed};
            judged("load_key", broken.into(*hsm_), false, Errc::key_mismatch);
            sealed[0] ^= 1;
            const auto loaded =
                judged("load_key", test::Sealed{*kek, test::fixed<12>(nonce), {7, 8, 9}, sealed}.into(*hsm_));
            if (!loaded) continue;
            CHECK(hex(loaded->kcv) == (loaded->dkg == Dkga::dkga04 ? "0F353D" : "C33F45"));
            made_.push_back({loaded->id, loaded->dkg, loaded->wrapped_key.value_or(WrappedKey{})});
        }
    }

    /// With itself; a DKG 04 key also with the kept one, which has the same octets.
    void compare(const Key& key) {
        const auto handle = judged("find_key", hsm_->find_key(key.id, key.dkga));
        if (!handle) return;
        KeyReference it{*handle, std::nullopt};
        if (key.dkga == Dkga::dkga02) it.wrapped_key = key.wrapped;
        KeyReference same = it;
        if (key.dkga == Dkga::dkga04) {
            const auto kept = judged("find_key", hsm_->find_key(kept_.id, Dkga::dkga04));
            if (!kept) return;
            same.key = *kept;
        }
        const auto compared = judged("is_same_key", hsm_->is_same_key(it, same));
        if (compared) CHECK(*compared);
    }

    void list_all() {
        std::vector<KeyId> found(16);
        const auto count = judged("list_keys", hsm_->list_keys(0, found));
        if (!count) return;
        std::set<KeyId> expected{kept_.id};
        for (const Key& key : made_) expected.insert(key.id);
        for (const auto& [kind, id] : others_) expected.insert(id);
        CHECK(std::set<KeyId>(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(*count)) ==
              expected);
    }

    void destroy_others() {
        std::erase_if(others_, [this](const auto& other) {
            return judged("destroy_key", hsm_->destroy_key(other.second)).has_value();
        });
    }

    void list() {
        const auto listed = judged("vending_keys", hsm_->vending_keys());
        if (!listed) return;
        std::set<KeyId> expected{kept_.id};
        for (const Key& key : made_) expected.insert(key.id);
        CHECK(std::set<KeyId>(listed->begin(), listed->end()) == expected);
    }

    void destroy_made() {
        std::erase_if(made_, [this](const Key& key) {
            return judged("destroy_key", hsm_->destroy_key(key.id)).has_value();
        });
        if (hsm_->has_wrapping_key()) {
            static_cast<void>(judged("destroy_wrapping_key", hsm_->destroy_wrapping_key()));
        }
    }

    [[nodiscard]] std::multiset<std::string> expected_labels() const {
        const std::string& prefix = shimmed_.token->config.object_prefix;
        std::multiset<std::string> labels{prefix + "vk/" + hex(kept_.id)};
        for (const Key& key : made_) labels.insert(prefix + "vk/" + hex(key.id));
        for (const auto& [kind, id] : others_) labels.insert(prefix + kind + hex(id));
        if (scope_ == Scope::key_management) labels.insert("sts6/TEST02/vk/taken");
        if (hsm_->has_wrapping_key()) labels.insert(prefix + "wrap/");
        return labels;
    }

    /// Of every token object; of a key that wraps without its name, which the port keeps for itself.
    [[nodiscard]] std::multiset<std::string> token_labels() const {
        const RawSession raw(*shimmed_.token);
        std::multiset<std::string> labels;
        for (const std::string& label : raw.labels("")) {
            const std::string wrap = shimmed_.token->config.object_prefix + "wrap/";
            labels.insert(label.starts_with(wrap) ? wrap : label);
        }
        REQUIRE(raw.api().C_CloseSession(raw.handle()) == CKR_OK);
        return labels;
    }

    ShimmedToken& shimmed_;
    Key kept_;
    Fault fault_;
    std::unique_ptr<Pkcs11Hsm> hsm_;
    std::vector<Key> made_;
    Scope scope_;
    test::SoftwareKmc kmc_;
    std::vector<std::pair<std::string, KeyId>> others_;  ///< kind and name of what is no vending key
};

/// A token with one key, behind the shim.
struct Room {
    explicit Room(Scope its_scope = Scope::vending) : shimmed(softhsm_token()), scope(its_scope) {
        // What is durable is another test's question, and takes time.
        shimmed.token->config.sync_dir.clear();
        shimmed.token->config.sessions = 2;
        const auto made = open(*shimmed.token)->create_vending_key(Dkga::dkga04, octets<20>(kDkg04Key));
        REQUIRE(made);
        kept.id = made->id;
        // Another module's.
        if (scope == Scope::key_management) {
            const auto hsm = open(*shimmed.token);
            RawSession(*shimmed.token).create("sts6/TEST02/vk/taken", KeyId{2}, 1);
        }
        shimmed.control.clear();
    }
    ShimmedToken shimmed;
    Scope scope;
    Key kept;
};

/// Every call of a few, some of many.
std::vector<std::uint64_t> sites(std::uint64_t calls) {
    std::vector<std::uint64_t> all;
    for (std::uint64_t at = 1; at <= calls; ++at) {
        if (calls <= 4 || at == 1 || at == calls / 2 || at == calls) all.push_back(at);
    }
    return all;
}

enum class Mode : std::uint8_t {
    not_executed,
    answer_lost,  ///< the token has executed it
    device_gone,  ///< with all that comes after it
};

/// The failed call itself may leave what it was to close, or has made and not told.
int excused_leaks(std::string_view call, Mode mode) {
    static const std::set<std::string_view> closing = {"C_CloseSession", "C_DestroyObject"};
    static const std::set<std::string_view> opening = {"C_OpenSession", "C_CreateObject", "C_CopyObject",
                                                       "C_GenerateKey", "C_DeriveKey"};
    if (mode == Mode::device_gone) return 0;
    if (mode == Mode::answer_lost && call == "C_GenerateKeyPair") return 2;
    return static_cast<int>((mode == Mode::answer_lost ? opening : closing).count(call));
}

void arrange(shim::Control& control, const Fault& fault, Mode mode) {
    control.clear();
    if (mode == Mode::not_executed) control.fail(fault.call, fault.rv, fault.at);
    if (mode == Mode::answer_lost) control.lose_answer(fault.call, fault.rv, fault.at);
    if (mode == Mode::device_gone) control.remove_at(fault.call, fault.rv, fault.at);
}

void check_one(Room& room, const Fault& fault, Mode mode) {
    INFO(as_text(fault));
    Script script(room.shimmed, room.kept, room.scope);
    arrange(room.shimmed.control, fault, mode);
    script.run(fault);
    // What the end of the script calls.
    if (room.shimmed.control.calls(fault.call) < fault.at) script.close();
    CHECK(room.shimmed.control.calls(fault.call) >= fault.at);
    // The next test's library is to be its own again.
    if (fault.call == "C_Finalize") CHECK(test::functions(*room.shimmed.token).C_Finalize(nullptr) == CKR_OK);
    script.check_afterwards();
    script.check_leaks(excused_leaks(fault.call, mode));
}

/// How often the script makes a call when nothing fails.
std::uint64_t calls_of_script(Room& room, std::string_view call) {
    Script script(room.shimmed, room.kept, room.scope);
    room.shimmed.control.clear();
    script.run({});
    script.close();
    return room.shimmed.control.calls(call);
}

void fail_each(std::string_view call, Scope scope = Scope::vending) {
    Room room(scope);
    const std::uint64_t calls = calls_of_script(room, call);
    CHECK(calls > 0);
    for (const std::uint64_t at : sites(calls)) {
        for (const CK_RV rv : kFaults) {
            // Not to be presented again: a test of its own.
            if (call == "C_Login" && rv == CKR_PIN_LOCKED) continue;
            check_one(room, {call, rv, at}, Mode::not_executed);
        }
    }
}

/// The token executes each call, and its answer does not arrive.
void lose_each(Room& room, std::initializer_list<std::string_view> calls) {
    for (const std::string_view call : calls) {
        for (const std::uint64_t at : sites(calls_of_script(room, call))) {
            for (const CK_RV rv : {CKR_DEVICE_ERROR, CKR_HOST_MEMORY, CKR_GENERAL_ERROR}) {
                check_one(room, {call, rv, at}, Mode::answer_lost);
            }
        }
    }
}

/// The device goes at each call, and comes back when the script is through.
void remove_at_each(std::initializer_list<std::string_view> calls, Scope scope = Scope::vending) {
    Room room(scope);
    for (const std::string_view call : calls) {
        for (const std::uint64_t at : sites(calls_of_script(room, call))) {
            check_one(room, {call, CKR_DEVICE_REMOVED, at}, Mode::device_gone);
        }
    }
}

}  // namespace

TEST_CASE("a failing HSM: the library and its slots") {
    for (const auto* call : {"C_Initialize", "C_Finalize", "C_GetInfo", "C_GetSlotList", "C_GetTokenInfo"}) {
        fail_each(call);
    }
}

TEST_CASE("a failing HSM: sessions and login") {
    for (const auto* call : {"C_OpenSession", "C_CloseSession", "C_GetSessionInfo", "C_Login"}) {
        fail_each(call);
    }
}

TEST_CASE("a failing HSM: objects") {
    for (const auto* call : {"C_CreateObject", "C_CopyObject", "C_DestroyObject", "C_GenerateKey"}) {
        fail_each(call);
    }
}

TEST_CASE("a failing HSM: the search for keys") {
    for (const auto* call :
         {"C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal", "C_GetAttributeValue"}) {
        fail_each(call);
    }
}

TEST_CASE("a failing HSM: signatures and random numbers") {
    for (const auto* call : {"C_SignInit", "C_Sign", "C_GenerateRandom"}) fail_each(call);
}

TEST_CASE("a failing HSM: encryption and decryption") {
    for (const auto* call : {"C_EncryptInit", "C_Encrypt", "C_DecryptInit", "C_Decrypt"}) fail_each(call);
}

TEST_CASE("a failing HSM: key management") {
    for (const auto* call : {"C_GenerateKeyPair", "C_DeriveKey", "C_DigestInit", "C_DigestUpdate",
                             "C_DigestKey", "C_DigestFinal"}) {
        fail_each(call, Scope::key_management);
    }
}

TEST_CASE("a failing HSM: what key management shares with the rest") {
    Room room(Scope::key_management);
    for (const std::string_view call :
         {"C_OpenSession", "C_CloseSession", "C_CreateObject", "C_DestroyObject", "C_GetAttributeValue",
          "C_FindObjectsInit", "C_FindObjects", "C_EncryptInit", "C_Encrypt", "C_Decrypt", "C_SignInit"}) {
        const std::uint64_t calls = calls_of_script(room, call);
        // The probes at login make the first of them.
        for (const std::uint64_t at : {calls / 2, calls * 2 / 3, calls * 5 / 6}) {
            for (const CK_RV rv : {CKR_DEVICE_ERROR, CKR_OBJECT_HANDLE_INVALID, CKR_HOST_MEMORY}) {
                check_one(room, {call, rv, std::max<std::uint64_t>(at, 1)}, Mode::not_executed);
            }
        }
    }
}

TEST_CASE("a failing HSM: key management whose answers are lost") {
    Room room(Scope::key_management);
    lose_each(room, {"C_GenerateKeyPair", "C_DeriveKey", "C_DigestFinal", "C_CreateObject", "C_DestroyObject",
                     "C_OpenSession"});
}

TEST_CASE("a failing HSM: it goes while keys are managed, and comes back") {
    remove_at_each({"C_GenerateKeyPair", "C_DeriveKey", "C_DigestKey", "C_Encrypt", "C_CreateObject",
                    "C_DestroyObject", "C_GetAttributeValue"},
                   Scope::key_management);
}

TEST_CASE("a failing HSM: its answer is lost") {
    Room room;
    lose_each(room, {"C_CreateObject", "C_GenerateKey", "C_DestroyObject", "C_CopyObject", "C_OpenSession",
                     "C_Login", "C_Sign", "C_Encrypt"});
}

TEST_CASE("a failing HSM: it goes while it is used, and comes back") {
    remove_at_each(
        {"C_SignInit", "C_Sign", "C_EncryptInit", "C_Decrypt", "C_GenerateRandom", "C_CopyObject"});
}

TEST_CASE("a failing HSM: it goes while objects are made, found and destroyed, and comes back") {
    remove_at_each({"C_OpenSession", "C_CloseSession", "C_Login", "C_CreateObject", "C_GenerateKey",
                    "C_DestroyObject", "C_FindObjectsInit", "C_FindObjectsFinal", "C_GetAttributeValue"});
}

TEST_CASE("a failing HSM: a PIN that is locked when it is presented is not presented again") {
    Room room;
    auto& control = room.shimmed.control;
    Script script(room.shimmed, room.kept);
    SECTION("at the first login") {
        control.fail("C_Login", CKR_PIN_LOCKED);
        CHECK(test::error_name(Pkcs11Hsm::open(room.shimmed.token->config, room.shimmed.token->pin)) ==
              "pin_locked");
        CHECK(control.calls("C_Login") == 1);
    }
    SECTION("at a later one: until the process starts anew") {
        control.fail("C_Login", CKR_PIN_LOCKED, 2);
        script.run({"C_Login", CKR_PIN_LOCKED, 2});
        CHECK(control.calls("C_Login") == 2);
        control.clear();
        CHECK_FALSE(script.works());
        CHECK(script.kept_check_value() == "hsm_failed");
        CHECK_FALSE(script.hsm()->connected());
        CHECK(control.calls("C_Login") == 0);
        script.close();
    }
    script.check_afterwards();
    script.check_leaks(0);
}

TEST_CASE("a failing HSM: while it is away no login is tried, and requests cost it nothing") {
    Room room;
    auto& control = room.shimmed.control;
    Script script(room.shimmed, room.kept);
    script.run({});
    control.clear();
    control.remove_device();
    CHECK_FALSE(script.works());
    const auto opened = control.calls("C_OpenSession");
    const auto attempts = [&] { return control.calls("C_OpenSession") / opened; };
    CHECK(opened > 0);
    std::uint64_t requests = 0;
    REQUIRE(eventually([&] {
        for (int i = 0; i < 100; ++i, ++requests) CHECK_FALSE(script.works());
        return attempts() >= 3;
    }));
    CHECK(requests > 3 * attempts());
    CHECK(control.calls("C_Login") == 0);
    CHECK(control.calls("C_Sign") == 0);
    script.check_afterwards();
    script.check_leaks(0);
}

}  // namespace sts6::p11
