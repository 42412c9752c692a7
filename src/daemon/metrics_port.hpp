// SPDX-License-Identifier: Apache-2.0
// Metrics over HTTP, for this machine: GET /metrics and nothing else.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include "src/daemon/failure.hpp"

namespace sts6 {

/// Everything happens on the thread that runs the loop, which must outlive the port. A connection gets one
/// answer; one that is slow is closed after two seconds, a ninth at once.
class MetricsPort {
  public:
    /// Takes the text, on the loop.
    using Take = std::function<void(const std::string& text)>;
    /// Asks for the text without waiting for it. False: there will be none.
    using Ask = std::function<bool(Take)>;

    /// Binds and listens; port 0 takes a free one.
    [[nodiscard]] static Outcome<MetricsPort> open(asio::io_context& loop,
                                                   const asio::ip::tcp::endpoint& endpoint, Ask ask);

    MetricsPort(MetricsPort&&) noexcept = default;
    MetricsPort& operator=(MetricsPort&&) = delete;
    /// Closes every connection.
    ~MetricsPort();

    [[nodiscard]] asio::ip::tcp::endpoint endpoint() const;

  private:
    class Server;
    class Connection;

    explicit MetricsPort(std::shared_ptr<Server> server) : server_(std::move(server)) {}

    std::shared_ptr<Server> server_;
};

}  // namespace sts6
