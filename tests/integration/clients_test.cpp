// SPDX-License-Identifier: Apache-2.0
// What a vending system is built with, as its authors get it: the installed client library, the Python client
// and both examples, against the running daemon on each of its links.
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/sts/tid.hpp"
#include "tests/support/canned_module.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/child_process.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::test {
namespace {

using namespace std::chrono_literals;
using conform::ChildProcess;
using Words = std::vector<std::string>;

constexpr auto kPatience = 120s;
constexpr const char* kMeter = "600727000000000009";

const std::filesystem::path& source_dir() {
    static const std::filesystem::path dir = STS6_SOURCE_DIR;
    return dir;
}

/// One way to the module, which every client takes.
struct Link {
    std::string url;
    Words ca;  ///< the file, where there is one
};

/// A module with all its links.
class Served {
  public:
    Served() : lab_(vector_pack()) {
        static_cast<void>(write_server_certificate(place_.path()));
        lab_.set_daemon_options({"--tls", "127.0.0.1:0", "--tls-certificate", path("server.pem"),
                                 "--tls-private-key", path("server.key"), "--apdu", "127.0.0.1:0", "--pty",
                                 path("line")});
        lab_.start(std::nullopt);
    }

    [[nodiscard]] conform::LabModule& lab() { return lab_; }
    [[nodiscard]] std::vector<Link> links() const {
        const std::string tls = lab_.link("tls");
        const Words ca = {path("ca.pem")};
        return {{"tcp:" + lab_.link("tcp"), {}},
                {"tcp-env:" + lab_.link("tcp"), {}},
                {"tls:" + tls, ca},
                {"tls-env:" + tls, ca},
                {"serial:" + lab_.link("pty"), {}},
                {"apdu:" + lab_.link("apdu"), {}}};
    }

  private:
    [[nodiscard]] std::string path(const char* name) const { return (place_.path() / name).string(); }

    conform::TemporaryDirectory place_;
    conform::LabModule lab_;
};

Words joined(Words first, const Words& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

/// The command with a file as its standard input.
Words reading(const std::filesystem::path& input, const Words& command) {
    return joined({"/bin/sh", "-c", R"(exec "$@" < "$0")", input.string()}, command);
}

Finished run(const Words& command, const std::string& input = {}) {
    const conform::TemporaryDirectory place;
    const auto log = place.path() / "log";
    write_text(log, "");
    write_text(place.path() / "input", input);
    ChildProcess process(reading(place.path() / "input", command), log);
    Finished finished;
    for (std::string line; !(line = process.read_line(kPatience)).empty();) finished.output += line + "\n";
    finished.code = process.wait();
    finished.log = file_text(log);
    return finished;
}

Words python(const std::filesystem::path& client_dir, const std::filesystem::path& script) {
    return {"/usr/bin/env", "PYTHONPATH=" + client_dir.string(), STS6_PYTHON, "-B", script.string()};
}

/// The build as it is installed, and the examples as they are built against it.
class Installed {
  public:
    Installed() {
        const Finished built = run({(source_dir() / "tests/package/run.sh").string(), STS6_BUILD_DIR,
                                    place_.path().string(), STS6_VERSION, STS6_CXX, STS6_CONSUMER_FLAGS});
        INFO(built.output << built.log);
        REQUIRE(built.code == 0);
    }

    [[nodiscard]] std::filesystem::path prefix() const { return place_.path() / "prefix"; }

    struct Example {
        std::string name;
        Words command;
    };
    [[nodiscard]] std::vector<Example> examples() const {
        return {{"C++ by find_package", {(place_.path() / "cmake/vending_loop").string()}},
                {"C++ by pkg-config", {(place_.path() / "pkg-config").string()}},
                {"Python", python(prefix() / "share/sts6", source_dir() / "tools/examples/vending_loop.py")}};
    }

  private:
    conform::TemporaryDirectory place_;
};

const Installed& installed() {
    static const Installed package;
    return package;
}

/// What follows `line` and a colon in a line of an example's output.
std::string said(const std::string& output, const std::string& line) {
    const std::size_t at = ("\n" + output).find("\n" + line + ": ");
    if (at == std::string::npos) return "nothing of it in:\n" + output;
    const std::size_t text = at + line.size() + 2;
    return output.substr(text, output.find('\n', text) - text);
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
        lines.push_back(text.substr(at, text.find('\n', at) - at));
    }
    return lines;
}

std::uint32_t tid_now() {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    REQUIRE(localtime_r(&now, &local) != nullptr);
    const auto time = civil_time(local.tm_year + 1900, static_cast<unsigned>(local.tm_mon + 1),
                                 static_cast<unsigned>(local.tm_mday), local.tm_hour, local.tm_min);
    return *sts::tid_of(time, BaseDate::y2014);
}

/// What the module reads out of a token that an example has printed.
struct Sold {
    std::string says;
    std::uint32_t tid = 0;
};

Sold read_back(const conform::LabModule& lab, const std::string& text) {
    INFO(text);
    REQUIRE(text.starts_with("token "));
    REQUIRE(text.size() == 30);  // five groups of four digits
    const Finished verified = run_program(
        "sts6ctl", {"--connect", lab.url(), "--json", "token", "verify", "--meter", kMeter, text.substr(6)});
    REQUIRE(verified.code == 0);
    const auto report = nlohmann::json::parse(verified.output);
    CHECK(report.at("class") == 0);
    CHECK(report.at("subclass") == 0);
    return {report.at("says"), report.at("tid")};
}

/// A named pipe as the standard input of a program, so that its lines can come one by one.
class Typing {
  public:
    explicit Typing(const Words& command) {
        const auto fifo = place_.path() / "fifo";
        if (::mkfifo(fifo.c_str(), 0600) != 0)
            throw std::system_error(errno, std::generic_category(), "fifo");
        // Open for both, it needs no reader to be there yet.
        fifo_ = ::open(fifo.c_str(), O_RDWR | O_CLOEXEC);
        process_.emplace(reading(fifo, command), place_.path() / "log");
    }
    Typing(const Typing&) = delete;
    Typing& operator=(const Typing&) = delete;
    ~Typing() {
        if (fifo_ >= 0) ::close(fifo_);
    }

    void type(const std::string& line) {
        REQUIRE(::write(fifo_, (line + "\n").data(), line.size() + 1) ==
                static_cast<ssize_t>(line.size() + 1));
    }
    std::string read() { return process_->read_line(kPatience); }
    int end() {
        ::close(fifo_);
        fifo_ = -1;
        return process_->wait();
    }

  private:
    conform::TemporaryDirectory place_;
    int fifo_ = -1;
    std::optional<ChildProcess> process_;
};

/// A daemon that can be started anew on the port that it had.
class Restarted {
  public:
    explicit Restarted(const std::filesystem::path& dir) : dir_(dir) {}
    void start() {
        daemon_.emplace(Words{conform::program_path("sts6d"), "--dir", dir_.string(), "--tcp", address_,
                              "--lab-time", conform::kLabTime},
                        dir_.parent_path() / "restarted.log");
        const std::string ready = daemon_->read_line(kPatience);
        REQUIRE(ready.starts_with("ready "));
        address_ = conform::ready_value(ready, "tcp");
    }
    void stop() { REQUIRE(daemon_->wait(true) == 0); }
    [[nodiscard]] std::string url() const { return "tcp:" + address_; }

  private:
    std::filesystem::path dir_;
    std::string address_ = "127.0.0.1:0";
    std::optional<ChildProcess> daemon_;
};

void vend_on_every_link(Served& served) {
    const std::string sale = std::string(kMeter) + " 1";
    const std::string most = std::string(kMeter) + " 16383";
    const std::string wrong_pan = "600727000000000008 1";
    const Words unread = {std::string(kMeter) + " 16384", std::string(kMeter) + " 01",
                          std::string(kMeter) + " -1",    std::string(kMeter) + " 1.5",
                          std::string(kMeter) + " 1 1",   std::string(kMeter),
                          "60072700000000000 1",          "60072700000000000~ 1",
                          "600727000000000009~N1~N11 1",  "x"};
    std::string input = sale + "\n" + most + "\n" + wrong_pan + "\n";
    for (const std::string& line : unread) input += line + "\n";
    for (const auto& example : installed().examples()) {
        for (const Link& link : served.links()) {
            INFO(example.name << ", " << link.url);
            const std::uint32_t before = tid_now();
            const Finished finished = run(joined(joined(example.command, {link.url, "1"}), link.ca), input);
            const std::uint32_t after = tid_now();
            CHECK(finished.code == 1);  // not everything was sold
            CHECK(finished.log.empty());
            CHECK(lines_of(finished.output).size() == 3 + unread.size());
            const Sold first = read_back(served.lab(), said(finished.output, sale));
            const Sold second = read_back(served.lab(), said(finished.output, most));
            CHECK(first.says == "0.1 kWh");
            CHECK(second.says == "1638.3 kWh");
            CHECK(first.tid >= before);
            CHECK(first.tid <= after);
            CHECK(second.tid > first.tid);
            CHECK(second.tid <= after + 2);
            CHECK(said(finished.output, wrong_pan) == "refused: 76 not 18 digits, or a wrong check digit");
            for (const std::string& line : unread) {
                CHECK(said(finished.output, line).starts_with("not read: "));
            }
        }
    }
}

void sell_across_a_restart(const conform::LabModule& lab) {
    for (const auto& example : installed().examples()) {
        INFO(example.name);
        Restarted module(lab.dir());
        module.start();
        Typing loop(joined(example.command, {module.url(), "1"}));
        const std::string sale = std::string(kMeter) + " 1";
        loop.type(sale);
        CHECK(loop.read().starts_with(sale + ": token "));
        module.stop();
        loop.type(sale);
        module.start();
        CHECK(loop.read().starts_with(sale + ": token "));
        CHECK(loop.end() == 0);
        module.stop();
    }
}

const std::string kCards = framed("SM!GA00PACT19930101T000000Z;BDT20140101T000000Z~");
const std::string kToken = framed("SM!VC00P32D98A5616345BE2E~P58625789986991357486~");
const std::string kDamagedToken = "#" + kToken.substr(1);
const std::string kDamaged = framed("GL!ER20");

void do_not_sell_twice() {
    struct Case {
        Words answers;
        std::string says;  ///< the beginning
        Words asked;       ///< the headers
    };
    const std::string sale = std::string(kMeter) + " 1";
    const std::array cases = {
        // The token may have been made.
        Case{{kCards, ""}, "UNKNOWN: ", {"SM?GA", "SM?VC"}},
        Case{{kCards, framed("SM!DI00")}, "UNKNOWN: ", {"SM?GA", "SM?VC"}},
        Case{{kCards, framed("SM!VC00")}, "UNKNOWN: an answer without a token", {"SM?GA", "SM?VC"}},
        Case{{kCards, framed("SM!VC00P1~P2")}, "UNKNOWN: an answer without a token", {"SM?GA", "SM?VC"}},
        // Its answer is damaged, and each GL?RR on the way to the module.
        Case{{kCards, kDamagedToken, kDamaged, kDamaged, kDamaged},
             "UNKNOWN: ",
             {"SM?GA", "SM?VC", "GL?RR", "GL?RR", "GL?RR"}},
        Case{{kCards, kDamaged, kDamaged, kDamaged, kDamaged},
             "UNKNOWN: ",
             {"SM?GA", "SM?VC", "GL?RR", "GL?RR", "GL?RR"}},
        // It was not.
        Case{{kCards, framed("SM!VC31")},
             "refused: 31 unit limit, currency limit or licence used up",
             {"SM?GA", "SM?VC"}},
        Case{{kCards, framed("GL!ER58")}, "refused: 58 ", {"SM?GA", "SM?VC"}},
        Case{{kCards, framed("SM!VC99")}, "refused: 99 a status that is not", {"SM?GA", "SM?VC"}},
        Case{{framed("SM!GA22")}, "refused: 22 ", {"SM?GA"}},
        Case{{framed("SM!GA00PACT19930101T000000Z~")}, "not sold: the register's base date", {"SM?GA"}},
        Case{{framed("SM!GA00PACT1;BDT20990101T000000Z~")}, "not sold: this machine's time", {"SM?GA"}},
        // Asking for the key may be done again.
        Case{{"", kCards, kToken}, "token 5862 5789 9869 9135 7486", {"SM?GA", "SM?GA", "SM?VC"}},
    };
    for (const auto& example : installed().examples()) {
        for (const Case& one : cases) {
            Words answers = one.answers;
            // The sale after it goes well.
            answers.insert(answers.end(), {kCards, kToken});
            const CannedModule module(answers);
            INFO(example.name << ", " << one.says);
            const Finished finished =
                run(joined(example.command, {module.url(), "1"}), sale + "\n" + sale + "\n");
            const auto lines = lines_of(finished.output);
            REQUIRE(lines.size() == 2);
            CHECK(finished.code == (one.says.starts_with("token") ? 0 : 1));
            CHECK(lines[0].starts_with(sale + ": " + one.says));
            CHECK(lines[1] == sale + ": token 5862 5789 9869 9135 7486");
            Words asked = one.asked;
            asked.insert(asked.end(), {"SM?GA", "SM?VC"});
            Words headers;
            for (const std::string& request : module.requests()) headers.push_back(request.substr(0, 5));
            CHECK(headers == asked);
        }
    }
}

}  // namespace

TEST_CASE("clients: the installed package") {
    SECTION("the programs run") {
        for (const char* name : {"sts6d", "sts6ctl", "sts6-kmc", "sts6-conform"}) {
            INFO(name);
            CHECK(run({(installed().prefix() / "bin" / name).string(), "--help"}).code == 0);
        }
    }
    SECTION("the examples vend on every link") {
        Served served;
        vend_on_every_link(served);
        served.lab().stop();
        sell_across_a_restart(served.lab());
    }
    SECTION("the examples do not sell twice") {
        do_not_sell_twice();
    }
    SECTION("the examples say how they are used") {
        for (const auto& example : installed().examples()) {
            for (const Words& words : {Words{},
                                       {"tcp:127.0.0.1:1"},
                                       {"tcp:127.0.0.1:1", "one"},
                                       {"tcp:127.0.0.1:1", "1", "ca.pem", "more"},
                                       {"tcp:127.0.0.1", "1"},
                                       {"tcp:127.0.0.1:1", "1", "ca.pem"},
                                       {"tls:127.0.0.1:1", "1", "/nonexistent/ca.pem"}}) {
                const Finished finished = run(joined(example.command, words));
                CHECK(finished.code == 2);
                CHECK(finished.output.empty());
                CHECK(finished.log.find("usage: ") != std::string::npos);
            }
        }
    }
}

TEST_CASE("clients: the Python client on every link") {
    struct Case {
        std::string message;
        int code;
        std::string answer;
    };
    const std::string firmware = std::string("STS6-") + STS6_VERSION + "-sample-LAB";
    const std::array cases = {
        Case{"SM?DI", 0, "SM!DI00PSOFTSM01~P" + firmware + "~"},
        Case{"SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~", 0,
             "SM!VC00P32D98A5616345BE2E~P58625789986991357486~"},
        Case{"SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~", 0,
             "SM!VT00N0~N0~N0~H0001~H014EEC~"},
        Case{"SM?VCN1~P600727000000000008~N1~N11~N2~N0~H0001~H014EEC~", 1, "SM!VC76"},
        Case{"SM?VC", 1, "SM!VC60"},
        Case{"SM?MF", 1, "GL!ER21"},
        Case{"SM?VC\r", 2, ""},
    };
    Served served;
    const Words client = python(source_dir() / "tools/python", source_dir() / "tools/python/sts6_client.py");
    const std::vector<Link> links = served.links();
    const auto ask = [&client](const Link& link, const std::string& message) {
        Words words = client;
        if (!link.ca.empty()) words.insert(words.end(), {"--tls-ca", link.ca[0]});
        words.insert(words.end(), {link.url, message});
        return run(words);
    };
    for (const Link& link : links) {
        for (const Case& one : cases) {
            INFO(link.url << ": " << one.message);
            const Finished finished = ask(link, one.message);
            CHECK(finished.code == one.code);
            CHECK(finished.output == (one.answer.empty() ? "" : one.answer + "\n"));
            CHECK(finished.log.empty() == !one.answer.empty());
        }
    }
    for (const Link& link : links) {
        if (link.ca.empty()) continue;
        INFO(link.url);
        CHECK(ask({link.url, {}}, "SM?DI").code == 3);  // nobody vouches for the module
    }
    served.lab().stop();
    for (const Link& link : links) {
        INFO(link.url);
        const Finished finished = ask(link, "SM?DI");
        CHECK(finished.code == 3);
        CHECK(finished.output.empty());
    }
}

}  // namespace sts6::test
