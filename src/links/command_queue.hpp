// SPDX-License-Identifier: Apache-2.0
// The way of commands from the links to the module thread. The way back is a handler on the links' loop.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "firmware/ports/exchange.hpp"

namespace sts6 {

/// A link's command in progress. From push() until released() the exchange belongs to the module thread.
struct PendingCommand {
    PendingCommand() = default;
    PendingCommand(const PendingCommand&) = delete;
    PendingCommand& operator=(const PendingCommand&) = delete;
    virtual ~PendingCommand() = default;

    /// The answer may leave. Called on the links' loop, once for each command that was taken, also a dropped
    /// one; the last reference to the command is given up there too.
    virtual void released() noexcept = 0;

    Exchange exchange;
    std::chrono::steady_clock::time_point arrived;
    std::atomic<bool> dropped = false;  ///< its link has closed: not to be executed
};

/// Any threads push, one takes. A link has one command in progress, which bounds the queue.
class CommandQueue {
  public:
    /// After close() the command is discarded.
    void push(std::shared_ptr<PendingCommand> command);
    /// The same for several, whose taker is woken once. Leaves `commands` empty.
    void push(std::vector<std::shared_ptr<PendingCommand>>& commands);

    /// Something else to do on the module thread, between two batches. False after close(): it is not done.
    [[nodiscard]] bool push_task(std::function<void()> task);
    /// The tasks that wait, for the taker.
    [[nodiscard]] std::vector<std::function<void()>> take_tasks();

    /// Waits for commands or tasks and replaces `batch` with the oldest of them, at most `most` (> 0), in
    /// order of arrival. False when the queue is closed and empty of both.
    [[nodiscard]] bool take(std::vector<std::shared_ptr<PendingCommand>>& batch, std::size_t most);

    /// Wakes the taker; what is queued can still be taken.
    void close();

  private:
    std::mutex mutex_;
    std::condition_variable ready_;
    std::vector<std::shared_ptr<PendingCommand>> queued_;
    std::vector<std::function<void()>> tasks_;
    bool taker_waits_ = false;
    bool closed_ = false;
};

}  // namespace sts6
