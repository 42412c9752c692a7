// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include <asio/io_context.hpp>

#include "src/links/command_queue.hpp"

namespace sts6 {

/// What one turn of the loop brings is handed over as a whole: one wake of the module thread, one batch.
class CommandInlet : public std::enable_shared_from_this<CommandInlet> {
  public:
    CommandInlet(asio::io_context& loop, CommandQueue& queue) : loop_(loop), queue_(queue) {}

    void submit(std::shared_ptr<PendingCommand> command);
    /// Now: the queue may be closed next.
    void hand_over() { queue_.push(submitted_); }
    void discard() { submitted_.clear(); }

  private:
    asio::io_context& loop_;
    CommandQueue& queue_;
    std::vector<std::shared_ptr<PendingCommand>> submitted_;
};

}  // namespace sts6
