// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/pkcs11_hsm.hpp"

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include "firmware/util/constant_time.hpp"
#include "firmware/util/secret.hpp"
#include "src/pkcs11/ec_key.hpp"
#include "src/pkcs11/key_agreement.hpp"
#include "src/pkcs11/objects.hpp"
#include "src/pkcs11/operations.hpp"
#include "src/pkcs11/pkcs11_hsm_impl.hpp"
#include "src/pkcs11/probes.hpp"
#include "src/pkcs11/sync.hpp"
#include "src/pkcs11/token_file.hpp"
#include "src/pkcs11/vending_key_object.hpp"
#include "src/pkcs11/wrapping_key.hpp"

namespace sts6::p11 {
namespace {

constexpr std::size_t kLongestPrefix = 64;
constexpr std::size_t kLongestTokenLabel = 32;

Result<void> check_config(const TokenConfig& config) {
    const char* fault = nullptr;
    if (config.module.empty()) fault = "no PKCS#11 module is named";
    if (config.token_label.empty() || config.token_label.size() > kLongestTokenLabel) {
        fault = "the token label must have 1 to 32 characters";
    }
    if (config.object_prefix.size() < 2 || config.object_prefix.size() > kLongestPrefix ||
        !config.object_prefix.ends_with('/')) {
        fault = "the object prefix must have 2 to 64 characters and end in '/'";
    }
    if (config.sessions < 1 || config.sessions > TokenConfig::kMostSessions) {
        fault = "hsm.sessions must be 1 to 64";
    }
    if (fault == nullptr) return {};
    spdlog::error("PKCS#11 configuration: " + std::string(fault));
    return Unexpected{Errc::invalid_argument};
}

Result<void> check_protection(const TokenConfig& config, const Capabilities& found) {
    if (config.min_protection == Protection::any) return {};
    const auto* row = std::ranges::find(kKeyAgreements, found.key_agreement, &KeyAgreementRow::how);
    if (row != kKeyAgreements.end() && found.aes_192_ccm && row->protection >= config.min_protection) {
        return {};
    }
    spdlog::error("PKCS#11 token '" + config.token_label +
                  "' cannot agree on keys, or keeps less to itself in it than hsm.min_protection demands");
    return Unexpected{Errc::unsupported};
}

/// Keeps exceptions of libraries, of which only lack of memory and threads is to be expected, inside the
/// room.
template <class F>
auto guarded(F&& call) -> decltype(call()) {
    try {
        return std::forward<F>(call)();
    } catch (const std::exception& failure) {
        spdlog::error(std::string("PKCS#11: ") + failure.what());
        return Unexpected{Errc::hsm_failed};
    }
}

}  // namespace

Result<void> Pkcs11Hsm::Impl::start() {
    CK_RV rv = refresh();
    if (rv == CKR_OK) {
        rv = pool_.open_sessions(connection_.module(), connection_.token().slot, session_count_);
    }
    if (rv == CKR_OK) return {};
    connection_.module().complain("PKCS#11 token '" + identity.label +
                                  "' fails after login: " + describe(rv));
    return Unexpected{errc_of(rv)};
}

/// SoftHSM writes an object attribute by attribute, then what its maker says of it, its label too, and of a
/// key that it generates the value last: a kill leaves what nobody can find again, or a wrapping key that is
/// none.
void Pkcs11Hsm::Impl::destroy_half_made() {
    const Session& session = connection_.session();
    Attributes any;
    const auto objects = find_objects(session, any);
    if (!objects) return;
    std::size_t destroyed = 0;
    for (const CK_OBJECT_HANDLE object : *objects) {
        const auto half = is_half_made(session, object, catalogue_.prefix());
        if (half && *half && destroy_object(session, object) == CKR_OK) ++destroyed;
    }
    if (destroyed == 0) return;
    spdlog::warn("PKCS#11 token '" + identity.label + "': objects that a kill has left half made, without " +
                 "a key, are destroyed: " + std::to_string(destroyed));
    static_cast<void>(sync_token_files(sync_dir_));
}

/// Finds the keys, without those whose making failed: these are destroyed first.
CK_RV Pkcs11Hsm::Impl::refresh() {
    const Session& session = connection_.session();
    std::erase_if(unfinished_, [&session](const std::string& label) {
        const auto objects = find_by_label(session, label);
        return objects && std::ranges::all_of(*objects, [&session](CK_OBJECT_HANDLE object) {
                   return destroy_object(session, object) == CKR_OK;
               });
    });
    if (!unfinished_.empty()) {
        spdlog::error("PKCS#11 token '" + identity.label + "': a key that was not made is still in it");
    }
    return catalogue_.refresh(session);
}

/// The last key that was begun is made, unless the token has two of it: a call whose answer is lost is
/// executed all the same.
CK_RV Pkcs11Hsm::Impl::finish_key() {
    const auto objects = find_by_label(connection_.session(), unfinished_.back());
    if (!objects) return objects.error();
    if (objects->size() != 1) return CKR_FUNCTION_FAILED;
    unfinished_.pop_back();
    return CKR_OK;
}

/// Finds session, login and keys again, unless that was tried a short while ago. The delay ends when an
/// operation shows that it helped.
bool Pkcs11Hsm::Impl::recover() {
    const auto began = RetryDelay::Clock::now();
    if (connection_.is_barred() || !recovery_.is_due(began)) return false;
    Module& module = connection_.module();
    const std::string lost =
        "PKCS#11 token '" + identity.label + "' lost sessions, login or keys: looking for them again";
    if (module.news().is_news(lost)) spdlog::warn(lost);
    const auto restored = restore();
    const auto login =
        connection_.login_failed_unclearly() ? RetryDelay::Login::unclear : RetryDelay::Login::harmless;
    recovery_.attempted(began, RetryDelay::Clock::now(), login);
    connected = restored.has_value();
    if (!restored) {
        module.complain("PKCS#11 token '" + identity.label + "' is away: " + errc_text(restored.error()));
    }
    return connected;
}

/// An operation has worked.
void Pkcs11Hsm::Impl::recovered() {
    if (!recovery_.is_armed()) return;
    recovery_.reset();
    connection_.module().news().forget();
    spdlog::info("PKCS#11 token '" + identity.label + "' is back");
}

Result<void> Pkcs11Hsm::Impl::restore() {
    // All of them before the first new one is opened, which may get the number of one that is dead.
    pool_.forget_dead_sessions();
    copies_.forget_all();
    if (const auto again = connection_.reconnect(); !again) return again;
    return start();
}

Result<KeyHandle> Pkcs11Hsm::Impl::find_key(const KeyId& id, Dkga dkg) {
    const auto handle = catalogue_.find(id);
    if (!handle) return Unexpected{Errc::key_missing};
    const KeyEntry& entry = *catalogue_.entry(*handle);
    if (entry.state == KeyEntry::State::missing) return Unexpected{Errc::key_missing};
    if (entry.state != KeyEntry::State::present || entry.dkg != dkg) return Unexpected{Errc::key_mismatch};
    if (!serves(dkg)) {
        spdlog::error("PKCS#11 token '" + identity.label +
                      "' lacks what DKG 02 keys need (triple DES, AES-256)");
        return Unexpected{Errc::unsupported};
    }
    if (dkg == Dkga::dkga02) {
        if (const auto refused = wrapping_key_refusal()) {
            spdlog::error("PKCS#11 token '" + identity.label +
                          "': no DKG 02 key can be used without the one key that wraps them");
            return Unexpected{*refused};
        }
    }
    return *handle;
}

std::optional<Errc> Pkcs11Hsm::Impl::wrapping_key_refusal() {
    switch (catalogue_.wrapping_key().state) {
        case TokenKey::State::present:
            return std::nullopt;
        case TokenKey::State::missing:
            return Errc::key_missing;
        default:
            return Errc::key_mismatch;
    }
}

Result<Kcv> Pkcs11Hsm::Impl::check_value(KeyHandle key) {
    KeyEntry* entry = catalogue_.entry(key);
    if (entry == nullptr) return Unexpected{Errc::key_missing};
    if (entry->state == KeyEntry::State::ambiguous) return Unexpected{Errc::key_mismatch};
    Kcv kcv{};
    const CK_RV rv = attempt([&]() -> CK_RV {
        if (entry->state == KeyEntry::State::missing) return CKR_KEY_NEEDED;
        const auto computed = p11::check_value(pool_.session(), entry->object, entry->dkg);
        if (!computed) return computed.error();
        kcv = *computed;
        return CKR_OK;
    });
    if (entry->state == KeyEntry::State::missing) return Unexpected{Errc::key_missing};
    if (rv != CKR_OK) {
        report(rv);
        return Unexpected{Errc::hsm_failed};
    }
    if (entry->kcv && *entry->kcv != kcv) {
        entry->state = KeyEntry::State::other_key;
        return Unexpected{Errc::key_mismatch};
    }
    entry->kcv = kcv;
    entry->verify_first = false;
    return kcv;
}

std::optional<Errc> Pkcs11Hsm::Impl::refusal(KeyEntry& entry, Dkga dkg) {
    if (entry.state == KeyEntry::State::missing) return Errc::key_missing;
    if (entry.state != KeyEntry::State::present || entry.dkg != dkg) return Errc::key_mismatch;
    return entry.verify_first ? verify(entry) : std::nullopt;
}

/// A failure that can be cured is no refusal; verify_first stays set.
std::optional<Errc> Pkcs11Hsm::Impl::verify(KeyEntry& entry) {
    const auto kcv = p11::check_value(pool_.session(), entry.object, entry.dkg);
    if (!kcv) {
        if (is_curable(kcv.error())) return std::nullopt;
        report(kcv.error());
        return Errc::hsm_failed;
    }
    if (*kcv != *entry.kcv) {
        spdlog::error("a vending key in PKCS#11 token '" + identity.label + "' is not what it was: not used");
        entry.state = KeyEntry::State::other_key;
        return Errc::key_mismatch;
    }
    entry.verify_first = false;
    return std::nullopt;
}

Result<Derivation> Pkcs11Hsm::Impl::plan(const DerivationRequest& request, DerivationResult& result) {
    KeyEntry* entry = catalogue_.entry(request.key);
    if (entry == nullptr) return Unexpected{Errc::key_missing};
    const bool legacy = request.dkga == Dkga::dkga02;
    if (!serves(request.dkga)) return Unexpected{Errc::unsupported};
    if (legacy && request.ea != Ea::sta) return Unexpected{Errc::invalid_argument};
    if (const auto refused = refusal(*entry, request.dkga)) return Unexpected{*refused};
    if (legacy) {
        if (const auto refused = wrapping_key_refusal()) return Unexpected{*refused};
    }
    // No handle for a key that could not be verified: its derivation fails like one with a stale handle.
    const Session& owner = connection_.session();
    const CK_OBJECT_HANDLE object = entry->verify_first ? CK_INVALID_HANDLE : copies_.use(owner, *entry);
    const CK_OBJECT_HANDLE wrapping_object =
        legacy ? copies_.use(owner, catalogue_.wrapping_key()) : CK_INVALID_HANDLE;
    return Derivation{&request, &result, entry, object, wrapping_object, CKR_OK};
}

void Pkcs11Hsm::Impl::decoder_keys(std::span<const DerivationRequest> requests,
                                   std::span<DerivationResult> results) {
    for (DerivationResult& result : results) result.error = Errc::hsm_failed;
    if (requests.size() != results.size() || !ready()) return;
    derivations_.clear();
    copies_.begin_batch();
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const auto derivation = plan(requests[i], results[i]);
        if (derivation) {
            derivations_.push_back(*derivation);
        } else {
            results[i].error = derivation.error();
        }
    }
    if (derivations_.empty()) return;
    pool_.run(derivations_);
    settle();
    if (derivations_.empty()) {
        recovered();
    } else {
        retry();
    }
}

/// Takes out of the batch what is done or cannot be cured.
void Pkcs11Hsm::Impl::settle() {
    std::erase_if(derivations_, [this](const Derivation& derivation) {
        const Fault fault = fault_of(derivation.rv);
        if (fault == Fault::none) {
            derivation.result->error.reset();
            return true;
        }
        if (fault == Fault::connection) connected = false;
        if (fault == Fault::connection || (fault == Fault::object && !derivation.key->incurable))
            return false;
        if (derivation.rv == CKR_WRAPPED_KEY_INVALID) derivation.result->error = Errc::key_mismatch;
        report(derivation.rv);
        return true;
    });
}

/// What is left of the batch, once more after a recovery.
void Pkcs11Hsm::Impl::retry() {
    if (!recover()) return;
    copies_.begin_batch();
    std::erase_if(derivations_, [this](Derivation& derivation) {
        const auto again = plan(*derivation.request, *derivation.result);
        if (again) {
            derivation = *again;
        } else {
            derivation.result->error = again.error();
        }
        return !again;
    });
    pool_.run(derivations_);
    settle();
    if (derivations_.empty()) recovered();
    for (const Derivation& derivation : derivations_) {
        derivation.key->incurable = fault_of(derivation.rv) == Fault::object;
        report(derivation.rv);
    }
}

/// Logs a failure when it is another one than the last, and from time to time.
void Pkcs11Hsm::Impl::report(CK_RV rv) {
    constexpr std::chrono::seconds kInterval{60};
    const auto now = RetryDelay::Clock::now();
    if (rv == last_reported_ && now < next_report_) return;
    last_reported_ = rv;
    next_report_ = now + kInterval;
    if (rv == CKR_WRAPPED_KEY_INVALID) {
        spdlog::error("a DKG 02 key is not used: what its register has wrapped is not that key");
        return;
    }
    spdlog::error("PKCS#11 token '" + identity.label + "' fails with a key: " + describe(rv));
}

Result<void> Pkcs11Hsm::Impl::random(std::span<std::uint8_t> out) {
    if (!capabilities.random) return Unexpected{Errc::unsupported};
    if (out.empty()) return {};
    const CK_RV rv = attempt([&] {
        const auto lock = connection_.module().management();
        const Session& session = connection_.session();
        return session.api().C_GenerateRandom(session.handle(), out.data(), out.size());
    });
    if (rv == CKR_OK) return {};
    report(rv);
    return Unexpected{Errc::hsm_failed};
}

Result<LoadedKey> Pkcs11Hsm::Impl::create_vending_key(Dkga dkg, std::span<const std::uint8_t> key) {
    if (key.size() != vending_key_octets(dkg)) return Unexpected{Errc::invalid_argument};
    if (!serves(dkg)) return Unexpected{Errc::unsupported};
    if (dkg == Dkga::dkga02 && wrapping_key_refusal() == Errc::key_mismatch) {
        return Unexpected{Errc::key_mismatch};
    }
    const auto kcv = software_check_value(dkg, key);
    if (!kcv) return Unexpected{kcv.error()};
    LoadedKey made{.id = {}, .wrapped_key = {}, .dkg = dkg, .kcv = *kcv};
    const CK_RV rv = attempt([&] { return make_key(dkg, key, *kcv, made); });
    if (rv != CKR_OK) {
        spdlog::error("PKCS#11 token '" + identity.label + "' does not take a vending key: " + describe(rv));
        // Destroys what there is of it; when the token is away, that is done when it is back.
        if (connected) static_cast<void>(refresh());
        return Unexpected{errc_of(rv)};
    }
    if (const auto synced = sync_token_files(sync_dir_); !synced) {
        static_cast<void>(destroy_key(made.id));
        return Unexpected{synced.error()};
    }
    return made;
}

/// The key that wraps, made when there is none.
CK_RV Pkcs11Hsm::Impl::provide_wrapping_key() {
    TokenKey& wrapping_key = catalogue_.wrapping_key();
    if (wrapping_key.state == TokenKey::State::present) return CKR_OK;
    if (wrapping_key.state != TokenKey::State::missing) return CKR_FUNCTION_REJECTED;
    const Session& session = connection_.session();
    copies_.drop(session, wrapping_key);
    KeyId id{};
    if (RAND_bytes(id.data(), static_cast<int>(id.size())) != 1) return CKR_FUNCTION_FAILED;
    const std::string label = wrapping_key_label(catalogue_.prefix(), id);
    unfinished_.push_back(label);
    const auto object = create_wrapping_key_object(session, Lifetime::token, label, id);
    if (!object) return object.error();
    const auto sealed = is_sealed_wrapping_key(session, *object);
    if (!sealed) return sealed.error();
    if (!*sealed) {
        spdlog::error("PKCS#11 token '" + identity.label + "' would give out a key that it was to keep");
        return CKR_FUNCTION_REJECTED;
    }
    if (const CK_RV rv = finish_key(); rv != CKR_OK) return rv;
    wrapping_key.id = id;
    wrapping_key.object = *object;
    wrapping_key.state = TokenKey::State::present;
    wrapping_key.copy_refused = false;
    return CKR_OK;
}

/// Wraps a DKG 02 key, and opens the block again to see that it does.
CkResult<WrappedKey> Pkcs11Hsm::Impl::wrap(std::span<const std::uint8_t> key, const KeyId& id) {
    if (const CK_RV rv = provide_wrapping_key(); rv != CKR_OK) return Unexpected{rv};
    const CK_OBJECT_HANDLE object = catalogue_.wrapping_key().object;
    const auto wrapped = wrap_key(pool_.session(), object, key.first<kDkg02Octets>(), id);
    if (!wrapped) return wrapped;
    Secret<kDkg02Octets> opened;
    const CK_RV rv = unwrap_key(pool_.session(), object, *wrapped, id, opened);
    if (rv != CKR_OK && rv != CKR_WRAPPED_KEY_INVALID) return Unexpected{rv};
    if (rv == CKR_OK && equal_constant_time(opened.octets(), key)) return wrapped;
    spdlog::error("PKCS#11 token '" + identity.label + "' does not open what it has wrapped");
    return Unexpected<CK_RV>{CKR_FUNCTION_REJECTED};
}

/// Makes and verifies one key object; what a failure leaves of it is destroyed by refresh(). A retry makes
/// another one, under another KeyId.
CK_RV Pkcs11Hsm::Impl::make_key(Dkga dkg, std::span<const std::uint8_t> key, const Kcv& kcv,
                                LoadedKey& made) {
    KeyId& id = made.id;
    if (RAND_bytes(id.data(), static_cast<int>(id.size())) != 1) return CKR_FUNCTION_FAILED;
    if (dkg == Dkga::dkga02) {
        const auto wrapped = wrap(key, id);
        if (!wrapped) return wrapped.error();
        made.wrapped_key = *wrapped;
    }
    const std::string label = vending_key_label(catalogue_.prefix(), id);
    unfinished_.push_back(label);
    const auto form = capabilities.hmac_native_20 ? HmacKeyForm::as_it_is : HmacKeyForm::padded_to_32;
    const auto object =
        create_vending_key_object(connection_.session(), dkg, form, Lifetime::token, label, id, key);
    if (!object) return object.error();
    const auto computed = p11::check_value(pool_.session(), *object, dkg);
    if (!computed) return computed.error();
    if (*computed != kcv) {
        spdlog::error("PKCS#11 token '" + identity.label +
                      "' computes something else with a new vending key");
        return CKR_FUNCTION_REJECTED;
    }
    if (const CK_RV rv = finish_key(); rv != CKR_OK) return rv;
    KeyEntry& entry = catalogue_.add(id);
    entry.state = KeyEntry::State::present;
    entry.dkg = dkg;
    entry.object = *object;
    entry.kcv = kcv;
    return CKR_OK;
}

Result<std::vector<KeyId>> Pkcs11Hsm::Impl::vending_keys() {
    const CK_RV rv = attempt([&] { return refresh(); });
    if (rv != CKR_OK) {
        report(rv);
        return Unexpected{Errc::hsm_failed};
    }
    // The key that wraps may be another one now.
    copies_.drop(connection_.session(), catalogue_.wrapping_key());
    std::vector<KeyId> ids;
    for (KeyEntry& entry : catalogue_.entries()) {
        if (entry.state == KeyEntry::State::missing) {
            copies_.drop(connection_.session(), entry);
        } else {
            ids.push_back(entry.id);
        }
    }
    return ids;
}

Pkcs11Hsm::Pkcs11Hsm(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {
}
Pkcs11Hsm::~Pkcs11Hsm() = default;

Result<std::unique_ptr<Pkcs11Hsm>> Pkcs11Hsm::open(const TokenConfig& config, const Pin& pin) {
    return guarded([&]() -> Result<std::unique_ptr<Pkcs11Hsm>> {
        if (const auto valid = check_config(config); !valid) return Unexpected{valid.error()};
        // Other tokens than SoftHSM look after their own files.
        const auto softhsm_store = config.softhsm_conf.empty() ? std::filesystem::path() : config.sync_dir;
        if (auto done = restore_token_files(softhsm_store); !done) return Unexpected{done.error()};
        auto module = Module::acquire(config);
        if (!module) return Unexpected{module.error()};
        auto connection = Connection::open(std::move(*module), config.token_label, pin);
        if (!connection) return Unexpected{connection.error()};
        const Quirks& quirks = quirks_of(connection->module().manufacturer(), connection->token().model);
        auto capabilities = probe_capabilities(connection->session(), quirks);
        if (!capabilities) {
            spdlog::error("PKCS#11 token '" + config.token_label +
                          "' fails its probes: " + describe(capabilities.error()));
            return Unexpected{Errc::hsm_failed};
        }
        for (const std::string& line : capabilities->lines) spdlog::info("PKCS#11 token: " + line);
        if (!capabilities->hmac_native_20 && !capabilities->hmac_padded_32) {
            spdlog::error("PKCS#11 token '" + config.token_label +
                          "' has no HMAC-SHA-256 (CKM_SHA256_HMAC), which DKGA04 needs");
            return Unexpected{Errc::unsupported};
        }
        if (const auto enough = check_protection(config, *capabilities); !enough) {
            return Unexpected{enough.error()};
        }
        if (auto done = keep_token_files(softhsm_store); !done) return Unexpected{done.error()};
        auto impl = std::make_unique<Impl>(std::move(*connection), std::move(*capabilities), config);
        // In another token they may be anybody's.
        if (!softhsm_store.empty()) impl->destroy_half_made();
        if (const auto started = impl->start(); !started) return Unexpected{started.error()};
        return std::unique_ptr<Pkcs11Hsm>(new Pkcs11Hsm(std::move(impl)));
    });
}

Result<KeyHandle> Pkcs11Hsm::find_key(const KeyId& id, Dkga dkg) {
    return impl_->find_key(id, dkg);
}

Result<Kcv> Pkcs11Hsm::check_value(KeyHandle key) {
    return guarded([&] { return impl_->check_value(key); });
}

void Pkcs11Hsm::decoder_keys(std::span<const DerivationRequest> requests,
                             std::span<DerivationResult> results) {
    const auto done = guarded([&]() -> Result<void> {
        impl_->decoder_keys(requests, results);
        return {};
    });
    if (done) return;
    for (DerivationResult& result : results) result.error = Errc::hsm_failed;
}

Result<void> Pkcs11Hsm::random(std::span<std::uint8_t> out) {
    return guarded([&] { return impl_->random(out); });
}

Result<LoadedKey> Pkcs11Hsm::create_vending_key(Dkga dkg, std::span<const std::uint8_t> key) {
    return guarded([&] { return impl_->create_vending_key(dkg, key); });
}

Result<void> Pkcs11Hsm::adopt(std::string_view module_id) {
    return guarded([&] { return impl_->adopt(module_id); });
}

Result<EcKey> Pkcs11Hsm::generate_ec_key(EcKeyUse use) {
    return guarded([&] { return impl_->generate_ec_key(use); });
}

bool Pkcs11Hsm::is_valid_point(const EcPoint& point) {
    return is_on_curve(point);
}

Result<Sha384> Pkcs11Hsm::sha384(std::span<const std::uint8_t> octets) {
    Sha384 digest{};
    if (EVP_Digest(octets.data(), octets.size(), digest.data(), nullptr, EVP_sha384(), nullptr) == 1) {
        return digest;
    }
    return Unexpected{Errc::hsm_failed};
}

Result<KeyId> Pkcs11Hsm::agree(const AgreementRequest& request) {
    return guarded([&] { return impl_->agree(request); });
}

Result<LoadedKey> Pkcs11Hsm::load_key(const SealedKey& sealed) {
    return guarded([&] { return impl_->load_key(sealed); });
}

Result<bool> Pkcs11Hsm::is_same_key(const KeyReference& a, const KeyReference& b) {
    return guarded([&] { return impl_->is_same_key(a, b); });
}

Result<void> Pkcs11Hsm::destroy_key(const KeyId& id) {
    return guarded([&] { return impl_->destroy_key(id); });
}

Result<void> Pkcs11Hsm::destroy_all_keys() {
    return guarded([&] { return impl_->destroy_all_keys(); });
}

Result<std::size_t> Pkcs11Hsm::list_keys(std::size_t index, std::span<KeyId> ids) {
    return guarded([&] { return impl_->list_keys(index, ids); });
}

bool Pkcs11Hsm::has_wrapping_key() const noexcept {
    return impl_->has_wrapping_key();
}

Result<void> Pkcs11Hsm::destroy_wrapping_key() {
    return guarded([&] { return impl_->destroy_wrapping_key(); });
}

Result<std::vector<KeyId>> Pkcs11Hsm::vending_keys() {
    return guarded([&] { return impl_->vending_keys(); });
}

const Capabilities& Pkcs11Hsm::capabilities() const noexcept {
    return impl_->capabilities;
}

const TokenIdentity& Pkcs11Hsm::identity() const noexcept {
    return impl_->identity;
}

bool Pkcs11Hsm::connected() const noexcept {
    return impl_->connected;
}

}  // namespace sts6::p11
