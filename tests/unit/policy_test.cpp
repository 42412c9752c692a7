// SPDX-License-Identifier: Apache-2.0
// The key use policy cell by cell.
#include "firmware/policy/policy.hpp"

#include <limits>

#include <catch2/catch.hpp>

namespace sts6::policy {
namespace {

KeyAttributes key_with(KeyType ktc) {
    KeyAttributes key;
    key.ktc = ktc;
    key.base_date = BaseDate::y2014;
    key.issue_until = civil_time(2015, 1, 1);
    return key;
}

const Now kNow{civil_time(2014, 3, 1, 13, 0), 7};
const TokenRequest kRequest{.subclass = 0, .tct = 2, .tid = 0x014EEC};

std::optional<Status> credit(const KeyAttributes& key, const TokenRequest& request = kRequest,
                             const Now& now = kNow) {
    return check_token(kRules, kRules.credit, key, request, now);
}

}  // namespace

TEST_CASE("credit tokens by key type and token carrier") {
    const std::optional<Status> refused = Status::key_type_error;
    for (std::uint32_t tct = 0; tct <= 99; ++tct) {
        const TokenRequest request{.subclass = 0, .tct = tct, .tid = 0x014EEC};
        CHECK(credit(key_with(KeyType::ditk), request) == refused);
        CHECK(credit(key_with(KeyType::ddtk), request) == refused);
        CHECK_FALSE(credit(key_with(KeyType::dutk), request));
        CHECK(credit(key_with(KeyType::dctk), request) == (tct == 1 ? std::nullopt : refused));
    }
}

TEST_CASE("each bit of the SubClass bitmap allows its SubClass and no other") {
    for (unsigned bit = 0; bit < 16; ++bit) {
        auto key = key_with(KeyType::dutk);
        key.sbm = static_cast<std::uint16_t>(1U << bit);
        for (std::uint32_t subclass = 0; subclass < 8; ++subclass) {
            const auto result = credit(key, {.subclass = subclass, .tct = 2, .tid = 0x014EEC});
            CHECK(result == (subclass == bit ? std::nullopt : std::optional(Status::subclass_not_allowed)));
        }
    }
}

TEST_CASE("the key expiry number at its borders") {
    CHECK_FALSE(tid_expired(0xFFFFFF, 255));
    CHECK_FALSE(tid_expired(0x00FFFF, 0));
    CHECK(tid_expired(0x010000, 0));
    CHECK_FALSE(tid_expired(0xFEFFFF, 254));
    CHECK(tid_expired(0xFF0000, 254));
}

TEST_CASE("the issue date a second before and after") {
    const auto key = key_with(KeyType::dutk);
    const TokenRequest request{.subclass = 0, .tct = 2, .tid = 0x014EEC};
    for (const int offset : {-1, 0}) {
        CHECK_FALSE(credit(key, request, {key.issue_until + std::chrono::seconds{offset}, 0}));
    }
    CHECK(credit(key, request, {key.issue_until + std::chrono::seconds{1}, 0}) ==
          Status::key_issue_expired_error);
}

TEST_CASE("the TID window at both ends, and off") {
    const auto key = key_with(KeyType::dutk);
    const auto at = [&key](std::chrono::seconds offset, std::uint32_t days) {
        return credit(key, kRequest, {civil_time(2014, 3, 1, 13, 0) + offset, days});
    };
    using std::chrono::days;
    using std::chrono::seconds;
    CHECK_FALSE(at(days{7}, 7));
    CHECK_FALSE(at(-days{7}, 7));
    CHECK(at(days{7} + seconds{1}, 7) == Status::tid_out_of_window);
    CHECK(at(-days{7} - seconds{1}, 7) == Status::tid_out_of_window);
    CHECK_FALSE(at(days{300}, 0));
    CHECK_FALSE(at(days{1}, 1));
}

TEST_CASE("a key is expired at a time from the first minute beyond its number") {
    auto key = key_with(KeyType::dutk);
    key.ken = 0;
    const CivilTime last = civil_time(2014, 1, 1) + std::chrono::minutes{0xFFFF} + std::chrono::seconds{59};
    CHECK_FALSE(key_expired_at(key, last));
    CHECK(key_expired_at(key, last + std::chrono::seconds{1}));
    CHECK_FALSE(key_expired_at(key, civil_time(1993, 1, 1)));
    key.ken = 254;
    CHECK_FALSE(key_expired_at(key, civil_time(2014, 1, 1) + std::chrono::minutes{0xFEFFFF}));
    CHECK(key_expired_at(key, civil_time(2014, 1, 1) + std::chrono::minutes{0xFF0000}));
    CHECK(key_expired_at(key, civil_time(9999, 1, 1)));
    key.ken = 255;
    CHECK_FALSE(key_expired_at(key, civil_time(9999, 1, 1)));
}

TEST_CASE("every cell of the key change rules decides something") {
    const KeyAttributes good = key_with(KeyType::dutk);
    struct Probe {
        bool KeyChangeChecks::*cell;
        KeyAttributes old_key;
        KeyAttributes new_key;
        Status expected;
        std::uint8_t new_slot = 1;
    };
    const auto checked = [](const KeyChangeChecks& checks, const KeyAttributes& old_key,
                            const KeyAttributes& new_key, std::uint8_t new_slot = 1) {
        return check_key_change(checks, {1, old_key}, {new_slot, new_key}, kNow);
    };
    const auto with = [&good](auto change) {
        KeyAttributes key = good;
        change(key);
        return key;
    };
    using Key = KeyAttributes;
    const Status no = Status::key_change_not_allowed;
    const Status past = Status::key_issue_expired_error;
    const Probe probes[] = {
        {&KeyChangeChecks::same_slot, good, good, no, 2},
        {&KeyChangeChecks::same_cluster, good, with([](Key& key) { key.cluster = 1; }), no},
        {&KeyChangeChecks::same_cluster, with([](Key& key) { key.cluster = 1; }), good, no},
        {&KeyChangeChecks::base_date_not_older, good, with([](Key& key) { key.base_date = BaseDate::y1993; }),
         no},
        {&KeyChangeChecks::no_change_to_default, good, with([](Key& key) { key.ktc = KeyType::ddtk; }), no},
        {&KeyChangeChecks::no_change_to_default, with([](Key& key) { key.ktc = KeyType::dctk; }),
         with([](Key& key) { key.ktc = KeyType::ddtk; }), no},
        {&KeyChangeChecks::new_key_not_expired, good, with([](Key& key) { key.ken = 0; }), no},
        {&KeyChangeChecks::issue_until, good,
         with([](Key& key) { key.issue_until = kNow.time - std::chrono::seconds{1}; }), past},
        {&KeyChangeChecks::issue_until,
         with([](Key& key) { key.issue_until = kNow.time - std::chrono::seconds{1}; }), good, past},
        {&KeyChangeChecks::active_from, good,
         with([](Key& key) { key.active_from = kNow.time + std::chrono::seconds{1}; }),
         Status::key_not_yet_active},
    };
    CHECK_FALSE(checked(kRules.key_change, good, good));
    for (const Probe& probe : probes) {
        CHECK(checked(kRules.key_change, probe.old_key, probe.new_key, probe.new_slot) == probe.expected);
        KeyChangeChecks checks = kRules.key_change;
        checks.*probe.cell = false;
        CHECK_FALSE(checked(checks, probe.old_key, probe.new_key, probe.new_slot));
    }
    // What is allowed: from a default key, from an expired one, at the last second, to a newer base date.
    CHECK_FALSE(checked(kRules.key_change, key_with(KeyType::ddtk), good));
    CHECK_FALSE(checked(kRules.key_change, with([](Key& key) { key.ken = 0; }), good));
    CHECK_FALSE(checked(kRules.key_change, with([](Key& key) { key.issue_until = kNow.time; }), good));
    CHECK_FALSE(checked(kRules.key_change, good, with([](Key& key) { key.active_from = kNow.time; })));
    CHECK_FALSE(checked(kRules.key_change, good, with([](Key& key) { key.base_date = BaseDate::y2035; })));
}

TEST_CASE("every cell of the rule table decides something") {
    struct Probe {
        KeyAttributes key;
        Status expected;
    };
    auto wrong_type = key_with(KeyType::ddtk);
    auto wrong_subclass = key_with(KeyType::dutk);
    wrong_subclass.sbm = 0xFFFE;
    auto past_issue = key_with(KeyType::dutk);
    past_issue.issue_until = civil_time(2014, 1, 1);
    auto expired = key_with(KeyType::dutk);
    expired.ken = 0;
    auto other_time = key_with(KeyType::dutk);
    other_time.base_date = BaseDate::y1993;

    const std::pair<bool Checks::*, Probe> cells[] = {
        {&Checks::key_type, {wrong_type, Status::key_type_error}},
        {&Checks::subclass_bitmap, {wrong_subclass, Status::subclass_not_allowed}},
        {&Checks::issue_until, {past_issue, Status::key_issue_expired_error}},
        {&Checks::key_expiry, {expired, Status::key_expired_error}},
        {&Checks::tid_window, {other_time, Status::tid_out_of_window}},
    };
    // Which cells are in force, in the order of `cells` (docs/protocol.md).
    const std::pair<Checks Rules::*, std::array<bool, 5>> rows[] = {
        {&Rules::credit, {true, true, true, true, true}},
        {&Rules::management, {false, false, true, true, true}},
        {&Rules::verification, {false, false, true, true, false}},
        {&Rules::verification_without_tid, {false, false, true, false, false}},
    };
    for (const auto& [row, in_force] : rows) {
        for (std::size_t i = 0; i < in_force.size(); ++i) {
            const auto& [cell, probe] = cells[i];
            Checks checks = kRules.*row;
            const std::optional<Status> refusal = probe.expected;
            CHECK(check_token(kRules, checks, probe.key, kRequest, kNow) ==
                  (in_force[i] ? refusal : std::nullopt));
            checks.*cell = !in_force[i];
            CHECK(check_token(kRules, checks, probe.key, kRequest, kNow) ==
                  (in_force[i] ? std::nullopt : refusal));
        }
    }
}

TEST_CASE("a limit at, below and above what is left") {
    for (std::uint32_t subclass = 0; subclass < 8; ++subclass) {
        const bool in_units = subclass < 4;
        Counters left;
        (in_units ? left.units : left.currency) = 1000;
        INFO(subclass);
        for (const std::uint64_t amount : {std::uint64_t{0}, std::uint64_t{999}, std::uint64_t{1000}}) {
            const auto debit = debit_for(kRules, left, subclass, {.magnitude = amount});
            REQUIRE(debit);
            CHECK(debit->units == (in_units ? amount : 0));
            CHECK(debit->currency == (in_units ? 0 : amount));
        }
        for (const std::uint64_t amount : {std::uint64_t{1001}, std::numeric_limits<std::uint64_t>::max()}) {
            const auto debit = debit_for(kRules, left, subclass, {.magnitude = amount});
            REQUIRE_FALSE(debit);
            CHECK(debit.error() == Status::insufficient_credit_balance);
        }
    }
}

TEST_CASE("an unlimited key is debited nothing, whatever the amount") {
    const Counters other_only[] = {{.units = {}, .currency = 0}, {.units = 0, .currency = {}}};
    for (std::uint32_t subclass = 0; subclass < 8; ++subclass) {
        const auto debit = debit_for(kRules, other_only[subclass < 4 ? 0 : 1], subclass,
                                     {.magnitude = std::numeric_limits<std::uint64_t>::max()});
        REQUIRE(debit);
        CHECK(debit->units == 0);
        CHECK(debit->currency == 0);
    }
}

TEST_CASE("a negative amount debits nothing, also where nothing is left") {
    const auto debit = debit_for(kRules, {.units = 0, .currency = 0}, 4, {.negative = true, .magnitude = 5});
    REQUIRE(debit);
    CHECK(debit->currency == 0);
}

TEST_CASE("every cell of the limits decides something") {
    const Counters units_only{.units = 10, .currency = 0};
    const Counters currency_only{.units = 0, .currency = 10};
    for (std::uint32_t subclass = 0; subclass < 8; ++subclass) {
        INFO(subclass);
        Rules rules = kRules;
        Limit& cell = rules.limits[subclass];
        cell = cell == Limit::units ? Limit::currency : Limit::units;
        const Counters& paying = subclass < 4 ? units_only : currency_only;
        CHECK(debit_for(kRules, paying, subclass, {.magnitude = 10}));
        CHECK_FALSE(debit_for(rules, paying, subclass, {.magnitude = 10}));
    }
    Rules rules = kRules;
    rules.negative_amounts_debit = true;
    CHECK_FALSE(debit_for(rules, units_only, 7, {.negative = true, .magnitude = 1}));
}

}  // namespace sts6::policy
