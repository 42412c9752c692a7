// SPDX-License-Identifier: Apache-2.0
// The key use policy: what a key's owner allows (docs/key-management.md, order of docs/protocol.md).
// Pure functions; the rules are an argument, so that a test can pass a mutated copy.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "firmware/util/vending_key.hpp"
#include "sts6/civil_time.hpp"
#include "sts6/result.hpp"
#include "sts6/status.hpp"

namespace sts6::policy {

/// Whether a key of some type may make credit tokens.
enum class CreditUse : std::uint8_t { never, magnetic_card_only, always };

/// Which checks a command is subject to.
struct Checks {
    bool key_type;         ///< 05
    bool subclass_bitmap;  ///< 48
    bool issue_until;      ///< 42
    bool key_expiry;       ///< 41
    bool tid_window;       ///< 44
};

/// Which rules a key change is subject to.
struct KeyChangeChecks {
    bool same_slot;             ///< 29: else whoever runs a KMC could move meters to a key that he knows
    bool same_cluster;          ///< 29
    bool base_date_not_older;   ///< 29
    bool no_change_to_default;  ///< 29: from a unique or common key to a default one
    bool new_key_not_expired;   ///< 29; an expired old key may be left
    bool issue_until;           ///< 42, of both keys
    bool active_from;           ///< 43, of the new key
};

/// Which limit of its key a credit token is paid from.
enum class Limit : std::uint8_t { units, currency };

struct Rules {
    /// By KTC: no credit under a default key; a common key only on magnetic cards, TCT 1.
    std::array<CreditUse, 4> credit_use;
    Checks credit;
    Checks management;
    Checks verification;  ///< of a token with a TID
    KeyChangeChecks key_change;
    Checks verification_without_tid;  ///< of a key change token, and of a layout that is not known
    std::array<Limit, 8> limits;      ///< by class 0 SubClass; classes 1 and 2 are paid from neither
    bool negative_amounts_debit;      ///< a currency amount below zero takes its magnitude, else nothing
};

inline constexpr Rules kRules = {
    .credit_use = {CreditUse::never, CreditUse::never, CreditUse::always, CreditUse::magnetic_card_only},
    .credit = {.key_type = true,
               .subclass_bitmap = true,
               .issue_until = true,
               .key_expiry = true,
               .tid_window = true},
    .management = {.key_type = false,
                   .subclass_bitmap = false,
                   .issue_until = true,
                   .key_expiry = true,
                   .tid_window = true},
    .verification = {.key_type = false,
                     .subclass_bitmap = false,
                     .issue_until = true,
                     .key_expiry = true,
                     .tid_window = false},
    .key_change = {.same_slot = true,
                   .same_cluster = true,
                   .base_date_not_older = true,
                   .no_change_to_default = true,
                   .new_key_not_expired = true,
                   .issue_until = true,
                   .active_from = true},
    .verification_without_tid = {.key_type = false,
                                 .subclass_bitmap = false,
                                 .issue_until = true,
                                 .key_expiry = false,
                                 .tid_window = false},
    .limits = {Limit::units, Limit::units, Limit::units, Limit::units, Limit::currency, Limit::currency,
               Limit::currency, Limit::currency},
    .negative_amounts_debit = false,
};

/// The module's clock as the policy sees it.
struct Now {
    CivilTime time;                     ///< module time
    std::uint32_t tid_window_days = 0;  ///< 0 = off
};

/// A token to be made or one that was read.
struct TokenRequest {
    std::uint32_t subclass = 0;
    std::uint32_t tct = 0;  ///< token carrier type
    std::uint32_t tid = 0;  ///< 24 bits
};

/// A TID beyond the key's expiry number. CONVENTION: expired when (TID >> 16) > KEN; 255 never
/// (docs/tokens.md 8).
constexpr bool tid_expired(std::uint32_t tid, std::uint8_t ken) noexcept {
    return ken != 255 && (tid >> 16U) > ken;
}

/// Whether a key is past its expiry number at a time; a time before its base date counts as the base date
/// (tokens.md 8).
bool key_expired_at(const KeyAttributes& key, CivilTime time) noexcept;

/// A key on one side of a key change, and the KMC slot that it is from.
struct SlotKey {
    std::uint8_t slot = 0;
    const KeyAttributes& key;
};

/// The first rule that a change from `from` to `to` breaks in the order 29, 42, 43, or none.
std::optional<Status> check_key_change(const KeyChangeChecks& checks, const SlotKey& from, const SlotKey& to,
                                       const Now& now) noexcept;

/// Keys of such a type make no credit tokens at all: 05 when one is asked for, 80 when one is verified.
constexpr bool never_credits(const Rules& rules, KeyType ktc) noexcept {
    return rules.credit_use[static_cast<std::size_t>(ktc)] == CreditUse::never;
}

/// The first rule that the token breaks in the order 05, 48, 42, 41, 44, or none.
std::optional<Status> check_token(const Rules& rules, const Checks& checks, const KeyAttributes& key,
                                  const TokenRequest& request, const Now& now) noexcept;

/// What is left of a key's limits; none = unlimited.
struct Counters {
    std::optional<std::uint64_t> units;     ///< of ULM, in tenths of a unit
    std::optional<std::uint64_t> currency;  ///< of CLM, in 0.00001 of the currency unit
};

/// The decoded amount of a credit token, in the unit of the counter that it is paid from.
struct Amount {
    bool negative = false;
    std::uint64_t magnitude = 0;  ///< one that does not fit is the largest: no counter holds as much
};

/// What a token takes from its key's counters, in their units.
struct Debit {
    std::uint64_t units = 0;
    std::uint64_t currency = 0;
};

/// The whole amount or nothing: 31 when the counter holds less. An unlimited key is debited nothing.
/// Precondition: subclass < 8.
Result<Debit, Status> debit_for(const Rules& rules, const Counters& left, std::uint32_t subclass,
                                const Amount& amount) noexcept;

}  // namespace sts6::policy
