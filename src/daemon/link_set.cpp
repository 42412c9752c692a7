// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/link_set.hpp"

#include <chrono>
#include <map>
#include <utility>

#include <spdlog/spdlog.h>

#include "src/daemon/endpoint.hpp"
#include "src/daemon/process.hpp"
#include "sts6/ptvd.hpp"

namespace sts6 {

namespace {

using asio::ip::tcp;

// Files for the database and the PKCS#11 library. Clients must not take them: SoftHSM, when it can open no
// file, says that the keys are gone.
constexpr std::size_t kOwnFiles = 256;

LinkLimits limits_of(const Config& config) {
    LinkLimits limits;
    limits.idle = std::chrono::seconds(config.idle_timeout_s);
    limits.requests_per_s = config.max_requests_per_s;
    return limits;
}

/// How many connections each listener may have.
std::size_t connections_of(const Config& config) {
    const std::size_t listeners = config.tcp.size() + config.tls.size() + config.apdu.size();
    const std::size_t wanted = config.max_connections * listeners + kOwnFiles;
    const std::size_t files = allow_open_files(wanted);
    if (files >= wanted) return config.max_connections;
    const std::size_t connections = (files > 2 * kOwnFiles ? files - kOwnFiles : files / 2) / listeners;
    spdlog::warn("the limit on open files allows " + std::to_string(connections) +
                 " connections to each listener");
    return connections;
}

/// Where a link in clear goes, and what role its clients have.
struct ClearEnd {
    tcp::endpoint endpoint;
    LinkRole role = LinkRole::vend;
};

Outcome<ClearEnd> parse_clear_end(const Config& config, std::string_view key, std::string_view text) {
    const auto endpoint = parse_endpoint(key, text);
    if (!endpoint) return Unexpected{endpoint.error()};
    const bool loopback = endpoint->address().is_loopback();
    if (!loopback && !config.allow_plaintext) {
        return fail(Errc::permission, std::string(key) + " \"" + std::string(text) +
                                          "\" is not a loopback address: tokens would cross " +
                                          "the network in clear; --allow-plaintext permits it");
    }
    return ClearEnd{*endpoint, loopback ? LinkRole::full : LinkRole::vend};
}

/// "ROLE SUBJECT" each.
Outcome<std::map<std::string, LinkRole>> parse_clients(const std::vector<std::string>& texts) {
    std::map<std::string, LinkRole> clients;
    for (const std::string& text : texts) {
        const std::size_t space = text.find(' ');
        const std::string role = text.substr(0, space);
        const std::string subject = space == std::string::npos ? "" : text.substr(space + 1);
        if ((role != "full" && role != "vend") || subject.empty()) {
            return fail(Errc::invalid_argument,
                        "tls_clients \"" + text + "\": must be \"full SUBJECT\" or \"vend SUBJECT\"");
        }
        clients[subject] = role == "full" ? LinkRole::full : LinkRole::vend;
    }
    return clients;
}

Outcome<std::shared_ptr<TlsServer>> open_tls(const Config& config) {
    auto clients = parse_clients(config.tls_clients);
    if (!clients) return Unexpected{clients.error()};
    auto server = TlsServer::open({.certificate = config.tls_certificate,
                                   .private_key = config.tls_private_key,
                                   .client_ca = config.tls_client_ca,
                                   .clients = *std::move(clients)});
    if (!server) return fail_at("tls_certificate, tls_private_key, tls_client_ca", server.error());
    return *std::move(server);
}

/// "DEV[,BAUD]"
Outcome<SerialSettings> parse_serial(const Config& config, std::string_view text) {
    SerialSettings settings;
    const std::size_t comma = text.rfind(',');
    settings.device = text.substr(0, comma);
    if (comma != std::string_view::npos) {
        const auto baud = ptvd::parse_number(text.substr(comma + 1));
        if (!baud || *baud == 0) {
            return fail(Errc::invalid_argument,
                        "serial \"" + std::string(text) + "\": must be DEV or DEV,BAUD");
        }
        settings.baud = *baud;
    }
    settings.data_bits = config.serial_data_bits;
    settings.parity = config.serial_parity;
    settings.stop_bits = config.serial_stop_bits;
    settings.handshake = config.serial_handshake;
    settings.limits = limits_of(config);
    return settings;
}

}  // namespace

Outcome<void> LinkSet::open(asio::io_context& loop, const Config& config, const LinkServices& services) {
    if (auto done = open_listeners(loop, config, services); !done) return done;
    if (auto done = open_cards(loop, config, services); !done) return done;
    return open_lines(loop, config, services);
}

Outcome<void> LinkSet::open_listeners(asio::io_context& loop, const Config& config,
                                      const LinkServices& services) {
    const LinkLimits limits = limits_of(config);
    const std::size_t connections = connections_of(config);
    const auto listen_in_clear = [&](std::string_view key, const std::vector<std::string>& texts,
                                     ListenerSettings::Carries carries) -> Outcome<void> {
        for (const std::string& text : texts) {
            const auto end = parse_clear_end(config, key, text);
            if (!end) return Unexpected{end.error()};
            auto done = listen(loop, key, text,
                               {.endpoint = end->endpoint,
                                .role = end->role,
                                .carries = carries,
                                .limits = limits,
                                .connections = connections},
                               services);
            if (!done) return done;
        }
        return {};
    };
    auto done = listen_in_clear("tcp", config.tcp, ListenerSettings::Carries::messages);
    if (!done) return done;
    if (!config.tls.empty()) {
        auto server = open_tls(config);
        if (!server) return Unexpected{server.error()};
        tls_ = *std::move(server);
    }
    for (const std::string& text : config.tls) {
        const auto endpoint = parse_endpoint("tls", text);
        if (!endpoint) return Unexpected{endpoint.error()};
        done = listen(loop, "tls", text,
                      {.endpoint = *endpoint,
                       .role = endpoint->address().is_loopback() ? LinkRole::full : LinkRole::vend,
                       .tls = tls_,
                       .limits = limits,
                       .connections = connections},
                      services);
        if (!done) return done;
    }
    return listen_in_clear("apdu", config.apdu, ListenerSettings::Carries::apdus);
}

Outcome<void> LinkSet::listen(asio::io_context& loop, std::string_view key, std::string_view text,
                              ListenerSettings settings, const LinkServices& services) {
    settings.name = key;
    auto listener = Listener::open(loop, settings, services);
    if (!listener) return fail_at(std::string(key) + " " + std::string(text), listener.error());
    add_ready(key, endpoint_text(listener->endpoint()));
    listeners_.push_back(*std::move(listener));
    return {};
}

Outcome<void> LinkSet::open_cards(asio::io_context& loop, const Config& config,
                                  const LinkServices& services) {
    for (const std::string& text : config.vpcd) {
        const auto end = parse_clear_end(config, "vpcd", text);
        if (!end) return Unexpected{end.error()};
        cards_.emplace_back(
            loop,
            VirtualCardSettings{.reader = end->endpoint, .role = end->role, .limits = limits_of(config)},
            services);
        add_ready("vpcd", endpoint_text(end->endpoint));
    }
    return {};
}

Outcome<void> LinkSet::open_lines(asio::io_context& loop, const Config& config,
                                  const LinkServices& services) {
    for (const std::string& path : config.pty) {
        auto line = SerialLine::open_pty(loop, path, limits_of(config), services);
        if (!line) return fail_at("pty " + path, line.error());
        lines_.push_back(*std::move(line));
        add_ready("pty", path);
    }
    for (const std::string& text : config.serial) {
        const auto settings = parse_serial(config, text);
        if (!settings) return Unexpected{settings.error()};
        auto line = SerialLine::open(loop, *settings, services);
        if (!line) return fail_at("serial " + text, line.error());
        lines_.push_back(*std::move(line));
        add_ready("serial", settings->device);
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
