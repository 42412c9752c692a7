// SPDX-License-Identifier: Apache-2.0
// The daemon under a service manager (systemd's Type=notify).
#include <chrono>
#include <csignal>
#include <optional>
#include <string>

#include <catch2/catch.hpp>

#include "tests/support/notify_socket.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
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

ChildProcess start(const LabModule& module, const std::string& tcp) {
    return ChildProcess({conform::program_path("sts6d"), "--dir", module.dir().string(), "--tcp", tcp,
                         "--apdu", "127.0.0.1:0"},
                        module.log());
}

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
