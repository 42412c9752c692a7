// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include <asio/ip/tcp.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/host_name_verification.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/write.hpp>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "src/client/stream.hpp"
#include "src/client/tcp_connection.hpp"

namespace sts6::client {

namespace {

using asio::ip::tcp;
namespace ssl = asio::ssl;

/// Reads the files that the options name; false when one is not what it should be.
bool load(ssl::context& context, const ClientOptions& options) {
    asio::error_code error;
    if (options.tls_ca.empty()) {
        context.set_default_verify_paths(error);
    } else {
        context.load_verify_file(options.tls_ca, error);
    }
    if (error) return false;
    if (options.tls_certificate.empty() != options.tls_private_key.empty()) return false;
    if (options.tls_certificate.empty()) return true;
    context.use_certificate_chain_file(options.tls_certificate, error);
    if (error) return false;
    // Nobody is there to type a passphrase.
    context.set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); },
                                  error);
    if (error) return false;
    context.use_private_key_file(options.tls_private_key, ssl::context::pem, error);
    return !error && SSL_CTX_check_private_key(context.native_handle()) == 1;
}

bool is_address(const std::string& host) {
    asio::error_code error;
    asio::ip::make_address(host, error);
    return !error;
}

class TlsStream final : public Stream {
  public:
    explicit TlsStream(const Url& url) : url_(url), context_(ssl::context::tls_client) {}

    bool configure(const ClientOptions& options) {
        if (SSL_CTX_set_min_proto_version(context_.native_handle(), TLS1_2_VERSION) != 1) return false;
        context_.set_verify_mode(ssl::verify_peer);
        return load(context_, options);
    }

    Result<void> open(Deadline deadline) override {
        close();
        // A TLS connection cannot be used again for another.
        stream_.emplace(waiter_.loop(), context_);
        if (const auto connected = connect_tcp(waiter_, stream_->next_layer(), url_, deadline); !connected) {
            return Unexpected{connected.error()};
        }
        stream_->set_verify_callback(ssl::host_name_verification(url_.host));
        if (!is_address(url_.host) &&
            SSL_set_tlsext_host_name(stream_->native_handle(), url_.host.c_str()) != 1) {
            return Unexpected{Errc::io_failed};
        }
        const auto shaken = waiter_.await(
            deadline, [&](auto done) { stream_->async_handshake(ssl::stream_base::client, done); },
            [&] { cancel(); });
        if (shaken) return {};
        const bool trusted = SSL_get_verify_result(stream_->native_handle()) == X509_V_OK;
        close();
        return Unexpected{trusted ? shaken.error() : Errc::permission};
    }

    Result<void> write(Deadline deadline, std::string_view octets) override {
        if (!is_open()) return Unexpected{Errc::io_failed};
        const auto written = waiter_.await(
            deadline,
            [&](auto done) { asio::async_write(*stream_, asio::buffer(octets.data(), octets.size()), done); },
            [&] { cancel(); });
        if (!written) return Unexpected{written.error()};
        return {};
    }

    Result<std::size_t> read(Deadline deadline, std::span<char> into) override {
        if (!is_open()) return Unexpected{Errc::io_failed};
        return waiter_.await(
            deadline,
            [&](auto done) { stream_->async_read_some(asio::buffer(into.data(), into.size()), done); },
            [&] { cancel(); });
    }

    bool quiet() override {
        if (!is_open()) return false;
        // Through TLS: session tickets come unasked too, and are nobody's answer.
        asio::error_code error;
        stream_->next_layer().non_blocking(true, error);
        if (error) return false;
        std::array<char, 1> octet{};
        stream_->read_some(asio::buffer(octet), error);
        return error == asio::error::would_block;
    }

    [[nodiscard]] bool is_open() const override { return stream_ && stream_->next_layer().is_open(); }

    void close() noexcept override {
        if (!stream_) return;
        asio::error_code ignored;
        stream_->next_layer().close(ignored);
    }

  private:
    void cancel() noexcept {
        asio::error_code ignored;
        stream_->next_layer().cancel(ignored);
    }

    Url url_;
    Waiter waiter_;
    ssl::context context_;
    std::optional<ssl::stream<tcp::socket>> stream_;
};

}  // namespace

Result<std::unique_ptr<Stream>> make_tls_stream(const Url& url, const ClientOptions& options) {
    auto stream = std::make_unique<TlsStream>(url);
    if (!stream->configure(options)) return Unexpected{Errc::invalid_argument};
    return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace sts6::client
