// SPDX-License-Identifier: Apache-2.0
#include "src/client/url.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <asio/ip/address_v6.hpp>

#include "sts6/ptvd.hpp"

namespace sts6::client {

namespace {

struct Scheme {
    std::string_view name;
    Transport transport;
    Form form;
};
constexpr std::array<Scheme, 6> kSchemes = {{
    {"tcp:", Transport::tcp, Form::lines},
    {"tcp-env:", Transport::tcp, Form::envelope},
    {"tls:", Transport::tls, Form::lines},
    {"tls-env:", Transport::tls, Form::envelope},
    {"serial:", Transport::serial, Form::lines},
    {"apdu:", Transport::tcp, Form::apdu},
}};
constexpr std::uint32_t kUsualBaud = 9600;
constexpr std::uint32_t kMostBaud = 4'000'000;
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

/// Reads "HOST:PORT".
bool read_endpoint(std::string_view rest, Url& url) {
    auto host = take_host(rest);
    if (!host || !rest.starts_with(':')) return false;
    const auto port = ptvd::parse_number(rest.substr(1));
    if (!port || *port < 1 || *port > 65535) return false;
    url.host = *std::move(host);
    url.port = static_cast<std::uint16_t>(*port);
    return true;
}

/// Reads "PATH[,BAUD]". A path with a comma needs the rate behind it.
bool read_device(std::string_view rest, Url& url) {
    url.baud = kUsualBaud;
    if (const std::size_t comma = rest.rfind(','); comma != std::string_view::npos) {
        const auto baud = ptvd::parse_number(rest.substr(comma + 1));
        if (!baud || *baud < 1 || *baud > kMostBaud) return false;
        url.baud = *baud;
        rest = rest.substr(0, comma);
    }
    url.path = rest;
    return !rest.empty() && rest.find('\0') == std::string_view::npos;
}

}  // namespace

std::optional<Url> parse_url(std::string_view text) {
    for (const Scheme& scheme : kSchemes) {
        if (!text.starts_with(scheme.name)) continue;
        Url url;
        url.transport = scheme.transport;
        url.form = scheme.form;
        const std::string_view rest = text.substr(scheme.name.size());
        const bool read =
            url.transport == Transport::serial ? read_device(rest, url) : read_endpoint(rest, url);
        return read ? std::optional(std::move(url)) : std::nullopt;
    }
    return std::nullopt;
}

}  // namespace sts6::client
