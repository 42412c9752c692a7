// SPDX-License-Identifier: Apache-2.0
// sts6d put together: state directory, HSM, store, module, links.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>

#include "src/daemon/config.hpp"
#include "src/daemon/failure.hpp"
#include "sts6/civil_time.hpp"

namespace sts6 {

/// What the command line says.
struct DaemonOptions {
    std::filesystem::path dir;
    ConfigOverrides overrides;
    std::optional<CivilTime> lab_time;  ///< lab profile only
};

/// Serves until SIGTERM or SIGINT. Writes one line to `out` when every link listens:
/// "ready state=operational tcp=HOST:PORT", and " metrics=HOST:PORT" with a metrics port.
[[nodiscard]] Outcome<void> run_daemon(const DaemonOptions& options, std::ostream& out);

}  // namespace sts6
