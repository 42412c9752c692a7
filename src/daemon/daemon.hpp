// SPDX-License-Identifier: Apache-2.0
// sts6d put together: state directory, HSM, store, module, links.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "src/daemon/failure.hpp"
#include "sts6/civil_time.hpp"

namespace sts6 {

/// What the command line adds to the configuration file.
struct DaemonOptions {
    std::filesystem::path dir;
    std::optional<std::string> tcp;  ///< HOST:PORT, instead of the configured one
    std::vector<std::string> tls, apdu, vpcd, pty, serial, tls_clients;
    std::filesystem::path tls_certificate, tls_private_key, tls_client_ca;
    std::optional<std::uint32_t> max_connections, max_requests_per_s, idle_timeout_s;
    std::optional<std::string> metrics;  ///< HOST:PORT, instead of the configured one
    std::optional<std::filesystem::path> sta_tables;
    std::optional<CivilTime> lab_time;  ///< lab profile only
    bool allow_plaintext = false;       ///< TCP without TLS on an address that is not loopback
};

/// Serves until SIGTERM or SIGINT. Writes one line to `out` when every link listens:
/// "ready state=operational tcp=HOST:PORT", and " metrics=HOST:PORT" with a metrics port.
[[nodiscard]] Outcome<void> run_daemon(const DaemonOptions& options, std::ostream& out);

}  // namespace sts6
