// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>

#include <asio/ip/tcp.hpp>

#include "src/daemon/config.hpp"
#include "src/daemon/failure.hpp"
#include "src/daemon/link_plan.hpp"
#include "src/daemon/sta_tables_file.hpp"

namespace sts6 {

/// A configuration that a start takes, and what was read for it.
struct CheckedConfig {
    Config config;
    NamedStaTables tables;
    LinkPlan links;
    std::optional<asio::ip::tcp::endpoint> metrics;
};

/// Everything that can be said of a state directory's configuration, and what goes before it, without its
/// lock: database and PKCS#11 token are not touched.
[[nodiscard]] Outcome<CheckedConfig> check_config(const std::filesystem::path& dir,
                                                  const ConfigOverrides& overrides);

}  // namespace sts6
