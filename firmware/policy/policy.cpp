// SPDX-License-Identifier: Apache-2.0
#include "firmware/policy/policy.hpp"

#include <algorithm>

namespace sts6::policy {

namespace {

// The token carrier type of a magnetic card.
constexpr std::uint32_t kTctMagneticCard = 1;

bool credit_allowed(const Rules& rules, KeyType ktc, std::uint32_t tct) noexcept {
    switch (rules.credit_use[static_cast<std::size_t>(ktc)]) {
        case CreditUse::always:
            return true;
        case CreditUse::magnetic_card_only:
            return tct == kTctMagneticCard;
        case CreditUse::never:
            break;
    }
    return false;
}

bool in_window(BaseDate base_date, std::uint32_t tid, const Now& now) noexcept {
    const CivilTime issued = base_time(base_date) + std::chrono::minutes{tid};
    const auto distance = issued > now.time ? issued - now.time : now.time - issued;
    return distance <= std::chrono::days{now.tid_window_days};
}

}  // namespace

std::optional<Status> check_token(const Rules& rules, const Checks& checks, const KeyAttributes& key,
                                  const TokenRequest& request, const Now& now) noexcept {
    if (checks.key_type && !credit_allowed(rules, key.ktc, request.tct)) return Status::key_type_error;
    if (checks.subclass_bitmap && ((key.sbm >> request.subclass) & 1U) == 0)
        return Status::subclass_not_allowed;
    if (checks.issue_until && now.time > key.issue_until) return Status::key_issue_expired_error;
    if (checks.key_expiry && tid_expired(request.tid, key.ken)) return Status::key_expired_error;
    if (checks.tid_window && now.tid_window_days != 0 && !in_window(key.base_date, request.tid, now)) {
        return Status::tid_out_of_window;
    }
    return std::nullopt;
}

bool key_expired_at(const KeyAttributes& key, CivilTime time) noexcept {
    constexpr std::uint8_t kNever = 255;
    const auto minutes = std::chrono::floor<std::chrono::minutes>(time - base_time(key.base_date)).count();
    const std::int64_t number = std::clamp<std::int64_t>(minutes >> 16U, 0, kNever);
    return key.ken != kNever && number > key.ken;
}

std::optional<Status> check_key_change(const KeyChangeChecks& checks, const SlotKey& from, const SlotKey& to,
                                       const Now& now) noexcept {
    const KeyAttributes& old_key = from.key;
    const KeyAttributes& new_key = to.key;
    const bool to_default = new_key.ktc == KeyType::ddtk && old_key.ktc != KeyType::ddtk;
    if ((checks.same_slot && from.slot != to.slot) ||
        (checks.same_cluster && new_key.cluster != old_key.cluster) ||
        (checks.base_date_not_older && new_key.base_date < old_key.base_date) ||
        (checks.no_change_to_default && to_default) ||
        (checks.new_key_not_expired && key_expired_at(new_key, now.time))) {
        return Status::key_change_not_allowed;
    }
    if (checks.issue_until && (now.time > old_key.issue_until || now.time > new_key.issue_until)) {
        return Status::key_issue_expired_error;
    }
    if (checks.active_from && now.time < new_key.active_from) return Status::key_not_yet_active;
    return std::nullopt;
}

Result<Debit, Status> debit_for(const Rules& rules, const Counters& left, std::uint32_t subclass,
                                const Amount& amount) noexcept {
    const bool in_units = rules.limits[subclass] == Limit::units;
    const auto& counter = in_units ? left.units : left.currency;
    if (!counter || (amount.negative && !rules.negative_amounts_debit)) return Debit{};
    if (amount.magnitude > *counter) return Unexpected{Status::insufficient_credit_balance};
    return in_units ? Debit{.units = amount.magnitude, .currency = 0}
                    : Debit{.units = 0, .currency = amount.magnitude};
}

}  // namespace sts6::policy
