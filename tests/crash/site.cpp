// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/site.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <utility>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "firmware/keyload/file.hpp"
#include "firmware/keyload/records.hpp"
#include "src/daemon/state_dir.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/lab_module.hpp"
#include "tools/kmc/crypto.hpp"

namespace sts6::crash {

namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// Of a sanitizer build on a busy machine. How long it takes is measured, not judged.
constexpr auto kPatience = 60s;

Words joined(Words first, const Words& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

void ran(const test::Finished& finished) {
    INFO(finished.log);
    REQUIRE(finished.code == 0);
}

std::vector<std::string> records_of(const std::filesystem::path& file) {
    auto content = keyload::read_file(test::file_text(file), kmc::sha1);
    REQUIRE(content.fault == keyload::FileFault::none);
    return std::move(content.records);
}

std::string field_of(const std::string& answer) {
    const std::size_t first = answer.find('P');
    return answer.substr(first + 1, answer.find('~') - first - 1);
}

}  // namespace

Site::Site(std::filesystem::path place, const std::filesystem::path& state)
    : place_(std::move(place)), dir_((state.empty() ? place_ / "m" : state).string()) {
    ran(test::run_program("sts6ctl", {"setup", "--dir", dir_, "--profile", "lab"}));
    start();
    kmc({"new", "--operator", "Test", "--name", "T0001", "--record", path("pkkmc")});
    ran(ctl({"sm-key", "--out", path("sm")}));
    kmc({"sm", "add", path("sm")});
    Words approve{"kmc", "approve", path("pkkmc")};
    for (const char* name : {"officer1", "officer2"}) {
        approve =
            joined(approve, {"--officer", name, "--pin-file", dir() + "/pins/" + std::string(name) + ".pin"});
    }
    ran(ctl(approve));
    kmc_record_ = records_of(path("pkkmc")).front();
}

void Site::spawn(const Words& under) {
    daemon_.reset();
    std::filesystem::remove(path("log"));
    spawned_ = Clock::now();
    daemon_.emplace(joined(under, {conform::program_path("sts6d"), "--dir", dir(), "--tcp", "127.0.0.1:0"}),
                    path("log"));
}

bool Site::try_start(const Words& under) {
    spawn(under);
    return wait_ready();
}

bool Site::wait_ready() {
    const std::string line = daemon_->read_line(kPatience);
    if (!line.starts_with("ready ")) return false;
    ready_ = Clock::now();
    url_ = "tcp:" + conform::ready_value(line, "tcp");
    return true;
}

void Site::start() {
    const bool ready = try_start();
    INFO(log());
    REQUIRE(ready);
}

void Site::kill() {
    daemon_->kill();
    daemon_->wait();
}

void Site::stop() {
    const int code = daemon_->wait(true);
    INFO(log());
    CHECK(code == 0);
}

test::Finished Site::ctl(const Words& words) const {
    return test::run_program("sts6ctl", joined({"--dir", dir()}, words));
}

void Site::kmc(const Words& words) const {
    ran(test::run_program("sts6-kmc", joined({"--state", path("kmc.json")}, words)));
}

void Site::add_key(const Words& words) const {
    kmc(joined({"key", "add", "--ktc", "vudk"}, words));
}

std::optional<std::string> Site::try_ask(const std::string& message) const {
    try {
        test::RawLink link(url_);
        const std::string line = link.ask(test::framed(message));
        if (!line.ends_with('\r')) return std::nullopt;
        return line.substr(0, line.size() - 5);
    } catch (const std::runtime_error&) {
        return std::nullopt;
    }
}

std::string Site::ask(const std::string& message) const {
    const auto answer = try_ask(message);
    INFO(message);
    REQUIRE(answer);
    return *answer;
}

void Site::save(const std::string& name) const {
    const std::filesystem::path saved = path("saved-" + name);
    std::filesystem::remove(dir() + "/admin.sock");
    std::filesystem::create_directory(saved);
    std::filesystem::copy(dir(), saved / "m", std::filesystem::copy_options::recursive);
    std::filesystem::copy(path("kmc.json"), saved / "kmc.json");
}

void Site::restore(const std::string& name) {
    daemon_.reset();
    const std::filesystem::path saved = path("saved-" + name);
    std::filesystem::remove_all(dir());
    std::filesystem::copy(saved / "m", dir(), std::filesystem::copy_options::recursive);
    std::filesystem::copy(saved / "kmc.json", path("kmc.json"),
                          std::filesystem::copy_options::overwrite_existing);
}

void Site::demand_success(const std::string& answer) const {
    if (answer.substr(5, 2) == "00") return;
    INFO(log());
    FAIL(answer);
}

bool Site::load() {
    const auto request = try_ask("SM?KCP" + kmc_record_ + "~");
    if (!request) return false;
    REQUIRE(request->starts_with("SM!KC00P"));
    test::write_text(path("request"), keyload::write_file({field_of(*request)}, kmc::sha1));
    kmc({"respond", path("request"), "--out", path("klf")});
    const auto records = records_of(path("klf"));
    for (std::size_t i = 0; i < records.size(); ++i) {
        const std::string header = i == 0 ? "SM?KR" : "SM?KL";
        const auto answer = try_ask(header + "P" + records[i] + "~");
        if (!answer) return false;
        demand_success(*answer);
    }
    const std::string kmcid(keyload::parse_load_response(records[0])->kmcid.text);
    const auto answer = try_ask("SM?KFP" + kmcid + "~");
    if (!answer) return false;
    demand_success(*answer);
    return true;
}

Registers Site::registers() const {
    const auto finished = ctl({"status", "--json"});
    ran(finished);
    const json status = json::parse(finished.output);
    REQUIRE(status.at("running") == true);
    Registers found;
    for (const json& one : status.at("registers")) {
        found[one.at("register").get<unsigned>()] =
            one.at("sgc").dump() + "." + one.at("krn").dump() + "." + one.at("kcv").get<std::string>();
    }
    return found;
}

std::vector<std::string> Site::audit() const {
    const auto exported = ctl({"audit", "export", "--out", path("audit")});
    ran(exported);
    std::ifstream file(path("audit"));
    const auto checked = check_audit(file);
    INFO((checked ? std::string() : checked.error().text));
    REQUIRE(checked);
    file.clear();
    file.seekg(0);
    std::vector<std::string> records;
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        const json record = json::parse(line);
        records.push_back(std::to_string(record.at("event").get<unsigned>()) + " " +
                          record.at("text").get<std::string>());
    }
    return records;
}

void say(const std::string& text) {
    std::cout << "crash: " << text << std::endl;
}

std::string spread(std::vector<Clock::duration> times) {
    if (times.empty()) return "none";
    std::ranges::sort(times);
    const auto ms = [](Clock::duration time) {
        return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    };
    return ms(times.front()) + "/" + ms(times[times.size() / 2]) + "/" + ms(times.back()) + " ms";
}

}  // namespace sts6::crash
