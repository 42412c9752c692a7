// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "firmware/sts/sta_tables.hpp"
#include "src/daemon/failure.hpp"

namespace sts6 {

/// An EA07 table set and what it is called in FirmwareID, logs and reports.
struct NamedStaTables {
    std::string name = "sample";
    sts::StaTables tables = sts::kSampleStaTables;
};

/// Reads a licensee's file (schema sts6.sta-tables/1). Refuses tables that are no permutations and a set
/// whose known answer does not hold. No message shows anything of the tables.
[[nodiscard]] Outcome<NamedStaTables> read_sta_tables(const std::filesystem::path& path);

}  // namespace sts6
