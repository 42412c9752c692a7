// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tools/conform/lab_module.hpp"
#include "tools/conform/pack.hpp"
#include "tools/conform/report.hpp"

namespace sts6::conform {

struct RunOptions {
    std::optional<std::string> connect;  ///< a running module; none = a throw-away lab module for each pack
    std::optional<std::filesystem::path> sta_tables;
    /// Of `sts6ctl setup`: the PKCS#11 token of the throw-away modules; none = SoftHSM, one for each.
    std::vector<std::string> token_options;
    LabLink link;  ///< over which the throw-away modules are spoken to; its client is a running module's too
    bool power_cycle = false;  ///< the throw-away module's daemon is killed and started between two commands
};

/// Runs every case, in the order of the packs, with the EA07 table set that it names.
Report run_packs(const std::vector<Pack>& packs, const RunOptions& options);

}  // namespace sts6::conform
