// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/endpoint.hpp"

#include <asio/io_context.hpp>

#include "sts6/ptvd.hpp"

namespace sts6 {

using asio::ip::tcp;

Outcome<tcp::endpoint> parse_endpoint(std::string_view key, std::string_view text) {
    const auto refuse = [key, text](const char* why) {
        return fail(Errc::invalid_argument, std::string(key) + " \"" + std::string(text) + "\": " + why);
    };
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return refuse("must be HOST:PORT");
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.starts_with('[') && host.ends_with(']');
    if (bracketed) host = host.substr(1, host.size() - 2);
    // Where the host of "::1:5100" ends is anybody's guess.
    if (!bracketed && host.find(':') != std::string_view::npos) return refuse("must be HOST:PORT");
    const auto port = ptvd::parse_number(text.substr(colon + 1));
    if (host.empty() || !port || *port > 65535) return refuse("must be HOST:PORT");
    asio::error_code error;
    asio::io_context loop;
    tcp::resolver resolver(loop);
    const auto found = resolver.resolve(std::string(host), std::to_string(*port), error);
    if (error || found.empty()) return refuse("the host is unknown");
    return found.begin()->endpoint();
}

std::string endpoint_text(const tcp::endpoint& endpoint) {
    const std::string host = endpoint.address().to_string();
    return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
}

}  // namespace sts6
