// SPDX-License-Identifier: Apache-2.0
// What a module keeps count of, records and survives: limits, audit, a full disk, time, tampering, zeroise.
#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/module_bench.hpp"

namespace sts6 {

using namespace test;

namespace {

using Bench = ModuleBench;

std::size_t told(const Bench& bench, std::string_view event) {
    return static_cast<std::size_t>(std::ranges::count_if(
        bench.store.audit, [event](const std::string& entry) { return entry.starts_with(event); }));
}

/// 16-bit amounts up to 16383 code themselves (docs/tokens.md 9).
std::string credit_of(unsigned tenths) {
    char text[8];
    std::snprintf(text, sizeof text, "H%04X", tenths);
    return credit_with(6, text);
}

}  // namespace

TEST_CASE("units are debited to the last tenth, and then 31 comes back") {
    Bench bench;
    bench.row().units_left = 25;
    bench.start();
    CHECK(bench.execute(credit_of(26)) == "31");
    CHECK(bench.store.state.tokens_issued == 0);
    CHECK(bench.execute(credit_of(10)).starts_with("00"));
    CHECK(bench.row().units_left == 15U);
    CHECK(bench.execute(credit_of(16)) == "31");
    CHECK(bench.execute(credit_of(15)).starts_with("00"));
    CHECK(bench.row().units_left == 0U);
    CHECK(bench.execute(credit_of(1)) == "31");
    // An amount of nothing takes nothing.
    CHECK(bench.execute(credit_of(0)).starts_with("00"));
    CHECK(bench.store.state.tokens_issued == 3);
    bench.start();
    CHECK(bench.execute(credit_of(1)) == "31");
}

TEST_CASE("what SubClasses 0 to 3 and 4 to 7 are paid from") {
    Bench bench;
    bench.row().units_left = 100;
    bench.row().currency_left = 500;
    bench.start();
    std::uint64_t units = 100;
    std::uint64_t currency = 500;
    for (unsigned subclass = 0; subclass < 8; ++subclass) {
        std::vector<std::string> fields = {"N1",
                                           "P600727000000000009",
                                           "N1",
                                           "N11",
                                           "N2",
                                           "N" + std::to_string(subclass),
                                           subclass < 4 ? "H0001" : "H000001",
                                           "H014EEC"};
        std::string message = "SM?VC";
        for (const std::string& field : fields) message += field + "~";
        CHECK(bench.execute(message).starts_with("00"));
        (subclass < 4 ? units : currency) -= 1;
        CHECK(bench.row().units_left == units);
        CHECK(bench.row().currency_left == currency);
    }
    // Bit 19 is the sign: a negative amount is a token that takes nothing.
    CHECK(bench.execute("SM?VCN1~P600727000000000009~N1~N11~N2~N4~H080001~H014EEC~").starts_with("00"));
    CHECK(bench.row().currency_left == currency);
    // Management and key change tokens are paid from neither.
    CHECK(bench.execute("SM?VMN1~P600727000000000009~N1~N11~N2~N1~HFFFF~H522A0B~").starts_with("00"));
    CHECK(bench.execute("SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~").starts_with("00"));
    CHECK(bench.row().units_left == units);
    CHECK(bench.row().currency_left == currency);
}

TEST_CASE("within one batch a limit is shared in order of arrival") {
    Bench bench;
    bench.row().units_left = 2;
    const auto answers = bench.execute_batch({credit_of(1), credit_of(2), credit_of(1), credit_of(1)});
    CHECK(answers[0].starts_with("00"));
    CHECK(answers[1] == "31");
    CHECK(answers[2].starts_with("00"));
    CHECK(answers[3] == "31");
    CHECK(bench.store.commits == 1);
    CHECK(bench.row().units_left == 0U);
}

TEST_CASE("a token that could not be derived gives its units back") {
    Bench bench;
    bench.row().units_left = 10;
    bench.start();
    bench.hsm.fail_every = 1;
    CHECK(bench.execute(credit_of(10)) == "01");
    CHECK(told(bench, "credit token made") == 0);
    bench.hsm.fail_every = 0;
    CHECK(bench.row().units_left == 10U);
    CHECK(bench.execute(credit_of(10)).starts_with("00"));
    CHECK(bench.row().units_left == 0U);
}

TEST_CASE("every token is audited with what it took, and refusals once") {
    Bench bench;
    bench.row().units_left = 1;
    bench.start();
    CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
    REQUIRE(bench.store.audit.size() == 1);
    CHECK(bench.store.audit[0] ==
          "credit token made: "
          "REG1;SGC0000201457;KRN1;PAN600727000000000009;SCL0;AMT0001;TID014EEC;DUL1;");
    for (int i = 0; i < 5; ++i) CHECK(bench.execute(kCreditRequest) == "31");
    CHECK(told(bench, "limit exhausted: REG1;") == 1);
    CHECK(bench.execute("SM?VMN1~P600727000000000009~N1~N11~N2~N1~HFFFF~H522A0B~").starts_with("00"));
    CHECK(bench.store.audit.back() ==
          "management token made: "
          "REG1;SGC0000201457;KRN1;PAN600727000000000009;SCL1;AMTFFFF;TID522A0B;");
    CHECK(bench.execute("SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~").starts_with("00"));
    CHECK(bench.store.audit.back() ==
          "key change tokens made: REG1;SGC0000201457;KRN1;NEW1;PAN600727000000000009;SET4;");
    CHECK(bench.store.audit.size() == 4);
    // Reading leaves no trace.
    const std::size_t commits = bench.store.commits;
    CHECK(bench.execute("SM?GAN1~").starts_with("00"));
    CHECK(bench.execute("SM?CQ") == "00N3~N4294967295~");
    CHECK(bench.store.commits == commits);
}

TEST_CASE("a key past its issue date is audited once") {
    Bench bench;
    bench.row().attributes.issue_until = bench.clock.time - std::chrono::seconds{1};
    bench.start();
    for (int i = 0; i < 3; ++i) CHECK(bench.execute(kCreditRequest) == "42");
    CHECK(bench.execute("SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~") == "42");
    CHECK(told(bench, "key past its issue date: REG1;") == 1);
    CHECK(told(bench, "limit exhausted") == 0);
}

TEST_CASE("what cannot be recorded is refused, and reading goes on") {
    Bench bench;
    bench.start();
    bench.store.room = AuditList::kMost - 1;
    CHECK(bench.execute(kCreditRequest) == "01");
    CHECK(bench.execute("SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~") == "01");
    CHECK(bench.execute("SM?KX"
                        "PKMCID~") == "01");
    CHECK(bench.execute("SM?DI").starts_with("00"));
    CHECK(bench.execute("SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~").starts_with("00N0~"));
    CHECK(bench.store.commits == 0);
    bench.store.room = AuditList::kMost;
    CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
}

TEST_CASE("a full disk refuses what changes, changes nothing, and lets go when there is room") {
    Bench bench;
    bench.row().units_left = 100;
    bench.start();
    CHECK(bench.execute(credit_of(30)).starts_with("00"));
    bench.store.commit_error = Errc::storage_full;
    const auto answers =
        bench.execute_batch({"SM?DI", credit_of(30), "SM?GAN1~", "SM?XX", std::string(credit_of(31))});
    CHECK(answers[0].starts_with("00"));
    CHECK(answers[1] == "01");
    // It would have shown units that nobody has taken.
    CHECK(answers[2] == "01");
    CHECK(answers[3] == "GL!ER21");
    CHECK(answers[4] == "01");
    CHECK_FALSE(bench.module->in_error_state());
    CHECK(bench.execute("SM?GAN1~").ends_with(";XUL70~"));
    CHECK(bench.execute("SM?CQ") == "00N1~N4294967295~");
    bench.store.commit_error.reset();
    CHECK(bench.execute(credit_of(70)).starts_with("00"));
    CHECK(bench.row().units_left == 0U);
    CHECK(bench.store.state.tokens_issued == 2);
}

TEST_CASE("counters that cannot be put fail as a commit does") {
    for (const Errc error : {Errc::storage_full, Errc::storage_failed}) {
        Bench bench;
        bench.row().units_left = 100;
        bench.start();
        bench.store.put_error = error;
        CHECK(bench.execute(credit_of(30)) == (error == Errc::storage_full ? "01" : "GL!ER58"));
        CHECK(bench.module->in_error_state() == (error != Errc::storage_full));
        CHECK(bench.row().units_left == 100U);
    }
}

TEST_CASE("a tampered module answers SM?QL and SM?DI, through a restart, until it is zeroised") {
    Bench bench;
    bench.start();
    REQUIRE(bench.module->tamper("the lid"));
    for (int run = 0; run < 2; ++run) {
        CHECK(bench.execute("SM?DI") == "00PSOFTSM01~PSTS6-001~");
        // The fake store keeps no records to read.
        CHECK(bench.execute("SM?QLN0~") != "GL!ER57");
        for (const char* message : {"SM?QI", "SM?QD", "SM?CQ", "SM?GAN1~", "SM?XX", "", "SM?MF"}) {
            CHECK(bench.execute(message) == "GL!ER57");
        }
        CHECK(bench.execute(kCreditRequest) == "GL!ER57");
        bench.start();
    }
    CHECK(bench.store.registers.size() == 1);
    REQUIRE(bench.module->zeroise("officer1 and officer2"));
    CHECK(told(bench, "zeroised: officer1 and officer2") == 1);
    CHECK(bench.store.registers.empty());
    CHECK(bench.store.slots.empty());
    CHECK(bench.store.state.phase == Phase::manufacturing);
    CHECK(bench.execute(kCreditRequest) == "GL!ER21");
    CHECK(bench.execute("SM?QD").starts_with("00"));
    bench.start();
    CHECK(bench.execute("SM?QD").starts_with("00"));
}

TEST_CASE("tampering counts also when it cannot be stored") {
    Bench bench;
    bench.start();
    bench.store.commit_error = Errc::storage_full;
    CHECK_FALSE(bench.module->tamper("the lid"));
    CHECK(bench.execute(kCreditRequest) == "GL!ER57");
    // What else finds no room takes up what the store holds, which does not know of it.
    bench.clock.time += std::chrono::minutes{2};
    CHECK_FALSE(bench.module->keep_time(std::chrono::seconds{60}));
    CHECK(bench.execute(kCreditRequest) == "GL!ER57");
    bench.store.commit_error.reset();
    CHECK(bench.execute(kCreditRequest) == "GL!ER57");
}

TEST_CASE("a module whose token has lost more keys than one commit tells of starts, and tells of all") {
    constexpr std::uint16_t kLost = 2 * AuditList::kMost + 1;
    Bench bench;
    bench.settings.registers = RegisterTable::kMost;
    for (std::uint16_t number = 2; number < 2 + kLost; ++number) {
        RegisterRow row = bench.row();
        row.number = number;
        row.attributes.sgc = number;
        row.key = {9, static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)};
        bench.store.registers[number] = row;
    }
    bench.module =
        std::make_unique<Module>(bench.settings, bench.hsm, bench.store, bench.clock, bench.random);
    REQUIRE(bench.module->start());
    CHECK(told(bench, "register quarantined: ") == kLost);
    CHECK(told(bench, "started: ") == 1);
    CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
    CHECK(bench.execute(credit_with(0, "N2")) == "01");
}

TEST_CASE("the time mark is kept once it is old enough, and an old host clock stops vending") {
    Bench bench;
    bench.start();
    const CivilTime begun = bench.clock.time;
    REQUIRE(bench.module->keep_time(std::chrono::seconds{60}));
    CHECK(bench.store.commits == 0);
    bench.clock.time = begun + std::chrono::seconds{59};
    REQUIRE(bench.module->keep_time(std::chrono::seconds{60}));
    CHECK(bench.store.state.time_mark == begun);
    bench.clock.time = begun + std::chrono::seconds{60};
    REQUIRE(bench.module->keep_time(std::chrono::seconds{60}));
    CHECK(bench.store.state.time_mark == bench.clock.time);

    bench.clock.time = begun;
    CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
    bench.clock.time = begun - std::chrono::seconds{1};
    for (int i = 0; i < 3; ++i) CHECK(bench.execute(kCreditRequest) == "01");
    CHECK(told(bench, "host clock behind module time") == 1);
    bench.clock.time = begun;
    CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
}

TEST_CASE("a start says whether the stop before it was clean") {
    Bench bench;
    bench.start();
    CHECK(bench.store.state.running);
    bench.module =
        std::make_unique<Module>(bench.settings, bench.hsm, bench.store, bench.clock, bench.random);
    REQUIRE(bench.module->start());
    CHECK(bench.store.audit.back().starts_with("started: FWISTS6-001;STP0;"));
    REQUIRE(bench.module->stop());
    CHECK(bench.store.audit.back() == "stopped: ");
    CHECK_FALSE(bench.store.state.running);
    bench.module =
        std::make_unique<Module>(bench.settings, bench.hsm, bench.store, bench.clock, bench.random);
    REQUIRE(bench.module->start());
    CHECK(bench.store.audit.back().starts_with("started: FWISTS6-001;STP1;"));
}

TEST_CASE("a key that is missing or another one is quarantined and audited") {
    Bench missing;
    missing.row().key = {77};
    missing.module =
        std::make_unique<Module>(missing.settings, missing.hsm, missing.store, missing.clock, missing.random);
    REQUIRE(missing.module->start());
    CHECK(told(missing, "register quarantined: REG1;SGC0000201457;KRN1;") == 1);
    CHECK(missing.execute(kCreditRequest) == "01");

    Bench other;
    other.row().kcv[0] = static_cast<std::uint8_t>(other.row().kcv[0] ^ 1U);
    other.start();
    for (int i = 0; i < 3; ++i) CHECK(other.execute(kCreditRequest) == "01");
    CHECK(told(other, "register quarantined: REG1;SGC0000201457;KRN1;") == 1);
}

}  // namespace sts6
