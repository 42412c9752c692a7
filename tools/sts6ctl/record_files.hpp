// SPDX-License-Identifier: Apache-2.0
// Files of key management records.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sts6::ctl {

/// The records of a file whose trailer fits. Throws CtlError, kExitIntegrity for a file that is none.
std::vector<std::string> read_records(const std::filesystem::path& path);

/// With their trailer; "" or "-" is standard output.
void write_records(const std::string& path, const std::vector<std::string>& records);

}  // namespace sts6::ctl
