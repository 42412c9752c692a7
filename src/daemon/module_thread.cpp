// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/module_thread.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include <asio/post.hpp>
#include <spdlog/spdlog.h>

namespace sts6 {

namespace {

// Clients give up after 5 s at most: what waited this long is not executed.
constexpr std::chrono::seconds kLongestWait{4};

}  // namespace

ModuleThread::ModuleThread(Module& module, CommandQueue& queue, asio::io_context& loop, CommandCounts& counts)
    : module_(module), queue_(queue), loop_(loop), counts_(counts), thread_([this] { run(); }) {
}

ModuleThread::~ModuleThread() {
    // An exception that ends the loop comes here without a stop.
    queue_.close();
    thread_.join();
}

/// While the exchanges are still this thread's.
void ModuleThread::count_commands(std::span<Exchange* const> exchanges,
                                  std::span<const std::chrono::steady_clock::time_point> arrivals) noexcept {
    if (exchanges.empty()) return;
    const auto now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < exchanges.size(); ++i) {
        counts_.add(exchanges[i]->message, exchanges[i]->answer.status(),
                    std::chrono::duration_cast<std::chrono::microseconds>(now - arrivals[i]));
    }
    counts_.add_batch();
}

void ModuleThread::run() noexcept {
    std::vector<std::shared_ptr<PendingCommand>> batch;
    std::array<Exchange*, Module::kMaxBatch> exchanges{};
    std::array<std::chrono::steady_clock::time_point, Module::kMaxBatch> arrivals{};
    while (queue_.take(batch, Module::kMaxBatch)) {
        const auto now = std::chrono::steady_clock::now();
        std::size_t count = 0;
        for (const auto& command : batch) {
            if (command->dropped) continue;
            command->exchange.expired = now - command->arrived > kLongestWait;
            arrivals[count] = command->arrived;
            exchanges[count++] = &command->exchange;
        }
        const bool was_in_error_state = module_.in_error_state();
        module_.execute(std::span(exchanges).first(count));
        if (module_.in_error_state() && !was_in_error_state) {
            spdlog::critical(
                "a change could not be made durable: the module is in its error state and "
                "answers GL!ER58 only, until it is started anew");
        }
        for (const auto& task : queue_.take_tasks()) task();
        count_commands(std::span(exchanges).first(count), arrivals);
        asio::post(loop_, [released = std::move(batch)] {
            for (const auto& command : released) command->released();
        });
        batch.clear();
    }
}

}  // namespace sts6
