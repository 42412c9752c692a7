// SPDX-License-Identifier: Apache-2.0
// A link over one of Asio's streams.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/error.hpp>

#include "src/links/link.hpp"

namespace sts6 {

template <class Stream>
class StreamLink : public Link {
  protected:
    StreamLink(Stream stream, std::shared_ptr<LinkHost> host)
        : Link(stream.get_executor(), std::move(host)), stream_(std::move(stream)) {}

    void read_some(std::span<char> space) override {
        stream_.async_read_some(
            asio::buffer(space.data(), space.size()),
            [self = shared_from_this(), this](const std::error_code& error, std::size_t size) {
                on_read(error, size);
            });
    }
    std::size_t write_now(std::string_view /*octets*/, std::error_code& /*error*/) override { return 0; }
    void write_some(std::string_view octets) override {
        stream_.async_write_some(
            asio::buffer(octets.data(), octets.size()),
            [self = shared_from_this(), this](const std::error_code& error, std::size_t size) {
                on_written(error, size);
            });
    }
    void close_stream() noexcept override {
        std::error_code ignored;
        stream_.lowest_layer().close(ignored);
    }

    /// write_now() of a stream that is set not to block.
    std::size_t write_what_fits(std::string_view octets, std::error_code& error) {
        const std::size_t size = stream_.write_some(asio::buffer(octets.data(), octets.size()), error);
        if (error == asio::error::would_block) error.clear();
        return size;
    }

    // NOLINTNEXTLINE(*-non-private-member-variables-in-classes): a stream of its kind is what derives from
    // it.
    Stream stream_;
};

}  // namespace sts6
