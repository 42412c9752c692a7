// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>
#include <vector>

#include <asio/connect.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>

#include "src/client/stream.hpp"
#include "src/client/tcp_connection.hpp"

namespace sts6::client {

using asio::ip::tcp;

Result<void> connect_tcp(Waiter& waiter, tcp::socket& socket, const Url& url, Deadline deadline) {
    asio::error_code error;
    std::vector<tcp::endpoint> endpoints;
    if (const auto address = asio::ip::make_address(url.host, error); !error) {
        endpoints.emplace_back(address, url.port);
    } else {
        tcp::resolver resolver(waiter.loop());
        const auto found =
            resolver.resolve(url.host, std::to_string(url.port), tcp::resolver::numeric_service, error);
        if (error) return Unexpected{Errc::io_failed};
        for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    }
    const auto connected = waiter.await(
        deadline,
        [&](auto done) {
            asio::async_connect(socket, endpoints,
                                [done](const auto& result, const tcp::endpoint&) { done(result); });
        },
        [&] {
            asio::error_code ignored;
            socket.close(ignored);
        });
    if (!connected) return Unexpected{connected.error()};
    socket.set_option(tcp::no_delay(true), error);
    if (error) return Unexpected{Errc::io_failed};
    return {};
}

namespace {

class TcpStream final : public Stream {
  public:
    explicit TcpStream(const Url& url) : url_(url), socket_(waiter_.loop()) {}

    Result<void> open(Deadline deadline) override {
        close();
        return connect_tcp(waiter_, socket_, url_, deadline);
    }

    Result<void> write(Deadline deadline, std::string_view octets) override {
        const auto written = waiter_.await(
            deadline,
            [&](auto done) { asio::async_write(socket_, asio::buffer(octets.data(), octets.size()), done); },
            [&] { cancel(); });
        if (!written) return Unexpected{written.error()};
        return {};
    }

    Result<std::size_t> read(Deadline deadline, std::span<char> into) override {
        return waiter_.await(
            deadline,
            [&](auto done) { socket_.async_read_some(asio::buffer(into.data(), into.size()), done); },
            [&] { cancel(); });
    }

    bool quiet() override {
        asio::error_code error;
        if (!socket_.is_open()) return false;
        socket_.non_blocking(true, error);
        if (error) return false;
        std::array<char, 1> octet{};
        socket_.receive(asio::buffer(octet), 0, error);
        return error == asio::error::would_block;
    }

    [[nodiscard]] bool is_open() const override { return socket_.is_open(); }

    void close() noexcept override {
        asio::error_code ignored;
        socket_.close(ignored);
    }

  private:
    void cancel() noexcept {
        asio::error_code ignored;
        socket_.cancel(ignored);
    }

    Url url_;
    Waiter waiter_;
    tcp::socket socket_;
};

}  // namespace

std::unique_ptr<Stream> make_tcp_stream(const Url& url) {
    return std::make_unique<TcpStream>(url);
}

}  // namespace sts6::client
