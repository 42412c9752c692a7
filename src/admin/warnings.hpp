// SPDX-License-Identifier: Apache-2.0
// What somebody should see to before it stops the module, as sentences.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "firmware/ports/admin_store.hpp"
#include "firmware/ports/audit.hpp"
#include "firmware/ports/store.hpp"

namespace sts6::admin {

using Warnings = std::vector<std::string>;

/// What stops a module as a whole, or some of its registers.
struct Condition {
    bool error_state = false;
    bool tampered = false;
    bool hsm_away = false;
    bool clock_behind = false;
    std::vector<std::uint32_t> quarantined;  ///< registers
};
void warn_of_condition(Warnings& warnings, const Condition& condition);

/// IUT or EXP in 30 days or less, or passed; less than a tenth of a limit left.
void warn_of_key(Warnings& warnings, const RegisterRow& row, CivilTime now);

/// EXP of the record passed: it gets no load request any more.
void warn_of_approval(Warnings& warnings, const KmcApproval& approval, CivilTime now);

/// A log that drops nothing unread is filled to more than 80 % with what waits to be acknowledged, or full.
/// Precondition: the capacity is 1000 at least.
void warn_of_audit(Warnings& warnings, const AuditHead& head, const AuditLimits& limits);

}  // namespace sts6::admin
