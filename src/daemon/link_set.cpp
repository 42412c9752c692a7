// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/link_set.hpp"

#include <cstddef>
#include <utility>

#include <spdlog/spdlog.h>

#include "src/daemon/endpoint.hpp"
#include "src/daemon/process.hpp"

namespace sts6 {

namespace {

// Files for the database and the PKCS#11 library. Clients must not take them: SoftHSM, when it can open no
// file, says that the keys are gone.
constexpr std::size_t kOwnFiles = 256;

/// How many connections each listener may have, of those that it should have.
std::size_t connections_for(std::size_t listeners, std::size_t each) {
    const std::size_t wanted = each * listeners + kOwnFiles;
    const std::size_t files = allow_open_files(wanted);
    if (files >= wanted) return each;
    const std::size_t connections = (files > 2 * kOwnFiles ? files - kOwnFiles : files / 2) / listeners;
    spdlog::warn("the limit on open files allows " + std::to_string(connections) +
                 " connections to each listener");
    return connections;
}

}  // namespace

Outcome<void> LinkSet::open(asio::io_context& loop, const LinkPlan& plan, const LinkServices& services) {
    tls_ = plan.tls;
    if (auto done = open_listeners(loop, plan, services); !done) return done;
    for (const VirtualCardSettings& settings : plan.cards) {
        cards_.emplace_back(loop, settings, services);
        add_ready("vpcd", endpoint_text(settings.reader));
    }
    return open_lines(loop, plan, services);
}

Outcome<void> LinkSet::open_listeners(asio::io_context& loop, const LinkPlan& plan,
                                      const LinkServices& services) {
    if (plan.listeners.empty()) return {};
    const std::size_t connections =
        connections_for(plan.listeners.size(), plan.listeners.front().connections);
    for (ListenerSettings settings : plan.listeners) {
        settings.connections = connections;
        auto listener = Listener::open(loop, settings, services);
        if (!listener) {
            return fail_at(settings.name + " " + endpoint_text(settings.endpoint), listener.error());
        }
        add_ready(settings.name, endpoint_text(listener->endpoint()));
        listeners_.push_back(*std::move(listener));
    }
    return {};
}

Outcome<void> LinkSet::open_lines(asio::io_context& loop, const LinkPlan& plan,
                                  const LinkServices& services) {
    for (const std::string& path : plan.ptys) {
        auto line = SerialLine::open_pty(loop, path, plan.limits, services);
        if (!line) return fail_at("pty " + path, line.error());
        lines_.push_back(*std::move(line));
        add_ready("pty", path);
    }
    for (const SerialSettings& settings : plan.serial_lines) {
        auto line = SerialLine::open(loop, settings, services);
        if (!line) return fail_at("serial " + settings.device, line.error());
        lines_.push_back(*std::move(line));
        add_ready("serial", settings.device);
    }
    return {};
}

void LinkSet::add_ready(std::string_view key, std::string_view value) {
    ready_text_ += " " + std::string(key) + "=" + std::string(value);
}

void LinkSet::reload_certificates() {
    if (!tls_) return;
    if (tls_->reload()) {
        spdlog::info("tls: certificates read again, for new connections");
    } else {
        spdlog::error("tls: the certificates read before stay in use");
    }
}

void LinkSet::close() {
    for (Listener& listener : listeners_) listener.close();
    for (VirtualCard& card : cards_) card.close();
    for (SerialLine& line : lines_) line.close();
}

void LinkSet::drop() {
    listeners_.clear();
    cards_.clear();
    lines_.clear();
}

}  // namespace sts6
