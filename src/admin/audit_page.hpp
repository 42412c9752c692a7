// SPDX-License-Identifier: Apache-2.0
// The audit log a page at a time, as JSON (docs/formats.md, The audit log).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "firmware/ports/store.hpp"

namespace sts6::admin {

inline constexpr std::size_t kAuditPage = 500;

/// {"head":{...},"records":[...]}: at most kAuditPage records from `sequence` on, none behind the last;
/// 0 = from the oldest. not_found: that record is no longer kept.
[[nodiscard]] Result<std::string> audit_page(Store& store, std::uint64_t sequence);

}  // namespace sts6::admin
