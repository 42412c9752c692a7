// SPDX-License-Identifier: Apache-2.0
// SM?VK: the tokens that move a meter to another key.
#pragma once

#include "firmware/module/command.hpp"

namespace sts6::commands {

void check_key_change(ModuleContext& context, Command& command) noexcept;
void build_key_change(ModuleContext& context, Command& command,
                      std::span<const DerivationResult> keys) noexcept;
void undo_key_change(ModuleContext& context, Command& command) noexcept;

inline constexpr Handler kVendKeyChange{CommandId::vend_key_change, check_key_change, build_key_change,
                                        undo_key_change};

}  // namespace sts6::commands
