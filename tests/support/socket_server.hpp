// SPDX-License-Identifier: Apache-2.0
// A TCP server for tests of clients: one connection at a time, in a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <asio/ip/tcp.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>
#include <sys/socket.h>

#include "tests/support/fake_module.hpp"

namespace sts6::test {

class SocketServer {
  public:
    /// Speaks on one connection, blocking, until it has an error.
    using Serve = std::function<void(asio::ip::tcp::socket&)>;

    explicit SocketServer(Serve serve)
        : acceptor_(loop_, {asio::ip::address_v4::loopback(), 0}),
          port_(acceptor_.local_endpoint().port()),
          thread_([this, serve = std::move(serve)] { run(serve); }) {}
    SocketServer(const SocketServer&) = delete;
    SocketServer& operator=(const SocketServer&) = delete;
    ~SocketServer() { stop(); }

    [[nodiscard]] std::string url(const std::string& scheme, const std::string& host = "127.0.0.1") const {
        return scheme + ":" + host + ":" + std::to_string(port_);
    }
    /// Ends the connection and the thread: what `serve` wrote can be read from here on.
    void stop() {
        if (!thread_.joinable()) return;
        {
            const std::lock_guard lock(mutex_);
            stopped_ = true;
            ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
            if (socket_ != nullptr) ::shutdown(socket_->native_handle(), SHUT_RDWR);
        }
        thread_.join();
    }

  private:
    void run(const Serve& serve) {
        for (;;) {
            asio::error_code error;
            asio::ip::tcp::socket socket(loop_);
            acceptor_.accept(socket, error);
            if (error || !keep(&socket)) return;
            serve(socket);
            if (!keep(nullptr)) return;
        }
    }
    bool keep(asio::ip::tcp::socket* socket) {
        const std::lock_guard lock(mutex_);
        socket_ = socket;
        return !stopped_;
    }

    asio::io_context loop_;
    asio::ip::tcp::acceptor acceptor_;
    std::uint16_t port_;
    std::mutex mutex_;
    bool stopped_ = false;
    asio::ip::tcp::socket* socket_ = nullptr;
    std::thread thread_;
};

/// Lets the module speak on a stream, in raw lines, until the stream or the module ends it.
template <class Stream>
void serve_lines(FakeModule& module, Stream& stream) {
    module.connected();
    std::string held;
    for (;;) {
        asio::error_code error;
        const std::size_t size = asio::read_until(stream, asio::dynamic_buffer(held), '\r', error);
        if (error) return;
        const auto reply = module.take(std::string_view(held).substr(0, size - 1));
        held.erase(0, size);
        asio::write(stream, asio::buffer(reply.octets), error);
        if (error || reply.hang_up) return;
    }
}

}  // namespace sts6::test
