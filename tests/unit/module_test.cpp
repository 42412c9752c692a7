// SPDX-License-Identifier: Apache-2.0
// The dispatcher and the vending commands on fake ports. Expected lines are those of docs/protocol.md.
#include "firmware/module/module.hpp"

#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include "tests/support/allocation_counter.hpp"
#include "tests/support/module_bench.hpp"

namespace sts6 {

using namespace test;

TEST_CASE("the worked answers of the protocol page") {
    ModuleBench bench;
    CHECK(bench.execute("SM?DI") == "00PSOFTSM01~PSTS6-001~");
    CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
    CHECK(bench.execute("SM?VMN1~P600727000000000009~N1~N11~N2~N1~HFFFF~H522A0B~") ==
          "00P0FB03E5B9962F5782~P18087553113701439362~");
    CHECK(bench.execute("SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~") ==
          "00N0~N0~N0~H0001~H014EEC~");
    CHECK(bench.execute("SM?VTN1~P600727000000000009~N1~N11~N2~P32D98A5616345BE2E~") ==
          "00N0~N0~N0~H0001~H014EEC~");
    CHECK(bench.execute("SM?QD") == "00D20140301130000~N0~");
    CHECK(bench.execute("SM?QI") == "00P~P~PSTS6-001~H0000000000000000~");
}

TEST_CASE("commands that do not exist here are unknown") {
    ModuleBench bench;
    for (const char* message : {"SM?XX", "XX?DI", "SM!DI", "", "SM?D", "GL?EC00005HELLO", "SM?CI"}) {
        CHECK(bench.execute(message) == "GL!ER21");
    }
    bench.store.state.phase = Phase::manufacturing;
    bench.start();
    CHECK(bench.execute(kCreditRequest) == "GL!ER21");
    CHECK(bench.execute("SM?GAN1~") == "GL!ER21");
    CHECK(bench.execute("SM?DI") == "00PSOFTSM01~PSTS6-001~");
}

TEST_CASE("each check of a credit request has its status and changes nothing") {
    ModuleBench bench;
    const auto refused = [&bench](const std::string& message) {
        const auto issued = bench.store.state.tokens_issued;
        const std::string answer = bench.execute(message);
        CHECK(bench.store.state.tokens_issued == issued);
        CHECK(bench.store.commits == 0);
        return answer;
    };
    CHECK(refused("SM?VC") == "60");
    CHECK(refused(std::string(kCreditRequest) + "N1~") == "60");
    CHECK(refused(std::string(kCreditRequest.substr(0, kCreditRequest.size() - 1))) == "60");
    CHECK(refused(credit_with(0, "P1")) == "61");
    CHECK(refused(credit_with(6, "H001")) == "62");
    CHECK(refused(credit_with(0, "N01")) == "62");
    CHECK(refused(credit_with(0, "N0")) == "63");
    CHECK(refused(credit_with(0, "N65")) == "63");
    CHECK(refused(credit_with(6, "H01")) == "63");
    CHECK(refused(credit_with(6, "H00000001")) == "63");
    CHECK(refused(credit_with(7, "H")) == "63");
    CHECK(refused(credit_with(7, "H01020304")) == "63");
    CHECK(refused(credit_with(1, "P600727000000000008")) == "76");
    CHECK(refused(credit_with(1, "P60072700000000000")) == "76");
    CHECK(refused(credit_with(1, "P")) == "76");
    CHECK(refused(credit_with(1, "P60072700000000000X")) == "76");
    CHECK(refused(credit_with(0, "N2")) == "22");
    CHECK(refused(credit_with(2, "N100")) == "40");
    CHECK(refused(credit_with(3, "N9")) == "40");
    CHECK(refused(credit_with(3, "N4294967295")) == "40");
    CHECK(refused(credit_with(4, "N100")) == "40");
    CHECK(refused(credit_with(5, "N8")) == "40");
    CHECK(refused(credit_with(5, "N4")) == "63");
    CHECK(refused(credit_with(6, "H000001")) == "63");
    CHECK(refused("SM?VCN1~P600727000000000009~N1~N11~N2~N4~H100001~H6D6F51~") == "63");
    CHECK(bench.hsm.derivation_calls == 0);
}

TEST_CASE("the first of several faults decides") {
    ModuleBench bench;
    CHECK(bench.execute("SM?VCN2~P600727000000000008~N100~N9~N100~N9~H0001~H014EEC~") == "76");
    CHECK(bench.execute("SM?VCN2~P600727000000000009~N100~N9~N100~N9~H0001~H014EEC~") == "22");
    CHECK(bench.execute("SM?VCN1~P600727000000000009~N1~N11~N2~N9~H000001~H014EEC~") == "40");
    bench.row().attributes.ktc = KeyType::ddtk;
    bench.row().attributes.sbm = 0;
    bench.row().attributes.issue_until = civil_time(2014, 1, 1);
    bench.row().attributes.ken = 0;
    bench.start();
    CHECK(bench.execute(kCreditRequest) == "05");
    bench.row().attributes.ktc = KeyType::dutk;
    bench.start();
    CHECK(bench.execute(kCreditRequest) == "48");
    bench.row().attributes.sbm = 1;
    bench.start();
    CHECK(bench.execute(kCreditRequest) == "42");
    bench.row().attributes.issue_until = civil_time(2099, 1, 1);
    bench.start();
    CHECK(bench.execute(kCreditRequest) == "41");
}

TEST_CASE("management requests take their own SubClasses and two octets") {
    ModuleBench bench;
    for (const char* subclass : {"N3", "N4", "N8", "N9", "N11", "N15", "N16"}) {
        CHECK(bench.execute(credit_with(5, subclass, "SM?VM")) == "40");
    }
    for (const char* subclass : {"N0", "N1", "N2", "N5", "N6", "N7", "N10"}) {
        CHECK(bench.execute(credit_with(5, subclass, "SM?VM")).substr(0, 2) == "00");
    }
    CHECK(bench.execute(credit_with(6, "H000001", "SM?VM")) == "63");
}

TEST_CASE("key type decides over credit, not over management") {
    ModuleBench bench;
    bench.row().attributes.ktc = KeyType::dctk;
    bench.start();
    CHECK(bench.execute(kCreditRequest) == "05");
    CHECK(bench.execute(credit_with(4, "N1")).substr(0, 2) == "00");
    bench.row().attributes.ktc = KeyType::ddtk;
    bench.start();
    CHECK(bench.execute(credit_with(4, "N1")) == "05");
    CHECK(bench.execute(credit_with(4, "N1", "SM?VM")).substr(0, 2) == "00");
}

TEST_CASE("expiry and window at their borders") {
    ModuleBench bench;
    bench.row().attributes.ken = 1;
    bench.start();
    CHECK(bench.execute(credit_with(7, "H01FFFF")).substr(0, 2) == "00");
    CHECK(bench.execute(credit_with(7, "H020000")) == "41");
    CHECK(bench.execute(credit_with(7, "H01E0")).substr(0, 2) == "00");

    bench.row().attributes.ken = 255;
    bench.row().attributes.issue_until = bench.clock.time;
    bench.start();
    CHECK(bench.execute(credit_with(7, "HFFFFFF")).substr(0, 2) == "00");
    bench.clock.time += std::chrono::seconds{1};
    CHECK(bench.execute(kCreditRequest) == "42");

    ModuleBench window;
    window.settings.tid_window_days = 7;
    window.start();
    // 2014-03-01 13:00 is minute 014EEC of base date 2014; seven days are 2760 hexadecimal minutes.
    CHECK(window.execute(credit_with(7, "H01764C")).substr(0, 2) == "00");
    CHECK(window.execute(credit_with(7, "H01764D")) == "44");
    CHECK(window.execute(credit_with(7, "H01278C")).substr(0, 2) == "00");
    CHECK(window.execute(credit_with(7, "H01278B")) == "44");
}

TEST_CASE("SM?VT tells what a token is") {
    ModuleBench bench;
    const auto verify = [&bench](std::string_view token) {
        return bench.execute("SM?VTN1~P600727000000000009~N1~N11~P" + std::string(token) + "~");
    };
    CHECK(verify("58625789986991357487") == "00N3~");
    CHECK(verify("73786976294838206464") == "63");
    CHECK(verify("73786976294838206463").substr(0, 4) == "00N3");
    CHECK(verify("5862578998699135748") == "63");
    CHECK(verify("32D98A5616345BE2G") == "63");
    CHECK(verify("42D98A5616345BE2E") == "63");
    CHECK(bench.execute("SM?VTN1~P600727000000000009~N1~N11~N100~P58625789986991357486~") == "40");
    CHECK(bench.execute("SM?VTN2~P600727000000000009~N1~N11~P58625789986991357486~") == "22");
    CHECK(bench.execute("SM?VTN1~P600727000000000008~N1~N11~P58625789986991357486~") == "76");
    CHECK(bench.execute("SM?VTN1~P600727000000000009~N1~N10~P58625789986991357486~") == "40");
    CHECK(bench.execute("SM?VTN1~P600727000000000009~N2~N11~P58625789986991357486~") == "00N3~");
    // Key change tokens of docs/tokens.md 11, under this key: no body bit leaves the module.
    CHECK(verify("39536809214641544852") == "00N0~N2~N3~H0000~H000000~");
    CHECK(verify("23263472884016433225") == "00N0~N2~N4~H0000~H000000~");
    CHECK(verify("45268691985939334940") == "00N0~N2~N8~H0000~H000000~");
    CHECK(verify("65389277406881242890") == "00N0~N2~N9~H0000~H000000~");

    bench.row().attributes.ken = 0;
    bench.row().attributes.issue_until = civil_time(2099, 1, 1);
    bench.start();
    CHECK(verify("58625789986991357486") == "00N41~N0~N0~H0001~H014EEC~");
    CHECK(verify("39536809214641544852") == "00N0~N2~N3~H0000~H000000~");
    bench.row().attributes.issue_until = civil_time(2014, 1, 1);
    bench.start();
    CHECK(verify("58625789986991357486") == "00N42~N0~N0~H0001~H014EEC~");
    CHECK(verify("39536809214641544852") == "00N42~N2~N3~H0000~H000000~");
}

namespace {

constexpr std::string_view kKeyChangeRequest = "SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~";

/// The worked key change request with one field replaced.
std::string key_change_with(std::size_t field, std::string_view value) {
    std::vector<std::string> fields = {"N1", "N1", "P600727000000000009", "N1", "N11", "N2", "N2", "N4"};
    fields[field] = value;
    std::string message = "SM?VK";
    for (const std::string& text : fields) message += text + "~";
    return message;
}

/// A second register with the same key value under other attributes.
RegisterRow& second_register(ModuleBench& bench) {
    RegisterRow row = bench.row();
    row.number = 2;
    row.attributes.sgc = 203557;
    row.attributes.krn = 6;
    row.attributes.base_date = BaseDate::y2035;
    return bench.store.registers[2] = row;
}

}  // namespace

TEST_CASE("the worked key change of the protocol page") {
    ModuleBench bench;
    CHECK(bench.execute(kKeyChangeRequest) ==
          "00N0~N4~P0357DBF341198EC87026BE76CBB15E21E03A373495B96D43D66107F184C6D6B59AFA~"
          "P03854447086453451911027917994362424611526711807032935397719019019128690902932218~");
    CHECK(bench.store.state.tokens_issued == 1);
    CHECK(bench.hsm.derivation_calls == 1);
    // docs/tokens.md 11: to SGC 203557, KRN 6, TI 02, base date 2035, with rollover.
    second_register(bench);
    bench.start();
    const std::string answer = bench.execute(key_change_with(1, "N2"));
    CHECK(answer.substr(0, 8) == "00N1~N4~");
    CHECK(answer.find("P39536809214641544852232634728840164332254526869198593933494065389277406881242890~") !=
          std::string::npos);
}

TEST_CASE("each check of a key change has its status and changes nothing") {
    ModuleBench bench;
    const auto refused = [&bench](const std::string& message) {
        const std::string answer = bench.execute(message);
        CHECK(bench.store.commits == 0);
        CHECK(bench.hsm.derivation_calls == 0);
        return answer;
    };
    CHECK(refused("SM?VK") == "60");
    CHECK(refused(key_change_with(7, "P4")) == "61");
    CHECK(refused(key_change_with(3, "N01")) == "62");
    CHECK(refused(key_change_with(0, "N0")) == "63");
    CHECK(refused(key_change_with(1, "N65")) == "63");
    CHECK(refused(key_change_with(2, "P600727000000000008")) == "76");
    CHECK(refused(key_change_with(0, "N3")) == "22");
    CHECK(refused(key_change_with(1, "N3")) == "22");
    CHECK(refused(key_change_with(3, "N100")) == "40");
    CHECK(refused(key_change_with(6, "N100")) == "40");
    CHECK(refused(key_change_with(5, "N100")) == "40");
    CHECK(refused(key_change_with(4, "N9")) == "40");
    for (const char* tokens : {"N0", "N1", "N2", "N3", "N5", "N4294967295"}) {
        CHECK(refused(key_change_with(7, tokens)) == "85");
    }
    CHECK(refused("SM?VKN1~N1~P600727000000000009~N1~N7~N2~N2~N4~") == "85");
}

TEST_CASE("the rules of a key change in the module") {
    ModuleBench bench;
    RegisterRow& other = second_register(bench);
    const auto change = [&bench](const char* from, const char* to) {
        bench.start();
        return bench
            .execute("SM?VKN" + std::string(from) + "~N" + to + "~P600727000000000009~N1~N11~N2~N2~N4~")
            .substr(0, 2);
    };
    CHECK(change("1", "2") == "00");
    CHECK(change("2", "1") == "29");  // the older base date
    other.attributes.base_date = BaseDate::y2014;
    other.attributes.cluster = 1;
    CHECK(change("1", "2") == "29");
    other.attributes.cluster = 0;
    other.attributes.ktc = KeyType::ddtk;
    CHECK(change("1", "2") == "29");
    CHECK(change("2", "1") == "00");
    other.attributes.ktc = KeyType::dutk;
    other.attributes.ken = 0;  // expired since February 2014
    CHECK(change("1", "2") == "29");
    CHECK(change("2", "1") == "00");
    other.attributes.ken = 255;
    other.attributes.issue_until = bench.clock.time - std::chrono::seconds{1};
    CHECK(change("1", "2") == "42");
    CHECK(change("2", "1") == "42");
    other.attributes.issue_until = civil_time(2099, 1, 1);
    other.attributes.active_from = bench.clock.time + std::chrono::seconds{1};
    CHECK(change("1", "2") == "43");
    CHECK(change("2", "1") == "00");
}

TEST_CASE("a key change needs both decoder keys") {
    ModuleBench bench;
    bench.start();
    bench.hsm.fail_every = 2;
    CHECK(bench.execute(kKeyChangeRequest) == "01");
    CHECK(bench.store.state.tokens_issued == 0);
    CHECK(bench.store.commits == 0);
    // The next command's key is its own: nothing of a batch is mixed up.
    bench.hsm.fail_every = 0;
    const auto answers = bench.execute_batch(
        {std::string(kCreditRequest), std::string(kKeyChangeRequest), std::string(kCreditRequest)});
    CHECK(answers[0] == kCreditAnswer);
    CHECK(answers[1].substr(0, 8) == "00N0~N4~");
    CHECK(answers[2] == kCreditAnswer);
    CHECK(bench.store.state.tokens_issued == 3);
}

TEST_CASE("failed verifications are limited outside the lab") {
    ModuleBench bench;
    bench.start();
    const std::string bad = "SM?VTN1~P600727000000000009~N1~N11~P58625789986991357487~";
    const std::string good = "SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~";
    for (int i = 0; i < 49; ++i) CHECK(bench.execute(bad) == "00N3~");
    for (int i = 0; i < 60; ++i) CHECK(bench.execute(good).substr(0, 4) == "00N0");
    CHECK(bench.execute(bad) == "00N3~");
    CHECK(bench.execute(bad) == "01");
    CHECK(bench.execute(good) == "01");
    bench.clock.time += std::chrono::seconds{1};
    CHECK(bench.execute(bad) == "00N3~");
    CHECK(bench.execute(bad) == "01");
    // Within one batch too: what fails counts, in order of arrival, and what is good does not.
    bench.clock.time += std::chrono::seconds{2};
    CHECK(bench.execute_batch({bad, bad, good, bad}) ==
          std::vector<std::string>{"00N3~", "00N3~", "01", "01"});
    bench.clock.time += std::chrono::seconds{1};
    for (const std::string& answer : bench.execute_batch(std::vector<std::string>(128, good))) {
        CHECK(answer.substr(0, 4) == "00N0");
    }

    ModuleBench lab;
    lab.settings.lab = true;
    for (int i = 0; i < 60; ++i) CHECK(lab.execute(bad) == "00N3~");
}

TEST_CASE("a batch is one derivation call and one commit, in arrival order") {
    ModuleBench bench;
    const auto answers =
        bench.execute_batch({std::string(kCreditRequest), "SM?DI", std::string(kCreditRequest), "SM?XX"});
    CHECK(answers[0] == kCreditAnswer);
    CHECK(answers[1] == "00PSOFTSM01~PSTS6-001~");
    CHECK(answers[2] == kCreditAnswer);
    CHECK(answers[3] == "GL!ER21");
    CHECK(bench.hsm.derivation_calls == 1);
    CHECK(bench.store.commits == 1);
    CHECK(bench.store.state.tokens_issued == 2);
    CHECK(bench.store.state.time_mark == bench.clock.time);

    CHECK(bench.execute_batch({"SM?DI", "SM?QD"}).size() == 2);
    CHECK(bench.store.commits == 1);
}

TEST_CASE("a failed derivation answers 01 and takes its reservation back") {
    ModuleBench bench;
    bench.start();
    bench.hsm.fail_every = 2;
    const std::vector<std::string> batch(4, std::string(kCreditRequest));
    CHECK(bench.execute_batch(batch) ==
          std::vector<std::string>{std::string(kCreditAnswer), "01", std::string(kCreditAnswer), "01"});
    CHECK(bench.store.state.tokens_issued == 2);
    bench.hsm.fail_every = 1;
    CHECK(bench.execute(kCreditRequest) == "01");
    CHECK(bench.store.commits == 1);
    CHECK(bench.execute("SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~") == "01");
    bench.hsm.fail_every = 0;
    CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
    CHECK_FALSE(bench.module->in_error_state());
}

TEST_CASE("a failed commit latches the error state and withholds every answer of the batch") {
    ModuleBench bench;
    bench.start();
    bench.store.commit_error = Errc::storage_failed;
    CHECK(bench.execute_batch({"SM?DI", std::string(kCreditRequest)}) ==
          std::vector<std::string>{"GL!ER58", "GL!ER58"});
    CHECK(bench.module->in_error_state());
    bench.store.commit_error.reset();
    CHECK(bench.execute("SM?DI") == "GL!ER58");
    CHECK(bench.execute("SM?XX") == "GL!ER58");
    CHECK(bench.store.commits == 1);
}

TEST_CASE("a failing self-test leaves only the error state") {
    ModuleBench bench;
    auto tests = kSelfTests;
    for (SelfTest& test : tests) {
        const SelfTest kept = test;
        CHECK(kept.passes());
        test.passes = []() noexcept { return false; };
        bench.start(tests);
        CHECK(bench.execute("SM?DI") == "GL!ER58");
        CHECK(bench.execute(kCreditRequest) == "GL!ER58");
        test = kept;
    }
    CHECK(bench.store.commits == 0);
}

TEST_CASE("a DKG 02 register asks for its decoder key with the block X and its own wrapped key") {
    ModuleBench bench;
    bench.row().attributes.dkg = Dkga::dkga02;
    bench.row().attributes.sgc = 123456;
    bench.row().wrapped_key = WrappedKey{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    // EA11 takes 128 bits, which DKGA02 does not make.
    CHECK(bench.execute(kCreditRequest) == "40");
    CHECK(bench.hsm.derivations == 0);
    CHECK(bench.execute("SM?VCN1~P600727000000000009~N1~N7~N2~N0~H0001~H014EEC~").substr(0, 2) == "00");
    const DerivationRequest& asked = bench.hsm.last_request;
    CHECK(asked.dkga == Dkga::dkga02);
    CHECK(asked.ea == Ea::sta);
    CHECK(asked.wrapped_key == bench.row().wrapped_key);
    // docs/tokens.md 3.2, worked.
    const std::array<std::uint8_t, 8> x = {0x21, 0x51, 0x35, 0x60, 0x11, 0xFF, 0xFF, 0xFF};
    CHECK(std::equal(x.begin(), x.end(), asked.data.begin()));
}

TEST_CASE("a key that is missing or another one is never used") {
    ModuleBench bench;
    SECTION("another key behind the same name") {
        bench.row().kcv[2] ^= 1;
        bench.start();
        CHECK(bench.execute(kCreditRequest) == "01");
        CHECK(bench.execute(kCreditRequest) == "01");
        CHECK(bench.hsm.check_values == 1);
    }
    SECTION("no key") {
        bench.row().key = {9};
        bench.start();
        CHECK(bench.execute(kCreditRequest) == "01");
        CHECK(bench.execute("SM?GAN1~").substr(0, 5) == "00PAC");
    }
    SECTION("an HSM that is away says nothing about the key") {
        bench.start();
        bench.hsm.check_value_error = Errc::hsm_failed;
        CHECK(bench.execute(kCreditRequest) == "01");
        bench.hsm.check_value_error.reset();
        CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
        CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
        CHECK(bench.hsm.check_values == 2);
    }
    CHECK(bench.hsm.derivations == 0);
}

TEST_CASE("a host clock that was set back stops vending, and module time never runs back") {
    ModuleBench bench;
    bench.store.state.time_mark = bench.clock.time + std::chrono::seconds{60};
    bench.start();
    CHECK(bench.execute("SM?QD") == "00D20140301130100~N0~");
    CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
    bench.clock.time -= std::chrono::seconds{1};
    CHECK(bench.execute(kCreditRequest) == "01");
    CHECK(bench.execute(credit_with(5, "N0", "SM?VM")) == "01");
    CHECK(bench.execute("SM?DI").substr(0, 2) == "00");

    bench.settings.clock_is_preset = true;
    bench.start();
    CHECK(bench.execute(kCreditRequest) == kCreditAnswer);
    CHECK(bench.store.state.time_mark == bench.clock.time + std::chrono::seconds{61});
}

TEST_CASE("a command that waited too long is not executed") {
    ModuleBench bench;
    bench.start();
    auto exchange = std::make_unique<Exchange>();
    exchange->message = kCreditRequest;
    exchange->expired = true;
    Exchange* batch[] = {exchange.get()};
    bench.module->execute(batch);
    CHECK(ModuleBench::text(exchange->answer) == "01");
    CHECK(bench.store.state.tokens_issued == 0);
}

TEST_CASE("without random numbers no token is made") {
    ModuleBench bench;
    bench.random.fails = true;
    CHECK(bench.execute(kCreditRequest) == "01");
    CHECK(bench.execute("SM?VCN1~P600727000000000009~N1~N11~N2~N4~H000001~H6D6F51~") == "01");
    CHECK(bench.store.commits == 0);
}

TEST_CASE("SM?GA shows the cards in ascending order within its bound") {
    ModuleBench bench;
    CHECK(
        bench.execute("SM?GAN1~") ==
        "00PACT19930101T000000Z;BDT20140101T000000Z;CLU0;DKG04;EXP20990101T000000Z;IUT20990101T000000Z;KCV" +
            [&bench] {
                char text[7];
                const Kcv& kcv = bench.row().kcv;
                std::snprintf(text, sizeof text, "%02X%02X%02X", kcv[0], kcv[1], kcv[2]);
                return std::string(text);
            }() +
            ";KEN255;KRN1;KTC2;SBMFFFF;SGC0000201457~");
    CHECK(bench.execute("SM?GAN2~") == "22");
    CHECK(bench.execute("SM?GAN0~") == "63");
    CHECK(bench.execute("SM?GAN65~") == "63");
    CHECK(bench.execute("SM?GA") == "60");

    bench.row().attributes.clm_bits = 0x44FA0000;
    bench.row().attributes.ulm_units = 999999998;
    REQUIRE(bench.row().attributes.sgn.assign("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMN"));
    bench.start();
    const std::string full = bench.execute("SM?GAN1~");
    CHECK(full.find(";CLM44fa0000;CLU0;") != std::string::npos);
    CHECK(full.find(";SGNABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMN;ULM999999998~") != std::string::npos);
    // Header, status, cards in a P field, CRC.
    CHECK(full.size() + frame::kHeaderLength + frame::kCrcLength <= 248);
}

TEST_CASE("executing a command allocates nothing") {
    ModuleBench bench;
    bench.store.keeps_audit = false;
    bench.start();
    const std::vector<std::string> messages = {std::string(kCreditRequest),
                                               std::string(kKeyChangeRequest),
                                               credit_with(5, "N1", "SM?VM"),
                                               "SM?DI",
                                               "SM?QI",
                                               "SM?QD",
                                               "SM?GAN1~",
                                               "SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~",
                                               "SM?XX",
                                               "SM?VC",
                                               credit_with(0, "N2")};
    std::vector<std::unique_ptr<Exchange>> exchanges;
    std::vector<Exchange*> batch;
    for (const std::string& message : messages) {
        exchanges.push_back(std::make_unique<Exchange>());
        exchanges.back()->message = message;
        batch.push_back(exchanges.back().get());
    }
    bench.module->execute(batch);
    // The control: the counter sees an allocation.
    const std::size_t control = allocation_count();
    const auto seen = std::make_unique<int>(1);
    REQUIRE(allocation_count() == control + 1);
    const std::size_t before = allocation_count();
    bench.module->execute(batch);
    CHECK(allocation_count() == before);
}

}  // namespace sts6
