// SPDX-License-Identifier: Apache-2.0
// Key management of the Hsm port: key pairs, agreement, load, and the end of keys. Keys are found by their
// labels each time; nothing here is on the path of vending.
#include <algorithm>
#include <array>

#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include "firmware/util/constant_time.hpp"
#include "src/pkcs11/ec_key.hpp"
#include "src/pkcs11/key_agreement.hpp"
#include "src/pkcs11/operations.hpp"
#include "src/pkcs11/pkcs11_hsm_impl.hpp"
#include "src/pkcs11/sync.hpp"
#include "src/pkcs11/wrapping_key.hpp"

namespace sts6::p11 {
namespace {

constexpr std::size_t kLongestModuleId = 40;

bool draw_id(KeyId& id) {
    return RAND_bytes(id.data(), static_cast<int>(id.size())) == 1;
}

std::optional<Dkga> dkga_of_length(std::size_t octets) {
    for (const Dkga dkga : {Dkga::dkga02, Dkga::dkga04}) {
        if (octets == vending_key_octets(dkga)) return dkga;
    }
    return std::nullopt;
}

}  // namespace

/// The room's own words for an outcome, which the token never gives for the calls that are made here, and
/// hsm_failed, with the reason in the log, for the token's.
Errc Pkcs11Hsm::Impl::failed(const char* what, CK_RV rv) {
    if (rv == CKR_KEY_NEEDED) return Errc::key_missing;
    if (rv == CKR_SIGNATURE_INVALID || rv == CKR_WRAPPED_KEY_INVALID) return Errc::key_mismatch;
    spdlog::error("PKCS#11 token '" + identity.label + "' fails with " + what + ": " + describe(rv));
    return Errc::hsm_failed;
}

/// The one object of that label; CKR_KEY_NEEDED when there is none.
CkResult<CK_OBJECT_HANDLE> Pkcs11Hsm::Impl::find_one(std::string_view kind, const KeyId& id) {
    const auto objects = find_by_label(connection_.session(), object_label(catalogue_.prefix(), kind, id));
    if (!objects) return Unexpected{objects.error()};
    if (objects->size() == 1) return objects->front();
    if (!objects->empty()) return Unexpected<CK_RV>{CKR_FUNCTION_REJECTED};
    // Without login there are no keys, and no error either.
    const CK_RV rv = refresh();
    return Unexpected<CK_RV>{rv != CKR_OK ? rv : CKR_KEY_NEEDED};
}

Result<void> Pkcs11Hsm::Impl::adopt(std::string_view module_id) {
    if (module_id.empty() || module_id.size() > kLongestModuleId ||
        module_id.find('/') != std::string_view::npos) {
        return Unexpected{Errc::invalid_argument};
    }
    const std::string prefix = "sts6/" + std::string(module_id) + "/";
    bool taken = false;
    const CK_RV rv = attempt([&]() -> CK_RV {
        const auto labels = labels_under(connection_.session(), prefix);
        if (!labels) return labels.error();
        taken = !labels->empty();
        // A token that is away, or has lost its login, shows nothing.
        return taken ? CKR_OK : refresh();
    });
    if (rv != CKR_OK) return Unexpected{failed("the search for keys", rv)};
    if (taken) return Unexpected{Errc::already_exists};
    const Session& session = connection_.session();
    for (KeyEntry& entry : catalogue_.entries()) copies_.drop(session, entry);
    copies_.drop(session, catalogue_.wrapping_key());
    catalogue_ = KeyCatalogue(prefix);
    listed_.clear();
    return {};
}

Result<EcKey> Pkcs11Hsm::Impl::generate_ec_key(EcKeyUse use) {
    if (!capabilities.ec_p384) return Unexpected{Errc::unsupported};
    EcKey made;
    if (const CK_RV rv = attempt([&] { return make_ec_key(use, made); }); rv != CKR_OK) {
        // Destroys what there is of it; when the token is away, that is done when it is back.
        if (connected) static_cast<void>(refresh());
        return Unexpected{failed("a new key pair", rv)};
    }
    if (const auto synced = sync_token_files(sync_dir_); !synced) {
        static_cast<void>(destroy_key(made.id));
        return Unexpected{synced.error()};
    }
    return made;
}

CK_RV Pkcs11Hsm::Impl::make_ec_key(EcKeyUse use, EcKey& made) {
    if (!draw_id(made.id)) return CKR_FUNCTION_FAILED;
    const auto kind = use == EcKeyUse::agreement ? kStaticKeyKind : kEphemeralKeyKind;
    const std::string label = object_label(catalogue_.prefix(), kind, made.id);
    unfinished_.push_back(label);
    const auto object = create_ec_key(connection_.session(), Lifetime::token, label, made.id, made.point);
    return object ? finish_key() : object.error();
}

Result<KeyId> Pkcs11Hsm::Impl::agree(const AgreementRequest& request) {
    if (capabilities.key_agreement == KeyAgreement::none) return Unexpected{Errc::unsupported};
    // A point off the curve would tell of the static key.
    if (!is_on_curve(request.peer)) return Unexpected{Errc::invalid_argument};
    KeyId id{};
    if (const CK_RV rv = attempt([&] { return make_kek(request, id); }); rv != CKR_OK) {
        if (connected) static_cast<void>(refresh());
        return Unexpected{failed("a key agreement", rv)};
    }
    if (const auto synced = sync_token_files(sync_dir_); !synced) {
        static_cast<void>(destroy_key(id));
        return Unexpected{synced.error()};
    }
    return id;
}

CK_RV Pkcs11Hsm::Impl::make_kek(const AgreementRequest& request, KeyId& id) {
    const auto ephemeral_key = find_one(kEphemeralKeyKind, request.ephemeral_key);
    if (!ephemeral_key) return ephemeral_key.error();
    const auto static_key = find_one(kStaticKeyKind, request.static_key);
    if (!static_key) return static_key.error();
    // A session of its own takes along what was made in it, also by a call whose answer is lost.
    const auto objects = Session::open(connection_.module(), connection_.token().slot, Access::read_write);
    if (!objects) return objects.error();
    AgreementRun run(*objects, pool_.session(), capabilities.key_agreement);
    CK_RV rv = run.derive({*ephemeral_key, *static_key, request.peer, request.other_info});
    if (rv == CKR_OK) rv = run.confirm(request.mac_data, request.mac_tag);
    if (rv != CKR_OK) return rv;
    if (!draw_id(id)) return CKR_FUNCTION_FAILED;
    const std::string label = object_label(catalogue_.prefix(), kKekKind, id);
    unfinished_.push_back(label);
    const auto kek = run.make_kek(Lifetime::token, label, id);
    if (!kek) return kek.error();
    const auto sealed = is_sealed_key(*objects, *kek, CKK_AES, kKekOctets);
    if (!sealed) return sealed.error();
    return *sealed ? finish_key() : CKR_FUNCTION_REJECTED;
}

CK_RV Pkcs11Hsm::Impl::open_with_kek(const SealedKey& sealed, Payload& payload) {
    const auto kek = find_one(kKekKind, sealed.kek);
    return kek ? open_sealed(pool_.session(), *kek, sealed, payload) : kek.error();
}

Result<LoadedKey> Pkcs11Hsm::Impl::load_key(const SealedKey& sealed) {
    if (!capabilities.aes_192_ccm) return Unexpected{Errc::unsupported};
    Payload payload;
    const CK_RV rv = attempt([&] { return open_with_kek(sealed, payload); });
    if (rv == CKR_DATA_LEN_RANGE) return Unexpected{Errc::malformed};
    if (rv != CKR_OK) return Unexpected{failed("a sealed key", rv)};
    const auto dkg = dkga_of_length(payload.size);
    if (!dkg) return Unexpected{Errc::malformed};
    auto made = create_vending_key(*dkg, payload.octets());
    if (made || made.error() == Errc::storage_failed) return made;
    // Two keys that wrap, or a token that refuses such keys: the key that came is the right one.
    const bool lacking = made.error() == Errc::unsupported || made.error() == Errc::key_mismatch;
    return Unexpected{lacking ? Errc::unsupported : Errc::hsm_failed};
}

std::optional<Errc> Pkcs11Hsm::Impl::unusable(const KeyEntry* entry) const noexcept {
    if (entry == nullptr || entry->state == KeyEntry::State::missing) return Errc::key_missing;
    if (entry->state != KeyEntry::State::present) return Errc::key_mismatch;
    if (!serves(entry->dkg)) return Errc::unsupported;
    return std::nullopt;
}

Result<bool> Pkcs11Hsm::Impl::is_same_key(const KeyReference& a, const KeyReference& b) {
    KeyEntry* first = catalogue_.entry(a.key);
    KeyEntry* second = catalogue_.entry(b.key);
    for (const KeyEntry* entry : {first, second}) {
        if (const auto refused = unusable(entry)) return Unexpected{*refused};
    }
    if (first->dkg != second->dkg) return Unexpected{Errc::invalid_argument};
    const bool wrapped = first->dkg == Dkga::dkga02;
    if (a.wrapped_key.has_value() != wrapped || b.wrapped_key.has_value() != wrapped) {
        return Unexpected{Errc::invalid_argument};
    }
    if (wrapped) {
        if (const auto refused = wrapping_key_refusal()) return Unexpected{*refused};
    }
    bool same = false;
    const CK_RV rv = attempt([&] { return compare(*first, *second, a, b, same); });
    for (const KeyEntry* entry : {first, second}) {
        if (const auto refused = unusable(entry)) return Unexpected{*refused};
    }
    if (rv != CKR_OK) return Unexpected{failed("the comparison of two keys", rv)};
    return same;
}

/// By the token objects themselves, never by copies of them.
CK_RV Pkcs11Hsm::Impl::compare(KeyEntry& a, KeyEntry& b, const KeyReference& first,
                               const KeyReference& second, bool& same) {
    if (unusable(&a) || unusable(&b)) return CKR_KEY_NEEDED;
    Session& session = pool_.session();
    std::array<Secret<32>, 2> images;
    std::array<Secret<kDkg02Octets>, 2> keys;
    const std::array<KeyEntry*, 2> entries = {&a, &b};
    const std::array<const KeyReference*, 2> references = {&first, &second};
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const KeyEntry& entry = *entries.at(i);
        CK_RV rv = image_of_zeros(session, entry.object, entry.dkg, images.at(i));
        if (rv == CKR_OK && entry.kcv &&
            !std::equal(entry.kcv->begin(), entry.kcv->end(), images.at(i).octets().begin())) {
            rv = CKR_WRAPPED_KEY_INVALID;
        }
        if (rv == CKR_OK && references.at(i)->wrapped_key) {
            rv = unwrap_key(session, catalogue_.wrapping_key().object, *references.at(i)->wrapped_key,
                            entry.id, keys.at(i));
        }
        if (rv != CKR_OK) return rv;
    }
    const bool same_image = equal_constant_time(images[0].octets(), images[1].octets());
    same = equal_constant_time(keys[0].octets(), keys[1].octets()) && same_image;
    return CKR_OK;
}

Result<void> Pkcs11Hsm::Impl::destroy_key(const KeyId& id) {
    std::vector<std::string> labels;
    for (const std::string_view kind : kKeyKinds) {
        labels.push_back(object_label(catalogue_.prefix(), kind, id));
    }
    const auto handle = catalogue_.find(id);
    if (!handle) return destroy(labels);
    KeyEntry& entry = *catalogue_.entry(*handle);
    copies_.drop(connection_.session(), entry);
    // Known for what it is: one search less for each other kind.
    if (entry.state != KeyEntry::State::missing) labels.resize(1);
    const auto done = destroy(labels);
    if (!done) return done;
    entry.state = KeyEntry::State::missing;
    entry.object = CK_INVALID_HANDLE;
    return done;
}

bool Pkcs11Hsm::Impl::has_wrapping_key() noexcept {
    return catalogue_.wrapping_key().state != TokenKey::State::missing;
}

Result<void> Pkcs11Hsm::Impl::destroy_wrapping_key() {
    TokenKey& key = catalogue_.wrapping_key();
    if (key.state == TokenKey::State::missing) return Unexpected{Errc::key_missing};
    if (key.state == TokenKey::State::ambiguous) return Unexpected{Errc::key_mismatch};
    copies_.drop(connection_.session(), key);
    const auto done = destroy(std::array{wrapping_key_label(catalogue_.prefix(), key.id)});
    if (!done) return done;
    key.state = TokenKey::State::missing;
    key.object = CK_INVALID_HANDLE;
    return done;
}

/// Every object of these labels. Found anew: a handle that went stale might be another object's by now.
Result<void> Pkcs11Hsm::Impl::destroy(std::span<const std::string> labels) {
    bool asked = false;
    const auto each_object = [&](auto use) -> CK_RV {
        for (const std::string& label : labels) {
            const auto objects = find_by_label(connection_.session(), label);
            if (!objects) return objects.error();
            for (const CK_OBJECT_HANDLE object : *objects) {
                if (const CK_RV rv = use(object); rv != CKR_OK) return rv;
            }
        }
        return CKR_OK;
    };
    CK_RV rv = attempt([&]() -> CK_RV {
        const CK_RV done = each_object([&](CK_OBJECT_HANDLE object) {
            asked = true;
            return destroy_object(connection_.session(), object);
        });
        if (done != CKR_OK || asked) return done;
        // A token that is away, or has lost its login, shows nothing.
        const CK_RV there = refresh();
        return there != CKR_OK ? there : CKR_KEY_NEEDED;
    });
    // It may be gone, and only the answer lost.
    if (rv != CKR_OK && asked && connected && refresh() == CKR_OK) {
        rv = each_object([rv](CK_OBJECT_HANDLE) { return rv; });
    }
    if (rv != CKR_OK) return Unexpected{failed("the end of a key", rv)};
    return sync_token_files(sync_dir_);
}

CK_RV Pkcs11Hsm::Impl::list() {
    const auto labels = labels_under(connection_.session(), catalogue_.prefix());
    if (!labels) return labels.error();
    // After the search: it finds out whether the token showed what it has.
    if (const CK_RV rv = refresh(); rv != CKR_OK) return rv;
    listed_.clear();
    for (const std::string& label : *labels) {
        if (const auto id = named_key(catalogue_.prefix(), label)) listed_.push_back(*id);
    }
    std::ranges::sort(listed_);
    listed_.erase(std::unique(listed_.begin(), listed_.end()), listed_.end());
    return CKR_OK;
}

Result<std::size_t> Pkcs11Hsm::Impl::list_keys(std::size_t index, std::span<KeyId> ids) {
    if (index == 0) {
        if (const CK_RV rv = attempt([&] { return list(); }); rv != CKR_OK) {
            return Unexpected{failed("the search for keys", rv)};
        }
    }
    if (index >= listed_.size()) return std::size_t{0};
    const std::size_t count = std::min(ids.size(), listed_.size() - index);
    std::copy_n(listed_.begin() + static_cast<std::ptrdiff_t>(index), count, ids.begin());
    return count;
}

Result<void> Pkcs11Hsm::Impl::destroy_all_keys() {
    std::array<KeyId, 64> ids{};
    for (std::size_t index = 0;; index += ids.size()) {
        const auto count = list_keys(index, ids);
        if (!count) return Unexpected{count.error()};
        for (const KeyId& id : std::span(ids).first(*count)) {
            if (const auto gone = destroy_key(id); !gone) return gone;
        }
        if (*count < ids.size()) break;
    }
    if (has_wrapping_key()) {
        if (const auto gone = destroy_wrapping_key(); !gone) return gone;
    }
    const auto left = list_keys(0, ids);
    if (!left) return Unexpected{left.error()};
    return *left == 0 ? Result<void>{} : Unexpected{Errc::hsm_failed};
}

}  // namespace sts6::p11
