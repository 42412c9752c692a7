// SPDX-License-Identifier: Apache-2.0
// A closed-loop load on a TCP port: each connection has one request in flight.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sts6::bench {

struct Load {
    std::uint16_t port = 0;  ///< on 127.0.0.1
    std::size_t connections = 1;
    std::chrono::milliseconds duration{1000};
    std::string request;        ///< ends with CR, and so does the answer
    std::string answer_prefix;  ///< another answer ends the run with an error
};

struct LoadResult {
    double per_second = 0;
    double p50_us = 0;
    double p99_us = 0;
};

/// Throws std::runtime_error when a connection fails or an answer is not the expected one.
LoadResult run_load(const Load& load);

/// An echo server on an Asio loop of one thread, in a child process that ends with this object.
class EchoServer {
  public:
    EchoServer();
    EchoServer(const EchoServer&) = delete;
    EchoServer& operator=(const EchoServer&) = delete;
    ~EchoServer();
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  private:
    int child_ = -1;
    std::uint16_t port_ = 0;
};

}  // namespace sts6::bench
