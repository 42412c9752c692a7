// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "firmware/ports/exchange.hpp"
#include "src/links/command_queue.hpp"
#include "sts6/commands.hpp"

namespace sts6 {

/// What every link needs of the rest of the program. Outlives the links.
struct LinkServices {
    CommandQueue& queue;
    /// Answers a GL command: the echo, the reset, and the body check of a repeat.
    void (*answer_link_command)(const CommandRow&, Exchange&) noexcept;
    /// From then on every valid message is answered GL!ER58, those of the GL group by the link.
    std::function<bool()> in_error_state;
    /// Sends GL!ER without its envelope on an enveloped connection (docs/protocol.md).
    bool gler_unframed = false;
};

}  // namespace sts6
