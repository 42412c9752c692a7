// SPDX-License-Identifier: Apache-2.0
#include "src/links/command_inlet.hpp"

#include <utility>

#include <asio/post.hpp>

namespace sts6 {

void CommandInlet::submit(std::shared_ptr<PendingCommand> command) {
    submitted_.push_back(std::move(command));
    if (submitted_.size() > 1) return;
    asio::post(loop_, [self = shared_from_this()] { self->hand_over(); });
}

}  // namespace sts6
