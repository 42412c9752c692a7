// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/ip/tcp.hpp>

#include "src/links/stream_link.hpp"

namespace sts6 {

/// A link in clear over one connection.
class TcpLink final : public StreamLink<asio::ip::tcp::socket> {
  public:
    TcpLink(asio::ip::tcp::socket socket, std::shared_ptr<LinkHost> host,
            std::unique_ptr<LinkProtocol> protocol)
        : StreamLink(std::move(socket), std::move(host)) {
        // A connection that refuses an option still serves.
        std::error_code ignored;
        stream_.set_option(asio::ip::tcp::no_delay(true), ignored);
        stream_.set_option(asio::socket_base::keep_alive(true), ignored);
        stream_.non_blocking(true, ignored);
        speak(std::move(protocol));
    }

  private:
    std::size_t write_now(std::string_view octets, std::error_code& error) override {
        return write_what_fits(octets, error);
    }
};

}  // namespace sts6
