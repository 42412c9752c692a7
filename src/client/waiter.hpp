// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include <asio/error.hpp>
#include <asio/io_context.hpp>

#include "src/client/stream.hpp"

namespace sts6::client {

/// Waits for asynchronous operations, one at a time.
class Waiter {
  public:
    [[nodiscard]] asio::io_context& loop() noexcept { return loop_; }

    /// Runs one operation, whose handler gets an error and optionally a count, until it ends or the time is
    /// up; `cancel` then must make it end.
    template <class Start, class Cancel>
    Result<std::size_t> await(Deadline deadline, Start start, Cancel cancel) {
        asio::error_code error;
        std::size_t octets = 0;
        start([&](const asio::error_code& result, std::size_t count = 0) {
            error = result;
            octets = count;
        });
        loop_.restart();
        loop_.run_until(deadline);
        if (!loop_.stopped()) {
            cancel();
            loop_.run();
            if (error == asio::error::operation_aborted) return Unexpected{Errc::timed_out};
        }
        if (error) return Unexpected{Errc::io_failed};
        return octets;
    }

  private:
    asio::io_context loop_{1};
};

}  // namespace sts6::client
