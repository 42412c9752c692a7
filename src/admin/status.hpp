// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firmware/ports/admin_store.hpp"
#include "firmware/ports/audit.hpp"
#include "firmware/ports/store.hpp"
#include "sts6/result.hpp"

namespace sts6::admin {

/// The status as JSON from the store alone, also without a daemon, with the warnings at that time.
[[nodiscard]] Result<std::string> status_of(Store& store, AdminStore& admin_store, const AuditLimits& limits,
                                            CivilTime now);

}  // namespace sts6::admin
