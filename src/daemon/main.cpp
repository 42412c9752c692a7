// SPDX-License-Identifier: Apache-2.0
// sts6d, the security module as a service.
#include <iostream>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "src/daemon/daemon.hpp"
#include "src/daemon/firmware_identity.hpp"
#include "sts6/exit_code.hpp"

namespace {

/// CCYYMMDDThhmmssZ, as in the key records.
std::optional<sts6::CivilTime> parse_lab_time(const std::string& text) {
    if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
    return sts6::parse_civil_time(text.substr(0, 8) + text.substr(9, 6));
}

int run(int argc, char** argv) {
    CLI::App app("sts6d: a software STS6 security module with its keys in a PKCS#11 token");
    app.set_version_flag("--version", std::string(sts6::kVersion));
    sts6::DaemonOptions options;
    std::optional<std::string> lab_time;
    app.add_option("--dir", options.dir, "state directory, made by `sts6ctl setup`")->required();
    app.add_option("--tcp", options.tcp, "HOST:PORT of the TCP link, instead of the configured one");
    app.add_option("--tls", options.tls, "");
    app.add_option("--apdu", options.apdu, "");
    app.add_option("--vpcd", options.vpcd, "");
    app.add_option("--pty", options.pty, "");
    app.add_option("--serial", options.serial, "");
    app.add_option("--tls-certificate", options.tls_certificate, "");
    app.add_option("--tls-private-key", options.tls_private_key, "");
    app.add_option("--tls-client-ca", options.tls_client_ca, "");
    app.add_option("--tls-clients", options.tls_clients, "");
    app.add_option("--max-connections", options.max_connections, "");
    app.add_option("--max-requests-per-s", options.max_requests_per_s, "");
    app.add_option("--idle-timeout-s", options.idle_timeout_s, "");
    app.add_option("--metrics", options.metrics,
                   "HOST:PORT where metrics are served over HTTP, on this machine only, instead of the "
                   "configured one");
    app.add_option("--sta-tables", options.sta_tables, "file with the licensed EA07 tables");
    app.add_option("--lab-time", lab_time, "CCYYMMDDThhmmssZ at which module time starts (lab profile only)");
    app.add_flag("--allow-plaintext", options.allow_plaintext,
                 "permit TCP without TLS on an address that is not loopback");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : sts6::kExitUsage;
    }
    if (lab_time) {
        options.lab_time = parse_lab_time(*lab_time);
        if (!options.lab_time) {
            std::cerr << "sts6d: --lab-time must be CCYYMMDDThhmmssZ\n";
            return sts6::kExitUsage;
        }
    }
    // An empty value, as of a variable that is not set, must not mean the sample set.
    if (options.sta_tables && options.sta_tables->empty()) {
        std::cerr << "sts6d: --sta-tables must name a file\n";
        return sts6::kExitUsage;
    }
    const auto served = sts6::run_daemon(options, std::cout);
    if (served) return 0;
    std::cerr << "sts6d: " << served.error().text << "\n";
    return sts6::exit_code(served.error().code);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::cerr << "sts6d: " << error.what() << "\n";
        return sts6::kExitRefused;
    }
}
