// SPDX-License-Identifier: Apache-2.0
#include "src/client/url.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <asio/ip/address_v6.hpp>

#include "sts6/ptvd.hpp"

namespace sts6::client {

namespace {

constexpr std::array<std::pair<std::string_view, bool>, 2> kSchemes = {{{"tcp:", false}, {"tcp-env:", true}}};
constexpr std::size_t kLongestHost = 253;

bool is_host_name(std::string_view host) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '.' || c == '_';
    };
    return !host.empty() && host.size() <= kLongestHost && std::all_of(host.begin(), host.end(), allowed);
}

/// Takes the host off the front of "HOST:PORT" and leaves ":PORT".
std::optional<std::string> take_host(std::string_view& rest) {
    std::string host;
    if (rest.starts_with('[')) {
        const std::size_t end = rest.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        host = rest.substr(1, end - 1);
        asio::error_code error;
        asio::ip::make_address_v6(host, error);
        if (error) return std::nullopt;
        rest.remove_prefix(end + 1);
        return host;
    }
    const std::size_t end = std::min(rest.find(':'), rest.size());
    host = rest.substr(0, end);
    if (!is_host_name(host)) return std::nullopt;
    rest.remove_prefix(end);
    return host;
}

}  // namespace

std::optional<Url> parse_url(std::string_view text) {
    for (const auto& [scheme, enveloped] : kSchemes) {
        if (!text.starts_with(scheme)) continue;
        std::string_view rest = text.substr(scheme.size());
        auto host = take_host(rest);
        if (!host || !rest.starts_with(':')) return std::nullopt;
        const auto port = ptvd::parse_number(rest.substr(1));
        if (!port || *port < 1 || *port > 65535) return std::nullopt;
        return Url{enveloped, *std::move(host), static_cast<std::uint16_t>(*port)};
    }
    return std::nullopt;
}

}  // namespace sts6::client
