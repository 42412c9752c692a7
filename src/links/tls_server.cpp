// SPDX-License-Identifier: Apache-2.0
#include "src/links/tls_server.hpp"

#include <new>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <asio/error.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/error.hpp>
#include <asio/ssl/stream.hpp>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/links/log_limit.hpp"
#include "src/links/message_protocol.hpp"
#include "src/links/stream_link.hpp"

namespace sts6 {

namespace ssl = asio::ssl;
using asio::ip::tcp;

namespace {

// The suites of TLS 1.2 that 1.3 would have too; those of 1.3 are all of that kind.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// For whoever reads the log; a client can choose what its certificate says.
std::string printable(std::string text) {
    for (char& c : text) {
        if (c < ' ' || c > '~') c = '?';
    }
    return text.substr(0, 200);
}

std::string subject_of(X509* certificate) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), &BIO_free);
    if (!text || X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0) {
        return {};
    }
    char* start = nullptr;
    const long size = BIO_get_mem_data(text.get(), &start);
    return {start, static_cast<std::size_t>(size)};
}

/// What is no file, such as a pipe, could keep the loop waiting.
Result<void> check_is_file(const std::filesystem::path& file) {
    std::error_code error;
    if (std::filesystem::is_regular_file(file, error)) return {};
    spdlog::error("tls: " + file.string() + ": " + (error ? error.message() : "no file"));
    return Unexpected{Errc::not_found};
}

/// Whether a private key is the process's own, and nobody else's to read.
Result<void> check_key_file(const std::filesystem::path& file) {
    struct stat entry {};
    if (stat(file.c_str(), &entry) != 0) return Unexpected{Errc::io_failed};
    if (entry.st_uid != geteuid() || (entry.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        spdlog::error("tls: " + file.string() +
                      " belongs to another user, or can be read or written by others (chmod 600)");
        return Unexpected{Errc::permission};
    }
    return {};
}

}  // namespace

/// What the handshakes of a time share. The links of an older one keep it.
struct TlsServer::Context {
    ssl::context context{ssl::context::tls_server};
    std::map<std::string, LinkRole> clients;  ///< empty: no certificate is asked for
    std::chrono::milliseconds handshake{};

    /// Throws what Asio throws.
    void load(const TlsSettings& settings);
};

void TlsServer::Context::load(const TlsSettings& settings) {
    SSL_CTX* native = context.native_handle();
    SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    // No resumption: a client's rights are those of its certificate today. No renegotiation: it is only of
    // use to who wants the module to compute.
    SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(native, 0);
    SSL_CTX_set_cipher_list(native, kCiphers);
    context.use_certificate_chain_file(settings.certificate.string());
    // Nobody is there to type a passphrase.
    context.set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); });
    context.use_private_key_file(settings.private_key.string(), ssl::context::pem);
    // A key of another type than the certificate's has not been compared with it yet.
    if (SSL_CTX_check_private_key(native) != 1) {
        throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                                "the key is not the certificate's");
    }
    if (!settings.client_ca.empty()) {
        context.load_verify_file(settings.client_ca.string());
        // An authority that another one has signed is trusted as it stands in the file.
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(native), X509_V_FLAG_PARTIAL_CHAIN);
        context.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
        // Named to the client, which chooses its certificate by it.
        SSL_CTX_set_client_CA_list(native, SSL_load_client_CA_file(settings.client_ca.c_str()));
    }
    clients = settings.clients;
    handshake = settings.handshake;
}

namespace {

/// A link under TLS.
class TlsLink final : public StreamLink<ssl::stream<tcp::socket>> {
  public:
    using Stream = ssl::stream<tcp::socket>;

    TlsLink(Stream stream, std::shared_ptr<LinkHost> host, const LinkServices& services, LinkRole role,
            std::chrono::milliseconds handshake, const std::map<std::string, LinkRole>& clients)
        : StreamLink(std::move(stream), std::move(host)),
          services_(services),
          role_(role),
          handshake_(handshake),
          clients_(clients) {}

    void start() override;

  private:
    void on_handshake(const std::error_code& error);
    [[nodiscard]] std::optional<LinkRole> role_of_client();
    void read_some(std::span<char> space) override;

    const LinkServices& services_;
    LinkRole role_;
    std::chrono::milliseconds handshake_;
    std::map<std::string, LinkRole> clients_;
};

void TlsLink::start() {
    std::error_code ignored;
    stream_.lowest_layer().set_option(tcp::no_delay(true), ignored);
    stream_.lowest_layer().set_option(asio::socket_base::keep_alive(true), ignored);
    watch_idle(handshake_);
    stream_.async_handshake(
        ssl::stream_base::server,
        [self = shared_from_this(), this](const std::error_code& error) { on_handshake(error); });
}

void TlsLink::on_handshake(const std::error_code& error) {
    if (closed()) return;
    if (error) {
        static LogLimit failures;
        if (failures.due()) {
            spdlog::info(std::string(host().name()) + ": a handshake failed: " + error.message());
        }
        close();
        return;
    }
    const auto role = role_of_client();
    if (!role) {
        close();
        return;
    }
    try {
        speak(std::make_unique<MessageProtocol>(services_, *role));
        Link::start();
    } catch (const std::bad_alloc&) {
        close();
    }
}

// Who ends the connection without a close_notify ends it all the same: a message shows where it ends.
void TlsLink::read_some(std::span<char> space) {
    stream_.async_read_some(
        asio::buffer(space.data(), space.size()),
        [self = shared_from_this(), this](const std::error_code& error, std::size_t size) {
            on_read(error == ssl::error::stream_truncated ? asio::error::eof : error, size);
        });
}

std::optional<LinkRole> TlsLink::role_of_client() {
    if (clients_.empty()) return role_;
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        SSL_get1_peer_certificate(stream_.native_handle()), &X509_free);
    const std::string subject = certificate ? subject_of(certificate.get()) : "";
    if (const auto client = clients_.find(subject); client != clients_.end()) return client->second;
    static LogLimit refusals;
    if (refusals.due()) {
        spdlog::warn(std::string(host().name()) + ": the certificate of \"" + printable(subject) +
                     "\" is of the CA and not on the list of clients: closed");
    }
    return std::nullopt;
}

}  // namespace

TlsServer::TlsServer(const TlsSettings& settings) : settings_(settings) {
}
TlsServer::~TlsServer() = default;

Result<std::shared_ptr<TlsServer>> TlsServer::open(const TlsSettings& settings) {
    std::shared_ptr<TlsServer> server(new TlsServer(settings));
    if (const auto loaded = server->reload(); !loaded) return Unexpected{loaded.error()};
    return server;
}

Result<void> TlsServer::reload() {
    for (const auto& file : {settings_.certificate, settings_.private_key, settings_.client_ca}) {
        if (file.empty()) continue;
        if (auto checked = check_is_file(file); !checked) return checked;
    }
    if (auto checked = check_key_file(settings_.private_key); !checked) return checked;
    try {
        auto context = std::make_shared<Context>();
        context->load(settings_);
        context_ = std::move(context);
        return {};
    } catch (const std::system_error& failure) {
        spdlog::error("tls: " + settings_.certificate.string() + ", " + settings_.private_key.string() +
                      (settings_.client_ca.empty() ? "" : ", " + settings_.client_ca.string()) +
                      " cannot be used: " + failure.what());
        return Unexpected{Errc::malformed};
    }
}

std::shared_ptr<Link> TlsServer::make_link(tcp::socket socket, std::shared_ptr<LinkHost> host,
                                           const LinkServices& services, LinkRole role) {
    return std::make_shared<TlsLink>(TlsLink::Stream(std::move(socket), context_->context), std::move(host),
                                     services, role, context_->handshake, context_->clients);
}

}  // namespace sts6
