// SPDX-License-Identifier: Apache-2.0
#include "firmware/module/handlers.hpp"

#include <array>
#include <cstddef>

#include "firmware/commands/identity.hpp"
#include "firmware/commands/key_change.hpp"
#include "firmware/commands/keyload.hpp"
#include "firmware/commands/log.hpp"
#include "firmware/commands/manufacture.hpp"
#include "firmware/commands/vend.hpp"
#include "firmware/commands/verify.hpp"

namespace sts6 {

namespace {

constexpr std::array kHandlers = {
    commands::kIdentify,        commands::kIdentifyLong,      commands::kQueryDate,
    commands::kGetAttributes,   commands::kVendCredit,        commands::kVendManagement,
    commands::kVendKeyChange,   commands::kVerifyToken,       commands::kKmcKey,
    commands::kKmcResponse,     commands::kKeyLoad,           commands::kKeyLoadFinish,
    commands::kQueryCounters,   commands::kQueryLog,          commands::kKmcRemove,
    commands::kManufactureInit, commands::kManufactureFinish,
};

constexpr auto kByCommand = [] {
    std::array<const Handler*, kCommandTable.size()> table{};
    for (const Handler& handler : kHandlers) table[static_cast<std::size_t>(handler.id)] = &handler;
    return table;
}();

// A row that exists in some phase has a handler, except the GL group, which the link answers.
static_assert([] {
    for (const CommandRow& row : kCommandTable) {
        const bool bound = kByCommand[static_cast<std::size_t>(row.id)] != nullptr;
        if (!row.is_link_command() && bound != (row.phases != 0)) return false;
    }
    return true;
}());

}  // namespace

const Handler* find_handler(CommandId id) noexcept {
    return kByCommand[static_cast<std::size_t>(id)];
}

}  // namespace sts6
