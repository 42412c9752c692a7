// SPDX-License-Identifier: Apache-2.0
// SM?VT: what a token says, without giving a key away.
#pragma once

#include "firmware/module/command.hpp"

namespace sts6::commands {

void check_verify(ModuleContext& context, Command& command) noexcept;
void build_verify(ModuleContext& context, Command& command, std::span<const DerivationResult> keys) noexcept;
void undo_verify(ModuleContext& context, Command& command) noexcept;

inline constexpr Handler kVerifyToken{CommandId::verify_token, check_verify, build_verify, undo_verify};

}  // namespace sts6::commands
