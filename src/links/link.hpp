// SPDX-License-Identifier: Apache-2.0
// One link: it moves octets between a stream and its protocol, and commands to the module and back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include "src/links/command_queue.hpp"
#include "src/links/link_protocol.hpp"

namespace sts6 {

struct LinkLimits {
    std::chrono::milliseconds silence{2000};       ///< then an unfinished message is dropped
    std::chrono::milliseconds write_stall{30000};  ///< a client that takes no octet so long is given up
    std::chrono::milliseconds idle{0};             ///< without a request so long it is closed; 0 = never
    std::uint32_t requests_per_s = 0;              ///< more have to wait; 0 = any number
};

class Link;

/// What opened a link and holds it. Everything happens on the loop's thread.
class LinkHost {
  public:
    LinkHost() = default;
    LinkHost(const LinkHost&) = delete;
    LinkHost& operator=(const LinkHost&) = delete;
    virtual ~LinkHost() = default;

    /// The link's command goes to the module.
    virtual void submit(std::shared_ptr<PendingCommand> command) = 0;
    /// The link is closed.
    virtual void forget(const std::shared_ptr<Link>& link) = 0;
    [[nodiscard]] virtual const LinkLimits& limits() const noexcept = 0;
    /// For the log: "tcp".
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
};

/// The host holds it until it is closed; what the loop has still to call, and the queue, hold it beyond that.
/// A stream is what derives from it.
class Link : public PendingCommand, public std::enable_shared_from_this<Link> {
  public:
    /// Begins to serve.
    virtual void start();
    void released() noexcept override;
    /// Takes no further command, and closes when nothing is in progress.
    void finish();
    void close();

    /// A request is being executed or its answer is being sent.
    [[nodiscard]] bool busy() const noexcept;
    /// A request has come.
    [[nodiscard]] bool used() const noexcept { return used_; }
    /// When the last request came, or the link was opened.
    [[nodiscard]] std::chrono::steady_clock::time_point idle_since() const noexcept { return idle_since_; }

  protected:
    using Time = std::chrono::steady_clock::time_point;

    Link(asio::any_io_executor executor, std::shared_ptr<LinkHost> host);

    /// Once, before octets move.
    void speak(std::unique_ptr<LinkProtocol> protocol) { protocol_ = std::move(protocol); }
    [[nodiscard]] bool closed() const noexcept { return host_ == nullptr; }
    [[nodiscard]] LinkHost& host() noexcept { return *host_; }

    /// Starts a read, which ends in on_read().
    virtual void read_some(std::span<char> space) = 0;
    /// Writes what can leave at once.
    [[nodiscard]] virtual std::size_t write_now(std::string_view octets, std::error_code& error) = 0;
    /// Starts a write, which ends in on_written().
    virtual void write_some(std::string_view octets) = 0;
    virtual void close_stream() noexcept = 0;
    /// The stream has failed, or a read has found its end and all answers have left.
    virtual void broken() { close(); }
    /// The client has taken nothing of an answer for `write_stall`.
    virtual void stalled() { broken(); }

    /// asio::error::eof is the end of the input.
    void on_read(const std::error_code& error, std::size_t size);
    void on_written(const std::error_code& error, std::size_t size);
    /// What was being sent and what is incomplete end with a broken stream; a command in progress does not.
    void give_up();
    /// Goes on after a new stream has taken the place of a broken one, of which nothing is under way any
    /// more.
    void resume();
    /// From then on the link is closed when no request has come for `limit`; 0 = never.
    void watch_idle(std::chrono::milliseconds limit);

  private:
    void read();
    void advance();
    void count_request();
    [[nodiscard]] bool must_wait();
    void submit();
    void send(std::string_view octets);
    void wait_writable();
    void watch_stall();
    void on_idle_timer();

    std::shared_ptr<LinkHost> host_;  ///< none once closed
    std::unique_ptr<LinkProtocol> protocol_;
    std::string_view unsent_;  ///< what is left of the answer being sent
    Time last_octet_;
    Time idle_since_;
    Time stalled_at_;    ///< the answer being sent has to go on before
    Time next_request_;  ///< when the next request would come at the highest steady rate
    asio::steady_timer stall_timer_;
    asio::steady_timer rate_timer_;
    asio::steady_timer idle_timer_;
    std::chrono::milliseconds idle_limit_{0};
    bool used_ = false;
    bool reading_ = false;
    bool waiting_ = false;  ///< for rate_timer_
    bool input_full_ = false;
    bool input_ended_ = false;
    bool finishing_ = false;
};

}  // namespace sts6
