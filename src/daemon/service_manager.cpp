// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/service_manager.hpp"

#include <system_error>

#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

namespace sts6::service_manager {

namespace {

void tell(const std::string& state) {
    const int result = sd_notify(0, state.c_str());
    if (result >= 0) return;
    spdlog::warn("the service manager cannot be told: " + std::generic_category().message(-result));
}

}  // namespace

void ready(const std::string& status) {
    tell("READY=1\nSTATUS=" + status);
}

void reloading() {
    tell("RELOADING=1");
}

void stopping() {
    tell("STOPPING=1");
}

}  // namespace sts6::service_manager
