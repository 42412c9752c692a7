// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/config_check.hpp"

#include <utility>

#include "src/daemon/endpoint.hpp"
#include "src/daemon/state_dir.hpp"

namespace sts6 {

namespace {

Outcome<asio::ip::tcp::endpoint> parse_metrics(const std::string& text) {
    auto endpoint = parse_endpoint("metrics", text);
    if (endpoint && !endpoint->address().is_loopback()) {
        return fail(
            Errc::permission,
            "metrics \"" + text + "\" is not a loopback address: whoever reaches the port could read them");
    }
    return endpoint;
}

}  // namespace

Outcome<CheckedConfig> check_config(const std::filesystem::path& path, const ConfigOverrides& overrides) {
    const StateDir dir(path);
    if (auto checked = dir.check(); !checked) return Unexpected{checked.error()};
    CheckedConfig checked;
    auto config = read_config(dir, overrides);
    if (!config) return Unexpected{config.error()};
    checked.config = *std::move(config);
    if (!checked.config.sta_tables.empty()) {
        auto tables = read_sta_tables(checked.config.sta_tables);
        if (!tables) return Unexpected{tables.error()};
        checked.tables = *std::move(tables);
    }
    auto links = plan_links(checked.config);
    if (!links) return Unexpected{links.error()};
    checked.links = *std::move(links);
    if (!checked.config.metrics.empty()) {
        const auto metrics = parse_metrics(checked.config.metrics);
        if (!metrics) return Unexpected{metrics.error()};
        checked.metrics = *metrics;
    }
    return checked;
}

}  // namespace sts6
