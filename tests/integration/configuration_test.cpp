// SPDX-License-Identifier: Apache-2.0
// sts6d --check-config, and the options that go before the configuration.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "src/daemon/config.hpp"
#include "src/daemon/state_dir.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/child_process.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6 {
namespace {

namespace fs = std::filesystem;
using conform::LabModule;
using conform::set_option;
using test::file_text;
using test::Finished;
using test::run_program;
using Words = std::vector<std::string>;

Finished sts6d(const fs::path& dir, const Words& extra) {
    Words words = {"--dir", dir.string()};
    words.insert(words.end(), extra.begin(), extra.end());
    return run_program("sts6d", words);
}

Finished check(const fs::path& dir, Words extra = {}) {
    extra.insert(extra.begin(), "--check-config");
    return sts6d(dir, extra);
}

void accepted(const Finished& checked) {
    INFO(checked.log);
    CHECK(checked.code == 0);
    CHECK(checked.output == "configuration ok\n");
}

/// What the program says of its end.
std::string last_line(const std::string& log) {
    const std::size_t end = log.empty() ? 0 : log.rfind('\n', log.size() - 2);
    return log.substr(end == std::string::npos ? 0 : end + 1);
}

/// Everything of a directory: what a check must not change.
std::vector<std::pair<std::string, std::string>> contents_of(const fs::path& dir) {
    std::vector<std::pair<std::string, std::string>> contents;
    for (const auto& entry : fs::recursive_directory_iterator(dir)) {
        contents.emplace_back(entry.path().string(),
                              entry.is_regular_file() ? file_text(entry.path()) : std::string());
    }
    std::sort(contents.begin(), contents.end());
    return contents;
}

}  // namespace

TEST_CASE("check-config: a configuration that is good, also while the daemon runs") {
    LabModule module(test::vector_pack());
    accepted(check(module.dir()));
    module.start(std::nullopt);
    accepted(check(module.dir()));
    accepted(check(module.dir(), {"--tcp", module.url().substr(4)}));
    test::RawLink link(module.url());
    CHECK(link.ask("SM?DI9A51\r").starts_with("SM!DI00"));
    module.stop();
}

TEST_CASE("check-config: it needs no token, no database and no lock, and changes nothing") {
    const LabModule module(test::vector_pack());
    const auto config = module.dir() / "sts6d.toml";
    set_option(config, "module", "\"/nowhere/lib.so\"");
    set_option(config, "pin_file", "\"none\"");
    fs::remove(StateDir(module.dir()).database());
    fs::remove(StateDir(module.dir()).lock_file());
    const auto before = contents_of(module.dir());
    accepted(check(module.dir()));
    CHECK((contents_of(module.dir()) == before));
    // A start has more to say.
    CHECK(sts6d(module.dir(), {"--tcp", "127.0.0.1:0"}).code == 3);
}

TEST_CASE("check-config: what it refuses is what a start refuses, in the same words") {
    LabModule module(test::vector_pack());
    const std::vector<Words> cases = {
        {"--tcp", ""},
        {"--tcp", "127.0.0.1"},
        {"--tcp", "127.0.0.1:0", "--tcp", "5100"},
        {"--tcp", "0.0.0.0:0"},
        {"--apdu", "0.0.0.0:0"},
        {"--vpcd", "192.0.2.1:35963"},
        {"--metrics", "0.0.0.0:0", "--allow-plaintext"},
        {"--serial", "/dev/ttyS0,fast"},
        {"--sta-tables", ""},
        {"--sta-tables", "none.json"},
        {"--tls", "127.0.0.1:0"},
        {"--tls", "127.0.0.1:0", "--tls-certificate", "none.pem", "--tls-private-key", "none.key"},
        {"--tls-client-ca", "none.pem"},
        {"--tls-clients", "full CN=till"},
        {"--tls-clients", "till", "--tls-client-ca", "none.pem"},
        {"--registers", "0"},
        {"--registers", "1", "--registers", "2"},
        {"--hsm-sessions=65"},
        {"--hsm-token-label", ""},
        {"--gler-unframed=perhaps"},
        {"--gler-unframed", "false"},
        {"--serial-parity", "mark"},
        {"--log-level", "loud"},
        {"--sessions", "1"},
        {"--lab-time", "now"},
    };
    for (const Words& words : cases) {
        INFO(words.front() << " " << words.back());
        const Finished checked = check(module.dir(), words);
        CHECK(checked.code == 2);
        CHECK(checked.output == "");
        const Finished started = sts6d(module.dir(), words);
        CHECK(started.code > 0);
        CHECK(started.output == "");
        CHECK(checked.log.ends_with('\n'));
        CHECK(last_line(checked.log) == last_line(started.log));
    }
    const auto config = module.dir() / "sts6d.toml";
    set_option(config, "registers", "0");
    const Finished checked = check(module.dir());
    CHECK(checked.code == 2);
    CHECK(checked.log.find(": registers must be a number from 1 to 4096") != std::string::npos);
    set_option(config, "registers", "64");
    fs::permissions(config, fs::perms::others_read, fs::perm_options::add);
    const Finished open = check(module.dir());
    CHECK(open.code == 2);
    CHECK(open.log.find("can be read or written by others") != std::string::npos);
    CHECK(check(module.dir() / "none").code == 2);
    CHECK(run_program("sts6d", {"--check-config"}).code == 2);
}

TEST_CASE("options: every key of the configuration is one") {
    const conform::TemporaryDirectory place;
    const auto text = place.path() / "help";
    conform::ChildProcess program({"/bin/sh", "-c", conform::program_path("sts6d") + " --help >&2"}, text);
    REQUIRE(program.wait() == 0);
    const std::string help = file_text(text);
    for (const ConfigKey& key : config_keys()) {
        INFO(key.option);
        const std::string begin = "\n  " + key.option + (key.is_flag ? " " : " " + key.takes);
        CHECK(help.find(begin) != std::string::npos);
    }
}

TEST_CASE("options: a working directory that is gone matters to relative paths only") {
    const LabModule module(test::vector_pack());
    const auto check_there = [&module](const std::string& option) {
        conform::ChildProcess program(
            {"/bin/sh", "-c",
             "cd " + module.dir().parent_path().string() +
                 " && mkdir gone && cd gone && rmdir ../gone && exec " + conform::program_path("sts6d") +
                 " --check-config --dir " + module.dir().string() + " " + option},
            module.log());
        const std::string line = program.read_line(std::chrono::seconds(60));
        CHECK((program.wait() == 0) == (line == "configuration ok"));
        return line;
    };
    CHECK(check_there("--registers 64 --pty /run/line") == "configuration ok");
    CHECK(check_there("--sta-tables none.json") == "");
}

TEST_CASE("options: they go before the configuration, and links may be given several times") {
    const LabModule module(test::vector_pack());
    const fs::path line = module.dir().parent_path() / "line";
    const Finished started =
        sts6d(module.dir(), {"--tcp", "127.0.0.1:0", "--tcp", "127.0.0.2:0", "--apdu", "127.0.0.3:0", "--pty",
                             line.string(), "--registers", "3", "--log-level", "error"});
    INFO(started.log);
    CHECK(started.code == -1);
    CHECK(started.output.starts_with("ready state=operational tcp=127.0.0.1:"));
    CHECK(started.output.find(" tcp=127.0.0.2:") != std::string::npos);
    CHECK(started.output.find(" apdu=127.0.0.3:") != std::string::npos);
    CHECK(started.output.find(" pty=" + line.string()) != std::string::npos);
    CHECK(started.log.find("[info]") == std::string::npos);
    // Register 3 holds a key.
    const Finished refused = sts6d(module.dir(), {"--tcp", "127.0.0.1:0", "--registers", "2"});
    CHECK(refused.code == 2);
    CHECK(refused.log.find("\"registers\" = 2") != std::string::npos);
    // Of the file there is one link; none of it is left.
    const Finished only = sts6d(module.dir(), {"--tcp", "", "--pty", line.string()});
    CHECK(only.output == "ready state=operational pty=" + line.string() + "\n");
}

}  // namespace sts6
