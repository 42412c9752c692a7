// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/link_plan.hpp"

#include <chrono>
#include <map>
#include <string_view>
#include <utility>

#include "src/daemon/endpoint.hpp"
#include "sts6/commands.hpp"
#include "sts6/ptvd.hpp"

namespace sts6 {

namespace {

using asio::ip::tcp;

LinkRole role_at(const tcp::endpoint& endpoint) {
    return endpoint.address().is_loopback() ? LinkRole::full : LinkRole::vend;
}

/// Where a link in clear goes.
Outcome<tcp::endpoint> parse_clear_endpoint(const Config& config, std::string_view key,
                                            std::string_view text) {
    auto endpoint = parse_endpoint(key, text);
    if (endpoint && !endpoint->address().is_loopback() && !config.allow_plaintext) {
        return fail(Errc::permission, std::string(key) + " \"" + std::string(text) +
                                          "\" is not a loopback address: tokens would cross " +
                                          "the network in clear; --allow-plaintext permits it");
    }
    return endpoint;
}

/// As RFC 2253 writes none, such a text could not be the subject of anybody.
bool has_blank_before_attribute(std::string_view subject) {
    for (std::size_t i = 0; i < subject.size(); ++i) {
        const bool begins = i == 0 || (subject[i - 1] == ',' && (i == 1 || subject[i - 2] != '\\'));
        if (begins && subject[i] == ' ') return true;
    }
    return false;
}

/// "ROLE SUBJECT" each.
Outcome<std::map<std::string, LinkRole>> parse_clients(const std::vector<std::string>& texts) {
    std::map<std::string, LinkRole> clients;
    for (const std::string& text : texts) {
        const auto refuse = [&text](const char* why) {
            return fail(Errc::invalid_argument, "tls_clients \"" + text + "\": " + why);
        };
        const std::size_t space = text.find(' ');
        const std::string role = text.substr(0, space);
        const std::string subject = space == std::string::npos ? "" : text.substr(space + 1);
        if ((role != "full" && role != "vend") || subject.empty()) {
            return refuse("must be \"full SUBJECT\" or \"vend SUBJECT\"");
        }
        if (has_blank_before_attribute(subject)) return refuse("no blank may stand before an attribute");
        const bool first = clients.emplace(subject, role == "full" ? LinkRole::full : LinkRole::vend).second;
        if (!first) return refuse("the subject is named twice");
    }
    return clients;
}

/// What of TLS does not go together.
Outcome<void> check_tls_keys(const Config& config) {
    if (!config.tls.empty() && (config.tls_certificate.empty() || config.tls_private_key.empty())) {
        return fail(Errc::invalid_argument, "tls needs tls_certificate and tls_private_key");
    }
    if (!config.tls_client_ca.empty() && config.tls_clients.empty()) {
        return fail(Errc::invalid_argument,
                    "tls_client_ca needs tls_clients: without them no client may connect");
    }
    if (config.tls_client_ca.empty() && !config.tls_clients.empty()) {
        return fail(Errc::invalid_argument,
                    "tls_clients needs tls_client_ca: without it no client is asked for a certificate");
    }
    return {};
}

Outcome<std::shared_ptr<TlsServer>> open_tls(const Config& config) {
    if (auto checked = check_tls_keys(config); !checked) return Unexpected{checked.error()};
    auto clients = parse_clients(config.tls_clients);
    if (!clients) return Unexpected{clients.error()};
    if (config.tls.empty()) return std::shared_ptr<TlsServer>();
    auto server = TlsServer::open({.certificate = config.tls_certificate,
                                   .private_key = config.tls_private_key,
                                   .client_ca = config.tls_client_ca,
                                   .clients = *std::move(clients)});
    if (!server) return fail_at("tls_certificate, tls_private_key, tls_client_ca", server.error());
    return *std::move(server);
}

/// "DEV[,BAUD]"
Outcome<SerialSettings> parse_serial(const Config& config, const std::string& text) {
    SerialSettings settings;
    const std::size_t comma = text.rfind(',');
    settings.device = text.substr(0, comma);
    if (comma != std::string::npos) {
        const auto baud = ptvd::parse_number(std::string_view(text).substr(comma + 1));
        if (!baud || *baud == 0 || settings.device.empty()) {
            return fail(Errc::invalid_argument, "serial \"" + text + "\": must be DEV or DEV,BAUD");
        }
        settings.baud = *baud;
    }
    settings.data_bits = config.serial_data_bits;
    settings.parity = config.serial_parity;
    settings.stop_bits = config.serial_stop_bits;
    settings.handshake = config.serial_handshake;
    return settings;
}

/// The ready line has the names of lines, and is one line.
Outcome<void> check_line_name(const char* key, const std::string& name) {
    for (const char c : name) {
        if (static_cast<unsigned char>(c) < 0x20) {
            return fail(Errc::invalid_argument,
                        std::string(key) + ": a control character is no part of a path");
        }
    }
    return {};
}

Outcome<void> plan_listeners(const Config& config, LinkPlan& plan) {
    const auto add = [&](const char* key, const tcp::endpoint& endpoint) -> ListenerSettings& {
        return plan.listeners.emplace_back(ListenerSettings{.name = key,
                                                            .endpoint = endpoint,
                                                            .role = role_at(endpoint),
                                                            .limits = plan.limits,
                                                            .connections = config.max_connections});
    };
    for (const std::string& text : config.tcp) {
        const auto endpoint = parse_clear_endpoint(config, "tcp", text);
        if (!endpoint) return Unexpected{endpoint.error()};
        add("tcp", *endpoint);
    }
    for (const std::string& text : config.tls) {
        const auto endpoint = parse_endpoint("tls", text);
        if (!endpoint) return Unexpected{endpoint.error()};
        add("tls", *endpoint).tls = plan.tls;
    }
    for (const std::string& text : config.apdu) {
        const auto endpoint = parse_clear_endpoint(config, "apdu", text);
        if (!endpoint) return Unexpected{endpoint.error()};
        add("apdu", *endpoint).carries = ListenerSettings::Carries::apdus;
    }
    return {};
}

}  // namespace

Outcome<LinkPlan> plan_links(const Config& config) {
    LinkPlan plan;
    plan.limits.idle = std::chrono::seconds(config.idle_timeout_s);
    plan.limits.requests_per_s = config.max_requests_per_s;
    auto tls = open_tls(config);
    if (!tls) return Unexpected{tls.error()};
    plan.tls = *std::move(tls);
    if (auto planned = plan_listeners(config, plan); !planned) return Unexpected{planned.error()};
    for (const std::string& text : config.vpcd) {
        const auto endpoint = parse_clear_endpoint(config, "vpcd", text);
        if (!endpoint) return Unexpected{endpoint.error()};
        plan.cards.push_back({.reader = *endpoint, .role = role_at(*endpoint), .limits = plan.limits});
    }
    for (const std::string& path : config.pty) {
        if (auto checked = check_line_name("pty", path); !checked) return Unexpected{checked.error()};
    }
    plan.ptys = config.pty;
    for (const std::string& text : config.serial) {
        if (auto checked = check_line_name("serial", text); !checked) return Unexpected{checked.error()};
        auto settings = parse_serial(config, text);
        if (!settings) return Unexpected{settings.error()};
        settings->limits = plan.limits;
        plan.serial_lines.push_back(*std::move(settings));
    }
    if (plan.listeners.empty() && plan.cards.empty() && plan.ptys.empty() && plan.serial_lines.empty()) {
        return fail(Errc::invalid_argument, "no link is configured");
    }
    return plan;
}

}  // namespace sts6
