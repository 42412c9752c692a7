// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "firmware/ports/hsm.hpp"
#include "src/pkcs11/session.hpp"

namespace sts6::p11 {

/// A key that was seen in the token, now or before.
struct TokenKey {
    enum class State : std::uint8_t {
        present,
        missing,
        ambiguous,  ///< two objects claim to be this key
        other_key,  ///< an object of this KeyId computes another check value than before
    };

    KeyId id{};
    State state = State::missing;
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;

    // Of session_copies.hpp.
    CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
    bool copy_refused = false;
    std::uint64_t last_use = 0;
};

/// A vending key.
struct KeyEntry : TokenKey {
    Dkga dkg = Dkga::dkga04;
    std::optional<Kcv> kcv;  ///< once it has been computed
    /// Found again after trouble: its check value is compared before it is used, so that no other key that
    /// took its place or its handle ever makes a token.
    bool verify_first = false;
    /// Still failed after everything was found again: no more recoveries on its account.
    bool incurable = false;
};

/// The vending keys of the token under one prefix and the key that wraps the DKG 02 ones, found by one
/// search, so that vending never searches. An entry keeps its KeyHandle for as long as the process runs.
class KeyCatalogue {
  public:
    explicit KeyCatalogue(std::string prefix) : prefix_(std::move(prefix)) {}

    /// Searches the token and brings every entry up to date; on failure nothing has changed. Labels of
    /// foreign objects are read, nothing else of them.
    [[nodiscard]] CK_RV refresh(const Session& session);

    [[nodiscard]] std::optional<KeyHandle> find(const KeyId& id) const;
    /// Null for a handle that this catalogue never gave.
    [[nodiscard]] KeyEntry* entry(KeyHandle key) noexcept;
    [[nodiscard]] std::deque<KeyEntry>& entries() noexcept { return entries_; }
    /// The key under which the octets of DKG 02 keys are wrapped; made with the first of them.
    [[nodiscard]] TokenKey& wrapping_key() noexcept { return wrapping_key_; }
    /// The entry of `id`, made when there is none.
    KeyEntry& add(const KeyId& id);

    [[nodiscard]] const std::string& prefix() const noexcept { return prefix_; }

  private:
    struct Seen {
        KeyId id;
        std::optional<Dkga> dkg;  ///< none for a key that wraps
        CK_OBJECT_HANDLE object;
    };
    /// None for an object that is not one of our keys, or not wholly there.
    [[nodiscard]] CkResult<std::optional<Seen>> inspect(const Session& session,
                                                        CK_OBJECT_HANDLE object) const;
    void apply(const std::vector<Seen>& seen);
    void apply_vending_key(const Seen& key, Dkga dkg);
    void apply_wrapping_key(const Seen& key);

    std::string prefix_;
    std::deque<KeyEntry> entries_;  ///< an entry never moves
    std::map<KeyId, std::size_t> places_;
    TokenKey wrapping_key_;
};

}  // namespace sts6::p11
