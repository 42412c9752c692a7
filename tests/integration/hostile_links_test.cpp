// SPDX-License-Identifier: Apache-2.0
// What comes from hostile clients of every link: no other link's answer changes, and nothing grows.
#include <chrono>
#include <csignal>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "tests/support/certificates.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tests/support/tls_client.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
using conform::LabModule;
using test::framed;
using test::RawLink;
using test::TlsClient;

const std::string kCredit = framed("SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~");
const std::string kCreditToken = framed("SM!VC00P32D98A5616345BE2E~P58625789986991357486~");
const std::string kDamaged = "GL!ER20A624\r";
const std::string kUnknown = "GL!ER2166E5\r";

/// What a module may grow by under attack: buffers of the most connections, and what an allocator keeps.
constexpr std::size_t kMostGrowthKib = 64 * 1024;

/// A module on every link, and a vending system that is to notice nothing.
class Site {
  public:
    explicit Site(std::vector<std::string> options = {}) : module_(pack_for_bounded_memory()) {
        // OpenSSL as a client writes to closed connections.
        REQUIRE(std::signal(SIGPIPE, SIG_IGN) != SIG_ERR);
        ca = test::write_server_certificate(dir.path());
        options.insert(options.end(),
                       {"--tls", "127.0.0.1:0", "--tls-certificate", (dir.path() / "server.pem").string(),
                        "--tls-private-key", (dir.path() / "server.key").string(), "--apdu", "127.0.0.1:0"});
        module_.set_daemon_options(options);
        module_.start(std::nullopt);
        good_.emplace(module_.url());
        vend();
        before_kib_ = test::resident_kib(module_.daemon().pid());
    }
    /// The good client goes on, nothing has grown, and the daemon ends well.
    ~Site() noexcept(false) {
        if (std::uncaught_exceptions() > 0) return;
        vend();
        CHECK(test::resident_kib(module_.daemon().pid()) < before_kib_ + kMostGrowthKib);
        module_.stop();
        CHECK(test::tokens_issued(module_.dir()) == vended_);
    }
    void vend() {
        CHECK(good_->ask(kCredit) == kCreditToken);
        ++vended_;
    }
    /// One more token, by another client.
    void vended_elsewhere() { ++vended_; }
    [[nodiscard]] std::string url(const char* link) const {
        return std::string(link) + ":" + module_.link(link);
    }
    [[nodiscard]] asio::ip::tcp::endpoint endpoint(const char* link) const {
        const std::string address = module_.link(link);
        return {asio::ip::address_v4::loopback(),
                static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)))};
    }

    conform::TemporaryDirectory dir;
    test::Credentials ca;

  private:
    // Set before the daemon starts: what a sanitizer holds back of freed memory is no growth.
    static std::filesystem::path pack_for_bounded_memory() {
        test::bound_sanitizer_memory();
        return test::vector_pack();
    }

    LabModule module_;
    std::optional<RawLink> good_;
    std::size_t before_kib_ = 0;
    std::uint64_t vended_ = 0;
};

std::string apdu_frame(std::string_view apdu) {
    std::string frame;
    frame += static_cast<char>(apdu.size() >> 8U);
    frame += static_cast<char>(apdu.size() & 0xFFU);
    return frame.append(apdu);
}

/// Response data and status word. Everything of the protocol is written out here.
std::string ask_apdu(const test::Descriptor& socket, std::string_view apdu) {
    const std::string frame = apdu_frame(apdu);
    if (::write(socket.value(), frame.data(), frame.size()) != static_cast<ssize_t>(frame.size())) {
        throw std::runtime_error("cannot send");
    }
    const auto read = [&socket](std::size_t size) {
        std::string got(size, '\0');
        std::size_t have = 0;
        while (have < size) {
            const ssize_t part = ::read(socket.value(), got.data() + have, size - have);
            if (part <= 0) throw std::runtime_error("the connection is gone");
            have += static_cast<std::size_t>(part);
        }
        return got;
    };
    const std::string length = read(2);
    return read(static_cast<std::size_t>(static_cast<unsigned char>(length[0])) << 8U |
                static_cast<unsigned char>(length[1]));
}

const std::string kSelect("\x00\xA4\x04\x00\x06\xF0STS6\x01", 11);
const std::string kDone("\x90\x00", 2);

}  // namespace

TEST_CASE("hostile: octets that come one by one, and never to an end") {
    Site site;
    std::vector<std::unique_ptr<RawLink>> loris;
    for (int i = 0; i < 200; ++i) loris.push_back(std::make_unique<RawLink>(site.url("tcp")));
    for (int i = 0; i < 200; ++i) loris.push_back(std::make_unique<RawLink>(site.url("tls")));
    for (int i = 0; i < 200; ++i) loris.push_back(std::make_unique<RawLink>(site.url("apdu")));
    const std::string text = "SM?VCN1~P600727";
    for (const char& octet : text) {
        for (const auto& link : loris) {
            try {
                link->send({&octet, 1});
            } catch (const std::runtime_error&) {
                // Under TLS the first octet that is none of a handshake ends the connection.
            }
        }
        site.vend();
    }
}

TEST_CASE("hostile: as many silent connections as there may be make room for one that speaks") {
    Site site({"--max-connections", "20"});
    std::vector<std::unique_ptr<RawLink>> silent;
    for (int i = 0; i < 19; ++i) silent.push_back(std::make_unique<RawLink>(site.url("tcp")));
    // The good client's own connection is one of the twenty; the silent ones are as old as they need to be
    // when one more is let in.
    CHECK(test::eventually([&] {
        try {
            return RawLink(site.url("tcp")).ask(kCredit) == kCreditToken;
        } catch (const std::runtime_error&) {
            return false;
        }
    }));
    site.vended_elsewhere();
}

TEST_CASE("hostile: 10000 connections opened and dropped, and 1000 on the other links") {
    Site site;
    for (const auto& [link, count] :
         {std::pair("tcp", 10000), std::pair("tls", 1000), std::pair("apdu", 1000)}) {
        for (int i = 0; i < count; ++i) {
            const test::Descriptor socket(test::connect_to(site.url(link)));
            if (i % 3 == 0) static_cast<void>(::write(socket.value(), "\x16\x03\x01", 3));
            if (i % 1000 == 0) site.vend();
        }
    }
}

TEST_CASE("hostile: a megabyte of garbage") {
    Site site;
    std::string garbage(1024 * 1024, '\0');
    std::uint32_t state = 1;
    for (char& octet : garbage) {
        state = state * 1664525U + 1013904223U;
        octet = static_cast<char>(state >> 24U);
    }
    SECTION("on a line, and an answer comes to each damaged one") {
        RawLink link(site.url("tcp"));
        link.send(garbage);
        link.end_output();
        const std::string answers = link.rest();
        CHECK(answers.size() % kDamaged.size() == 0);
        for (std::size_t at = 0; at < answers.size(); at += kDamaged.size()) {
            REQUIRE(answers.substr(at, kDamaged.size()) == kDamaged);
        }
    }
    SECTION("without any line end") {
        for (char& octet : garbage) {
            if (octet == '\r') octet = ' ';
        }
        RawLink link(site.url("tcp"));
        link.send(garbage);
        CHECK(link.ask("\r") == kDamaged);
        CHECK(link.ask(kCredit) == kCreditToken);
        site.vended_elsewhere();
    }
    SECTION("in an envelope's place") {
        RawLink link(site.url("tcp"));
        CHECK(link.ask_enveloped(test::envelope_of(framed("SM?DI"))).size() > 10);
        link.send(garbage);
        link.end_output();
        CHECK_NOTHROW(link.rest());
    }
    SECTION("in a handshake's place") {
        RawLink link(site.url("tls"));
        try {
            link.send(garbage);
        } catch (const std::runtime_error&) {
            // The connection has been closed.
        }
    }
    SECTION("inside TLS") {
        TlsClient client(site.endpoint("tls"), {.ca = site.dir.path() / "ca.pem"});
        for (char& octet : garbage) {
            if (octet == '\r') octet = ' ';
        }
        client.send(garbage);
        CHECK(client.ask("\r") == kDamaged);
        CHECK(client.ask(kCredit) == kCreditToken);
        site.vended_elsewhere();
    }
    SECTION("in frames of APDUs") {
        const test::Descriptor socket(test::connect_to(site.url("apdu")));
        for (std::size_t at = 0; at + 300 < garbage.size(); at += 300) {
            const std::string answer = ask_apdu(socket, std::string_view(garbage).substr(at, 300));
            REQUIRE(answer.size() == 2);
            REQUIRE(answer != kDone);
        }
        // A frame as long as its length can say.
        CHECK(ask_apdu(socket, std::string_view(garbage).substr(0, 0xFFFF)) == std::string("\x67\x00", 2));
        CHECK(ask_apdu(socket, kSelect) == kDone);
    }
}

TEST_CASE("hostile: half an envelope") {
    Site site;
    const std::string envelope = test::envelope_of(framed("SM?DI"));
    for (std::size_t size = 1; size < envelope.size(); ++size) {
        RawLink link(site.url("tcp"));
        link.send(envelope.substr(0, size));
        link.end_output();
        CHECK(link.rest().empty());
    }
    site.vend();
}

TEST_CASE("hostile: a client that asks and does not read") {
    Site site;
    std::vector<std::unique_ptr<RawLink>> deaf;
    for (int i = 0; i < 8; ++i) {
        deaf.push_back(std::make_unique<RawLink>(site.url("tcp"), 4096));
        deaf.back()->flood(framed("GL?EC00900" + std::string(900, 'x')), 8U << 20U, 200ms);
        site.vend();
    }
}

TEST_CASE("hostile: a TLS client without the certificate that is asked for") {
    const conform::TemporaryDirectory place;
    const test::Credentials clients = test::make_certificate({.subject = {{"CN", "Clients"}}, .is_ca = true});
    clients.write(place.path(), "clients");
    Site site({"--tls-client-ca", (place.path() / "clients.pem").string(), "--tls-clients", "vend CN=till",
               "--tls-clients", "full CN=keys"});
    const auto asks = [&site](const test::Credentials* credentials, const std::string& request) {
        try {
            TlsClient client(site.endpoint("tls"),
                             {.ca = site.dir.path() / "ca.pem", .credentials = credentials});
            return client.ask(request);
        } catch (const std::runtime_error&) {
            return std::string("closed");
        }
    };
    const test::Credentials till = test::make_certificate({.subject = {{"CN", "till"}}}, &clients);
    const test::Credentials keys = test::make_certificate({.subject = {{"CN", "keys"}}}, &clients);
    const test::Credentials stranger = test::make_certificate({.subject = {{"CN", "till"}}});
    for (int i = 0; i < 20; ++i) {
        CHECK_FALSE(asks(nullptr, kCredit).starts_with("SM!"));
        CHECK_FALSE(asks(&stranger, kCredit).starts_with("SM!"));
    }
    CHECK(asks(&till, kCredit) == kCreditToken);
    site.vended_elsewhere();
    // A role that may not load keys.
    for (const char* command : {"SM?KCPx~", "SM?KRPx~", "SM?KLPx~", "SM?KFPx~", "SM?KXPx~", "SM?CIPx~H00~"}) {
        CHECK(asks(&till, framed(command)) == kUnknown);
    }
    CHECK(asks(&keys, framed("SM?KCPx~")) == framed("SM!KC49"));
}

TEST_CASE("hostile: APDUs of every length and class that is wrong") {
    Site site;
    const test::Descriptor socket(test::connect_to(site.url("apdu")));
    const auto sw = [&socket](const std::string& apdu) {
        const std::string answer = ask_apdu(socket, apdu);
        REQUIRE(answer.size() == 2);
        return static_cast<unsigned>(static_cast<unsigned char>(answer[0])) << 8U |
               static_cast<unsigned char>(answer[1]);
    };
    CHECK(sw(std::string("\x80\x20\x00\x00\x00", 5)) == 0x6985);
    CHECK(ask_apdu(socket, kSelect) == kDone);
    for (std::size_t size = 0; size < 4; ++size)
        CHECK(sw(std::string("\x80\x10\x00\x00", 4).substr(0, size)) == 0x6700);
    for (unsigned cla = 0; cla < 256; ++cla) {
        if (cla == 0x80) continue;
        CHECK(sw(std::string(1, static_cast<char>(cla)) + std::string("\x20\x00\x00\x00", 4)) == 0x6E00);
    }
    const std::string body = kCredit.substr(5, kCredit.size() - 10);
    for (unsigned length = 1; length < 256; ++length) {
        if (length == body.size() || length + 1 == body.size()) continue;  // right, or with an Le
        std::string apdu("\x80\x10\x00\x00", 4);
        apdu += static_cast<char>(length);
        CHECK(sw(apdu + body) == 0x6700);
    }
    std::string credit("\x80\x10\x00\x00", 4);
    credit += static_cast<char>(body.size());
    CHECK(ask_apdu(socket, credit + body + '\0') == "P32D98A5616345BE2E~P58625789986991357486~" + kDone);
    site.vended_elsewhere();
}

}  // namespace sts6
