// SPDX-License-Identifier: Apache-2.0
// Links over TCP, in clear or under TLS, for messages or APDUs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include "src/links/link.hpp"
#include "src/links/link_services.hpp"
#include "sts6/commands.hpp"
#include "sts6/result.hpp"

namespace sts6 {

class TlsServer;

struct ListenerSettings {
    enum class Carries : std::uint8_t { messages, apdus };

    std::string name = "tcp";  ///< for the log
    asio::ip::tcp::endpoint endpoint{};
    LinkRole role = LinkRole::vend;
    Carries carries = Carries::messages;
    std::shared_ptr<TlsServer> tls{};  ///< null: in clear
    LinkLimits limits{};
    std::size_t connections = 1024;
    /// At that number one that has asked nothing for `unused_enough`, or else nothing more for `idle_enough`,
    /// makes room for a new one: the longest idle. When there is none, the new one is closed at once.
    std::chrono::milliseconds unused_enough{10'000};
    std::chrono::milliseconds idle_enough{300'000};
    std::chrono::milliseconds accept_retry{100};  ///< after an accept that failed
};

/// Accepts connections and serves each as a link of its own. Everything happens on the thread that runs the
/// loop. The loop and the services must outlive the listener, and the loop every command in the queue.
class Listener {
  public:
    /// Binds and listens; port 0 takes a free one. Errors: in_use, permission (of the port), io_failed.
    [[nodiscard]] static Result<Listener> open(asio::io_context& loop, const ListenerSettings& settings,
                                               const LinkServices& services);

    Listener(Listener&&) noexcept = default;
    Listener& operator=(Listener&&) = delete;
    /// Drops every link, also those that close() has left to finish.
    // NOLINTNEXTLINE(bugprone-exception-escape): no step can fail; Asio declares it for timers.
    ~Listener();

    /// Where it listens, or listened.
    [[nodiscard]] asio::ip::tcp::endpoint endpoint() const;
    [[nodiscard]] std::size_t connections() const;

    /// Accepts no more and takes no further command. Idle links are closed, the others when the answer of
    /// their command in progress has left; the loop then runs out of work.
    void close();

  private:
    class Server;

    explicit Listener(std::shared_ptr<Server> server) : server_(std::move(server)) {}

    std::shared_ptr<Server> server_;
};

}  // namespace sts6
