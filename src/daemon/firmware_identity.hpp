// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "firmware/module/settings.hpp"
#include "src/daemon/failure.hpp"

namespace sts6 {

inline constexpr std::string_view kVersion = STS6_VERSION;

/// Fills in what SM?DI and SM?QI say of the program: FirmwareID, which names version, EA07 table set and the
/// lab profile (`settings.lab`), and the hash of the program file.
[[nodiscard]] Outcome<void> identify_firmware(std::string_view table_set, ModuleSettings& settings);

}  // namespace sts6
