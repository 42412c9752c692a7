// SPDX-License-Identifier: Apache-2.0
#include "src/admin/warnings.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/records.hpp"
#include "firmware/util/decimal_text.hpp"
#include "src/admin/text.hpp"

namespace sts6::admin {

namespace {

constexpr std::chrono::days kAhead{30};
constexpr std::uint64_t kAuditPercent = 80;

void warn_of_limit(Warnings& warnings, const std::string& what, std::optional<std::uint64_t> left,
                   std::uint64_t limit, unsigned decimals) {
    if (!left) return;
    if (*left == 0) {
        warnings.push_back(what + "no " + (decimals == kUnitDecimals ? "units" : "currency units") +
                           " are left");
    } else if (*left < limit / 10 + (limit % 10 == 0 ? 0 : 1)) {
        warnings.push_back(what + decimal_text(*left, decimals) + " of " + decimal_text(limit, decimals) +
                           (decimals == kUnitDecimals ? " units" : " currency units") + " are left");
    }
}

}  // namespace

void warn_of_condition(Warnings& warnings, const Condition& condition) {
    if (condition.error_state)
        warnings.emplace_back("the module is in its error state: it answers GL!ER58 until it starts anew");
    if (condition.tampered)
        warnings.emplace_back("the module is tampered: it refuses everything until it is zeroised");
    if (condition.hsm_away)
        warnings.emplace_back("the HSM is away: commands that need a key are answered 01");
    if (condition.clock_behind)
        warnings.emplace_back("the host clock is behind the time mark: no token is made before it is set");
    for (const std::uint32_t number : condition.quarantined) {
        warnings.push_back("register " + std::to_string(number) +
                           ": quarantined, its key is missing in the HSM or another one");
    }
}

void warn_of_key(Warnings& warnings, const RegisterRow& row, CivilTime now) {
    const std::string what = "register " + std::to_string(row.number) + ": ";
    const KeyAttributes& key = row.attributes;
    // The second of IUT is the last in which a token is made, that of EXP the first in which the key is dead.
    const bool one_date = key.issue_until == key.expiry;
    const std::string iut = (one_date ? "IUT and EXP, " : "IUT, ") + date_text(key.issue_until);
    if (now > key.issue_until) {
        warnings.push_back(what + "no token is made any more since " + iut);
    } else if (key.issue_until - now <= kAhead) {
        warnings.push_back(what + "no token is made after " + iut);
    }
    if (!one_date && now >= key.expiry) {
        warnings.push_back(what + "the key has expired at EXP, " + date_text(key.expiry));
    } else if (!one_date && key.expiry - now <= kAhead) {
        warnings.push_back(what + "the key expires at EXP, " + date_text(key.expiry));
    }
    if (key.ulm_units) {
        warn_of_limit(warnings, what, row.units_left, keyload::unit_limit(*key.ulm_units), kUnitDecimals);
    }
    if (key.clm_bits) {
        warn_of_limit(warnings, what, row.currency_left, keyload::currency_limit(*key.clm_bits).value_or(0),
                      kCurrencyDecimals);
    }
}

void warn_of_approval(Warnings& warnings, const KmcApproval& approval, CivilTime now) {
    const auto record = keyload::parse_kmc_key(approval.record.view());
    if (!record || now < record->expiry) return;
    warnings.push_back("approved KMC " + std::string(approval.kmcid.view()) +
                       ": its key has expired at EXP, " + date_text(record->expiry));
}

void warn_of_audit(Warnings& warnings, const AuditHead& head, const AuditLimits& limits) {
    if (!limits.force) return;
    const std::uint64_t waiting = head.unacknowledged();
    const std::string counts =
        std::to_string(waiting) + " of " + std::to_string(limits.capacity) + " audit records";
    // What one batch may need stays free.
    const std::uint64_t full = limits.capacity + 1 - AuditList::kMost;
    if (waiting >= full) {
        warnings.push_back("the audit log is full: no tokens and no changes before it is exported and " +
                           counts + " are acknowledged");
    } else if (waiting * 100 > full * kAuditPercent) {
        warnings.push_back(counts + " wait to be exported and acknowledged");
    }
}

}  // namespace sts6::admin
