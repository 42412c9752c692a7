// SPDX-License-Identifier: Apache-2.0
// The habits of two public clients, reproduced against the running daemon.
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
using conform::LabModule;
using test::framed;
using test::RawLink;

const std::string kCredit = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";
const std::string kCreditToken = "SM!VC00P32D98A5616345BE2E~P58625789986991357486~";
const std::string kIdentify = "SM?DI";

/// Octets on their way, as a test wants them to arrive.
using Wire = std::function<std::string(std::string octets)>;

std::string as_it_is(std::string octets) {
    return octets;
}
/// What comes first does not arrive as it was sent.
Wire first(const std::function<std::string(std::string)>& change) {
    return [change, done = false](std::string octets) mutable {
        return std::exchange(done, true) ? octets : change(std::move(octets));
    };
}
std::string lost(const std::string& /*octets*/) {
    return "";
}
std::string damaged(std::string octets) {
    octets[octets.size() / 2] ^= 1;
    return octets;
}
std::string half(const std::string& octets) {
    return octets.substr(0, octets.size() / 2);
}

/// A line of the serial or TCP kind.
class Line {
  public:
    explicit Line(int descriptor) : descriptor_(descriptor) {
        if (descriptor < 0) throw std::runtime_error("cannot open the line");
    }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    ~Line() { ::close(descriptor_); }

    void send(const std::string& octets) const {
        if (::write(descriptor_, octets.data(), octets.size()) != static_cast<ssize_t>(octets.size())) {
            throw std::runtime_error("cannot send");
        }
    }
    /// To the CR, or what has come when the time is up.
    [[nodiscard]] std::string line(std::chrono::milliseconds time) const {
        const auto end = std::chrono::steady_clock::now() + time;
        std::string got;
        while (got.empty() || got.back() != '\r') {
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
            pollfd ready{.fd = descriptor_, .events = POLLIN, .revents = 0};
            if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) != 1) break;
            char octet = 0;
            if (::read(descriptor_, &octet, 1) != 1) throw std::runtime_error("the line is gone");
            got += octet;
        }
        return got;
    }

  private:
    int descriptor_;
};

/// Waits 500 ms for an answer with the right CRC and header, then sends the whole command again, three times
/// at most. Never GL?RR.
class ResendingClient {
  public:
    explicit ResendingClient(const Line& line) : line_(line) {}

    std::string exchange(const std::string& command, Wire there = as_it_is, Wire back = as_it_is) {
        std::string header = command.substr(0, 5);
        header[2] = '!';
        for (sent = 1; sent <= 4; ++sent) {
            line_.send(there(framed(command)));
            const std::string got = back(line_.line(500ms));
            const bool whole = got.size() > 5 && framed(got.substr(0, got.size() - 5)) == got;
            if (whole && got.starts_with(header)) return got.substr(0, got.size() - 5);
        }
        return "";
    }

    int sent = 0;

  private:
    const Line& line_;
};

struct Site {
    explicit Site(bool serial) : module(test::vector_pack()) {
        if (serial) module.set_daemon_options({"--pty", pty().string()});
        module.start(std::nullopt);
        line.emplace(serial ? ::open(pty().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)
                            : test::connect_to(module.url()));
    }
    [[nodiscard]] std::filesystem::path pty() const { return place.path() / "module"; }

    conform::TemporaryDirectory place;
    LabModule module;
    std::optional<Line> line;
};

}  // namespace

TEST_CASE("a client that resends the whole command gets its token over a bad line") {
    const bool serial = GENERATE(false, true);
    Site site(serial);
    ResendingClient client(*site.line);
    CHECK(client.exchange(kCredit) == kCreditToken);
    CHECK(client.sent == 1);
    SECTION("the command is lost") {
        CHECK(client.exchange(kCredit, first(lost)) == kCreditToken);
        CHECK(client.sent == 2);
        site.module.stop();
        CHECK(test::tokens_issued(site.module.dir()) == 2);
    }
    SECTION("the command arrives damaged: GL!ER20 is no answer to it") {
        CHECK(client.exchange(kCredit, first(damaged)) == kCreditToken);
        CHECK(client.sent == 2);
        site.module.stop();
        CHECK(test::tokens_issued(site.module.dir()) == 2);
    }
    SECTION("half of the command arrives, and the next one runs into it") {
        CHECK(client.exchange(kCredit, first(half)) == kCreditToken);
        CHECK(client.sent == 3);
        site.module.stop();
        CHECK(test::tokens_issued(site.module.dir()) == 2);
    }
    SECTION("the answer is lost: a resent command is a new one, and the counters move again") {
        CHECK(client.exchange(kCredit, as_it_is, first(lost)) == kCreditToken);
        CHECK(client.sent == 2);
        site.module.stop();
        CHECK(test::tokens_issued(site.module.dir()) == 3);
    }
    SECTION("the answer comes damaged") {
        CHECK(client.exchange(kCredit, as_it_is, first(damaged)) == kCreditToken);
        CHECK(client.sent == 2);
        site.module.stop();
        CHECK(test::tokens_issued(site.module.dir()) == 3);
    }
    SECTION("nothing arrives at all: it gives up after three") {
        CHECK(client.exchange(kCredit, lost).empty());
        CHECK(client.exchange(kIdentify).starts_with("SM!DI00"));
        site.module.stop();
        CHECK(test::tokens_issued(site.module.dir()) == 1);
    }
}

namespace {

/// Speaks the envelope, takes the second octet for the whole length L, and accepts an answer only of exactly
/// L + 2 octets.
std::string one_octet_length_exchange(RawLink& link, const std::string& command) {
    const std::string answer = link.ask_enveloped(test::envelope_of(framed(command)));
    const std::size_t length = static_cast<unsigned char>(answer.at(1));
    if (answer.size() != length + 2 || answer.at(0) != '\0') return "";
    const std::string line = answer.substr(8);
    const std::string message = line.substr(0, line.size() - 5);
    return framed(message) == line ? message : "";
}

}  // namespace

TEST_CASE("a client with a length of one octet can read every answer of vending") {
    LabModule module(test::vector_pack());
    module.start(std::nullopt);
    RawLink link(module.url());
    const auto ask = [&link](const std::string& command) { return one_octet_length_exchange(link, command); };
    CHECK(ask("SM?DI").starts_with("SM!DI00P"));
    CHECK(ask("SM?QI").starts_with("SM!QI00P"));
    CHECK(ask("SM?QD").starts_with("SM!QD00D"));
    CHECK(ask("SM?CQ").starts_with("SM!CQ00N"));
    for (const char* key : {"1", "2", "3"}) {
        CHECK(ask(std::string("SM?GAN") + key + "~").starts_with("SM!GA00PACT"));
    }
    CHECK(ask(kCredit) == kCreditToken);
    CHECK(ask("SM?VMN1~P600727000000000009~N1~N11~N2~N1~HFFFF~H522A0B~") ==
          "SM!VM00P0FB03E5B9962F5782~P18087553113701439362~");
    // The longest: four tokens.
    CHECK(ask("SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~") ==
          "SM!VK00N0~N4~P0357DBF341198EC87026BE76CBB15E21E03A373495B96D43D66107F184C6D6B59AFA~"
          "P03854447086453451911027917994362424611526711807032935397719019019128690902932218~");
    CHECK(ask("SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~") ==
          "SM!VT00N0~N0~N0~H0001~H014EEC~");
    // Refusals too.
    CHECK(ask("SM?VCN1~P600727000000000001~N1~N11~N2~N0~H0001~H014EEC~") == "SM!VC76");
    CHECK(ask("SM?GAN64~") == "SM!GA22");
    CHECK(ask("SM?XX") == "GL!ER21");
    module.stop();
}

}  // namespace sts6
