// SPDX-License-Identifier: Apache-2.0
// Clients that vend and write down what they asked for and what they were given, and the audit log's account
// of the same.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/crash/site.hpp"

namespace sts6::crash {

enum class Kind : std::uint8_t { units, currency, management };

struct Request {
    Kind kind{};
    std::uint32_t amount = 0;
    bool acknowledged = false;
};

struct Counters {
    std::uint64_t tokens = 0;    ///< SM?CQ
    std::uint64_t units = 0;     ///< XUL of SM?GA
    std::uint64_t currency = 0;  ///< XCL of SM?GA
    bool operator==(const Counters&) const = default;
};
/// Of register 1 of the module that runs.
Counters counters_of(const Site& site);

/// Every request ever sent to a module, by its TID: each has another. For concurrent use.
class Ledger {
  public:
    Ledger() = default;
    /// A branch, for a module that is put back to where it was.
    Ledger(const Ledger& other);
    Ledger& operator=(const Ledger&) = delete;

    /// The next command, in turn for units, for currency and for no credit at all; noted before it is sent.
    struct Next {
        std::uint32_t tid = 0;
        std::string command;
    };
    Next next();
    void acknowledge(std::uint32_t tid);

    [[nodiscard]] std::size_t sent() const;
    [[nodiscard]] std::size_t acknowledged() const { return acknowledged_; }

    /// Holds the audit log of the dead module against what was asked for and what was given: what the
    /// counters must be now. Requests that were in flight and came to nothing are forgotten; `in_flight`, if
    /// given, is how many tokens were made whose answers never came.
    Counters check(const std::vector<std::string>& audit, const Counters& initial,
                   std::size_t* in_flight = nullptr);

  private:
    mutable std::mutex mutex_;
    std::map<std::uint32_t, Request> requests_;
    std::uint32_t last_tid_ = 0;
    std::atomic<std::size_t> acknowledged_ = 0;
};

/// Vends as fast as it goes in so many connections, until they end.
class Clients {
  public:
    Clients(const Site& site, Ledger& ledger, std::size_t count);
    Clients(const Clients&) = delete;
    Clients& operator=(const Clients&) = delete;
    /// Waits for them.
    ~Clients();

    /// When the first answer came; none while none came.
    [[nodiscard]] std::optional<Clock::time_point> first_answer() const;
    /// Answers other than 00.
    [[nodiscard]] std::size_t refused() const { return refused_; }

  private:
    void run(const std::string& url);

    Ledger& ledger_;
    std::atomic<Clock::rep> first_ = 0;
    std::atomic<std::size_t> refused_ = 0;
    std::vector<std::thread> threads_;
};

/// A site with one key that has both limits, in register 1, and nothing vended.
void load_limited_key(Site& site);

}  // namespace sts6::crash
