// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/session_copies.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "src/pkcs11/objects.hpp"

namespace sts6::p11 {

CK_OBJECT_HANDLE SessionCopies::use(const Session& owner, TokenKey& entry) {
    entry.last_use = ++now_;
    if (entry.copy != CK_INVALID_HANDLE) return entry.copy;
    if (!enabled_ || entry.copy_refused) return entry.object;
    return make(owner, entry);
}

CK_OBJECT_HANDLE SessionCopies::make(const Session& owner, TokenKey& entry) {
    if (!make_room(owner)) return entry.object;
    const auto copy = copy_to_session(owner, entry.object);
    if (copy) {
        entry.copy = *copy;
        copied_.push_back(&entry);
        return entry.copy;
    }
    // A curable failure shows again when the key itself is used, and is dealt with there.
    if (!is_curable(copy.error())) {
        entry.copy_refused = true;
        spdlog::warn("a vending key cannot be copied to a session, and is used in place: " +
                     describe(copy.error()));
    }
    return entry.object;
}

bool SessionCopies::make_room(const Session& owner) {
    if (copied_.size() < kMost) return true;
    TokenKey& oldest = **std::min_element(copied_.begin(), copied_.end(),
                                          [](auto* a, auto* b) { return a->last_use < b->last_use; });
    if (oldest.last_use >= batch_start_) return false;
    drop(owner, oldest);
    return true;
}

void SessionCopies::drop(const Session& owner, TokenKey& entry) {
    if (entry.copy == CK_INVALID_HANDLE) return;
    if (const CK_RV rv = destroy_object(owner, entry.copy); rv != CKR_OK) {
        spdlog::warn("a session copy of a vending key cannot be destroyed: " + describe(rv));
    }
    entry.copy = CK_INVALID_HANDLE;
    std::erase(copied_, &entry);
}

void SessionCopies::forget_all() noexcept {
    for (TokenKey* entry : copied_) entry->copy = CK_INVALID_HANDLE;
    copied_.clear();
}

}  // namespace sts6::p11
