// SPDX-License-Identifier: Apache-2.0
// The module on every link: the same keys, commands, tokens and audit.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "sts6/client.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/programs.hpp"
#include "tools/conform/lab_module.hpp"
#include "tools/conform/pack.hpp"
#include "tools/conform/runner.hpp"

namespace sts6 {
namespace {

using conform::LabLink;
using conform::LabModule;

/// Each kind of link, with the files that it needs.
class Links {
  public:
    Links() { static_cast<void>(test::write_server_certificate(place_.path())); }

    [[nodiscard]] LabLink link(const std::string& scheme) const {
        LabLink link{.scheme = scheme};
        if (scheme.starts_with("tls")) {
            link.daemon_options = {"--tls",
                                   "127.0.0.1:0",
                                   "--tls-certificate",
                                   path("server.pem"),
                                   "--tls-private-key",
                                   path("server.key")};
            link.client.tls_ca = path("ca.pem");
        } else if (scheme == "apdu") {
            link.daemon_options = {"--apdu", "127.0.0.1:0"};
        } else if (scheme == "serial") {
            link.daemon_options = {"--pty", path("module")};
        }
        return link;
    }

  private:
    [[nodiscard]] std::string path(const char* name) const { return (place_.path() / name).string(); }

    conform::TemporaryDirectory place_;
};

std::filesystem::path ea11_pack() {
    return std::filesystem::path(STS6_SOURCE_DIR) / "tests/data/vectors/sts531-1-11-dkga04-ea11.json";
}

/// What happened to keys and tokens, without the times.
std::vector<std::string> audited(const LabModule& module) {
    const auto dir = module.dir().string();
    const test::Finished exported = test::run_program("sts6ctl", {"--dir", dir, "audit", "export"});
    REQUIRE(exported.code == 0);
    std::vector<std::string> records;
    std::istringstream lines(exported.output);
    for (std::string line; std::getline(lines, line);) {
        const auto record = nlohmann::json::parse(line);
        if (!record.contains("event") || !record["text"].get<std::string>().starts_with("REG")) continue;
        records.push_back(record["meaning"].get<std::string>() + ": " + record["text"].get<std::string>());
    }
    return records;
}

/// A working day: tokens of each kind, and refusals.
const std::vector<std::string> kDay = {
    "SM?DI",
    "SM?QD",
    "SM?GAN1~",
    "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~",
    "SM?VMN1~P600727000000000009~N1~N11~N2~N1~HFFFF~H522A0B~",
    "SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~",
    "SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~",
    "SM?VCN1~P600727000000000001~N1~N11~N2~N0~H0001~H014EEC~",   // 76
    "SM?VCN64~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~",  // 22
    "SM?VCN65~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~",  // 63
    "SM?VCN1~P600727000000000009~N1~N9~N2~N0~H0001~H014EEC~",    // 40
    "SM?VCN1~",                                                  // 60
    "SM?VCP1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~",   // 61
    "SM?VCN01~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~",  // 62
    "SM?MF",                                                     // 21: not in this phase
    "SM?KXPnone~",                                               // 27
    "SM?CQ",
    "SM?QLN0~",
};

/// The answers to kDay, without what differs from module to module.
std::vector<std::string> answers(Client& client) {
    std::vector<std::string> all;
    for (const std::string& message : kDay) {
        const auto response = client.exchange(message);
        INFO(message);
        REQUIRE(response);
        const bool has_time = message == "SM?QD" || message.starts_with("SM?QL");
        all.push_back(message + " " + (has_time ? response->text.substr(0, 7) : response->text));
    }
    return all;
}

}  // namespace

TEST_CASE("every link gives the same answers, and leaves the same audit") {
    const Links links;
    LabModule plain(ea11_pack());
    plain.start(std::nullopt);
    Client client = plain.connect();
    const auto expected = answers(client);
    plain.stop();
    const auto expected_audit = audited(plain);
    REQUIRE(expected_audit.size() >= 3);
    CHECK(expected.at(3) == kDay.at(3) + " SM!VC00P32D98A5616345BE2E~P58625789986991357486~");

    for (const char* scheme : {"tcp-env", "tls", "tls-env", "serial", "apdu"}) {
        INFO(scheme);
        // Its keys come over that link too.
        LabModule module(ea11_pack(), {}, links.link(scheme));
        module.start(std::nullopt);
        Client other = module.connect();
        CHECK(answers(other) == expected);
        module.stop();
        CHECK(audited(module) == expected_audit);
    }
}

TEST_CASE("a conformance pack passes over every link") {
    const Links links;
    const auto pack = conform::read_pack(ea11_pack());
    REQUIRE(pack);
    const std::string scheme = GENERATE("tcp", "tcp-env", "tls", "tls-env", "serial", "apdu");
    INFO(scheme);
    conform::RunOptions options;
    options.link = links.link(scheme);
    const conform::Report report = conform::run_packs({*pack}, options);
    std::size_t passed = 0;
    for (const auto& result : report.cases) {
        INFO(result.id << ": " << result.reason);
        CHECK(result.verdict == conform::Verdict::passed);
        passed += result.verdict == conform::Verdict::passed ? 1 : 0;
    }
    CHECK(passed == pack->cases.size());
}

TEST_CASE("clients of all links at once get their tokens") {
    const Links links;
    LabLink all = links.link("serial");
    for (const char* scheme : {"tls", "apdu"}) {
        const LabLink link = links.link(scheme);
        all.daemon_options.insert(all.daemon_options.end(), link.daemon_options.begin(),
                                  link.daemon_options.end());
        if (!link.client.tls_ca.empty()) all.client = link.client;
    }
    LabModule module(test::vector_pack());
    module.set_daemon_options(all.daemon_options);
    module.start(std::nullopt);
    std::vector<Client> clients;
    for (const std::string& url :
         {module.url(), "tcp-env:" + module.link("tcp"), "tls:" + module.link("tls"),
          "tls-env:" + module.link("tls"), "serial:" + module.link("pty"), "apdu:" + module.link("apdu")}) {
        INFO(url);
        auto client = Client::connect(url, url.starts_with("tls") ? all.client : ClientOptions());
        REQUIRE(client);
        clients.push_back(*std::move(client));
    }
    for (int round = 0; round < 10; ++round) {
        for (Client& client : clients) {
            const auto response = client.exchange("SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~");
            REQUIRE(response);
            CHECK(response->text == "SM!VC00P32D98A5616345BE2E~P58625789986991357486~");
        }
    }
    module.stop();
    CHECK(test::tokens_issued(module.dir()) == 60);
}

TEST_CASE("sts6ctl and sts6-conform speak over every link") {
    const Links links;
    const std::string scheme = GENERATE("tcp", "tcp-env", "tls", "tls-env", "serial", "apdu");
    INFO(scheme);
    const LabLink link = links.link(scheme);
    LabModule module(ea11_pack(), {}, link);
    module.start(std::nullopt);
    std::vector<std::string> to_module = {"--connect", module.url()};
    if (!link.client.tls_ca.empty()) to_module.insert(to_module.end(), {"--tls-ca", link.client.tls_ca});
    const auto run = [&](const char* program, const std::vector<std::string>& words) {
        auto all = to_module;
        all.insert(all.end(), words.begin(), words.end());
        return test::run_program(program, all);
    };

    const auto sent = run("sts6ctl", {"--raw", "send", kDay.at(3)});
    CHECK(sent.code == 0);
    CHECK(sent.output == "SM!VC00P32D98A5616345BE2E~P58625789986991357486~\n");
    const bool is_apdu = scheme == "apdu";
    CHECK((sent.log.find("< 50 33 32 44 39 38") != std::string::npos) == is_apdu);
    CHECK((sent.log.find("SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\\x0D") != std::string::npos) ==
          !is_apdu);
    CHECK(run("sts6ctl", {"send", "GL?EC00003abc"}).code == (is_apdu ? 2 : 0));
    CHECK(run("sts6ctl", {"send", "SM?VCN1~"}).code == 1);
    const auto conformed = run("sts6-conform", {ea11_pack().string()});
    INFO(conformed.output << conformed.log);
    CHECK(conformed.code == 0);
    CHECK(conformed.output.find("passed") != std::string::npos);
}

TEST_CASE("sts6ctl and sts6-conform: whom they do not speak to") {
    const Links links;
    const LabLink link = links.link("tls");
    LabModule module(ea11_pack(), {}, link);
    module.start(std::nullopt);
    const std::string tcp = "tcp:" + module.link("tcp");
    struct Case {
        std::vector<std::string> options;
        int code;
        std::string why;
    };
    for (const Case& bad : {
             Case{{"--connect", module.url()}, 3, "not trusted"},
             Case{{"--connect", module.url(), "--tls-ca", "/none"}, 2, "TLS"},
             Case{{"--connect", module.url(), "--tls-ca", link.client.tls_ca, "--tls-certificate",
                   link.client.tls_ca},
                  2,
                  "TLS"},
             Case{{"--connect", tcp, "--tls-ca", link.client.tls_ca}, 2, "TLS"},
             Case{{"--connect", "serial:/dev/null"}, 3, "failed"},
             Case{{"--connect", "serial:/dev/null,fast"}, 2, "link"},
         }) {
        INFO(bad.options.at(1) << " " << bad.why);
        auto words = bad.options;
        words.insert(words.end(), {"send", "SM?DI"});
        const auto sent = test::run_program("sts6ctl", words);
        CHECK(sent.code == bad.code);
        CHECK(sent.output.empty());
        CHECK(sent.log.find(bad.why) != std::string::npos);
        words = bad.options;
        words.push_back(ea11_pack().string());
        const auto conformed = test::run_program("sts6-conform", words);
        CHECK(conformed.code == bad.code);
        CHECK(conformed.output.empty());
    }
}

}  // namespace sts6
