// SPDX-License-Identifier: Apache-2.0
// The daemon under a service manager (systemd's Type=notify).
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/certificates.hpp"
#include "tests/support/notify_socket.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tests/support/tls_client.hpp"
#include "tools/conform/child_process.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
using conform::ChildProcess;
using conform::LabModule;
using test::NotifySocket;
using test::RawLink;

const std::string kIdentify = "SM?DI9A51\r";

ChildProcess start(const LabModule& module, const std::string& tcp,
                   const std::vector<std::string>& options = {"--apdu", "127.0.0.1:0"}) {
    std::vector<std::string> command = {conform::program_path("sts6d"), "--dir", module.dir().string(),
                                        "--tcp", tcp};
    command.insert(command.end(), options.begin(), options.end());
    return ChildProcess(command, module.log());
}

/// A daemon with a TLS link, and its manager.
class TlsService {
  public:
    [[nodiscard]] test::TlsClient client() const {
        const std::string address = conform::ready_value(ready_, "tls");
        const auto port = static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
        return {{asio::ip::address_v4::loopback(), port}, {.ca = place_.path() / "ca.pem"}};
    }
    /// Returns when the daemon has said that it is done.
    void reload() {
        ::kill(daemon_.pid(), SIGHUP);
        CHECK(manager_.next(60s) == "RELOADING=1");
        CHECK(manager_.next(60s) == ready_);
    }
    /// The server's certificate, by the CA of the first one.
    void write_certificate(const std::string& name) {
        test::make_certificate({.subject = {{"CN", name}}, .names = "DNS:localhost"}, &ca_)
            .write(place_.path(), "server");
    }
    [[nodiscard]] std::filesystem::path file(const char* name) const { return place_.path() / name; }
    [[nodiscard]] std::string log() const { return test::file_text(module_.log()); }
    int end() { return daemon_.wait(true); }

  private:
    conform::TemporaryDirectory place_;
    test::Credentials ca_ = test::write_server_certificate(place_.path());
    LabModule module_{test::vector_pack()};
    NotifySocket manager_;
    ChildProcess daemon_ = start(module_, "127.0.0.1:0",
                                 {"--tls", "127.0.0.1:0", "--tls-certificate", file("server.pem").string(),
                                  "--tls-private-key", file("server.key").string()});
    std::string ready_ = manager_.next(60s);
};

}  // namespace

TEST_CASE("service: the manager hears that it is ready, reloads and stops, in that order") {
    LabModule module(test::vector_pack());
    NotifySocket manager;
    ChildProcess daemon = start(module, "127.0.0.1:0");
    const std::string ready = manager.next(60s);
    CHECK(ready.starts_with("READY=1\nSTATUS=ready state=operational tcp=127.0.0.1:"));
    // The links listen: nothing else is waited for.
    RawLink link("tcp:" + conform::ready_value(ready, "tcp"));
    CHECK(link.ask(kIdentify).starts_with("SM!DI00"));
    RawLink card("tcp:" + conform::ready_value(ready, "apdu"));
    CHECK(ready == "READY=1\nSTATUS=" + daemon.read_line(60s));
    for (int i = 0; i < 2; ++i) {
        ::kill(daemon.pid(), SIGHUP);
        CHECK(manager.next(60s) == "RELOADING=1");
        CHECK(manager.next(60s) == ready);
        CHECK(link.ask(kIdentify).starts_with("SM!DI00"));
    }
    CHECK(daemon.wait(true) == 0);
    CHECK(manager.next(60s) == "STOPPING=1");
    CHECK(manager.next(0s) == "");
}

TEST_CASE("service: a reload takes new certificates, for the links to come") {
    TlsService service;
    test::TlsClient open = service.client();
    CHECK(open.server_name() == "module");
    CHECK(open.ask(kIdentify).starts_with("SM!DI00"));
    service.write_certificate("module 2027");
    // Files alone change nothing.
    CHECK(service.client().server_name() == "module");
    service.reload();
    test::TlsClient next = service.client();
    CHECK(next.server_name() == "module 2027");
    CHECK(next.ask(kIdentify).starts_with("SM!DI00"));
    CHECK(open.ask(kIdentify).starts_with("SM!DI00"));
    CHECK(service.end() == 0);
}

TEST_CASE("service: a reload of certificates that cannot be used keeps those in use") {
    TlsService service;
    test::TlsClient open = service.client();
    const std::string kept = "tls: the certificates read before stay in use";
    namespace fs = std::filesystem;
    const auto pem = service.file("server.pem");
    const auto key = service.file("server.key");
    const std::vector<std::function<void()>> damages = {
        [&] { fs::remove(pem); },
        [&] { fs::resize_file(pem, 100); },
        [&] { test::write_text(pem, ""); },
        [&] { fs::remove(key); },
        [&] {
            test::make_certificate({.subject = {{"CN", "x"}}}).write(service.file(""), "other"),
                fs::rename(service.file("other.key"), key);
        },
        [&] { fs::permissions(key, fs::perms::others_read, fs::perm_options::add); },
    };
    for (std::size_t i = 0; i < damages.size(); ++i) {
        INFO(i);
        service.write_certificate("module 2027");
        damages[i]();
        const std::size_t logged = service.log().size();
        service.reload();
        CHECK(service.log().find(kept, logged) != std::string::npos);
        CHECK(open.ask(kIdentify).starts_with("SM!DI00"));
        test::TlsClient next = service.client();
        CHECK(next.server_name() == "module");
        CHECK(next.ask(kIdentify).starts_with("SM!DI00"));
    }
    service.write_certificate("module 2028");
    service.reload();
    CHECK(service.client().server_name() == "module 2028");
    CHECK(open.ask(kIdentify).starts_with("SM!DI00"));
    CHECK(service.end() == 0);
}

TEST_CASE("service: a start that fails is never ready, and a kill says nothing") {
    LabModule module(test::vector_pack());
    LabModule other(test::vector_pack());
    other.start(std::nullopt);
    NotifySocket manager;
    // Everything is in order but the port, which the start comes to last.
    ChildProcess refused = start(module, other.url().substr(4));
    CHECK(refused.wait() == 3);
    CHECK(manager.next(0s) == "");
    ChildProcess killed = start(module, "127.0.0.1:0");
    CHECK(manager.next(60s).starts_with("READY=1\n"));
    killed.kill();
    CHECK(killed.wait() == 128 + SIGKILL);
    CHECK(manager.next(0s) == "");
}

}  // namespace sts6
