// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sts6::client {

/// Where a module listens, and in which of the two forms of TCP it is spoken to.
struct Url {
    bool enveloped = false;
    std::string host;  ///< a name or a numeric address, without brackets
    std::uint16_t port = 0;
};

/// Reads `tcp:HOST:PORT` and `tcp-env:HOST:PORT`; none for anything else.
std::optional<Url> parse_url(std::string_view text);

}  // namespace sts6::client
