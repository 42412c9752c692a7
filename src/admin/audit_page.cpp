// SPDX-License-Identifier: Apache-2.0
#include "src/admin/audit_page.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "src/admin/text.hpp"

namespace sts6::admin {

Result<std::string> audit_page(Store& store, std::uint64_t sequence) {
    using nlohmann::json;
    const AuditHead head = store.audit_head();
    std::uint64_t next = sequence == 0 ? head.first : sequence;
    if (next < head.first) return Unexpected{Errc::not_found};
    const std::uint64_t end = std::min(head.last + 1, next + kAuditPage);
    json records = json::array();
    for (; next < end; ++next) {
        const auto record = store.load_audit(next);
        if (!record) return Unexpected{record.error()};
        records.push_back({{"sequence", record->sequence},
                           {"time", date_text(record->time)},
                           {"event", record->event},
                           {"meaning", audit_event_text(static_cast<AuditEvent>(record->event))},
                           {"text", record->text.view()},
                           {"hash", hex_text(record->hash)}});
    }
    return json{{"head",
                 {{"first", head.first},
                  {"last", head.last},
                  {"acknowledged", head.acknowledged},
                  {"base", hex_text(head.base)},
                  {"hash", hex_text(head.hash)}}},
                {"records", std::move(records)}}
        .dump();
}

}  // namespace sts6::admin
