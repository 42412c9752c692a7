// SPDX-License-Identifier: Apache-2.0
#include "src/links/tcp_link.hpp"

#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <vector>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include "src/links/link_protocol.hpp"

namespace sts6 {

using asio::ip::tcp;
using SteadyClock = std::chrono::steady_clock;

namespace {

/// Lets one log line of its kind through in ten seconds.
class LogLimit {
  public:
    [[nodiscard]] bool due() noexcept {
        const auto now = SteadyClock::now();
        if (now < next_) return false;
        next_ = now + std::chrono::seconds(10);
        return true;
    }

  private:
    SteadyClock::time_point next_{};
};

Errc errc_of(const std::error_code& error) noexcept {
    if (error == asio::error::address_in_use) return Errc::in_use;
    if (error == asio::error::access_denied) return Errc::permission;
    return Errc::io_failed;
}

}  // namespace

/// One connection, and its own pending command. The server holds it until it is closed; what the loop has
/// still to call, and the queue, hold it beyond that.
class TcpLink final : public PendingCommand, public std::enable_shared_from_this<TcpLink> {
  public:
    TcpLink(tcp::socket socket, std::shared_ptr<TcpListener::Server> server);

    void start();
    void released() noexcept override;
    /// Takes no further command, and closes when nothing is in progress.
    void finish();
    void close();

  private:
    [[nodiscard]] bool busy() const noexcept { return protocol_.in_progress() || !unsent_.empty(); }
    void read();
    void on_read(const std::error_code& error, std::size_t size);
    void advance();
    void submit();
    void send(std::string_view octets);
    void wait_writable();
    void on_written(const std::error_code& error, std::size_t size);
    void watch_stall();

    tcp::socket socket_;
    std::shared_ptr<TcpListener::Server> server_;  ///< none once closed
    LinkProtocol protocol_;
    std::string_view unsent_;  ///< what is left of the answer being sent
    SteadyClock::time_point last_octet_;
    SteadyClock::time_point stalled_at_;  ///< the answer being sent has to go on before
    asio::steady_timer stall_timer_;
    bool reading_ = false;
    bool input_full_ = false;
    bool input_ended_ = false;
    bool finishing_ = false;
};

class TcpListener::Server : public std::enable_shared_from_this<Server> {
  public:
    Server(asio::io_context& loop, const tcp::endpoint& endpoint, LinkRole role, LinkServices& services,
           const TcpLimits& limits)
        : role_(role),
          services_(services),
          limits_(limits),
          acceptor_(loop, endpoint, /*reuse_addr=*/true),
          endpoint_(acceptor_.local_endpoint()),
          retry_timer_(loop) {}

    void accept();
    void stop_accepting();
    void finish_links();
    void drop_links();
    void submit(std::shared_ptr<PendingCommand> command);
    void hand_over() { services_.queue.push(submitted_); }
    void forget(const std::shared_ptr<TcpLink>& link) { links_.erase(link); }

    [[nodiscard]] LinkRole role() const noexcept { return role_; }
    [[nodiscard]] LinkServices& services() const noexcept { return services_; }
    [[nodiscard]] const TcpLimits& limits() const noexcept { return limits_; }
    [[nodiscard]] const tcp::endpoint& endpoint() const noexcept { return endpoint_; }
    [[nodiscard]] std::size_t connections() const noexcept { return links_.size(); }

  private:
    void on_accept(const std::error_code& error, tcp::socket socket);
    void welcome(tcp::socket socket);
    void accept_later();

    LinkRole role_;
    LinkServices& services_;
    TcpLimits limits_;
    tcp::acceptor acceptor_;
    tcp::endpoint endpoint_;
    asio::steady_timer retry_timer_;
    std::unordered_set<std::shared_ptr<TcpLink>> links_;
    std::vector<std::shared_ptr<PendingCommand>> submitted_;
    LogLimit accept_errors_;
    LogLimit refusals_;
};

TcpLink::TcpLink(tcp::socket socket, std::shared_ptr<TcpListener::Server> server)
    : socket_(std::move(socket)),
      server_(std::move(server)),
      protocol_(server_->services(), server_->role()),
      stall_timer_(socket_.get_executor()) {
}

void TcpLink::start() {
    // A connection that refuses an option still serves.
    std::error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.set_option(tcp::socket::keep_alive(true), ignored);
    socket_.non_blocking(true, ignored);
    last_octet_ = SteadyClock::now();
    read();
}

// Goes on while a command is in progress: that is how the end of the connection shows.
void TcpLink::read() {
    if (!server_ || reading_ || input_ended_) return;
    const auto space = protocol_.input_space();
    if (space.empty()) {
        input_full_ = true;
        return;
    }
    // Octets that had to wait in the socket are no silence.
    if (std::exchange(input_full_, false)) last_octet_ = SteadyClock::now();
    reading_ = true;
    socket_.async_read_some(asio::buffer(space.data(), space.size()),
                            [self = shared_from_this()](const std::error_code& error, std::size_t size) {
                                self->on_read(error, size);
                            });
}

void TcpLink::on_read(const std::error_code& error, std::size_t size) {
    reading_ = false;
    if (!server_) return;
    if (error == asio::error::eof) {
        input_ended_ = true;
        protocol_.silence();
    } else if (error) {
        close();
        return;
    } else {
        const auto now = SteadyClock::now();
        if (now - last_octet_ >= server_->limits().silence) protocol_.silence();
        last_octet_ = now;
        protocol_.received(size);
    }
    advance();
}

void TcpLink::advance() {
    while (server_ && !busy()) {
        if (finishing_) {
            close();
            return;
        }
        const LinkStep step = protocol_.next(exchange);
        if (step.kind == LinkStep::Kind::send) {
            send(step.octets);
        } else if (step.kind == LinkStep::Kind::command) {
            submit();
        } else if (input_ended_) {
            close();
        } else {
            break;
        }
    }
    read();
}

void TcpLink::submit() {
    arrived = SteadyClock::now();
    server_->submit(shared_from_this());
}

void TcpLink::released() noexcept {
    try {
        if (!server_) return;
        send(protocol_.release(exchange));
        advance();
    } catch (...) {
        // No memory to wait with. The reading side, when it waits, sees the end and closes the link.
        std::error_code ignored;
        socket_.shutdown(tcp::socket::shutdown_both, ignored);
    }
}

// Most answers fit the socket's buffer and leave at once.
void TcpLink::send(std::string_view octets) {
    std::error_code error;
    const std::size_t size = socket_.write_some(asio::buffer(octets.data(), octets.size()), error);
    if (error && error != asio::error::would_block) {
        close();
        return;
    }
    unsent_ = octets.substr(size);
    if (!unsent_.empty()) wait_writable();
}

void TcpLink::wait_writable() {
    watch_stall();
    socket_.async_write_some(asio::buffer(unsent_.data(), unsent_.size()),
                             [self = shared_from_this()](const std::error_code& error, std::size_t size) {
                                 self->on_written(error, size);
                             });
}

void TcpLink::on_written(const std::error_code& error, std::size_t size) {
    if (!server_) return;
    if (error) {
        close();
        return;
    }
    unsent_.remove_prefix(size);
    if (!unsent_.empty()) {
        wait_writable();
        return;
    }
    stall_timer_.cancel();
    advance();
}

void TcpLink::watch_stall() {
    stalled_at_ = SteadyClock::now() + server_->limits().write_stall;
    stall_timer_.expires_at(stalled_at_);
    stall_timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
        // A wait that ended as the write went on does not count.
        if (error || !self->server_ || self->unsent_.empty() || SteadyClock::now() < self->stalled_at_)
            return;
        spdlog::info("tcp: a client does not read its answer: connection closed");
        self->close();
    });
}

void TcpLink::finish() {
    finishing_ = true;
    if (!busy()) close();
}

void TcpLink::close() {
    if (!server_) return;
    dropped.store(true, std::memory_order_relaxed);
    std::error_code ignored;
    socket_.close(ignored);
    stall_timer_.cancel();
    // The server's reference may be the last one.
    const auto self = shared_from_this();
    std::exchange(server_, nullptr)->forget(self);
}

void TcpListener::Server::accept() {
    acceptor_.async_accept([self = shared_from_this()](const std::error_code& error, tcp::socket socket) {
        self->on_accept(error, std::move(socket));
    });
}

void TcpListener::Server::on_accept(const std::error_code& error, tcp::socket socket) {
    if (!acceptor_.is_open()) return;
    if (error) {
        if (accept_errors_.due()) spdlog::warn("tcp: cannot accept a connection: " + error.message());
        accept_later();
        return;
    }
    welcome(std::move(socket));
    accept();
}

void TcpListener::Server::welcome(tcp::socket socket) {
    if (links_.size() >= limits_.connections) {
        if (refusals_.due())
            spdlog::warn("tcp: more than " + std::to_string(limits_.connections) + " connections: refused");
        return;
    }
    (*links_.insert(std::make_shared<TcpLink>(std::move(socket), shared_from_this())).first)->start();
}

// No descriptor or memory is free: asking again at once would spin.
void TcpListener::Server::accept_later() {
    retry_timer_.expires_after(limits_.accept_retry);
    retry_timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
        if (!error && self->acceptor_.is_open()) self->accept();
    });
}

// What one turn of the loop brings is handed over as a whole: one wake of the module thread, one batch.
void TcpListener::Server::submit(std::shared_ptr<PendingCommand> command) {
    submitted_.push_back(std::move(command));
    if (submitted_.size() > 1) return;
    asio::post(acceptor_.get_executor(), [self = shared_from_this()] { self->hand_over(); });
}

void TcpListener::Server::stop_accepting() {
    std::error_code ignored;
    acceptor_.close(ignored);
    retry_timer_.cancel();
}

void TcpListener::Server::finish_links() {
    const std::vector<std::shared_ptr<TcpLink>> links(links_.begin(), links_.end());
    for (const auto& link : links) link->finish();
}

void TcpListener::Server::drop_links() {
    submitted_.clear();
    while (!links_.empty()) {
        const auto link = *links_.begin();
        link->close();
    }
}

Result<TcpListener> TcpListener::open(asio::io_context& loop, const tcp::endpoint& endpoint, LinkRole role,
                                      LinkServices& services, const TcpLimits& limits) {
    try {
        auto server = std::make_shared<Server>(loop, endpoint, role, services, limits);
        server->accept();
        return TcpListener(std::move(server));
    } catch (const std::system_error& failure) {
        spdlog::error("tcp: cannot listen on port " + std::to_string(endpoint.port()) + ": " +
                      failure.code().message());
        return Unexpected{errc_of(failure.code())};
    }
}

TcpListener::~TcpListener() {
    if (!server_) return;
    server_->stop_accepting();
    server_->drop_links();
}

tcp::endpoint TcpListener::endpoint() const {
    return server_->endpoint();
}

std::size_t TcpListener::connections() const {
    return server_->connections();
}

void TcpListener::close() {
    server_->stop_accepting();
    server_->hand_over();  // the caller may close the queue next
    server_->finish_links();
}

}  // namespace sts6
