// SPDX-License-Identifier: Apache-2.0
// What a running module counts, and the OpenMetrics text of it. Everything on the module thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "firmware/module/module.hpp"
#include "firmware/ports/store.hpp"
#include "sts6/commands.hpp"
#include "sts6/status.hpp"

namespace sts6 {

/// Executed commands by header and status, and how long they took. Counting allocates nothing, and keeps
/// nothing of a message but which row of the command table it is.
class CommandCounts {
  public:
    /// Upper bounds in milliseconds; one more bucket takes what is longer.
    static constexpr std::array<std::uint32_t, 12> kBounds = {1,   2,   5,   10,   20,   50,
                                                              100, 200, 500, 1000, 2000, 4000};
    static constexpr std::size_t kRows = kCommandTable.size() + 1;  ///< the last: a header of no row

    /// `latency` is the time from the link to the link.
    void add(std::string_view message, Status status, std::chrono::microseconds latency) noexcept;
    void add_batch() noexcept { ++batches_; }

    [[nodiscard]] std::uint64_t count(std::size_t row, Status status) const noexcept {
        return counts_[row][static_cast<std::uint8_t>(status)];
    }
    [[nodiscard]] const std::array<std::uint64_t, kBounds.size() + 1>& latencies() const noexcept {
        return latencies_;
    }
    [[nodiscard]] std::chrono::microseconds latency_sum() const noexcept { return latency_sum_; }
    [[nodiscard]] std::uint64_t batches() const noexcept { return batches_; }

  private:
    std::array<std::array<std::uint64_t, 256>, kRows> counts_{};
    std::array<std::uint64_t, kBounds.size() + 1> latencies_{};
    std::chrono::microseconds latency_sum_{};
    std::uint64_t batches_ = 0;
};

/// The module at one moment.
struct ModuleReading {
    std::uint64_t tokens_issued = 0;
    std::vector<RegisterRow> registers;
    AuditHead audit;
    bool error_state = false;
    bool tampered = false;
    bool hsm_connected = false;
};
[[nodiscard]] ModuleReading read_module(Module& module, Store& store, bool hsm_connected);

/// docs/formats.md, Metrics.
[[nodiscard]] std::string openmetrics_text(const CommandCounts& counts, const ModuleReading& module);

}  // namespace sts6
