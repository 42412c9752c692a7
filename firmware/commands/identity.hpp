// SPDX-License-Identifier: Apache-2.0
// SM?DI, SM?QI, SM?QD, SM?CQ and SM?GA: what the module says of itself and of its keys.
#pragma once

#include "firmware/module/command.hpp"

namespace sts6::commands {

void identify(ModuleContext& context, Command& command) noexcept;
void identify_long(ModuleContext& context, Command& command) noexcept;
void query_date(ModuleContext& context, Command& command) noexcept;
void query_counters(ModuleContext& context, Command& command) noexcept;
void get_attributes(ModuleContext& context, Command& command) noexcept;

inline constexpr Handler kIdentify{CommandId::identify, identify, nullptr, nullptr};
inline constexpr Handler kIdentifyLong{CommandId::identify_long, identify_long, nullptr, nullptr};
inline constexpr Handler kQueryDate{CommandId::query_date, query_date, nullptr, nullptr};
inline constexpr Handler kQueryCounters{CommandId::query_counters, query_counters, nullptr, nullptr};
inline constexpr Handler kGetAttributes{CommandId::get_attributes, get_attributes, nullptr, nullptr};

}  // namespace sts6::commands
