// SPDX-License-Identifier: Apache-2.0
// SM?KC, SM?KR, SM?KL, SM?KF and SM?KX: how vending keys reach the module (docs/key-management.md).
#pragma once

#include "firmware/module/command.hpp"

namespace sts6::commands {

void request_load(ModuleContext& context, Command& command) noexcept;
void accept_response(ModuleContext& context, Command& command) noexcept;
void load_key(ModuleContext& context, Command& command) noexcept;
void finish_load(ModuleContext& context, Command& command) noexcept;
void remove_kmc(ModuleContext& context, Command& command) noexcept;

inline constexpr Handler kKmcKey{CommandId::kmc_key, request_load, nullptr, nullptr};
inline constexpr Handler kKmcResponse{CommandId::kmc_response, accept_response, nullptr, nullptr};
inline constexpr Handler kKeyLoad{CommandId::key_load, load_key, nullptr, nullptr};
inline constexpr Handler kKeyLoadFinish{CommandId::key_load_finish, finish_load, nullptr, nullptr};
inline constexpr Handler kKmcRemove{CommandId::kmc_remove, remove_kmc, nullptr, nullptr};

}  // namespace sts6::commands
