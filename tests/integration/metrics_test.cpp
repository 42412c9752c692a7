// SPDX-License-Identifier: Apache-2.0
// Watching a running module: status, its warnings, and metrics on both ways.
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "src/daemon/state_dir.hpp"
#include "src/store/sqlite_store.hpp"
#include "tests/support/openmetrics.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
using conform::ChildProcess;
using conform::LabModule;
using nlohmann::json;
using test::file_text;
using test::Finished;
using test::framed;
using test::RawLink;
using test::run_program;
using Samples = std::map<std::string, std::string>;

const std::string kPan = "600727000000000009";
const std::string kCredit = "SM?VCN1~P" + kPan + "~N1~N11~N2~N0~H0001~H014EEC~";
const std::string kScrape = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A lab module whose daemon serves metrics too.
class Watched {
  public:
    void start() {
        daemon_.emplace(
            std::vector<std::string>{conform::program_path("sts6d"), "--dir", dir(), "--tcp", "127.0.0.1:0",
                                     "--metrics", "127.0.0.1:0", "--lab-time", "20140301T130000Z"},
            module_.log());
        line_ = daemon_->read_line(60s);
    }
    void stop() { CHECK(daemon_->wait(true) == 0); }
    [[nodiscard]] const std::string& ready_line() const { return line_; }
    [[nodiscard]] std::string url() const { return "tcp:" + conform::ready_value(line_, "tcp"); }
    [[nodiscard]] std::string metrics_url() const { return "tcp:" + conform::ready_value(line_, "metrics"); }
    [[nodiscard]] std::string dir() const { return module_.dir().string(); }

    [[nodiscard]] Finished ctl(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"--dir", dir()});
        return run_program("sts6ctl", arguments);
    }
    [[nodiscard]] json status() const {
        const Finished finished = ctl({"status", "--json"});
        INFO(finished.log);
        REQUIRE(finished.code == 0);
        return json::parse(finished.output);
    }
    [[nodiscard]] std::string scrape() const {
        RawLink link(metrics_url());
        link.send(kScrape);
        const std::string response = link.rest();
        const std::string head = response.substr(0, response.find("\r\n\r\n") + 4);
        const std::string body = response.substr(head.size());
        CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
        CHECK(head.find("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n") !=
              std::string::npos);
        CHECK(head.find("\r\nContent-Length: " + std::to_string(body.size()) + "\r\n") != std::string::npos);
        return body;
    }

  private:
    LabModule module_{test::vector_pack()};
    std::optional<ChildProcess> daemon_;
    std::string line_;
};

std::string commands(const std::string& header, const std::string& status) {
    return "sts6_commands_total{command=\"" + header + "\",status=\"" + status + "\"}";
}

/// Gives register 1 of a stopped module limits, of which little is left, and an IUT.
void limit_first_key(const std::string& dir) {
    const auto store = SqliteStore::open(StateDir(dir).database());
    REQUIRE(store);
    auto row = (*store)->load_next_register(0);
    REQUIRE((row && *row));
    RegisterRow& key = **row;
    key.attributes.ulm_units = 100;
    key.units_left = 100;
    key.attributes.clm_bits = 0x3F800000;  // 1.0
    key.currency_left = 0;
    key.attributes.issue_until = civil_time(2014, 3, 31, 13, 0, 0);
    REQUIRE((*store)->remove_register(key.number));
    REQUIRE((*store)->put_register(key));
    const auto state = (*store)->load_state();
    REQUIRE(state);
    REQUIRE((*store)->commit(*state, {}));
}

}  // namespace

TEST_CASE("metrics: counts move with commands, and no meter number is among them") {
    Watched module;
    module.start();
    CHECK(module.ready_line() == "ready state=operational tcp=" + module.url().substr(4) +
                                     " metrics=" + module.metrics_url().substr(4));
    const Samples before = test::parse_openmetrics(module.scrape());
    CHECK_FALSE(before.contains(commands("SM?VC", "00")));
    CHECK(before.at("sts6_tokens_issued_total") == "0");
    CHECK(before.at("sts6_command_latency_seconds_count") == "0");
    CHECK(before.at("sts6_hsm_connected") == "1");
    CHECK(before.at("sts6_error_state") == "0");

    RawLink link(module.url());
    CHECK(link.ask(framed(kCredit)).starts_with("SM!VC00P32D98A56"));
    CHECK(link.ask(framed("SM?VCN9~P" + kPan + "~N1~N11~N2~N0~H0001~H014EEC~")) == framed("SM!VC22"));
    CHECK(link.ask(framed("SM?VCN1~P" + kPan + "~")) == framed("SM!VC60"));
    CHECK(link.ask(framed("SM?XX" + kPan)) == framed("GL!ER21"));
    CHECK(link.ask(framed("SM?DI")).starts_with("SM!DI00"));
    // Answered by the link: the module has not seen them.
    CHECK(link.ask("SM?DI0000\r") == framed("GL!ER20"));

    const std::string text = module.scrape();
    CHECK(text.find(kPan) == std::string::npos);
    CHECK(text.find("58625789986991357486") == std::string::npos);
    CHECK(text.find("XX") == std::string::npos);
    const Samples after = test::parse_openmetrics(text);
    CHECK(after.at(commands("SM?VC", "00")) == "1");
    CHECK(after.at(commands("SM?VC", "22")) == "1");
    CHECK(after.at(commands("SM?VC", "60")) == "1");
    CHECK(after.at(commands("other", "21")) == "1");
    CHECK(after.at(commands("SM?DI", "00")) == "1");
    CHECK(after.at("sts6_command_latency_seconds_count") == "5");
    CHECK(after.at("sts6_batches_total") == "5");
    CHECK(after.at("sts6_tokens_issued_total") == "1");
    CHECK(std::stoul(after.at("sts6_audit_records")) == std::stoul(before.at("sts6_audit_records")) + 1);
    CHECK(after.at("sts6_register_expiry_timestamp_seconds{register=\"1\",sgc=\"201457\",krn=\"1\"}") ==
          "4102358400");

    // The admin socket says the same, and needs no port.
    const Finished printed = module.ctl({"metrics"});
    CHECK(printed.code == 0);
    CHECK(test::parse_openmetrics(printed.output) == after);
    module.stop();
    const Finished offline = module.ctl({"metrics"});
    CHECK(offline.code == 3);
    CHECK(offline.output.empty());
}

TEST_CASE("metrics: what the port is sent does not disturb the links") {
    Watched module;
    module.start();
    RawLink link(module.url());
    std::vector<std::unique_ptr<RawLink>> idle;
    for (int i = 0; i < 20; ++i) idle.push_back(std::make_unique<RawLink>(module.metrics_url()));
    CHECK(link.ask(framed(kCredit)).starts_with("SM!VC00"));
    for (const auto& one : idle) CHECK(one->rest().empty());
    for (const auto& [request, status] : std::vector<std::pair<std::string, std::string>>{
             {"GET / HTTP/1.1\r\n\r\n", "404"},
             {"DELETE /metrics HTTP/1.1\r\n\r\n", "405"},
             {framed(kCredit) + "\n\r\n", "400"},
             {std::string(50'000, '\0'), "431"},
         }) {
        RawLink garbage(module.metrics_url());
        garbage.send(request);
        garbage.end_output();
        CHECK(garbage.rest().starts_with("HTTP/1.1 " + status + " "));
        CHECK(link.ask(framed("SM?DI")).starts_with("SM!DI00"));
    }
    CHECK(test::parse_openmetrics(module.scrape()).at(commands("SM?VC", "00")) == "1");
    // A client that waits for an answer does not hold the stop up.
    RawLink waiting(module.metrics_url());
    waiting.send("GET /metrics");
    module.stop();
    CHECK(waiting.rest().empty());
}

TEST_CASE("metrics: only addresses of this machine, from the command line and the configuration") {
    const LabModule module(test::vector_pack());
    const auto start = [&module](const std::vector<std::string>& extra) {
        std::vector<std::string> arguments = {"--dir", module.dir().string(), "--tcp", "127.0.0.1:0"};
        arguments.insert(arguments.end(), extra.begin(), extra.end());
        return run_program("sts6d", arguments);
    };
    for (const char* open : {"0.0.0.0:0", "[::]:0", "192.0.2.1:0"}) {
        const Finished refused = start({"--metrics", open, "--allow-plaintext"});
        INFO(refused.log);
        CHECK(refused.code == 1);
        CHECK(refused.output.empty());
        CHECK(refused.log.find("metrics \"" + std::string(open) + "\" is not a loopback address") !=
              std::string::npos);
    }
    for (const char* malformed :
         {"127.0.0.1", ":9600", "127.0.0.1:", "127.0.0.1:65536", "::1:9600", "9600"}) {
        const Finished refused = start({"--metrics", malformed});
        INFO(refused.log);
        CHECK(refused.code == 2);
        CHECK(refused.output.empty());
        CHECK(refused.log.find("metrics \"" + std::string(malformed) + "\": must be HOST:PORT") !=
              std::string::npos);
    }
    const auto config = module.dir() / "sts6d.toml";
    const auto with_metrics = [text = file_text(config)](const std::string& value) {
        const std::size_t at = text.find("\nmetrics = ") + 1;
        REQUIRE(at != 0);
        return std::string(text).replace(at, text.find('\n', at) - at, "metrics = \"" + value + "\"");
    };
    CHECK(start({}).output.find("metrics=") == std::string::npos);
    test::write_text(config, with_metrics("0.0.0.0:0"));
    CHECK(start({}).code == 1);
    CHECK(start({"--metrics", ""}).code == -1);
    test::write_text(config, with_metrics("127.0.0.1:0"));
    CHECK(start({}).output.find(" metrics=127.0.0.1:") != std::string::npos);
    CHECK(start({"--metrics", "127.0.0.2:0"}).output.find(" metrics=127.0.0.2:") != std::string::npos);
}

TEST_CASE("status: what a running module is, holds and warns of") {
    Watched module;
    limit_first_key(module.dir());
    module.start();
    RawLink link(module.url());
    const json status = module.status();
    CHECK(status.at("running") == true);
    CHECK(status.at("sta_tables") == "sample");
    CHECK(status.at("self_test").at("passed") == true);
    CHECK(status.at("self_test").at("at").get<std::string>().starts_with("201403"));
    CHECK(status.at("clock").at("behind") == false);
    CHECK(status.at("clock").at("module_time").get<std::string>().starts_with("201403"));
    CHECK(status.at("clock").at("time_mark").get<std::string>().size() == 16);
    CHECK(status.at("quarantined").empty());
    CHECK(status.at("audit").at("capacity") == 100'000);
    CHECK(status.at("audit").at("force") == false);
    CHECK_FALSE(status.at("audit").contains("room"));
    const json& key = status.at("registers").at(0);
    CHECK(key.at("dkg") == 4);
    CHECK(key.at("ktc") == 2);
    CHECK(key.at("ken") == 255);
    CHECK(key.at("units_left_tenths") == 100);
    CHECK(key.at("units_limit_tenths") == 1000);
    CHECK(key.at("currency_left_100000ths") == 0);
    CHECK(key.at("currency_limit_100000ths") == 100'000);
    CHECK_FALSE(status.at("registers").at(1).contains("units_limit_tenths"));
    CHECK(status.at("registers").at(2).at("ken") == 85);
    const std::string used_up = "register 1: no currency units are left";
    CHECK(status.at("warnings").back() == used_up);

    // A tenth is left, and a unit less is a warning.
    const auto units_warning = [&module] {
        const json warned = module.status();
        for (const auto& warning : warned.at("warnings")) {
            if (warning == "register 1: 9.9 of 100.0 units are left") return true;
        }
        return false;
    };
    CHECK_FALSE(units_warning());
    CHECK(link.ask(framed(kCredit)).starts_with("SM!VC00"));
    CHECK(units_warning());
    const std::string printed = module.ctl({"status"}).output;
    CHECK(printed.find("\n  units left: 9.9 of 100.0\n  currency left: 0.00000 of 1.00000\n") !=
          std::string::npos);
    CHECK(printed.find("\nWARNING: " + used_up + "\n") != std::string::npos);
    CHECK(printed.find("\nself-test: passed 2014") != std::string::npos);
    const Samples samples = test::parse_openmetrics(module.scrape());
    const std::string labels = "{register=\"1\",sgc=\"201457\",krn=\"1\"}";
    CHECK(samples.at("sts6_register_units_left" + labels) == "9.9");
    CHECK(samples.at("sts6_register_currency_left" + labels) == "0.00000");
    CHECK(samples.at("sts6_register_issue_until_timestamp_seconds" + labels) == "1396270800");
    module.stop();
}

TEST_CASE("status: without a daemon, by the host's clock, also with a configuration that is no good") {
    Watched module;
    limit_first_key(module.dir());
    const json status = module.status();
    CHECK(status.at("running") == false);
    CHECK_FALSE(status.contains("self_test"));
    CHECK_FALSE(status.contains("hsm"));
    CHECK(status.at("warnings") ==
          json::array({"register 1: no token is made any more since IUT, 20140331T130000Z",
                       "register 1: no currency units are left"}));
    CHECK(module.ctl({"status"}).output.find("\ndaemon: not running\n") != std::string::npos);

    const auto config = StateDir(module.dir()).config_file();
    const std::string text = file_text(config);
    const auto edited = [&text](const std::string& from, const std::string& to) {
        const std::size_t at = text.find(from);
        REQUIRE(at != std::string::npos);
        return std::string(text).replace(at, from.size(), to);
    };
    test::write_text(config, edited("audit_force = false", "audit_force = true"));
    const json forced = module.status();
    CHECK(forced.at("audit").at("force") == true);
    CHECK(forced.at("audit").at("room") == 100'000 - forced.at("audit").at("last").get<int>());
    test::write_text(config, edited("audit_force = false", "audit_farce = true"));
    const json broken = module.status();
    CHECK(broken.at("warnings").size() == 3);
    CHECK(broken.at("warnings").at(0).get<std::string>().ends_with(": unknown key audit_farce"));
}

TEST_CASE("status: a module that was tampered with says so first") {
    Watched module;
    limit_first_key(module.dir());
    {
        const auto store = SqliteStore::open(StateDir(module.dir()).database());
        REQUIRE(store);
        auto state = (*store)->load_state();
        REQUIRE(state);
        state->tampered = true;
        REQUIRE((*store)->commit(*state, {}));
    }
    module.start();
    const json status = module.status();
    CHECK(status.at("tampered") == true);
    CHECK(status.at("warnings").at(0) ==
          "the module is tampered: it refuses everything until it is zeroised");
    CHECK(module.ctl({"status"}).output.find(", TAMPERED\n") != std::string::npos);
    CHECK(test::parse_openmetrics(module.scrape()).at("sts6_tampered") == "1");
    module.stop();
    CHECK(module.status().at("warnings").at(0) ==
          "the module is tampered: it refuses everything until it is zeroised");
}

}  // namespace sts6
