// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firmware/module/command.hpp"

namespace sts6 {

/// The handler bound to a row of the command table, or null for a row without one.
const Handler* find_handler(CommandId id) noexcept;

}  // namespace sts6
