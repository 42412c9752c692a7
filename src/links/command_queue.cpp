// SPDX-License-Identifier: Apache-2.0
#include "src/links/command_queue.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sts6 {

void CommandQueue::push(std::shared_ptr<PendingCommand> command) {
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        queued_.push_back(std::move(command));
        wake = std::exchange(taker_waits_, false);
    }
    if (wake) ready_.notify_one();
}

void CommandQueue::push(std::vector<std::shared_ptr<PendingCommand>>& commands) {
    bool wake = false;
    if (!commands.empty()) {
        const std::lock_guard lock(mutex_);
        if (!closed_) {
            std::ranges::move(commands, std::back_inserter(queued_));
            wake = std::exchange(taker_waits_, false);
        }
    }
    commands.clear();
    if (wake) ready_.notify_one();
}

bool CommandQueue::take(std::vector<std::shared_ptr<PendingCommand>>& batch, std::size_t most) {
    batch.clear();
    std::unique_lock lock(mutex_);
    taker_waits_ = true;
    ready_.wait(lock, [this] { return closed_ || !queued_.empty() || !tasks_.empty(); });
    taker_waits_ = false;
    if (queued_.size() <= most) {
        batch.swap(queued_);
    } else {
        const auto end = queued_.begin() + static_cast<std::ptrdiff_t>(most);
        std::move(queued_.begin(), end, std::back_inserter(batch));
        queued_.erase(queued_.begin(), end);
    }
    return !batch.empty() || !tasks_.empty();
}

bool CommandQueue::push_task(std::function<void()> task) {
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return false;
        tasks_.push_back(std::move(task));
        wake = std::exchange(taker_waits_, false);
    }
    if (wake) ready_.notify_one();
    return true;
}

std::vector<std::function<void()>> CommandQueue::take_tasks() {
    const std::lock_guard lock(mutex_);
    return std::exchange(tasks_, {});
}

void CommandQueue::close() {
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    ready_.notify_one();
}

}  // namespace sts6
