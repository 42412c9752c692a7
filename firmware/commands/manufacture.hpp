// SPDX-License-Identifier: Apache-2.0
// SM?MI and SM?MF: the manufacturer's commands.
#pragma once

#include "firmware/module/command.hpp"

namespace sts6::commands {

void initialise(ModuleContext& context, Command& command) noexcept;
void finish_manufacturing(ModuleContext& context, Command& command) noexcept;

inline constexpr Handler kManufactureInit{CommandId::manufacture_init, initialise, nullptr, nullptr};
inline constexpr Handler kManufactureFinish{CommandId::manufacture_finish, finish_manufacturing, nullptr,
                                            nullptr};

}  // namespace sts6::commands
