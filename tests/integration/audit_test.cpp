// SPDX-License-Identifier: Apache-2.0
// The audit log, the tampered state and the end of a module, on a running daemon.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/support/admin_link.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tests/support/raw_session.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::test {
namespace {

using conform::LabModule;

const std::string kCredit = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";

struct Module {
    Module() : module(vector_pack()) { module.start(std::nullopt); }

    std::string ask(const std::string& message) { return RawLink(module.url()).ask(framed(message)); }
    Finished ctl(std::vector<std::string> words) {
        words.insert(words.begin(), {"--dir", module.dir().string()});
        return run_program("sts6ctl", words);
    }
    std::vector<std::string> officers(std::vector<std::string> words) {
        for (const char* name : {"officer1", "officer2"}) {
            words.insert(words.end(), {"--officer", name, "--pin-file",
                                       (module.dir() / "pins" / (std::string(name) + ".pin")).string()});
        }
        return words;
    }
    [[nodiscard]] std::filesystem::path file(const char* name) const { return place.path() / name; }
    AdminLink admin() { return AdminLink(module.dir() / "admin.sock"); }

    LabModule module;
    conform::TemporaryDirectory place;
};

}  // namespace

TEST_CASE("audit: exported, verified and acknowledged, with the daemon running, stopped and killed") {
    Module bench;
    CHECK(bench.ask(kCredit).starts_with("SM!VC00"));
    const auto log = bench.file("log").string();
    CHECK(bench.ctl({"audit", "export", "--out", log}).code == 0);
    CHECK(run_program("sts6ctl", {"audit", "verify", log}).code == 0);
    const Finished live = bench.ctl({"--json", "audit", "verify"});
    CHECK(live.code == 0);
    CHECK(live.log.find("only the chain was checked") != std::string::npos);
    const auto last = nlohmann::json::parse(live.output).at("last").get<std::uint64_t>();
    const std::string text = file_text(log);
    CHECK(text.find("PAN600727000000000009;SCL0;AMT0001;TID014EEC;") != std::string::npos);
    CHECK(text.find("5862578998699135") == std::string::npos);  // the token itself is money

    // The same record over a link.
    const std::string newest = bench.ask("SM?QLN" + std::to_string(last - 1) + "~");
    CHECK(newest.starts_with("SM!QL00N" + std::to_string(last) + "~D2002"));
    CHECK(newest.find("~N16~PREG1;SGC0000201457;KRN1;PAN600727000000000009;") != std::string::npos);
    CHECK(bench.ask("SM?QLN" + std::to_string(last) + "~") == framed("SM!QL45"));
    CHECK(bench.ask("SM?QLN4294967295~") == framed("SM!QL45"));
    CHECK(bench.ask("SM?QL") == framed("SM!QL60"));
    CHECK(bench.ask("SM?CQ") == framed("SM!CQ00N1~N4294967295~"));

    // Killed: what was answered is there, at once.
    CHECK(bench.ask(kCredit).starts_with("SM!VC00"));
    bench.module.kill();
    CHECK(bench.ctl({"audit", "verify"}).code == 0);
    const Finished dead = bench.ctl({"audit", "export"});
    CHECK(dead.code == 0);
    CHECK(dead.output.find("\"sequence\":" + std::to_string(last + 1)) != std::string::npos);
    CHECK(bench.ctl({"audit", "acknowledge", log}).code == 3);
    bench.module.start(std::nullopt);
    CHECK(bench.ctl({"audit", "export"}).output.find(";STP0;") != std::string::npos);

    CHECK(bench.ctl({"audit", "acknowledge", log}).code == 0);
    CHECK(bench.ctl({"audit", "acknowledge", log}).code == 1);
    bench.module.stop();
    bench.module.start(std::nullopt);
    CHECK(bench.ctl({"audit", "export"}).output.find(";STP1;HSM ") != std::string::npos);
}

TEST_CASE("audit: exports that were edited, cut or are another module's") {
    Module bench;
    Module other;
    const auto log = bench.file("log").string();
    REQUIRE(bench.ctl({"audit", "export", "--out", log}).code == 0);
    const std::string good = file_text(log);
    const auto verified = [&](const std::string& text) {
        write_text(log, text);
        const Finished done = run_program("sts6ctl", {"audit", "verify", log});
        CHECK(done.output.empty());
        return done.code;
    };
    std::string edited = good;
    edited.replace(edited.find("SMID.1"), 6, "SMID.2");
    CHECK(verified(edited) == 5);
    CHECK(verified(good.substr(0, good.rfind('\n', good.size() - 2) + 1)) == 5);
    CHECK(verified(good.substr(0, good.size() / 2)) == 5);
    CHECK(verified(good.substr(good.find('\n') + 1)) == 5);
    CHECK(verified("") == 5);
    CHECK(run_program("sts6ctl", {"audit", "verify", bench.file("none").string()}).code == 2);
    CHECK(run_program("sts6ctl", {"audit", "verify"}).code == 2);
    // A whole export of another module's is no reason to drop anything.
    REQUIRE(other.ctl({"audit", "export", "--out", log}).code == 0);
    CHECK(bench.ctl({"audit", "acknowledge", log}).code == 5);
    CHECK(bench.admin().ask(R"({"command":"audit-acknowledge","sequence":1,"hash":"00"})").at("exit_code") ==
          5);
    CHECK(bench.admin().ask(R"({"command":"audit","from":-1})").at("exit_code") == 2);
    CHECK(bench.admin().ask(R"({"command":"audit"})").at("exit_code") == 2);
}

TEST_CASE("audit: with audit_force a full log refuses until it is acknowledged") {
    Module bench;
    bench.module.stop();
    conform::set_option(bench.module.dir() / "sts6d.toml", "audit_capacity", "1000");
    conform::set_option(bench.module.dir() / "sts6d.toml", "audit_force", "true");
    bench.module.start(std::nullopt);
    RawLink link(bench.module.url());
    std::string answer;
    int made = 0;
    while ((answer = link.ask(framed(kCredit))).starts_with("SM!VC00") && made < 2000) ++made;
    CHECK(answer == framed("SM!VC01"));
    CHECK(made < 1000);
    CHECK(link.ask(framed("SM?CQ")) == framed("SM!CQ00N" + std::to_string(made) + "~N4294967295~"));
    CHECK(link.ask(framed("SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~"))
              .starts_with("SM!VT00N0~"));
    CHECK(link.ask(framed("SM?KXPKMCID~")) == framed("SM!KX01"));
    const Finished refused = bench.ctl(bench.officers({"officer", "remove", "officer1"}));
    CHECK(refused.code == 1);
    CHECK(refused.log.find("the audit log is full") != std::string::npos);
    const auto log = bench.file("log").string();
    REQUIRE(bench.ctl({"audit", "export", "--out", log}).code == 0);
    REQUIRE(bench.ctl({"audit", "acknowledge", log}).code == 0);
    CHECK(link.ask(framed(kCredit)).starts_with("SM!VC00"));
    bench.module.stop();
    CHECK(bench.ctl({"audit", "verify"}).code == 0);
}

TEST_CASE("a tampered module answers GL!ER57 until two officers zeroise it, which leaves no key") {
    Module bench;
    CHECK(bench.admin().ask(R"({"command":"tamper","reason":"the lid ~ was opened"})").at("ok") == true);
    for (int run = 0; run < 2; ++run) {
        CHECK(bench.ask(kCredit) == framed("GL!ER57"));
        CHECK(bench.ask("SM?QD") == framed("GL!ER57"));
        CHECK(bench.ask("SM?XX") == framed("GL!ER57"));
        CHECK(bench.ask("SM?DI").starts_with("SM!DI00PSOFTSM01~"));
        CHECK(bench.ask("SM?QLN0~").starts_with("SM!QL00N1~"));
        CHECK(bench.ask("GL?EC00005HELLO") == framed("GL!EC00005HELLO"));
        bench.module.kill();
        bench.module.start(std::nullopt);
    }
    const auto zeroise = [&bench](const char* module_id) {
        return bench.ctl(bench.officers({"zeroise", "--module-id", module_id}));
    };
    CHECK(zeroise("SOFTSM02").code == 2);
    CHECK(bench.ctl({"zeroise", "--module-id", "SOFTSM01"}).code == 2);
    CHECK(bench.ask("SM?QD") == framed("GL!ER57"));
    CHECK(zeroise("SOFTSM01").code == 0);
    CHECK(bench.ask("SM?QD").starts_with("SM!QD00"));
    CHECK(bench.ask(kCredit) == framed("GL!ER21"));
    CHECK(bench.ask("SM?QI").starts_with("SM!QI00P~"));
    const auto status = bench.admin().ask(R"({"command":"status"})").at("status");
    CHECK(status.at("phase") == "manufacturing");
    CHECK(status.at("registers").empty());
    CHECK(status.at("slots").empty());
    bench.module.stop();
    // The audit has stayed, and tells of it.
    const Finished audit = bench.ctl({"audit", "export"});
    CHECK(audit.output.find("\"text\":\"the lid ? was opened\"") != std::string::npos);
    CHECK(audit.output.find("\"meaning\":\"zeroised\"") != std::string::npos);
    CHECK(bench.ctl({"audit", "verify"}).code == 0);
}

TEST_CASE("zeroise in a token that others share destroys this module's keys and no others") {
    const auto token = softhsm_token();
    const auto opened = open(*token);  // the library, in this process
    LabModule first(vector_pack(), setup_options(*token));
    const RawSession session(*token);
    const auto of_first = session.labels("sts6/");
    REQUIRE(of_first.size() == 4);  // the key pair and three keys
    LabModule second(vector_pack(), setup_options(*token));
    second.start(std::nullopt);
    REQUIRE(session.labels("sts6/").size() == 8);
    AdminLink admin(second.dir() / "admin.sock");
    const auto module_id =
        admin.ask(R"({"command":"status"})").at("status").at("module_id").get<std::string>();
    std::vector<std::string> words = {"--dir", second.dir().string(), "zeroise", "--module-id", module_id};
    for (const char* name : {"officer1", "officer2"}) {
        words.insert(words.end(), {"--officer", name, "--pin-file",
                                   (second.dir() / "pins" / (std::string(name) + ".pin")).string()});
    }
    CHECK(run_program("sts6ctl", words).code == 0);
    CHECK(session.labels("sts6/") == of_first);
    second.stop();
    first.start(std::nullopt);
    CHECK(RawLink(first.url()).ask(framed(kCredit)).starts_with("SM!VC00"));
    first.stop();
}

}  // namespace sts6::test
