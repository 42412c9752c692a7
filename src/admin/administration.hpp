// SPDX-License-Identifier: Apache-2.0
// What officers and operators ask of a module through the admin socket: one JSON object a line in, one out
// (docs/formats.md, The admin socket).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "firmware/ports/admin_store.hpp"
#include "firmware/ports/audit.hpp"
#include "firmware/ports/store.hpp"

namespace sts6::admin {

/// The module as administration needs it. Its functions are called inside with_module() only, but that one.
struct Services {
    Store& store;
    AdminStore& admin_store;
    AuditLimits audit_limits;
    /// Makes changes that were put durable, with their audit.
    std::function<Result<void>(AuditEvent, std::string_view)> commit;
    /// Latches the tampered state.
    std::function<Result<void>(std::string_view reason)> tamper;
    /// Destroys every key, with what was put.
    std::function<Result<void>(std::string_view officers)> zeroise;
    /// Module time.
    std::function<CivilTime()> now;
    /// What the daemon adds to a status, as a JSON object: firmware, HSM, error state, with its warnings.
    std::function<std::string()> status;
    /// OpenMetrics text.
    std::function<std::string()> metrics;
    /// Runs a function between two batches of commands and waits for it. False: the module has stopped.
    std::function<bool(const std::function<void()>&)> with_module;
};

/// Answers {"ok":true,...} or {"ok":false,"exit_code":n,"error":"a sentence"}.
[[nodiscard]] std::string answer(const Services& services, std::string_view request);

}  // namespace sts6::admin
