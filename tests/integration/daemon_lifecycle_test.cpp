// SPDX-License-Identifier: Apache-2.0
// The daemon's life: set-up, start, refusals to start, stop, crash and start again.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "src/daemon/config.hpp"
#include "src/daemon/hsm_config.hpp"
#include "src/daemon/state_dir.hpp"
#include "src/store/sqlite_store.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using conform::ChildProcess;
using conform::LabModule;
using conform::TemporaryDirectory;
using test::file_text;
using test::framed;
using test::RawLink;
using test::run_program;
using test::write_text;

const std::string kIdentify = "SM?DI9A51\r";
const std::string kCredit = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~DCC6\r";
const std::string kCreditToken = "SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\r";

/// The tests' own copy of the exit codes, which scripts depend on.
constexpr int kRefused = 1;
constexpr int kUsage = 2;
constexpr int kNoConnection = 3;
constexpr int kIntegrity = 5;

struct Start {
    std::vector<std::string> extra;
    bool own_tcp = false;  ///< `extra` says where to listen
};

test::Finished start_daemon(const fs::path& dir, const Start& how = {}) {
    std::vector<std::string> arguments = {"--dir", dir.string()};
    if (!how.own_tcp) arguments.insert(arguments.end(), {"--tcp", "127.0.0.1:0"});
    arguments.insert(arguments.end(), how.extra.begin(), how.extra.end());
    return run_program("sts6d", arguments);
}

/// It ended for the reason given, and said so on standard error only.
void refused(const test::Finished& finished, int code, const std::string& reason) {
    CHECK(finished.output == "");
    INFO(finished.log);
    CHECK(finished.code == code);
    CHECK(finished.log.find(reason) != std::string::npos);
    CHECK(finished.log.ends_with('\n'));
}

/// Puts a file back as it was.
class Restored {
  public:
    explicit Restored(fs::path path) : path_(std::move(path)), text_(file_text(path_)) {}
    Restored(const Restored&) = delete;
    Restored& operator=(const Restored&) = delete;
    ~Restored() { write_text(path_, text_); }
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    fs::path path_;
    std::string text_;
};

void set_up_demo(const fs::path& dir) {
    const auto made = run_program("sts6ctl", {"setup", "--dir", dir.string(), "--profile", "demo"});
    INFO(made.log);
    REQUIRE(made.code == 0);
}

using Contents = std::vector<std::pair<std::string, std::string>>;

Contents contents_of(const fs::path& dir) {
    Contents contents;
    for (const auto& entry : fs::recursive_directory_iterator(dir)) {
        if (entry.is_regular_file()) contents.emplace_back(entry.path().string(), file_text(entry.path()));
    }
    std::sort(contents.begin(), contents.end());
    return contents;
}

std::string with_line(const std::string& text, const std::string& old_line, const std::string& line) {
    const std::size_t at = text.find(old_line);
    REQUIRE(at != std::string::npos);
    return std::string(text).replace(at, text.find('\n', at) - at, line);
}

}  // namespace

TEST_CASE("daemon: one ready line, served, and a clean stop") {
    LabModule module(test::vector_pack());
    ChildProcess daemon({conform::program_path("sts6d"), "--dir", module.dir().string(), "--tcp",
                         "127.0.0.1:0", "--lab-time", conform::kLabTime},
                        module.log());
    const std::string line = daemon.read_line(60s);
    const std::string address = conform::ready_value(line, "tcp");
    CHECK(line == "ready state=operational tcp=" + address);
    CHECK(address.starts_with("127.0.0.1:"));
    CHECK(address != "127.0.0.1:0");
    RawLink link("tcp:" + address);
    CHECK(link.ask(kCredit) == kCreditToken);
    RawLink idle("tcp:" + address);
    CHECK(daemon.wait(true) == 0);
    // Nothing more on standard output, and the connections end.
    CHECK(daemon.read_line(60s) == "");
    CHECK(link.rest() == "");
    CHECK(idle.rest() == "");
    CHECK(test::tokens_issued(module.dir()) == 1);
    const std::string log = file_text(module.log());
    CHECK(log.find("LAB profile") != std::string::npos);
    CHECK(log.find("EA07 tables: sample") != std::string::npos);
    CHECK(log.find("stopped") != std::string::npos);
}

TEST_CASE("daemon: on SIGTERM every executed command is answered, and no answer is cut") {
    constexpr std::size_t kClients = 32;
    LabModule module(test::vector_pack());
    module.start(std::nullopt);
    std::atomic<std::size_t> answered = 0;
    std::vector<std::string> problems(kClients);
    const auto vend = [&](std::size_t client) {
        try {
            RawLink link(module.url());
            for (;;) {
                const std::string answer = link.ask(kCredit);
                if (answer.empty()) return;
                if (answer != kCreditToken) problems[client] = answer;
                ++answered;
            }
        } catch (const std::exception&) {
            // The listener or the connection has gone.
        }
    };
    std::vector<std::thread> clients;
    for (std::size_t i = 0; i < kClients; ++i) clients.emplace_back(vend, i);
    const bool busy = test::eventually([&] { return answered > 100; });
    module.stop();
    for (std::thread& client : clients) client.join();
    CHECK(busy);
    for (const std::string& problem : problems) CHECK(problem == "");
    CHECK(test::tokens_issued(module.dir()) == answered);
}

TEST_CASE("daemon: killed at work, it starts again at once and has forgotten no token") {
    LabModule module(test::vector_pack());
    std::uint64_t before = 0;
    for (int round = 0; round < 3; ++round) {
        module.start(std::nullopt);
        RawLink link(module.url());
        for (int i = 0; i < 5; ++i) CHECK(link.ask(kCredit) == kCreditToken);
        link.send(kCredit);
        module.daemon().kill();
        CHECK(module.daemon().wait() == 128 + 9);
        // The sixth may have been made durable without an answer, never the reverse.
        const bool answered = link.rest() == kCreditToken;
        const std::uint64_t issued = test::tokens_issued(module.dir());
        CHECK(issued >= before + 5 + (answered ? 1 : 0));
        CHECK(issued <= before + 6);
        before = issued;
    }
    CHECK(fs::exists(StateDir(module.dir()).lock_file()));
    module.start(std::nullopt);
    RawLink link(module.url());
    CHECK(link.ask(kCredit) == kCreditToken);
    module.stop();
    CHECK(test::tokens_issued(module.dir()) == before + 1);
}

TEST_CASE("daemon: start and stop keep the module's state") {
    LabModule module(test::vector_pack());
    std::vector<std::string> attributes;
    for (int cycle = 0; cycle < 3; ++cycle) {
        module.start(std::nullopt);
        RawLink link(module.url());
        const std::string cards = link.ask(framed("SM?GAN1~")) + link.ask(framed("SM?GAN2~"));
        CHECK(cards.starts_with("SM!GA00P"));
        attributes.push_back(cards);
        CHECK(link.ask(kCredit) == kCreditToken);
        module.stop();
        CHECK(test::tokens_issued(module.dir()) == static_cast<std::uint64_t>(cycle) + 1);
    }
    CHECK(attributes[0] == attributes[1]);
    CHECK(attributes[0] == attributes[2]);
}

TEST_CASE("daemon: a directory and a port in use") {
    LabModule module(test::vector_pack());
    module.start(std::nullopt);
    refused(start_daemon(module.dir()), kNoConnection, "is in use by another process");
    // Another module on the same port.
    const TemporaryDirectory place;
    const auto other = place.path() / "other";
    set_up_demo(other);
    const std::string address = module.url().substr(4);
    refused(start_daemon(other, {.extra = {"--tcp", address}, .own_tcp = true}), kNoConnection, address);
    RawLink link(module.url());
    CHECK(link.ask(kCredit) == kCreditToken);
    module.stop();
    // The lock file that the first one left is no lock.
    CHECK(fs::exists(StateDir(module.dir()).lock_file()));
    CHECK(start_daemon(module.dir()).code == -1);
}

TEST_CASE("daemon: access rights of the directory") {
    LabModule module(test::vector_pack());
    const StateDir dir(module.dir());
    const std::string reason = "can be read or written by others";
    const std::vector<fs::path> places = {
        dir.root(), dir.config_file(), dir.pins(), dir.pins() / "hsm-user.pin", dir.database(), dir.hsm()};
    for (const fs::path& path : places) {
        const auto rights = fs::status(path).permissions();
        for (const auto more : {fs::perms::group_read, fs::perms::others_read, fs::perms::group_write,
                                fs::perms::others_exec}) {
            INFO(path.string() << " " << static_cast<unsigned>(more));
            fs::permissions(path, rights | more);
            const auto started = start_daemon(module.dir());
            refused(started, kRefused, reason);
            CHECK(started.log.find(path.string()) != std::string::npos);
            fs::permissions(path, rights);
        }
    }
    // A link leads to where nothing is checked.
    fs::rename(dir.pins(), module.dir().parent_path() / "pins");
    fs::create_directory_symlink(module.dir().parent_path() / "pins", dir.pins());
    refused(start_daemon(module.dir()), kRefused, "is a symbolic link");
    fs::remove(dir.pins());
    fs::rename(module.dir().parent_path() / "pins", dir.pins());
    CHECK(start_daemon(module.dir()).code == -1);
}

TEST_CASE("daemon: a directory that is none, or not finished") {
    const TemporaryDirectory place;
    refused(start_daemon(place.path() / "none"), kNoConnection, "is no directory");
    write_text(place.path() / "file", "");
    refused(start_daemon(place.path() / "file"), kNoConnection, "is no directory");
    const auto empty = place.path() / "empty";
    fs::create_directory(empty);
    fs::permissions(empty, fs::perms::owner_all);
    refused(start_daemon(empty), kUsage, "sts6d.toml is missing");
    CHECK(fs::is_empty(empty));
    LabModule module(test::vector_pack());
    fs::remove(module.dir() / "sts6d.toml");
    refused(start_daemon(module.dir()), kUsage, "sts6d.toml is missing");
    refused(run_program("sts6d", {}), kUsage, "--dir");
    refused(run_program("sts6d", {"--dir"}), kUsage, "--dir");
    refused(run_program("sts6d", {"--dir", empty.string(), "--colour", "blue"}), kUsage, "--colour");
}

TEST_CASE("daemon: a configuration that is not accepted") {
    LabModule module(test::vector_pack());
    const auto path = module.dir() / "sts6d.toml";
    const Restored restored(path);
    struct Case {
        std::string old_line;
        std::string line;
        std::string reason;
    };
    const std::vector<Case> cases = {
        {"tcp =", "tcp = 5100", ": tcp must be a text or a list of texts"},
        {"tcp =", "port = 5100", ": unknown key port"},
        {"tcp =", "tcp = \"127.0.0.1:0", ": "},
        {"tcp =", "= 5", ": "},
        {"tcp =", "tcp = \"a\"\ntcp = \"b\"", ": "},
        {"registers =", "registers = 0", ": registers must be a number from 1 to 4096"},
        {"registers =", "registers = 4097", ": registers must be a number from 1 to 4096"},
        {"registers =", "registers = -1", ": registers must be a number from 1 to 4096"},
        {"registers =", "registers = 4294967297", ": registers must be a number from 1 to 4096"},
        {"registers =", "registers = 64.0", ": registers must be a number from 1 to 4096"},
        {"registers =", "registers = \"64\"", ": registers must be a number from 1 to 4096"},
        {"registers =", "registers = [64]", ": registers must be a number from 1 to 4096"},
        {"tid_window_days =", "tid_window_days = 3651", ": tid_window_days must be a number from 0 to 3650"},
        {"gler_unframed =", "gler_unframed = 1", ": gler_unframed must be true or false"},
        {"log_level =", "Log_level = \"info\"", ": unknown key Log_level"},
        {"sta_tables =", "sta_tables = false", ": sta_tables must be a text"},
        {"[hsm]", "[hsn]", ": unknown key hsn"},
        {"[hsm]", "[\"\"]\nregisters = 3\n[hsm]", ": unknown key "},
        {"sessions =", "sessions = 0", ": hsm.sessions must be a number from 1 to 64"},
        {"sessions =", "sessions = 65", ": hsm.sessions must be a number from 1 to 64"},
        {"sessions =", "pin = \"1234\"", ": unknown key hsm.pin"},
        {"sessions =", "[hsm.more]\nx = 1", ": unknown key hsm.more"},
    };
    for (const Case& one : cases) {
        INFO(one.line);
        const std::string text = with_line(restored.text(), one.old_line, one.line);
        write_text(path, text);
        // The line of the key itself, or of what is wrong in it.
        const auto before =
            std::count(text.begin(),
                       text.begin() + static_cast<std::ptrdiff_t>(restored.text().find(one.old_line)), '\n');
        const auto started = start_daemon(module.dir());
        refused(started, kUsage, one.reason.size() > 2 ? one.reason : path.string());
        const bool named = started.log.find("line " + std::to_string(before + 1)) != std::string::npos ||
                           started.log.find("line " + std::to_string(before + 2)) != std::string::npos;
        CHECK(named);
    }
}

TEST_CASE("daemon: settings that do not fit the module") {
    LabModule module(test::vector_pack());
    const auto path = module.dir() / "sts6d.toml";
    const Restored restored(path);
    const auto configured = [&](const std::string& old_line, const std::string& line) {
        write_text(path, with_line(restored.text(), old_line, line));
        INFO(line);
        return start_daemon(module.dir());
    };
    refused(configured("log_level =", "log_level = \"loud\""), kUsage,
            "log_level must be trace, debug, info, warn or error");
    refused(configured("module =", "module = \"\""), kUsage, "hsm.module");
    refused(configured("token_label =", "token_label = \"\""), kUsage, "hsm.token_label");
    refused(configured("pin_file =", "pin_file = \"\""), kUsage, "hsm.pin_file");
    refused(configured("pin_file =", "# none"), kUsage, "hsm.pin_file");
    refused(configured("pin_file =", "pin_file = \"pins/none\""), kNoConnection, "pins/none");
    refused(configured("module =", "module = \"/nowhere/lib.so\""), kNoConnection, "/nowhere/lib.so");
    refused(configured("module =", "module = \"sts6d.toml\""), kNoConnection, "sts6d.toml");
    refused(configured("token_label =", "token_label = \"other\""), kNoConnection, "\"other\"");
    refused(configured("sta_tables =", "sta_tables = \"none.json\""), kNoConnection, "none.json");
    // Register 3 holds a key.
    refused(configured("registers =", "registers = 2"), kUsage, "registers");
    write_text(path, "");
    refused(start_daemon(module.dir()), kUsage, "are needed");
    // The other end of the ranges.
    CHECK(configured("registers =", "registers = 4096").code == -1);
    CHECK(configured("registers =", "registers = 3").code == -1);
}

TEST_CASE("daemon: where it listens") {
    const TemporaryDirectory place;
    const auto dir = place.path() / "module";
    set_up_demo(dir);
    const auto listen = [&dir](const std::string& tcp, std::vector<std::string> extra = {}) {
        INFO(tcp);
        extra.insert(extra.begin(), {"--tcp", tcp});
        return start_daemon(dir, {.extra = extra, .own_tcp = true});
    };
    for (const char* tcp : {"127.0.0.1", "5100", ":5100", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                            "127.0.0.1:05100", "127.0.0.1:5100 ", "127.0.0.1:0x10", "[]:5100",
                            "127.0.0.1:99999999999999999999", "::1", "::1:5100"}) {
        refused(listen(tcp), kUsage, "must be HOST:PORT");
    }
    refused(listen(""), kUsage, "no link is configured");
    for (const char* tcp : {"0.0.0.0:0", "[::]:0"}) {
        refused(listen(tcp), kRefused, "--allow-plaintext");
    }
    // An address that this machine does not have.
    refused(listen("192.0.2.1:0", {"--allow-plaintext"}), kNoConnection, "192.0.2.1:0");
    const auto open = listen("0.0.0.0:0", {"--allow-plaintext"});
    CHECK(open.code == -1);
    CHECK(open.output.starts_with("ready state=operational tcp=0.0.0.0:"));
    CHECK(listen("localhost:0").code == -1);
    CHECK(listen("127.0.0.2:0").output.starts_with("ready state=operational tcp=127.0.0.2:"));
}

TEST_CASE("daemon: --lab-time") {
    LabModule module(test::vector_pack());
    for (const char* time : {"", "now", "20140301", "20140301130000", "20140301T130000", "20140301T130000z",
                             "20140301 130000Z", "20140229T130000Z", "20141301T130000Z", "20140301T250000Z",
                             "20140301T130060Z", "2014-03-01T13:00", "20140301T13000aZ"}) {
        INFO(time);
        refused(start_daemon(module.dir(), {.extra = {"--lab-time", time}}), kUsage, "--lab-time");
    }
    CHECK(start_daemon(module.dir(), {.extra = {"--lab-time", "20160229T235959Z"}}).code == -1);
    const TemporaryDirectory place;
    const auto demo = place.path() / "demo";
    set_up_demo(demo);
    refused(start_daemon(demo, {.extra = {"--lab-time", "20140301T130000Z"}}), kUsage, "lab profile");
    CHECK(start_daemon(demo).code == -1);
}

TEST_CASE("daemon: a damaged database is refused and not touched") {
    LabModule module(test::vector_pack());
    module.start(std::nullopt);
    RawLink link(module.url());
    CHECK(link.ask(kCredit) == kCreditToken);
    module.stop();
    const auto path = StateDir(module.dir()).database();
    const std::string whole = file_text(path);
    const auto as = [&](const std::string& text, int code, const std::string& reason) {
        write_text(path, text);
        refused(start_daemon(module.dir()), code, reason);
        CHECK((file_text(path) == text));
    };
    REQUIRE(whole.size() > 8192);
    as("", kIntegrity, "module.db");
    as("garbage", kIntegrity, "module.db");
    as(std::string(whole.size(), 'x'), kIntegrity, "module.db");
    as(whole.substr(0, whole.size() / 2), kIntegrity, "module.db");
    as(whole.substr(0, 4096), kIntegrity, "module.db");
    std::string damaged = whole;
    std::fill(damaged.begin() + 4096, damaged.begin() + 8192, '\xA5');
    as(damaged, kIntegrity, "module.db");
    fs::remove(path);
    refused(start_daemon(module.dir()), kNoConnection, "module.db");
    CHECK_FALSE(fs::exists(path));
    write_text(path, whole);
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    CHECK(start_daemon(module.dir()).code == -1);
    CHECK(test::tokens_issued(module.dir()) == 1);
}

TEST_CASE("daemon: the PIN and the PKCS#11 token") {
    LabModule module(test::vector_pack());
    const StateDir dir(module.dir());
    const auto pin = dir.pins() / "hsm-user.pin";
    {
        const Restored restored(pin);
        const std::string good = restored.text();
        for (const std::string& text : {std::string(), std::string("\n"), std::string("12\n34\n"),
                                        "  \t" + good, std::string(1000, '1')}) {
            write_text(pin, text);
            refused(start_daemon(module.dir()), kUsage, "hsm-user.pin");
        }
        std::string wrong = good;
        wrong[0] = wrong[0] == '0' ? '1' : '0';
        write_text(pin, wrong);
        const auto started = start_daemon(module.dir());
        refused(started, kNoConnection, "the PIN is wrong");
        CHECK(started.log.find(wrong.substr(0, 32)) == std::string::npos);
    }
    // One wrong PIN has locked nothing.
    CHECK(start_daemon(module.dir()).code == -1);
    fs::rename(dir.hsm() / "tokens", dir.hsm() / "away");
    refused(start_daemon(module.dir()), kNoConnection, "PKCS#11");
    fs::create_directory(dir.hsm() / "tokens");
    fs::permissions(dir.hsm() / "tokens", fs::perms::owner_all);
    refused(start_daemon(module.dir()), kNoConnection, "the PKCS#11 module or token is not there");
    CHECK(fs::is_empty(dir.hsm() / "tokens"));
    fs::remove(dir.hsm() / "tokens");
    fs::rename(dir.hsm() / "away", dir.hsm() / "tokens");
    fs::remove(dir.hsm() / "softhsm2.conf");
    refused(start_daemon(module.dir()), kNoConnection, "PKCS#11");
}

TEST_CASE("daemon: a key object that has gone closes its register only") {
    LabModule module(test::vector_pack());
    {
        const StateDir dir(module.dir());
        const auto config = read_config(dir);
        REQUIRE(config);
        auto store = SqliteStore::open(dir.database());
        REQUIRE(store);
        const auto row = (*store)->load_next_register(1);
        REQUIRE(row);
        REQUIRE(row->value().number == 2);
        auto hsm = open_hsm(*config, "SOFTSM01");
        REQUIRE(hsm);
        REQUIRE((*hsm)->destroy_key(row->value().key));
    }
    for (int start = 0; start < 2; ++start) {
        module.start(std::nullopt);
        RawLink link(module.url());
        const std::string meter = "N2~P600727000000000009~N1~N11~";
        CHECK(link.ask(framed("SM?VC" + meter + "N2~N0~H0001~H0001E0~")) == framed("SM!VC01"));
        CHECK(link.ask(framed("SM?VM" + meter + "N2~N0~H0001~H0001E0~")) == framed("SM!VM01"));
        CHECK(link.ask(framed("SM?VT" + meter + "P59936545050550308168~")) == framed("SM!VT01"));
        CHECK(link.ask(framed("SM?GAN2~")).starts_with("SM!GA00PACT"));
        CHECK(link.ask(kCredit) == kCreditToken);
        const auto status = run_program("sts6ctl", {"--dir", module.dir().string(), "status"});
        CHECK(status.output.find("\nWARNING: register 2: quarantined, ") != std::string::npos);
        CHECK(status.output.find("register 1: quarantined") == std::string::npos);
        module.stop();
    }
    CHECK(test::tokens_issued(module.dir()) == 2);
}

TEST_CASE("setup: what is refused leaves nothing behind") {
    const TemporaryDirectory place;
    const auto dir = place.path() / "module";
    const auto setup = [&dir](std::vector<std::string> extra) {
        extra.insert(extra.begin(), {"setup", "--dir", dir.string()});
        const auto finished = run_program("sts6ctl", extra);
        CHECK_FALSE(fs::exists(dir));
        return finished;
    };
    refused(setup({}), kUsage, "--profile");
    refused(setup({"--profile", "toy"}), kUsage, "toy");
    refused(setup({"--profile", "demo", "--token-label", "x"}), kUsage, "--token-label");
    refused(setup({"--profile", "demo", "--pkcs11-module", "/nowhere/lib.so", "--token-label", "x",
                   "--pin-file", test::vector_pack().string()}),
            kRefused, "PIN file");
    refused(run_program("sts6ctl", {"setup", "--profile", "demo"}), kUsage, "--dir");
    refused(run_program("sts6ctl", {"setup", "--profile", "demo", "--dir", (dir / "deeper").string()}),
            kNoConnection, "is no directory");
    CHECK_FALSE(fs::exists(dir));
    // What exists is not touched, whatever it is.
    fs::create_directory(dir);
    write_text(dir / "mine", "x");
    refused(run_program("sts6ctl", {"setup", "--profile", "demo", "--dir", dir.string()}), kRefused,
            "exists already");
    refused(run_program("sts6ctl", {"setup", "--profile", "demo", "--dir", (dir / "mine").string()}),
            kRefused, "exists already");
    CHECK(contents_of(dir) == Contents{{(dir / "mine").string(), "x"}});
}

TEST_CASE("setup: a state directory is closed to others") {
    const TemporaryDirectory place;
    const auto dir = place.path() / "module";
    const mode_t before = ::umask(0);
    set_up_demo(dir);
    ::umask(before);
    std::size_t seen = 0;
    for (const auto& entry : fs::recursive_directory_iterator(dir)) {
        INFO(entry.path().string());
        CHECK((fs::symlink_status(entry.path()).permissions() &
               (fs::perms::group_all | fs::perms::others_all)) == fs::perms::none);
        ++seen;
    }
    CHECK(seen > 8);
    CHECK(start_daemon(dir).code == -1);
}

namespace {

// The sample set of IEC 62055-41 under a name of its own, and the worked example of the same standard.
constexpr const char* kTables = R"({
 "schema": "sts6.sta-tables/1", "name": "testset",
 "substitution_1": [12, 10, 8, 4, 3, 15, 0, 2, 14, 1, 5, 13, 6, 9, 7, 11],
 "substitution_2": [6, 9, 7, 4, 3, 10, 12, 14, 2, 13, 1, 15, 0, 11, 8, 5],
 "permutation": [29, 27, 34, 9, 16, 62, 55, 2, 40, 49, 38, 25, 33, 61, 30, 23,
                 1, 41, 21, 57, 42, 15, 5, 58, 19, 53, 22, 17, 48, 28, 24, 39,
                 3, 60, 36, 14, 11, 52, 54, 12, 31, 51, 10, 26, 0, 45, 37, 43,
                 44, 6, 59, 4, 7, 35, 56, 50, 13, 18, 32, 47, 46, 63, 20, 8],
 "known_answer": {"key": "0ABC12DEF3456789", "block": "0B19EB230100C207", "cipher": "C45ED1619406DF95"}
})";

std::string tables_with(const std::string& from, const std::string& to) {
    std::string text = kTables;
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("daemon: EA07 tables that are accepted show in the FirmwareID") {
    LabModule module(test::vector_pack());
    const auto path = module.dir().parent_path() / "tables.json";
    write_text(path, kTables);
    const auto firmware = [&module](const std::string& table_set) {
        RawLink link(module.url());
        const std::string version = std::string("STS6-") + STS6_VERSION + "-" + table_set + "-LAB";
        CHECK(link.ask(kIdentify) == framed("SM!DI00PSOFTSM01~P" + version + "~"));
        const std::string answer = link.ask(framed("SM?QI"));
        CHECK(answer.starts_with("SM!QI00PSMID.1:sts6:SOFTSM01:"));
        CHECK(answer.find("~PSTS6-SOFT~P" + version + "~H") != std::string::npos);
    };
    module.start(path);
    firmware("testset");
    module.stop();
    module.start(std::nullopt);
    firmware("sample");
    module.stop();
    const auto config = module.dir() / "sts6d.toml";
    write_text(config,
               with_line(file_text(config), "sta_tables =", "sta_tables = \"" + path.string() + "\""));
    module.start(std::nullopt);
    firmware("testset");
    module.stop();
    CHECK(file_text(module.log()).find("EA07 tables: testset") != std::string::npos);
}

TEST_CASE("daemon: EA07 tables that are not accepted, and nothing of them in the message") {
    LabModule module(test::vector_pack());
    const auto path = module.dir().parent_path() / "tables.json";
    const auto given = [&](const fs::path& file) {
        return start_daemon(module.dir(), {.extra = {"--sta-tables", file.string()}});
    };
    refused(given(path), kNoConnection, "tables.json: cannot be read");
    refused(given(""), kUsage, "--sta-tables");
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"", "does not follow the schema"},
        {"not JSON", "does not follow the schema"},
        {"[]", "does not follow the schema"},
        {"{}", "does not follow the schema"},
        {std::string(kTables).substr(0, 300), "does not follow the schema"},
        {tables_with("tables/1", "tables/2"), "not of schema"},
        {tables_with("\"testset\"", "\"\""), "the name"},
        {tables_with("\"testset\"", "\"Testset\""), "the name"},
        {tables_with("\"testset\"", "\"test set\""), "the name"},
        {tables_with("\"testset\"", "\"testset0123456789\""), "the name"},
        {tables_with("\"testset\"", "7"), "does not follow the schema"},
        {tables_with("[12, 10", "[10, 10"), "no permutation"},
        {tables_with("[12, 10", "[16, 10"), "no permutation"},
        {tables_with("[6, 9", "[9, 9"), "no permutation"},
        {tables_with("[29, 27", "[27, 27"), "no permutation"},
        {tables_with("[29, 27", "[64, 27"), "no permutation"},
        {tables_with("[12, 10", "[12, 10, 10"), "does not follow the schema"},
        {tables_with("[12, 10", "[10"), "does not follow the schema"},
        {tables_with("[12, 10", "[-1, 10"), "does not follow the schema"},
        {tables_with("[12, 10", "[268, 10"), "does not follow the schema"},
        {tables_with("[12, 10", "[\"12\", 10"), "does not follow the schema"},
        {tables_with("20, 8]", "20]"), "does not follow the schema"},
        // Permutations all, but not those that belong to the known answer.
        {tables_with("[12, 10", "[10, 12"), "the known answer does not hold"},
        {tables_with("[6, 9", "[9, 6"), "the known answer does not hold"},
        {tables_with("[29, 27", "[27, 29"), "the known answer does not hold"},
        {tables_with("C45ED1619406DF95", "C45ED1619406DF94"), "the known answer does not hold"},
        {tables_with("0B19EB230100C207", "0B19EB230100C206"), "the known answer does not hold"},
        {tables_with("0ABC12DEF3456789", "0ABC12DEF345678"), "does not follow the schema"},
        {tables_with("known_answer", "an_answer"), "does not follow the schema"},
    };
    for (const auto& [text, reason] : cases) {
        INFO(text);
        write_text(path, text);
        const auto started = given(path);
        refused(started, kUsage, reason);
        for (const char* secret : {"10, 8, 4", "9, 7, 4", "34, 9, 16", "C45ED161", "0B19EB23", "0ABC12DE"}) {
            CHECK(started.log.find(secret) == std::string::npos);
        }
    }
}

}  // namespace sts6
