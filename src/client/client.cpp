// SPDX-License-Identifier: Apache-2.0
#include "sts6/client.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "src/client/channel.hpp"
#include "src/client/link.hpp"
#include "src/client/stream.hpp"
#include "src/client/url.hpp"
#include "sts6/frame.hpp"

namespace sts6 {

namespace {

bool is_request(std::string_view message) {
    return message.size() >= frame::kHeaderLength && message.size() <= frame::kLongest - frame::kCrcLength &&
           message[2] == '?' && frame::is_text(message);
}

Result<std::unique_ptr<client::Stream>> make_stream(const client::Url& url, const ClientOptions& options) {
    if (url.transport == client::Transport::tls) return client::make_tls_stream(url, options);
    // Who names them expects to be protected by them.
    if (!options.tls_ca.empty() || !options.tls_certificate.empty() || !options.tls_private_key.empty()) {
        return Unexpected{Errc::invalid_argument};
    }
    if (url.transport == client::Transport::serial) return client::make_serial_stream(url);
    return client::make_tcp_stream(url);
}

}  // namespace

Result<std::vector<PtvdField>> Response::fields() const {
    std::vector<PtvdField> out(static_cast<std::size_t>(std::count(body.begin(), body.end(), '~')));
    const auto count = split_fields(body, out);
    if (!count) return Unexpected{Errc::malformed};
    return out;
}

struct Client::Impl {
    client::Link link;
};

Client::Client(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {
}
Client::Client(Client&& other) noexcept = default;
Client& Client::operator=(Client&& other) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(std::string_view url, const ClientOptions& options) {
    try {
        const auto parsed = client::parse_url(url);
        if (!parsed || options.timeout_ms == 0 || options.answer_ms == 0) {
            return Unexpected{Errc::invalid_argument};
        }
        auto stream = make_stream(*parsed, options);
        if (!stream) return Unexpected{stream.error()};
        auto channel =
            parsed->form == client::Form::apdu
                ? client::make_apdu_channel(*std::move(stream))
                : client::make_text_channel(*std::move(stream), parsed->form == client::Form::envelope);
        const bool serial = parsed->transport == client::Transport::serial;
        auto impl = std::make_unique<Impl>(client::Link(std::move(channel), serial, options));
        const auto connected = impl->link.connect();
        if (!connected) return Unexpected{connected.error()};
        return Client(std::move(impl));
    } catch (const std::exception&) {
        // Asio throws when the system has no more descriptors.
        return Unexpected{Errc::io_failed};
    }
}

Result<Response> Client::exchange(std::string_view message) {
    if (!is_request(message) || !impl_->link.channel().carries(message)) {
        return Unexpected{Errc::invalid_argument};
    }
    try {
        return impl_->link.exchange(message);
    } catch (const std::exception&) {
        impl_->link.close();
        return Unexpected{Errc::io_failed};
    }
}

void Client::on_frame(std::function<void(FrameDirection, std::string_view)> show) {
    impl_->link.channel().show = std::move(show);
}

}  // namespace sts6
