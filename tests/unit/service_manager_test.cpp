// SPDX-License-Identifier: Apache-2.0
// What a service manager is told, in the words of sd_notify(3).
#include "src/daemon/service_manager.hpp"

#include <chrono>
#include <optional>
#include <utility>

#include <catch2/catch.hpp>
#include <stdlib.h>

#include "tests/support/notify_socket.hpp"

namespace sts6 {

using namespace std::chrono_literals;

TEST_CASE("service manager: one notification for each event") {
    test::NotifySocket manager;
    service_manager::ready("ready state=operational");
    CHECK(manager.next(60s) == "READY=1\nSTATUS=ready state=operational");
    service_manager::reloading();
    CHECK(manager.next(60s) == "RELOADING=1");
    service_manager::stopping();
    CHECK(manager.next(60s) == "STOPPING=1");
    CHECK(manager.next(0s) == "");
}

TEST_CASE("service manager: none, or one that has gone, disturbs nothing") {
    std::optional<test::NotifySocket> manager(std::in_place);
    manager.reset();
    service_manager::ready("nobody");
    service_manager::stopping();
    setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
    service_manager::ready("nobody");
    service_manager::reloading();
    unsetenv("NOTIFY_SOCKET");
    manager.emplace();
    service_manager::stopping();
    CHECK(manager->next(60s) == "STOPPING=1");
    CHECK(manager->next(0s) == "");
}

}  // namespace sts6
