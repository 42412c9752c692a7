// SPDX-License-Identifier: Apache-2.0
// The one thread that executes commands.
#pragma once

#include <chrono>
#include <span>
#include <thread>

#include <asio/io_context.hpp>

#include "firmware/module/module.hpp"
#include "src/daemon/metrics.hpp"
#include "src/links/command_queue.hpp"

namespace sts6 {

/// Takes whatever has queued as one batch, lets the module execute it, and hands the answers back to the
/// links' loop when what they changed is durable.
class ModuleThread {
  public:
    /// Starts the thread. The references must outlive it; the counts belong to the thread.
    ModuleThread(Module& module, CommandQueue& queue, asio::io_context& loop, CommandCounts& counts);
    ModuleThread(const ModuleThread&) = delete;
    ModuleThread& operator=(const ModuleThread&) = delete;
    /// Closes the queue and executes what is in it.
    ~ModuleThread();

  private:
    void run() noexcept;
    void count_commands(std::span<Exchange* const> exchanges,
                        std::span<const std::chrono::steady_clock::time_point> arrivals) noexcept;

    Module& module_;
    CommandQueue& queue_;
    asio::io_context& loop_;
    CommandCounts& counts_;
    std::thread thread_;
};

}  // namespace sts6
