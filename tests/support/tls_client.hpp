// SPDX-License-Identifier: Apache-2.0
// OpenSSL as the client of a link under TLS.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <asio/ip/tcp.hpp>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/support/certificates.hpp"
#include "tests/support/raw_client.hpp"

namespace sts6::test {

struct TlsClientSettings {
    std::filesystem::path ca{};
    const Credentials* credentials = nullptr;
    int least = TLS1_2_VERSION;
    int most = TLS1_3_VERSION;
};

/// Fails by exception.
class TlsClient {
  public:
    TlsClient(const tcp::endpoint& server, const TlsClientSettings& settings)
        : context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free), socket_(server) {
        SSL_CTX_set_min_proto_version(context_.get(), settings.least);
        SSL_CTX_set_max_proto_version(context_.get(), settings.most);
        // What a server of today must refuse, the client's own policy must not.
        SSL_CTX_set_security_level(context_.get(), 0);
        SSL_CTX_load_verify_file(context_.get(), settings.ca.c_str());
        SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
        if (settings.credentials != nullptr) {
            SSL_CTX_use_certificate(context_.get(), settings.credentials->certificate.get());
            SSL_CTX_use_PrivateKey(context_.get(), settings.credentials->key.get());
        }
        ssl_.reset(SSL_new(context_.get()), &SSL_free);
        SSL_set1_host(ssl_.get(), "localhost");
        SSL_set_fd(ssl_.get(), socket_.fd());
        if (SSL_connect(ssl_.get()) != 1) throw std::runtime_error("no handshake");
    }

    void send(std::string_view octets) {
        if (SSL_write(ssl_.get(), octets.data(), static_cast<int>(octets.size())) <= 0) {
            throw std::runtime_error("cannot send");
        }
    }
    /// To the CR; shorter when the connection ends.
    std::string line() {
        std::string got;
        char octet = 0;
        while ((got.empty() || got.back() != '\r') && SSL_read(ssl_.get(), &octet, 1) == 1) got += octet;
        return got;
    }
    std::string ask(std::string_view request) {
        send(request);
        return line();
    }
    [[nodiscard]] int version() const { return SSL_version(ssl_.get()); }
    [[nodiscard]] std::string server_name() const {
        const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl_.get()),
                                                                      &X509_free);
        std::array<char, 100> text{};
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, text.data(),
                                  static_cast<int>(text.size()));
        return text.data();
    }
    void reset() { socket_.reset(); }
    int renegotiate() { return SSL_renegotiate(ssl_.get()) == 1 ? SSL_do_handshake(ssl_.get()) : 0; }

  private:
    std::shared_ptr<SSL_CTX> context_;
    RawClient socket_;
    std::shared_ptr<SSL> ssl_;
};

}  // namespace sts6::test
