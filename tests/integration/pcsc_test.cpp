// SPDX-License-Identifier: Apache-2.0
// The module as a card: sts6d, vsmartcard's virtual reader in a pcscd of the test's own, and two clients that
// know nothing of this project. pcscd's socket is at one place for the whole machine, so that one test at a
// time has it, and none where somebody else's pcscd runs.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sts6/hex.hpp"
#include "tests/support/apdu.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/child_process.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using conform::ChildProcess;
using conform::LabModule;
using test::eventually;

constexpr const char* kPcscd = "/usr/sbin/pcscd";
constexpr const char* kDriver = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
constexpr const char* kOpensc = "/usr/bin/opensc-tool";
constexpr const char* kScriptor = "/usr/bin/scriptor";
constexpr const char* kSocket = "/run/pcscd/pcscd.comm";
constexpr const char* kLock = "/run/sts6-pcscd-test.lock";
/// pcscd adds the number of the reader and of its slot.
constexpr const char* kReader = "sts6 test 00 00";

const std::string kCreditBody = "N1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";
const std::string kCreditAnswer = "P32D98A5616345BE2E~P58625789986991357486~";

std::string hex(std::string_view octets) {
    std::string digits;
    for (const char c : octets) {
        digits += hex_digit(static_cast<unsigned char>(c) >> 4U);
        digits += hex_digit(static_cast<unsigned char>(c));
    }
    return digits;
}

// In hexadecimal, as the clients take them.
const std::string kSelect = "00A4040006" + hex(test::kApplication);
const std::string kIdentify = "8020000000";
const std::string kCredit =
    "80100000" + hex(std::string(1, static_cast<char>(kCreditBody.size())) + kCreditBody);

bool pcscd_answers() {
    const test::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(std::string_view(kSocket), address.sun_path);
    return ::connect(socket.value(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// The machine's only pcscd, as long as the object lives.
class Machine {
  public:
    /// Why there is none for this test.
    std::optional<std::string> obstacle() {
        if (::geteuid() != 0) return "only root can start pcscd";
        for (const char* file : {kPcscd, kDriver, kOpensc, kScriptor}) {
            if (!fs::exists(file)) return std::string("there is no ") + file;
        }
        lock_.emplace(::open(kLock, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (lock_->value() < 0) return std::string("cannot write ") + kLock;
        if (!eventually([this] { return ::flock(lock_->value(), LOCK_EX | LOCK_NB) == 0; })) {
            return std::string("another test has pcscd: ") + kLock + " is locked";
        }
        if (pcscd_answers()) return "a pcscd runs already";
        return std::nullopt;
    }

  private:
    std::optional<test::Descriptor> lock_;
};

bool cannot_run(Machine& machine) {
    const auto obstacle = machine.obstacle();
    if (obstacle) WARN("SKIPPED: no PC/SC: " << *obstacle);
    return obstacle.has_value();
}

/// A port that is free with the one behind it: the driver opens a second slot there.
in_port_t two_free_ports() {
    const auto bound = [](in_port_t port) {
        test::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        socklen_t size = sizeof address;
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        if (::bind(socket.value(), generic, size) != 0) return in_port_t{0};
        ::getsockname(socket.value(), generic, &size);
        return ntohs(address.sin_port);
    };
    for (int i = 0; i < 100; ++i) {
        const in_port_t port = bound(0);
        if (port > 0 && port < 0xFFFF && bound(static_cast<in_port_t>(port + 1)) != 0) return port;
    }
    throw std::runtime_error("no two ports are free");
}

struct Finished {
    int code;
    std::string output;
};

Finished run(std::vector<std::string> words) {
    const conform::TemporaryDirectory place;
    words.insert(words.begin(), {"/usr/bin/timeout", "60"});
    ChildProcess process(words, place.path() / "log");
    Finished finished{};
    for (std::string line; !(line = process.read_line(90s)).empty();) finished.output += line + "\n";
    finished.code = process.wait();
    return finished;
}

/// A pcscd whose only reader is vpcd's.
class Reader {
  public:
    Reader() : port_(two_free_ports()) {
        const std::string port = "0x" + hex(test::two_octets(port_));
        test::write_text(place_.path() / "reader",
                         "FRIENDLYNAME \"sts6 test\"\nDEVICENAME /dev/null:" + port + "\nLIBPATH " + kDriver +
                             "\nCHANNELID " + port + "\n");
    }

    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    /// Orderly, so that it takes its socket away.
    ~Reader() {
        if (pcscd_) pcscd_->wait(true);
    }

    void start() {
        pcscd_.emplace(std::vector<std::string>{kPcscd, "--foreground", "--critical", "--config",
                                                place_.path().string()},
                       place_.path() / "log");
        REQUIRE(eventually(pcscd_answers));
    }
    void stop() {
        CHECK(pcscd_->wait(true) == 0);
        pcscd_.reset();
    }
    [[nodiscard]] std::string place() const { return "127.0.0.1:" + std::to_string(port_); }

    static bool has_card() {
        const std::string list = run({kOpensc, "--list-readers"}).output;
        const std::size_t name = list.find(kReader);
        if (name == std::string::npos) return false;
        const std::size_t line = list.rfind('\n', name) + 1;
        return list.substr(line, name - line).find("Yes") != std::string::npos;
    }

  private:
    in_port_t port_;
    conform::TemporaryDirectory place_;
    std::optional<ChildProcess> pcscd_;
};

struct Response {
    std::string data;
    std::string status_word;
    bool operator==(const Response&) const = default;
};
using Responses = std::vector<Response>;

std::ostream& operator<<(std::ostream& out, const Response& response) {
    return out << '"' << response.data << "\" " << response.status_word;
}

/// Octets in hexadecimal with spaces between them, to the first word that is none.
std::string octets_of(std::string_view digits) {
    std::string octets;
    for (std::array<std::uint8_t, 1> octet{}; read_hex(digits.substr(0, 2), octet);) {
        octets += static_cast<char>(octet[0]);
        digits.remove_prefix(std::min<std::size_t>(digits.size(), 3));
    }
    return octets;
}

/// What opensc-tool writes: a status word in words, then a dump of sixteen octets a line, with their
/// characters.
Responses opensc(const std::vector<std::string>& apdus) {
    std::vector<std::string> words = {kOpensc, "--reader", kReader, "--card-driver", "default"};
    for (const std::string& apdu : apdus) words.insert(words.end(), {"--send-apdu", apdu});
    const Finished finished = run(words);
    INFO(finished.output);
    CHECK(finished.code == 0);
    Responses responses;
    bool dump = false;
    for (std::string_view rest = finished.output; !rest.empty();) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(line.size() + 1);
        if (line.starts_with("Received (SW1=0x")) {
            responses.push_back({"", std::string(line.substr(16, 2)).append(line.substr(26, 2))});
            dump = true;
        } else if (line.starts_with("Sending: ")) {
            dump = false;
        } else if (dump) {
            responses.back().data += octets_of(line.substr(0, 16 * 3));
        }
    }
    return responses;
}

/// What scriptor writes behind "< ": octets, sixteen a line, with the status word among them.
Responses scriptor(const std::vector<std::string>& lines) {
    const conform::TemporaryDirectory place;
    std::string script;
    for (const std::string& line : lines) script += line + "\n";
    test::write_text(place.path() / "script", script);
    const Finished finished = run({kScriptor, "-r", kReader, (place.path() / "script").string()});
    INFO(finished.output);
    CHECK(finished.code == 0);
    Responses responses;
    std::string_view rest = finished.output;
    for (std::size_t at = rest.find("\n< "); at != std::string_view::npos; at = rest.find("\n< ")) {
        rest.remove_prefix(at + 3);
        std::string digits(rest.substr(0, rest.find(" : ")));
        std::erase(digits, '\n');
        std::string octets = octets_of(digits);
        if (octets.size() < 2) continue;  // what it says of a reset
        const std::string status_word = hex(octets.substr(octets.size() - 2));
        octets.resize(octets.size() - 2);
        responses.push_back({octets, status_word});
    }
    return responses;
}

void start_as_card(LabModule& module, const Reader& reader) {
    module.set_daemon_options({"--vpcd", reader.place()});
    module.start(std::nullopt);
    CHECK(module.link("vpcd") == reader.place());
}

const Response kDone{"", "9000"};
const Response kNotSelected{"", "6985"};
const Response kToken{kCreditAnswer, "9000"};

}  // namespace

TEST_CASE("pcsc: opensc-tool and scriptor vend, and are refused what is to be refused", "[pcsc]") {
    Machine machine;
    if (cannot_run(machine)) return;
    LabModule module(test::vector_pack());
    Reader reader;
    reader.start();
    start_as_card(module, reader);
    REQUIRE(eventually(Reader::has_card));

    CHECK(opensc({kIdentify}) == Responses{kNotSelected});
    CHECK(opensc({kSelect, kCredit + "00"}) == Responses{kDone, kToken});
    CHECK(scriptor({kSelect, kCredit + "00"}) == Responses{kDone, kToken});
    // The same token as on the other links.
    test::RawLink link(module.url());
    CHECK(link.ask(test::framed("SM?VC" + kCreditBody)) == test::framed("SM!VC00" + kCreditAnswer));
    std::string identity = link.ask(test::framed("SM?DI"));
    identity = identity.substr(7, identity.size() - 7 - 5);

    // Without Le, and with extended lengths.
    CHECK(scriptor({kCredit}) == Responses{kToken});
    const std::string extended =
        "80100000"
        "00" +
        hex(test::two_octets(kCreditBody.size()) + kCreditBody);
    CHECK(scriptor({extended, extended + "0000"}) == Responses{kToken, kToken});
    // A short Le: the rest has to be got.
    CHECK(scriptor({kCredit + "10", "00C0000010", "80C0000000", "00C0000000"}) ==
          Responses{{kCreditAnswer.substr(0, 16), "6119"},
                    {kCreditAnswer.substr(16, 16), "6109"},
                    {kCreditAnswer.substr(32), "9000"},
                    kNotSelected});

    std::string other_pan = kCreditBody;
    other_pan.replace(other_pan.find("009~"), 3, "001");
    std::string not_printable = kCreditBody;
    not_printable[not_printable.find("600727")] = '\n';
    const auto credit = [](const std::string& body) { return "8010000032" + hex(body) + "00"; };
    const std::vector<std::pair<std::string, std::string>> refusals = {
        {credit(other_pan), "6676"},
        {credit(not_printable), "6662"},
        {"80100000044E317E00"
         "00",
         "6660"},  // fewer fields
        {"802600000441317E7E"
         "00",
         "6660"},
        {"8026000003"
         "48317E"
         "00",
         "6661"},
        {"8026000004"
         "4E36347E"
         "00",
         "6622"},  // an empty register
        {"9020000000", "6E00"},
        {"0020000000", "6E00"},
        {"8021000000", "6D00"},
        {"8040000000", "6D00"},
        {"8020010000", "6A86"},
        {"00A40400"
         "06"
         "F05354533602",
         "6A82"},
        {"00A40400"
         "05"
         "F053545336",
         "6A82"},
        {"00A4000006" + hex(test::kApplication), "6A86"},
        {"00C0000000", "6985"},
    };
    Responses expected{kDone};
    std::vector<std::string> apdus{kSelect};
    for (const auto& [apdu, status_word] : refusals) {
        apdus.push_back(apdu);
        expected.push_back({"", status_word});
    }
    CHECK(scriptor(apdus) == expected);
    CHECK(opensc(apdus) == expected);
    // A refused one changes nothing, and a reset ends the selection.
    CHECK(scriptor({kCredit + "00", "reset", kCredit + "00", kSelect, kIdentify}) ==
          Responses{kToken, kNotSelected, kDone, {identity, "9000"}});
    module.stop();
    CHECK(test::tokens_issued(module.dir()) == 8);
}

TEST_CASE("pcsc: the card comes back after the daemon's and pcscd's end", "[pcsc]") {
    Machine machine;
    if (cannot_run(machine)) return;
    LabModule module(test::vector_pack());
    Reader reader;
    // The daemon first.
    start_as_card(module, reader);
    reader.start();
    REQUIRE(eventually(Reader::has_card));
    CHECK(opensc({kSelect, kCredit + "00"}) == Responses{kDone, kToken});

    const bool killed = GENERATE(true, false);
    killed ? module.kill() : module.stop();
    CHECK(eventually([] { return !Reader::has_card(); }));
    CHECK(run({kOpensc, "--reader", kReader, "--card-driver", "default", "--send-apdu", kIdentify}).code !=
          0);
    start_as_card(module, reader);
    REQUIRE(eventually(Reader::has_card));
    CHECK(opensc({kIdentify, kSelect, kCredit + "00"}) == Responses{kNotSelected, kDone, kToken});

    reader.stop();
    reader.start();
    REQUIRE(eventually(Reader::has_card));
    CHECK(scriptor({kIdentify, kSelect, kCredit + "00"}) == Responses{kNotSelected, kDone, kToken});
    module.stop();
    CHECK(test::tokens_issued(module.dir()) == 3);
}

}  // namespace sts6
