// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/log.hpp"

#include <algorithm>
#include <limits>

namespace sts6::commands {

void query_log(ModuleContext& context, Command& command) noexcept {
    const AuditHead head = context.store.audit_head();
    const std::uint64_t sequence = head.first + command.fields.number(0);
    if (sequence > head.last) {
        command.refuse(Status::log_range_error);
        return;
    }
    const auto record = context.store.load_audit(sequence);
    if (!record) {
        command.refuse(Status::device_failure);
        return;
    }
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
    command.succeed(command.body()
                        .number(static_cast<std::uint32_t>(std::min(record->sequence, kMost)))
                        .date_time(record->time)
                        .number(record->event)
                        .printable(record->text.view())
                        .octets(record->hash));
}

}  // namespace sts6::commands
