// SPDX-License-Identifier: Apache-2.0
#include "sts6/client.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <utility>

#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>

#include "src/client/url.hpp"
#include "sts6/frame.hpp"

namespace sts6 {

namespace {

using asio::ip::tcp;
using Deadline = std::chrono::steady_clock::time_point;

constexpr std::string_view kLinkError = "GL!ER";
constexpr std::size_t kStatusLength = 2;
/// The most octets of one answer, enveloped; whatever exceeds it is no answer.
constexpr std::size_t kLongestFrame = frame::kEnvelopeLongest + 2;

/// Characters that a message may have (docs/protocol.md): 7-bit printable ASCII.
bool is_text(std::string_view message) {
    return std::all_of(message.begin(), message.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

bool is_request(std::string_view message) {
    return message.size() >= frame::kHeaderLength && message.size() <= frame::kLongest - frame::kCrcLength &&
           message[2] == '?' && is_text(message);
}

/// Whether the octets of an answer are, as far as they go, a link error without an envelope. A module can be
/// set to send it so on enveloped connections (`gler_unframed`); no envelope starts with its first character.
bool is_bare_link_error(std::string_view octets) {
    const std::size_t seen = std::min(octets.size(), kLinkError.size());
    return octets.substr(0, seen) == kLinkError.substr(0, seen);
}

/// The answer to `request` in a message whose CRC is right, or malformed.
Result<Response> read_response(std::string_view request, std::string_view message) {
    if (message.size() < frame::kHeaderLength + kStatusLength || !is_text(message)) {
        return Unexpected{Errc::malformed};
    }
    Response response;
    std::string expected(request.substr(0, frame::kHeaderLength));
    expected[2] = '!';
    const std::string_view header = message.substr(0, frame::kHeaderLength);
    response.link_error = header == kLinkError;
    if (!response.link_error && header != expected) return Unexpected{Errc::malformed};
    response.code = message.substr(frame::kHeaderLength, kStatusLength);
    if (const auto row = find_status(response.code)) response.status = row->status;
    response.body = message.substr(frame::kHeaderLength + kStatusLength);
    if (response.link_error && !response.body.empty()) return Unexpected{Errc::malformed};
    response.text = message;
    return response;
}

}  // namespace

Result<std::vector<PtvdField>> Response::fields() const {
    std::vector<PtvdField> out(static_cast<std::size_t>(std::count(body.begin(), body.end(), '~')));
    const auto count = split_fields(body, out);
    if (!count) return Unexpected{Errc::malformed};
    return out;
}

struct Client::Impl {
    Impl(client::Url to, std::chrono::milliseconds each)
        : url(std::move(to)), timeout(each), socket_(loop_) {}

    Result<void> connect(Deadline deadline);
    Result<Response> exchange(std::string_view message);
    void close() noexcept;

    client::Url url;
    std::chrono::milliseconds timeout;
    std::function<void(FrameDirection, std::string_view)> show;

  private:
    template <class Start>
    Result<std::size_t> await(Deadline deadline, Start start);
    Result<void> send(Deadline deadline, std::string_view message);
    Result<std::string> receive(Deadline deadline);
    [[nodiscard]] bool is_quiet();
    void report(FrameDirection direction, std::string_view octets) const {
        if (show && !octets.empty()) show(direction, octets);
    }

    asio::io_context loop_{1};
    tcp::socket socket_;
};

void Client::Impl::close() noexcept {
    asio::error_code ignored;
    socket_.close(ignored);
}

/// Runs one operation, whose handler gets an error and optionally a count, until it ends or the time is up;
/// the socket is then closed, as the operation may have happened in part.
template <class Start>
Result<std::size_t> Client::Impl::await(Deadline deadline, Start start) {
    asio::error_code error;
    std::size_t octets = 0;
    start([&](const asio::error_code& result, std::size_t count) {
        error = result;
        octets = count;
    });
    loop_.restart();
    loop_.run_until(deadline);
    if (!loop_.stopped()) {
        close();
        loop_.run();
        return Unexpected{Errc::timed_out};
    }
    if (error) return Unexpected{Errc::io_failed};
    return octets;
}

Result<void> Client::Impl::connect(Deadline deadline) {
    close();
    asio::error_code error;
    std::vector<tcp::endpoint> endpoints;
    if (const auto address = asio::ip::make_address(url.host, error); !error) {
        endpoints.emplace_back(address, url.port);
    } else {
        tcp::resolver resolver(loop_);
        const auto found =
            resolver.resolve(url.host, std::to_string(url.port), tcp::resolver::numeric_service, error);
        if (error) return Unexpected{Errc::io_failed};
        for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    }
    const auto connected = await(deadline, [&](auto done) {
        asio::async_connect(socket_, endpoints, [done](const asio::error_code& result, const tcp::endpoint&) {
            done(result, 0);
        });
    });
    if (!connected) return Unexpected{connected.error()};
    socket_.set_option(tcp::no_delay(true), error);
    if (error) return Unexpected{Errc::io_failed};
    return {};
}

/// Whether the connection is open and nothing has come in since the last answer.
bool Client::Impl::is_quiet() {
    if (!socket_.is_open()) return false;
    asio::error_code error;
    socket_.non_blocking(true, error);
    if (error) return false;
    std::array<char, 1> octet{};
    socket_.receive(asio::buffer(octet), 0, error);
    return error == asio::error::would_block;
}

Result<void> Client::Impl::send(Deadline deadline, std::string_view message) {
    std::string octets(message.size() + frame::overhead(url.enveloped), '\0');
    frame::encode(message, url.enveloped, octets);
    report(FrameDirection::sent, octets);
    const auto sent =
        await(deadline, [&](auto done) { asio::async_write(socket_, asio::buffer(octets), done); });
    if (!sent) return Unexpected{sent.error()};
    return {};
}

/// The next message without its CRC.
Result<std::string> Client::Impl::receive(Deadline deadline) {
    std::string octets;
    std::array<char, 1024> part{};
    while (octets.size() <= kLongestFrame) {
        const auto count =
            await(deadline, [&](auto done) { socket_.async_read_some(asio::buffer(part), done); });
        if (!count) {
            report(FrameDirection::received, octets);
            return Unexpected{count.error()};
        }
        octets.append(part.data(), *count);
        // From the front each time: an answer is short, and most come in one piece.
        LineDecoder lines;
        EnvelopeDecoder envelopes;
        std::string_view rest = octets;
        const bool enveloped = url.enveloped && !is_bare_link_error(octets);
        const Framed framed = enveloped ? envelopes.next(rest) : lines.next(rest);
        if (framed.kind == Framed::Kind::incomplete) continue;
        report(FrameDirection::received, std::string_view(octets).substr(0, octets.size() - rest.size()));
        if (framed.kind == Framed::Kind::damaged) return Unexpected{Errc::malformed};
        // Nobody asked for more than the answer: the next one must not come from here.
        if (!rest.empty()) close();
        return std::string(framed.message);
    }
    report(FrameDirection::received, octets);
    return Unexpected{Errc::malformed};
}

Result<Response> Client::Impl::exchange(std::string_view message) {
    const Deadline deadline = std::chrono::steady_clock::now() + timeout;
    if (!is_quiet()) {
        if (const auto connected = connect(deadline); !connected) return Unexpected{connected.error()};
    }
    if (const auto sent = send(deadline, message); !sent) return Unexpected{sent.error()};
    const auto answer = receive(deadline);
    if (!answer) return Unexpected{answer.error()};
    return read_response(message, *answer);
}

Client::Client(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {
}
Client::Client(Client&& other) noexcept = default;
Client& Client::operator=(Client&& other) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(std::string_view url, const ClientOptions& options) {
    try {
        auto parsed = client::parse_url(url);
        if (!parsed || options.timeout_ms == 0) return Unexpected{Errc::invalid_argument};
        auto impl = std::make_unique<Impl>(*std::move(parsed), std::chrono::milliseconds(options.timeout_ms));
        const auto connected = impl->connect(std::chrono::steady_clock::now() + impl->timeout);
        if (!connected) return Unexpected{connected.error()};
        return Client(std::move(impl));
    } catch (const std::exception&) {
        // Asio throws when the system has no more descriptors.
        return Unexpected{Errc::io_failed};
    }
}

Result<Response> Client::exchange(std::string_view message) {
    if (!is_request(message)) return Unexpected{Errc::invalid_argument};
    try {
        auto response = impl_->exchange(message);
        if (!response) impl_->close();
        return response;
    } catch (const std::exception&) {
        impl_->close();
        return Unexpected{Errc::io_failed};
    }
}

void Client::on_frame(std::function<void(FrameDirection, std::string_view)> show) {
    impl_->show = std::move(show);
}

}  // namespace sts6
