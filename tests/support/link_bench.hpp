// SPDX-License-Identifier: Apache-2.0
// Links as in the daemon, with a thread in the module's place.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include "firmware/commands/link.hpp"
#include "src/links/command_queue.hpp"
#include "src/links/link_services.hpp"
#include "sts6/frame.hpp"

namespace sts6::test {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

inline constexpr auto kPatience = 20s;

inline const std::string kIdentify = "SM?DI9A51\r";
inline const std::string kIdentity = "SM!DI00PSOFTSM01~PSTS6-001~8AB4\r";
inline const std::string kEcho = "GL?EC00005123451F7F\r";
inline const std::string kEchoed = "GL!EC00005123450157\r";
inline const std::string kDamaged = "GL!ER20A624\r";

inline std::string framed(std::string_view message, bool enveloped = false) {
    std::string out(message.size() + frame::overhead(enveloped), '\0');
    frame::encode(message, enveloped, out);
    return out;
}

inline bool eventually(const std::function<bool()>& holds) {
    const auto end = SteadyClock::now() + kPatience;
    while (!holds()) {
        if (SteadyClock::now() > end) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

/// Answers SM?DI as the page does, any other SM? command with its own body, and the rest with GL!ER21.
inline void answer(Exchange& exchange) {
    Answer& out = exchange.answer;
    const bool known = exchange.message.starts_with("SM?");
    if (!known) {
        out.set_link_error(Status::invalid_request_header);
        return;
    }
    const std::string_view body =
        exchange.message == "SM?DI" ? "PSOFTSM01~PSTS6-001~" : exchange.message.substr(5);
    out.set_status(Status::successful);
    std::ranges::copy(body, out.body_buffer().begin());
    out.set_body_size(body.size());
}

/// The loop's thread and the module's. Links are opened, and end, on the loop.
class LinkBench {
  public:
    LinkBench() {
        work_.emplace(loop_.get_executor());
        loop_thread_ = std::thread([this] { loop_.run(); });
        module_thread_ = std::thread([this] { run_module(); });
    }
    LinkBench(const LinkBench&) = delete;
    LinkBench& operator=(const LinkBench&) = delete;
    ~LinkBench() {
        end([] {});
    }

    /// `last`, on the loop unless that has ended, and the end of both threads. For the destructor of who
    /// holds links.
    void end(std::function<void()> last) {
        if (!loop_thread_.joinable()) return;
        asio::post(loop_, std::move(last));
        queue_.close();
        module_thread_.join();
        work_.reset();
        loop_thread_.join();
    }

    /// Runs on the loop and waits for the result.
    template <class Function>
    auto on_loop(Function function) {
        std::packaged_task<decltype(function())()> task(std::move(function));
        auto result = task.get_future();
        asio::post(loop_, std::move(task));
        return result.get();
    }
    /// From then on the loop ends when the links have nothing to do.
    void release_loop() { work_.reset(); }
    [[nodiscard]] bool loop_ended() const { return loop_.stopped(); }

    asio::io_context& loop() { return loop_; }
    LinkServices& services() { return services_; }

    std::mutex held;  ///< while a test holds it, the module takes commands and executes none
    std::atomic<std::size_t> taken = 0;
    std::atomic<std::size_t> executed = 0;
    std::atomic<std::size_t> dropped = 0;
    std::atomic<bool> late = false;
    std::atomic<std::size_t> full_role = 0;  ///< commands of links that may do everything

  private:
    void run_module() {
        std::vector<std::shared_ptr<PendingCommand>> batch;
        while (queue_.take(batch, 16)) {
            taken += batch.size();
            { const std::lock_guard passing(held); }
            for (const auto& command : batch) {
                if (command->arrived > SteadyClock::now()) late = true;
                if (command->dropped) {
                    ++dropped;
                } else {
                    if (command->exchange.role == LinkRole::full) ++full_role;
                    answer(command->exchange);
                    ++executed;
                }
            }
            asio::post(loop_, [released = std::move(batch)] {
                for (const auto& command : released) command->released();
            });
            batch = {};
        }
    }

    CommandQueue queue_;
    LinkServices services_{queue_, &commands::answer_link_command, [] { return false; }};
    asio::io_context loop_{1};
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
    std::thread loop_thread_;
    std::thread module_thread_;
};

}  // namespace sts6::test
