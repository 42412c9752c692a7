// SPDX-License-Identifier: Apache-2.0
// Octets to a module and back, every wait with a deadline.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "src/client/url.hpp"
#include "sts6/client.hpp"
#include "sts6/result.hpp"

namespace sts6::client {

using Deadline = std::chrono::steady_clock::time_point;

class Stream {
  public:
    Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    virtual ~Stream() = default;

    /// Closes what is open and opens anew. timed_out, io_failed; more by the form of it.
    virtual Result<void> open(Deadline deadline) = 0;
    /// Writes all of it. After a failure part of it may have left.
    virtual Result<void> write(Deadline deadline, std::string_view octets) = 0;
    /// Reads at least one octet. The stream stays open after timed_out, and nothing that came is lost.
    virtual Result<std::size_t> read(Deadline deadline, std::span<char> into) = 0;
    /// Whether it is open and nothing has come in that was not read. What had come may be lost.
    virtual bool quiet() = 0;
    [[nodiscard]] virtual bool is_open() const = 0;
    virtual void close() noexcept = 0;
};

std::unique_ptr<Stream> make_tcp_stream(const Url& url);
std::unique_ptr<Stream> make_serial_stream(const Url& url);
/// Its open() answers permission when the module's certificate is not trusted or is another host's.
/// invalid_argument when a file of the options is not what it should be.
Result<std::unique_ptr<Stream>> make_tls_stream(const Url& url, const ClientOptions& options);

}  // namespace sts6::client
