// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/metrics_port.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>
#include <system_error>
#include <unordered_set>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>

namespace sts6 {

using asio::ip::tcp;

namespace {

constexpr std::size_t kLongestHead = 4096;
constexpr std::size_t kMostConnections = 8;
constexpr std::chrono::seconds kPatience{2};
constexpr std::chrono::milliseconds kAcceptRetry{100};

constexpr const char* kOpenMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
constexpr const char* kPlainText = "text/plain; charset=utf-8";

/// What is said instead of the metrics.
struct Refusal {
    const char* status;
    const char* sentence;
    const char* header = "";
};

constexpr Refusal kMalformed = {"400 Bad Request", "This is no HTTP/1 request.\n"};
constexpr Refusal kNotFound = {"404 Not Found", "There is only /metrics.\n"};
constexpr Refusal kNotAllowed = {"405 Method Not Allowed", "There is only GET.\n", "Allow: GET\r\n"};
constexpr Refusal kTooLong = {"431 Request Header Fields Too Large", "The request is too long.\n"};
constexpr Refusal kStopped = {"503 Service Unavailable", "The module has stopped.\n"};

/// None for GET /metrics.
std::optional<Refusal> refusal_of(std::string_view head) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    const std::size_t target = line.find(' ');
    const std::size_t version = line.rfind(' ');
    if (target == 0 || target == std::string_view::npos || version == target) return kMalformed;
    const std::string_view protocol = line.substr(version + 1);
    if (protocol != "HTTP/1.1" && protocol != "HTTP/1.0") return kMalformed;
    if (line.substr(target + 1, version - target - 1) != "/metrics") return kNotFound;
    if (line.substr(0, target) != "GET") return kNotAllowed;
    return std::nullopt;
}

std::string response_of(const char* status, const char* type, const char* header, const std::string& body) {
    return std::string("HTTP/1.1 ") + status + "\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + header +
           "Connection: close\r\n\r\n" + body;
}

}  // namespace

class MetricsPort::Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(tcp::socket socket, std::shared_ptr<Server> server)
        : socket_(std::move(socket)), server_(std::move(server)), timer_(socket_.get_executor()) {}

    void start() {
        limit_time();
        asio::async_read_until(socket_, asio::dynamic_buffer(head_, kLongestHead), "\r\n\r\n",
                               [self = shared_from_this()](const asio::error_code& error, std::size_t) {
                                   self->on_head(error);
                               });
    }
    void close();

  private:
    void on_head(const asio::error_code& error);
    void refuse(const Refusal& refusal) {
        respond(response_of(refusal.status, kPlainText, refusal.header, refusal.sentence));
    }
    void respond(std::string response);
    void drain();
    void limit_time();

    tcp::socket socket_;
    std::shared_ptr<Server> server_;  ///< none once closed
    asio::steady_timer timer_;
    std::string head_;
    std::string response_;
    std::array<char, 512> drained_{};
};

class MetricsPort::Server : public std::enable_shared_from_this<Server> {
  public:
    Server(asio::io_context& loop, const tcp::endpoint& endpoint, Ask ask)
        : ask_(std::move(ask)), acceptor_(loop, endpoint, /*reuse_addr=*/true), retry_timer_(loop) {}

    void accept() {
        acceptor_.async_accept(
            [self = shared_from_this()](const asio::error_code& error, tcp::socket socket) {
                self->on_accept(error, std::move(socket));
            });
    }
    void stop() {
        asio::error_code ignored;
        acceptor_.close(ignored);
        retry_timer_.cancel();
        while (!connections_.empty()) {
            const auto connection = *connections_.begin();
            connection->close();
        }
    }
    void forget(const std::shared_ptr<Connection>& connection) { connections_.erase(connection); }
    [[nodiscard]] bool ask(Take take) const { return ask_(std::move(take)); }
    [[nodiscard]] tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

  private:
    void on_accept(const asio::error_code& error, tcp::socket socket) {
        if (!acceptor_.is_open()) return;
        if (error) {
            // No descriptor is free: asking again at once would spin.
            retry_timer_.expires_after(kAcceptRetry);
            retry_timer_.async_wait([self = shared_from_this()](const asio::error_code& cancelled) {
                if (!cancelled && self->acceptor_.is_open()) self->accept();
            });
            return;
        }
        if (connections_.size() < kMostConnections) {
            (*connections_.insert(std::make_shared<Connection>(std::move(socket), shared_from_this())).first)
                ->start();
        }
        accept();
    }

    Ask ask_;
    tcp::acceptor acceptor_;
    asio::steady_timer retry_timer_;
    std::unordered_set<std::shared_ptr<Connection>> connections_;
};

void MetricsPort::Connection::on_head(const asio::error_code& error) {
    if (!server_) return;
    if (error == asio::error::not_found) {
        refuse(kTooLong);
        return;
    }
    if (error) {
        close();
        return;
    }
    if (const auto refusal = refusal_of(head_)) {
        refuse(*refusal);
        return;
    }
    // How long the module takes is not the client's fault.
    timer_.expires_at(asio::steady_timer::time_point::max());
    const bool asked = server_->ask([self = shared_from_this()](const std::string& text) {
        self->respond(response_of("200 OK", kOpenMetrics, "", text));
    });
    if (!asked) refuse(kStopped);
}

void MetricsPort::Connection::respond(std::string response) {
    if (!server_) return;
    response_ = std::move(response);
    limit_time();
    asio::async_write(socket_, asio::buffer(response_),
                      [self = shared_from_this()](const asio::error_code& error, std::size_t) {
                          if (!self->server_) return;
                          asio::error_code ignored;
                          self->socket_.shutdown(tcp::socket::shutdown_send, ignored);
                          if (error) {
                              self->close();
                          } else {
                              self->drain();
                          }
                      });
}

// A socket that is closed with octets unread resets the connection, and the client may lose its answer.
void MetricsPort::Connection::drain() {
    socket_.async_read_some(asio::buffer(drained_),
                            [self = shared_from_this()](const asio::error_code& error, std::size_t) {
                                if (!self->server_) return;
                                if (error) {
                                    self->close();
                                } else {
                                    self->drain();
                                }
                            });
}

void MetricsPort::Connection::limit_time() {
    timer_.expires_after(kPatience);
    timer_.async_wait([self = shared_from_this()](const asio::error_code& error) {
        // A wait that ended as the time was set anew does not count.
        if (!error && self->timer_.expiry() <= asio::steady_timer::clock_type::now()) self->close();
    });
}

void MetricsPort::Connection::close() {
    if (!server_) return;
    asio::error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
    // The server's reference may be the last one.
    const auto self = shared_from_this();
    std::exchange(server_, nullptr)->forget(self);
}

Outcome<MetricsPort> MetricsPort::open(asio::io_context& loop, const tcp::endpoint& endpoint, Ask ask) {
    try {
        auto server = std::make_shared<Server>(loop, endpoint, std::move(ask));
        server->accept();
        return MetricsPort(std::move(server));
    } catch (const std::system_error& failure) {
        return fail(failure.code() == asio::error::address_in_use ? Errc::in_use : Errc::io_failed,
                    "metrics: cannot listen on port " + std::to_string(endpoint.port()) + ": " +
                        failure.code().message());
    }
}

MetricsPort::~MetricsPort() {
    if (server_) server_->stop();
}

tcp::endpoint MetricsPort::endpoint() const {
    return server_->endpoint();
}

}  // namespace sts6
