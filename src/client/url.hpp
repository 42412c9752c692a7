// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sts6::client {

enum class Transport : std::uint8_t { tcp, tls, serial };

/// How messages are cut out of what the transport carries.
enum class Form : std::uint8_t { lines, envelope, apdu };

/// Where a module listens, and how it is spoken to.
struct Url {
    Transport transport = Transport::tcp;
    Form form = Form::lines;
    std::string host;  ///< a name or a numeric address, without brackets; none on serial
    std::uint16_t port = 0;
    std::string path;  ///< of the serial device
    std::uint32_t baud = 0;
};

/// Reads the URLs that Client::connect takes; none for anything else.
std::optional<Url> parse_url(std::string_view text);

}  // namespace sts6::client
