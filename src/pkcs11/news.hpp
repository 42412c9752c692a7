// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>

namespace sts6::p11 {

/// Keeps a token that is looked for several times a second from filling the log: a line is news once a
/// minute. From any thread.
class News {
  public:
    using Clock = std::chrono::steady_clock;

    [[nodiscard]] bool is_news(const std::string& line, Clock::time_point now = Clock::now()) {
        const std::lock_guard lock(mutex_);
        const auto [said, first] = said_.try_emplace(line, now);
        if (!first && now < said->second + kInterval) return false;
        said->second = now;
        return true;
    }
    /// When the trouble is over: the next one is told from its beginning.
    void forget() {
        const std::lock_guard lock(mutex_);
        said_.clear();
    }

  private:
    static constexpr std::chrono::seconds kInterval{60};

    std::mutex mutex_;
    std::map<std::string, Clock::time_point> said_;
};

}  // namespace sts6::p11
