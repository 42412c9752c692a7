// SPDX-License-Identifier: Apache-2.0
// The audit log on the wire: SM?QL.
#pragma once

#include "firmware/module/command.hpp"

namespace sts6::commands {

void query_log(ModuleContext& context, Command& command) noexcept;

inline constexpr Handler kQueryLog{CommandId::query_log, query_log, nullptr, nullptr};

}  // namespace sts6::commands
