// SPDX-License-Identifier: Apache-2.0
// SM?VC and SM?VM: credit and management tokens.
#pragma once

#include "firmware/module/command.hpp"

namespace sts6::commands {

void check_credit(ModuleContext& context, Command& command) noexcept;
void check_management(ModuleContext& context, Command& command) noexcept;
void build_token(ModuleContext& context, Command& command, std::span<const DerivationResult> keys) noexcept;
void undo_token(ModuleContext& context, Command& command) noexcept;

inline constexpr Handler kVendCredit{CommandId::vend_credit, check_credit, build_token, undo_token};
inline constexpr Handler kVendManagement{CommandId::vend_management, check_management, build_token,
                                         undo_token};

}  // namespace sts6::commands
