// SPDX-License-Identifier: Apache-2.0
// The GL group, which a link answers without the module thread. GL?RR is the link's own: it holds the last
// answer.
#pragma once

#include "firmware/ports/exchange.hpp"
#include "sts6/commands.hpp"

namespace sts6::commands {

/// Answers GL?EC and GL?RS, and the body of a GL?RR (which must be empty): 02 when it is not as the table
/// says.
void answer_link_command(const CommandRow& row, Exchange& exchange) noexcept;

}  // namespace sts6::commands
