// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/key_catalogue.hpp"

#include <algorithm>
#include <array>

#include <spdlog/spdlog.h>

#include "src/pkcs11/objects.hpp"
#include "src/pkcs11/vending_key_object.hpp"
#include "src/pkcs11/wrapping_key.hpp"
#include "sts6/hex.hpp"

namespace sts6::p11 {
namespace {

std::string hex_text(const KeyId& id) {
    std::string text(2 * id.size(), '0');
    write_hex(id, text.data());
    return text;
}

std::optional<Dkga> dkg_of(CK_KEY_TYPE type) {
    switch (type) {
        case CKK_GENERIC_SECRET:
        case CKK_SHA256_HMAC:
            return Dkga::dkga04;
        case CKK_DES3:
            return Dkga::dkga02;
        default:
            return std::nullopt;
    }
}

}  // namespace

CkResult<std::optional<KeyCatalogue::Seen>> KeyCatalogue::inspect(const Session& session,
                                                                  CK_OBJECT_HANDLE object) const {
    std::array<char, 256> label{};
    KeyId id{};
    CK_KEY_TYPE type = 0;
    std::array<CK_ATTRIBUTE, 3> attributes{{{CKA_LABEL, label.data(), label.size()},
                                            {CKA_ID, id.data(), id.size()},
                                            {CKA_KEY_TYPE, &type, sizeof type}}};
    const CK_RV rv = read_attributes(session, object, attributes);
    if (fault_of(rv) == Fault::connection) return Unexpected{rv};
    // Foreign (a longer label or another ID), half-made, or destroyed since the search.
    if (rv != CKR_OK || attributes[0].ulValueLen > label.size()) return std::optional<Seen>{};
    const std::string_view text(label.data(), attributes[0].ulValueLen);
    if (!text.starts_with(prefix_)) return std::optional<Seen>{};
    if (attributes[1].ulValueLen == id.size()) {
        if (text == object_label(prefix_, kKekKind, id)) return std::optional<Seen>{};
        const auto dkg = dkg_of(type);
        if (dkg && text == vending_key_label(prefix_, id)) return std::optional(Seen{id, dkg, object});
        if (text == wrapping_key_label(prefix_, id)) {
            const auto sealed = is_sealed_wrapping_key(session, object);
            if (!sealed) return Unexpected{sealed.error()};
            if (*sealed) return std::optional(Seen{id, std::nullopt, object});
        }
    }
    spdlog::warn("PKCS#11 object '" + std::string(text) + "' is no key of this product: not used");
    return std::optional<Seen>{};
}

CK_RV KeyCatalogue::refresh(const Session& session) {
    Attributes wanted;
    wanted.number(CKA_CLASS, CKO_SECRET_KEY).flag(CKA_TOKEN, true);
    const auto objects = find_objects(session, wanted);
    if (!objects) return objects.error();
    std::vector<Seen> seen;
    for (const CK_OBJECT_HANDLE object : *objects) {
        const auto key = inspect(session, object);
        if (!key) return key.error();
        if (*key) seen.push_back(**key);
    }
    // To a session without login the token shows no private objects, and no error either.
    const auto state = session.state();
    if (!state) return state.error();
    if (*state != CKS_RW_USER_FUNCTIONS) return CKR_USER_NOT_LOGGED_IN;
    // SoftHSM that can open no file, or whose store is away, shows no keys and no error either: a token that
    // lost every one of several at once is away.
    const auto known = std::ranges::count(entries_, KeyEntry::State::present, &KeyEntry::state);
    if (seen.empty() && known > 1) return CKR_DEVICE_REMOVED;
    apply(seen);
    return CKR_OK;
}

void KeyCatalogue::apply(const std::vector<Seen>& seen) {
    std::vector<bool> was_present(entries_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        was_present[i] = entries_[i].state == KeyEntry::State::present;
        entries_[i].state = KeyEntry::State::missing;
        entries_[i].object = CK_INVALID_HANDLE;
        entries_[i].incurable = false;
        entries_[i].verify_first = entries_[i].kcv.has_value();
    }
    const bool could_wrap = wrapping_key_.state == TokenKey::State::present;
    wrapping_key_.state = TokenKey::State::missing;
    wrapping_key_.object = CK_INVALID_HANDLE;
    for (const Seen& key : seen) {
        if (key.dkg) {
            apply_vending_key(key, *key.dkg);
        } else {
            apply_wrapping_key(key);
        }
    }
    for (std::size_t i = 0; i < was_present.size(); ++i) {
        if (was_present[i] && entries_[i].state == KeyEntry::State::missing) {
            spdlog::error("vending key " + hex_text(entries_[i].id) + " is no longer in the PKCS#11 token");
        }
    }
    if (could_wrap && wrapping_key_.state == TokenKey::State::missing) {
        spdlog::error("the key that wraps DKG 02 keys is no longer in the PKCS#11 token");
    }
}

void KeyCatalogue::apply_vending_key(const Seen& key, Dkga dkg) {
    KeyEntry& entry = add(key.id);
    if (entry.state == KeyEntry::State::missing) {
        entry.state = KeyEntry::State::present;
        entry.object = key.object;
        entry.dkg = dkg;
    } else {
        entry.state = KeyEntry::State::ambiguous;
        spdlog::error("two PKCS#11 objects claim to be vending key " + hex_text(key.id) +
                      ": neither is used");
    }
}

void KeyCatalogue::apply_wrapping_key(const Seen& key) {
    if (wrapping_key_.state == TokenKey::State::missing) {
        wrapping_key_.state = TokenKey::State::present;
        wrapping_key_.object = key.object;
        wrapping_key_.id = key.id;
    } else {
        wrapping_key_.state = TokenKey::State::ambiguous;
        spdlog::error("two PKCS#11 objects claim to wrap DKG 02 keys: neither is used");
    }
}

std::optional<KeyHandle> KeyCatalogue::find(const KeyId& id) const {
    const auto place = places_.find(id);
    if (place == places_.end()) return std::nullopt;
    return static_cast<KeyHandle>(place->second);
}

KeyEntry* KeyCatalogue::entry(KeyHandle key) noexcept {
    const auto place = static_cast<std::size_t>(key);
    return place < entries_.size() ? &entries_[place] : nullptr;
}

KeyEntry& KeyCatalogue::add(const KeyId& id) {
    const auto [place, is_new] = places_.try_emplace(id, entries_.size());
    if (is_new) entries_.emplace_back().id = id;
    return entries_[place->second];
}

}  // namespace sts6::p11
