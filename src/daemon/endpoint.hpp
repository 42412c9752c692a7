// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <asio/ip/tcp.hpp>

#include "src/daemon/failure.hpp"

namespace sts6 {

/// "HOST:PORT", an IPv6 address in brackets. `key` says which key of the configuration it is.
[[nodiscard]] Outcome<asio::ip::tcp::endpoint> parse_endpoint(std::string_view key, std::string_view text);

[[nodiscard]] std::string endpoint_text(const asio::ip::tcp::endpoint& endpoint);

}  // namespace sts6
