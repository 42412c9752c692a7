// SPDX-License-Identifier: Apache-2.0
// A client's end of a stream, without any protocol.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <asio/ip/tcp.hpp>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sts6::test {

using asio::ip::tcp;

/// A descriptor's life.
class Descriptor {
  public:
    explicit Descriptor(int value) : value_(value) {}
    Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
    Descriptor& operator=(Descriptor&&) = delete;
    ~Descriptor() { reset(); }
    void reset() {
        if (value_ >= 0) ::close(value_);
        value_ = -1;
    }
    [[nodiscard]] int value() const { return value_; }

  private:
    int value_;
};

/// Fails by exception: not every thread may use the test's macros.
class RawClient {
  public:
    RawClient() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
    explicit RawClient(const tcp::endpoint& server) : RawClient() {
        if (!connect(server)) throw std::runtime_error("cannot connect");
    }

    bool connect(const tcp::endpoint& server) {
        const int on = 1;
        ::setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return ::connect(fd(), server.data(), static_cast<socklen_t>(server.size())) == 0;
    }
    void send(std::string_view octets) {
        if (::send(fd(), octets.data(), octets.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(octets.size())) {
            throw std::runtime_error("cannot send");
        }
    }
    /// The next octets, to the CR of a line; shorter when the connection ends.
    std::string line() {
        std::string got;
        while (got.empty() || got.back() != '\r') {
            const auto octet = receive();
            if (!octet) break;
            got += *octet;
        }
        return got;
    }
    std::string rest() {
        std::string got;
        while (const auto octet = receive()) got += *octet;
        return got;
    }
    std::string ask(std::string_view request) {
        send(request);
        return line();
    }
    /// True when the connection ends, orderly or not, with nothing more received.
    bool ended() { return !receive(); }
    void end_output() { ::shutdown(fd(), SHUT_WR); }
    void reset() {
        const linger now{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        socket_.reset();
    }
    [[nodiscard]] int fd() const { return socket_.value(); }

  private:
    std::optional<char> receive() {
        if (next_ == received_) {
            pollfd ready{.fd = fd(), .events = POLLIN, .revents = 0};
            const auto patience_ms = std::chrono::milliseconds(std::chrono::seconds(20)).count();
            if (::poll(&ready, 1, static_cast<int>(patience_ms)) != 1) throw std::runtime_error("no answer");
            const ssize_t size = ::recv(fd(), octets_.data(), octets_.size(), 0);
            if (size <= 0) return std::nullopt;
            next_ = 0;
            received_ = static_cast<std::size_t>(size);
        }
        return octets_[next_++];
    }

    Descriptor socket_;
    std::array<char, 16384> octets_{};
    std::size_t next_ = 0;
    std::size_t received_ = 0;
};

}  // namespace sts6::test
