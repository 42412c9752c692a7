// SPDX-License-Identifier: Apache-2.0
// Links over TCP: raw lines or envelopes, told apart by each connection's first octets (docs/protocol.md).
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include "src/links/link_services.hpp"
#include "sts6/commands.hpp"
#include "sts6/result.hpp"

namespace sts6 {

struct TcpLimits {
    std::size_t connections = 1024;                ///< a further one is closed at once
    std::chrono::milliseconds silence{2000};       ///< then an unfinished message is dropped
    std::chrono::milliseconds write_stall{30000};  ///< a client that takes no octet so long is closed
    std::chrono::milliseconds accept_retry{100};   ///< after an accept that failed
};

/// Accepts connections and serves each as a link of its own. Everything happens on the thread that runs the
/// loop. The loop and the services must outlive the listener, and the loop every command in the queue.
class TcpListener {
  public:
    /// Binds and listens; port 0 takes a free one. Errors: in_use, permission (of the port), io_failed.
    [[nodiscard]] static Result<TcpListener> open(asio::io_context& loop,
                                                  const asio::ip::tcp::endpoint& endpoint, LinkRole role,
                                                  LinkServices& services, const TcpLimits& limits = {});

    TcpListener(TcpListener&&) noexcept = default;
    TcpListener& operator=(TcpListener&&) = delete;
    /// Drops every link, also those that close() has left to finish.
    // NOLINTNEXTLINE(bugprone-exception-escape): no step can fail; Asio declares it for timers.
    ~TcpListener();

    /// Where it listens, or listened.
    [[nodiscard]] asio::ip::tcp::endpoint endpoint() const;
    [[nodiscard]] std::size_t connections() const;

    /// Accepts no more and takes no further command. Idle links are closed, the others when the answer of
    /// their command in progress has left; the loop then runs out of work.
    void close();

  private:
    class Server;
    friend class TcpLink;

    explicit TcpListener(std::shared_ptr<Server> server) : server_(std::move(server)) {}

    std::shared_ptr<Server> server_;
};

}  // namespace sts6
