// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/ip/tcp.hpp>

#include "src/client/waiter.hpp"

namespace sts6::client {

/// Connects a closed socket to the URL's host and port.
Result<void> connect_tcp(Waiter& waiter, asio::ip::tcp::socket& socket, const Url& url, Deadline deadline);

}  // namespace sts6::client
