// SPDX-License-Identifier: Apache-2.0
// The client under TLS: whom it trusts, and how a TLS connection ends.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <asio/ssl/context.hpp>
#include <asio/ssl/stream.hpp>
#include <catch2/catch.hpp>
#include <openssl/ssl.h>

#include "sts6/client.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/fake_module.hpp"
#include "tests/support/socket_server.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6 {
namespace {

using namespace test;
namespace fs = std::filesystem;
namespace ssl = asio::ssl;

const std::string kVend = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";
const std::string kIdentity = "SM!DI00PSOFTSM01~PSTS6-001~";

/// A CA and what it has signed, in files.
class Authority {
  public:
    Authority() : ca_(make_certificate({.subject = {{"CN", "a CA"}}, .is_ca = true})) {
        ca_.write(dir_.path(), "ca");
        make_certificate({.subject = {{"CN", "another CA"}}, .is_ca = true}).write(dir_.path(), "other-ca");
        sign("server", {.subject = {{"CN", "module"}}, .names = "DNS:localhost,IP:127.0.0.1"});
        sign("client", {.subject = {{"CN", "till 1"}}});
    }
    void sign(const std::string& name, const CertificateRequest& request) const {
        make_certificate(request, &ca_).write(dir_.path(), name);
    }
    /// A certificate whose key is encrypted.
    void sign_encrypted(const std::string& name, const std::string& passphrase) const {
        const Credentials made = make_certificate({.subject = {{"CN", name}}}, &ca_);
        made.write(dir_.path(), name);
        made.write_encrypted_key(file(name + ".key"), passphrase);
    }
    [[nodiscard]] std::string file(const std::string& name) const { return dir_.path() / name; }

  private:
    conform::TemporaryDirectory dir_;
    Credentials ca_;
};

class TlsModule {
  public:
    using Serve = std::function<void(ssl::stream<asio::ip::tcp::socket&>&)>;

    FakeModule module;

    explicit TlsModule(const Authority& authority, const std::string& name = "server")
        : context_(ssl::context::tls_server) {
        context_.use_certificate_chain_file(authority.file(name + ".pem"));
        context_.use_private_key_file(authority.file(name + ".key"), ssl::context::pem);
        // What is too old for a client of today, the server's own policy must not refuse.
        SSL_CTX_set_security_level(context_.native_handle(), 0);
    }
    ~TlsModule() { stop(); }

    void want_client_certificate(const std::string& ca) {
        context_.load_verify_file(ca);
        context_.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
    }
    void limit(int least, int most) {
        SSL_CTX_set_min_proto_version(context_.native_handle(), least);
        SSL_CTX_set_max_proto_version(context_.native_handle(), most);
    }
    void start() {
        start([this](auto& stream) { serve_lines(module, stream); });
    }
    void start(Serve serve) {
        server_.emplace([this, serve = std::move(serve)](auto& socket) {
            asio::error_code error;
            ssl::stream<asio::ip::tcp::socket&> stream(socket, context_);
            stream.handshake(ssl::stream_base::server, error);
            if (error) return;
            name_ = SSL_get_servername(stream.native_handle(), TLSEXT_NAMETYPE_host_name) != nullptr
                        ? SSL_get_servername(stream.native_handle(), TLSEXT_NAMETYPE_host_name)
                        : "";
            module.forget();
            serve(stream);
        });
    }
    void stop() {
        if (server_) server_->stop();
    }
    [[nodiscard]] std::string url(const std::string& host = "127.0.0.1") const {
        return server_->url("tls", host);
    }
    /// The name that the client asked for.
    [[nodiscard]] const std::string& name() const { return name_; }

  private:
    ssl::context context_;
    std::string name_;
    std::optional<SocketServer> server_;
};

ClientOptions trusting(const std::string& ca) {
    return {.timeout_ms = 30000, .answer_ms = 30000, .tls_ca = ca};
}

Errc connect_error(const std::string& url, const ClientOptions& options) {
    const auto client = Client::connect(url, options);
    REQUIRE_FALSE(client);
    return client.error();
}

}  // namespace

TEST_CASE("client tls: exchanges on one connection, in either version") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    const std::string host = GENERATE("127.0.0.1", "localhost");
    const Authority authority;
    TlsModule server(authority);
    server.limit(version, version);
    server.start();
    {
        auto client = Client::connect(server.url(host), trusting(authority.file("ca.pem")));
        REQUIRE(client);
        for (std::size_t i = 1; i <= 3; ++i) {
            const auto response = client->exchange(kVend);
            REQUIRE(response);
            CHECK(response->text == token_answer(i));
        }
    }
    server.stop();
    // The session tickets of TLS 1.3 are no octets that nobody asked for.
    CHECK(server.module.connections() == 1);
    CHECK(server.name() == (host == "localhost" ? "localhost" : ""));
}

TEST_CASE("client tls: the envelope") {
    const Authority authority;
    TlsModule server(authority);
    std::string received;
    server.start([&](auto& stream) {
        asio::error_code error;
        asio::read_until(stream, asio::dynamic_buffer(received), '\r', error);
        std::string out(kIdentity.size() + frame::overhead(true), '\0');
        frame::encode(kIdentity, true, out);
        asio::write(stream, asio::buffer(out), error);
    });
    std::string url = server.url();
    url.replace(0, 3, "tls-env");
    {
        auto client = Client::connect(url, trusting(authority.file("ca.pem")));
        REQUIRE(client);
        const auto response = client->exchange("SM?DI");
        REQUIRE(response);
        CHECK(response->text == kIdentity);
    }
    server.stop();
    CHECK(received.substr(2) == "\xED\xF1\x2B" + std::string(1, '\0') + "\xFE\xEDSM?DI9A51\r");
}

TEST_CASE("client tls: certificates that are not to be trusted") {
    const Authority authority;
    authority.sign("elsewhere", {.subject = {{"CN", "127.0.0.1"}}, .names = "DNS:elsewhere.example"});
    authority.sign("nameless", {.subject = {{"CN", "somebody"}}});
    authority.sign("past", {.names = "IP:127.0.0.1", .days_from = -30, .days_to = -1});
    authority.sign("future", {.names = "IP:127.0.0.1", .days_from = 1});
    make_certificate({.subject = {{"CN", "127.0.0.1"}}, .names = "IP:127.0.0.1"})
        .write(fs::path(authority.file("ca.pem")).parent_path(), "self-signed");
    struct Case {
        std::string certificate;
        std::string ca;
    };
    const auto bad = GENERATE(Case{"server", "other-ca.pem"}, Case{"server", ""}, Case{"elsewhere", "ca.pem"},
                              Case{"nameless", "ca.pem"}, Case{"past", "ca.pem"}, Case{"future", "ca.pem"},
                              Case{"self-signed", "ca.pem"});
    INFO(bad.certificate + " " + bad.ca);
    TlsModule server(authority, bad.certificate);
    server.start();
    const auto options = trusting(bad.ca.empty() ? "" : authority.file(bad.ca));
    CHECK(connect_error(server.url(), options) == Errc::permission);
    server.stop();
    CHECK(server.module.connections() == 0);
}

TEST_CASE("client tls: a name in the certificate is not good for an address, nor the other way") {
    const Authority authority;
    authority.sign("name", {.subject = {{"CN", "module"}}, .names = "DNS:localhost"});
    authority.sign("address", {.subject = {{"CN", "module"}}, .names = "IP:127.0.0.1"});
    const bool by_name = GENERATE(false, true);
    TlsModule server(authority, by_name ? "address" : "name");
    server.start();
    const auto options = trusting(authority.file("ca.pem"));
    CHECK(connect_error(server.url(by_name ? "localhost" : "127.0.0.1"), options) == Errc::permission);
    CHECK(Client::connect(server.url(by_name ? "127.0.0.1" : "localhost"), options));
}

TEST_CASE("client tls: without a CA file the system's authorities are trusted") {
    const Authority authority;
    TlsModule server(authority);
    server.start();
    REQUIRE(setenv("SSL_CERT_FILE", authority.file("ca.pem").c_str(), 1) == 0);
    const auto client = Client::connect(server.url(), trusting(""));
    REQUIRE(unsetenv("SSL_CERT_FILE") == 0);
    CHECK(client);
}

TEST_CASE("client tls: nothing older than 1.2") {
    const Authority authority;
    TlsModule server(authority);
    server.limit(TLS1_VERSION, TLS1_1_VERSION);
    server.start();
    CHECK(connect_error(server.url(), trusting(authority.file("ca.pem"))) == Errc::io_failed);
}

TEST_CASE("client tls: a client certificate, when the module wants one") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    const Authority authority;
    TlsModule server(authority);
    server.limit(version, version);
    server.want_client_certificate(authority.file("ca.pem"));
    server.start();
    auto options = trusting(authority.file("ca.pem"));
    const auto without = Client::connect(server.url(), options);
    // In TLS 1.3 the client's side of the handshake ends before the server has looked.
    if (!without) CHECK(without.error() == Errc::io_failed);
    if (without) {
        auto client = Client::connect(server.url(), options);
        REQUIRE(client);
        CHECK(client->exchange("SM?DI").error() == Errc::io_failed);
    }
    options.tls_certificate = authority.file("client.pem");
    options.tls_private_key = authority.file("client.key");
    auto client = Client::connect(server.url(), options);
    REQUIRE(client);
    const auto response = client->exchange("SM?DI");
    REQUIRE(response);
    CHECK(response->text == kIdentity);
}

TEST_CASE("client tls: a client certificate of RSA") {
    const Authority authority;
    authority.sign("rsa", {.subject = {{"CN", "till 2"}}, .is_rsa = true});
    TlsModule server(authority);
    server.want_client_certificate(authority.file("ca.pem"));
    server.start();
    auto options = trusting(authority.file("ca.pem"));
    options.tls_certificate = authority.file("rsa.pem");
    options.tls_private_key = authority.file("rsa.key");
    auto client = Client::connect(server.url(), options);
    REQUIRE(client);
    const auto response = client->exchange("SM?DI");
    REQUIRE(response);
    CHECK(response->text == kIdentity);
}

TEST_CASE("client tls: files that are not what they should be") {
    const Authority authority;
    const std::string none = authority.file("none.pem");
    const std::string garbage = authority.file("garbage.pem");
    std::ofstream(garbage) << "no certificate\n";
    const std::string certificate = authority.file("client.pem");
    const std::string key = authority.file("client.key");
    authority.sign("rsa", {.subject = {{"CN", "till 1"}}, .is_rsa = true});
    authority.sign_encrypted("encrypted", "a passphrase");
    struct Case {
        std::string ca, certificate, key;
    };
    for (const Case& bad :
         {Case{none, "", ""}, Case{garbage, "", ""}, Case{key, "", ""}, Case{"", certificate, ""},
          Case{"", "", key}, Case{"", none, key}, Case{"", certificate, none}, Case{"", garbage, key},
          Case{"", certificate, garbage}, Case{"", key, certificate},
          Case{"", certificate, authority.file("server.key")},
          // A key of another type than the certificate's, in both directions, and one that needs a
          // passphrase.
          Case{"", authority.file("rsa.pem"), key}, Case{"", certificate, authority.file("rsa.key")},
          Case{"", authority.file("encrypted.pem"), authority.file("encrypted.key")}}) {
        INFO(bad.ca + " " + bad.certificate + " " + bad.key);
        ClientOptions options = trusting(bad.ca);
        options.tls_certificate = bad.certificate;
        options.tls_private_key = bad.key;
        CHECK(connect_error("tls:127.0.0.1:5100", options) == Errc::invalid_argument);
    }
}

TEST_CASE("client tls: options of TLS without TLS are refused, not forgotten") {
    const Authority authority;
    for (const char* url :
         {"tcp:127.0.0.1:5100", "tcp-env:127.0.0.1:5100", "apdu:127.0.0.1:5100", "serial:/dev/ttyS0"}) {
        CHECK(connect_error(url, trusting(authority.file("ca.pem"))) == Errc::invalid_argument);
        CHECK(connect_error(url, {.tls_certificate = "client.pem"}) == Errc::invalid_argument);
        CHECK(connect_error(url, {.tls_private_key = "client.key"}) == Errc::invalid_argument);
    }
}

TEST_CASE("client tls: a module that speaks without TLS, or not at all") {
    const Authority authority;
    auto options = trusting(authority.file("ca.pem"));
    SocketServer plain([](auto& socket) {
        asio::error_code error;
        std::string octets;
        asio::write(socket, asio::buffer(line_of(kIdentity)), error);
        asio::read_until(socket, asio::dynamic_buffer(octets), '\r', error);
    });
    CHECK(connect_error(plain.url("tls"), options) == Errc::io_failed);
    SocketServer silent([](auto& socket) {
        asio::error_code error;
        std::string octets;
        asio::read_until(socket, asio::dynamic_buffer(octets), "never sent", error);
    });
    options.timeout_ms = 300;
    CHECK(connect_error(silent.url("tls"), options) == Errc::timed_out);
}

TEST_CASE("client tls: retries are those of a connection") {
    const Authority authority;
    TlsModule server(authority);
    server.module.faults["SM?VC"] = {Fault::lost_answer, Fault::late_answer, Fault::none,
                                     Fault::lost_request};
    server.start();
    {
        auto options = trusting(authority.file("ca.pem"));
        options.answer_ms = 250;
        auto client = Client::connect(server.url(), options);
        REQUIRE(client);
        for (std::size_t i = 1; i <= 4; ++i) {
            const auto response = client->exchange(kVend + "N" + std::to_string(i) + "~");
            REQUIRE(response);
            CHECK(response->text == token_answer(i));
        }
    }
    server.stop();
    CHECK(server.module.executed() == 4);
}

TEST_CASE("client tls: a connection that ends is no answer") {
    const Authority authority;
    TlsModule server(authority);
    server.module.faults["SM?VC"] = {Fault::hang_up_after};
    server.module.faults["SM?DI"] = {Fault::hang_up_before};
    server.start();
    auto client = Client::connect(server.url(), trusting(authority.file("ca.pem")));
    REQUIRE(client);
    CHECK(client->exchange(kVend).error() == Errc::io_failed);
    const auto response = client->exchange("SM?DI");
    REQUIRE(response);
    CHECK(response->text == kIdentity);
}

TEST_CASE("client tls: what nobody asked for is not the next answer") {
    const Authority authority;
    TlsModule server(authority);
    std::size_t connections = 0;
    server.start([&](auto& stream) {
        asio::error_code error;
        std::string request;
        ++connections;
        asio::read_until(stream, asio::dynamic_buffer(request), '\r', error);
        // In one piece, so that it is there when the client looks.
        asio::write(stream, asio::buffer(line_of(token_answer(connections)) + line_of(token_answer(99))),
                    error);
        request.clear();
        asio::read_until(stream, asio::dynamic_buffer(request), '\r', error);
    });
    {
        auto client = Client::connect(server.url(), trusting(authority.file("ca.pem")));
        REQUIRE(client);
        for (std::size_t i = 1; i <= 2; ++i) {
            const auto response = client->exchange(kVend);
            REQUIRE(response);
            CHECK(response->text == token_answer(i));
        }
    }
    server.stop();
    CHECK(connections == 2);
}

}  // namespace sts6
