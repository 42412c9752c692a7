// SPDX-License-Identifier: Apache-2.0
// What a status warns of, a second or a unit to each side of where it begins.
#include "src/admin/warnings.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "firmware/util/decimal_text.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
using admin::Warnings;

constexpr std::uint32_t kOne = 0x3F800000;    // 1.0 as a float32
constexpr std::uint32_t kThird = 0x3EAAAAAB;  // the float32 nearest to 1/3: 0.3333333432674407958984375
constexpr CivilTime kIut = civil_time(2026, 8, 1, 12, 0, 0);
constexpr CivilTime kExp = civil_time(2030, 1, 1);

RegisterRow key() {
    RegisterRow row;
    row.number = 7;
    row.attributes.issue_until = kIut;
    row.attributes.expiry = kExp;
    return row;
}

Warnings of_key(const RegisterRow& row, CivilTime now = civil_time(2026, 1, 1)) {
    Warnings warnings;
    admin::warn_of_key(warnings, row, now);
    return warnings;
}

Warnings of_units(std::uint32_t limit, std::uint64_t left) {
    RegisterRow row = key();
    row.attributes.ulm_units = limit;
    row.units_left = left;
    return of_key(row);
}

Warnings of_currency(std::uint32_t limit, std::uint64_t left) {
    RegisterRow row = key();
    row.attributes.clm_bits = limit;
    row.currency_left = left;
    return of_key(row);
}

Warnings of_audit(const AuditHead& head, const AuditLimits& limits) {
    Warnings warnings;
    admin::warn_of_audit(warnings, head, limits);
    return warnings;
}

AuditHead waiting(std::uint64_t count) {
    AuditHead head;
    head.first = 501;
    head.acknowledged = 700;
    head.last = head.acknowledged + count;
    return head;
}

KmcApproval approval(std::string_view record) {
    KmcApproval approved;
    REQUIRE(approved.kmcid.assign("KMCID.1:Test:T0001:20260101T000000Z:82BB8BC2704BAC93:C8E6"));
    REQUIRE(approved.record.assign(record));
    return approved;
}

constexpr std::string_view kKmcRecord =
    "PKKMC.1|KMCID.1:Test:T0001:20260101T000000Z:82BB8BC2704BAC93:C8E6|ACT20260101T000000Z;CRVP-384;"
    "EXP20360101T000000Z;|04C9A3F7519EAD5AD6C8A3BE33BDD32EE45B6FAF4118597E5C4517D38379A684B7B75763077ADD61C3"
    "71253CA8677F9ACD3B6A4658CBD73D89E3425434DEEE6EC02EB975DD1FA81FEE6CC68757611CC4AA98AE80017F5932B7998DF4"
    "B6B647A9CC|58BF";

Warnings of_approval(const KmcApproval& approved, CivilTime now) {
    Warnings warnings;
    admin::warn_of_approval(warnings, approved, now);
    return warnings;
}

}  // namespace

TEST_CASE("amounts: exact, with all their decimals") {
    CHECK(decimal_text(0U, kUnitDecimals) == "0.0");
    CHECK(decimal_text(9U, kUnitDecimals) == "0.9");
    CHECK(decimal_text(10U, kUnitDecimals) == "1.0");
    CHECK(decimal_text(0U, kCurrencyDecimals) == "0.00000");
    CHECK(decimal_text(1U, kCurrencyDecimals) == "0.00001");
    CHECK(decimal_text(99'999U, kCurrencyDecimals) == "0.99999");
    CHECK(decimal_text(100'000U, kCurrencyDecimals) == "1.00000");
    // Beyond what a double holds.
    CHECK(decimal_text(std::uint64_t{1'000'000'000'000'000'001}, kCurrencyDecimals) ==
          "10000000000000.00001");
    CHECK(decimal_text(std::numeric_limits<std::uint64_t>::max(), kUnitDecimals) == "1844674407370955161.5");
    CHECK(decimal_text(12U, 0) == "12");
}

TEST_CASE("warnings: each condition of a module by itself, and all of them") {
    const auto of = [](const admin::Condition& condition) {
        Warnings warnings;
        admin::warn_of_condition(warnings, condition);
        return warnings;
    };
    CHECK(of({}).empty());
    admin::Condition all;
    Warnings every;
    const auto alone = [&](bool admin::Condition::*member, const std::string& sentence) {
        admin::Condition one;
        one.*member = true;
        CHECK(of(one) == Warnings{sentence});
        all.*member = true;
        every.push_back(sentence);
    };
    alone(&admin::Condition::error_state,
          "the module is in its error state: it answers GL!ER58 until it starts anew");
    alone(&admin::Condition::tampered, "the module is tampered: it refuses everything until it is zeroised");
    alone(&admin::Condition::hsm_away, "the HSM is away: commands that need a key are answered 01");
    alone(&admin::Condition::clock_behind,
          "the host clock is behind the time mark: no token is made before it is set");
    all.quarantined = {1, 4096};
    every.emplace_back("register 1: quarantined, its key is missing in the HSM or another one");
    every.emplace_back("register 4096: quarantined, its key is missing in the HSM or another one");
    CHECK(of(all) == every);
}

TEST_CASE("warnings: IUT, 30 days ahead and from the second behind it") {
    const RegisterRow row = key();
    CHECK(of_key(row, kIut - std::chrono::days{30} - 1s).empty());
    const Warnings ahead = {"register 7: no token is made after IUT, 20260801T120000Z"};
    CHECK(of_key(row, kIut - std::chrono::days{30}) == ahead);
    CHECK(of_key(row, kIut - 1s) == ahead);
    CHECK(of_key(row, kIut) == ahead);
    const Warnings passed = {"register 7: no token is made any more since IUT, 20260801T120000Z"};
    CHECK(of_key(row, kIut + 1s) == passed);
    CHECK(of_key(row, kIut + std::chrono::days{365}) == passed);
}

TEST_CASE("warnings: EXP, 30 days ahead and from its second on") {
    RegisterRow row = key();
    row.attributes.issue_until = civil_time(9999, 12, 31);
    CHECK(of_key(row, kExp - std::chrono::days{30} - 1s).empty());
    const Warnings ahead = {"register 7: the key expires at EXP, 20300101T000000Z"};
    CHECK(of_key(row, kExp - std::chrono::days{30}) == ahead);
    CHECK(of_key(row, kExp - 1s) == ahead);
    const Warnings passed = {"register 7: the key has expired at EXP, 20300101T000000Z"};
    CHECK(of_key(row, kExp) == passed);
    CHECK(of_key(row, kExp + 1s) == passed);
    row.attributes.issue_until = kExp - 1s;
    CHECK(of_key(row, kExp).size() == 2);
}

TEST_CASE("warnings: a key whose IUT is its EXP gets one sentence") {
    RegisterRow row = key();
    row.attributes.issue_until = kExp;
    CHECK(of_key(row, kExp - std::chrono::days{30} - 1s).empty());
    const Warnings ahead = {"register 7: no token is made after IUT and EXP, 20300101T000000Z"};
    CHECK(of_key(row, kExp - std::chrono::days{30}) == ahead);
    CHECK(of_key(row, kExp) == ahead);
    CHECK(of_key(row, kExp + 1s) ==
          Warnings{"register 7: no token is made any more since IUT and EXP, 20300101T000000Z"});
}

TEST_CASE("warnings: less than a tenth of ULM, and nothing") {
    CHECK(of_key(key()).empty());
    CHECK(of_units(100, 1000).empty());
    CHECK(of_units(100, 100).empty());
    CHECK(of_units(100, 99) == Warnings{"register 7: 9.9 of 100.0 units are left"});
    CHECK(of_units(100, 1) == Warnings{"register 7: 0.1 of 100.0 units are left"});
    CHECK(of_units(100, 0) == Warnings{"register 7: no units are left"});
    CHECK(of_units(1, 1).empty());
    CHECK(of_units(0, 0) == Warnings{"register 7: no units are left"});
    constexpr std::uint32_t kMost = 0xFFFFFFFF;
    CHECK(of_units(kMost, kMost).empty());
    CHECK(of_units(kMost, kMost - 1) == Warnings{"register 7: 429496729.4 of 4294967295.0 units are left"});
}

TEST_CASE("warnings: less than a tenth of CLM, and nothing") {
    CHECK(of_currency(kOne, 100'000).empty());
    CHECK(of_currency(kOne, 10'000).empty());
    CHECK(of_currency(kOne, 9'999) == Warnings{"register 7: 0.09999 of 1.00000 currency units are left"});
    CHECK(of_currency(kOne, 0) == Warnings{"register 7: no currency units are left"});
    // A tenth of 33333 lies between two counts.
    CHECK(of_currency(kThird, 3'334).empty());
    CHECK(of_currency(kThird, 3'333) == Warnings{"register 7: 0.03333 of 0.33333 currency units are left"});
    constexpr std::uint32_t kMost = 0x551184E7;  // the largest float32 up to 10^13: 9999999827968
    constexpr std::uint64_t kTenth = 99'999'998'279'680'000;
    CHECK(of_currency(kMost, kTenth).empty());
    CHECK(of_currency(kMost, kTenth - 1) ==
          Warnings{"register 7: 999999982796.79999 of 9999999827968.00000 currency units are left"});
}

TEST_CASE("warnings: both limits of a key") {
    RegisterRow row = key();
    row.attributes.ulm_units = 10;
    row.units_left = 0;
    row.attributes.clm_bits = kOne;
    row.currency_left = 0;
    CHECK(of_key(row).size() == 2);
}

TEST_CASE("warnings: the key of an approved KMC from its EXP on") {
    const KmcApproval approved = approval(kKmcRecord);
    const CivilTime expiry = civil_time(2036, 1, 1);
    CHECK(of_approval(approved, expiry - 1s).empty());
    const Warnings expired = {
        "approved KMC KMCID.1:Test:T0001:20260101T000000Z:82BB8BC2704BAC93:C8E6: its key has expired at EXP, "
        "20360101T000000Z"};
    CHECK(of_approval(approved, expiry) == expired);
    CHECK(of_approval(approved, expiry + 1s) == expired);
    CHECK(of_approval(approval("no record"), expiry + 1s).empty());
}

TEST_CASE("warnings: an audit log that fills, when it drops nothing unread") {
    // 256 records stay free for one batch: 1000 hold 745, of which 596 are 80 %.
    const AuditLimits limits{.capacity = 1000, .force = true};
    CHECK(of_audit(waiting(0), limits).empty());
    CHECK(of_audit(waiting(596), limits).empty());
    CHECK(of_audit(waiting(597), limits) ==
          Warnings{"597 of 1000 audit records wait to be exported and acknowledged"});
    CHECK(of_audit(waiting(744), limits) ==
          Warnings{"744 of 1000 audit records wait to be exported and acknowledged"});
    const auto full = [](const std::string& count) {
        return Warnings{"the audit log is full: no tokens and no changes before it is exported and " + count +
                        " of 1000 audit records are acknowledged"};
    };
    CHECK(of_audit(waiting(745), limits) == full("745"));
    CHECK(of_audit(waiting(1000), limits) == full("1000"));
    for (const std::uint64_t count : {597U, 745U, 1000U, 100'000U}) {
        CHECK(of_audit(waiting(count), {.capacity = 1000, .force = false}).empty());
    }
    CHECK(of_audit(waiting(745), {.capacity = 100'000, .force = true}).empty());
    // Records that were dropped wait for nobody.
    AuditHead dropped;
    dropped.first = 5001;
    dropped.last = 5596;
    CHECK(of_audit(dropped, limits).empty());
    dropped.last = 5597;
    CHECK(of_audit(dropped, limits).size() == 1);
}

}  // namespace sts6
