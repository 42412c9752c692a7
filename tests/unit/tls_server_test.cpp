// SPDX-License-Identifier: Apache-2.0
// TLS links, with OpenSSL itself as their client.
#include "src/links/tls_server.hpp"

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <catch2/catch.hpp>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include "src/links/listener.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/link_bench.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/tls_client.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6 {

namespace {

using namespace test;
namespace fs = std::filesystem;

/// A listener under TLS.
class TlsBench : public LinkBench {
  public:
    TlsBench() : ca(write_server_certificate(dir.path())) {
        // OpenSSL as a client writes to closed connections.
        REQUIRE(std::signal(SIGPIPE, SIG_IGN) != SIG_ERR);
        settings.certificate = dir.path() / "server.pem";
        settings.private_key = dir.path() / "server.key";
    }
    ~TlsBench() {
        end([this] { listener_.reset(); });
    }
    void open(const LinkLimits& limits = {}) {
        auto opened = TlsServer::open(settings);
        REQUIRE(opened);
        tls_ = *opened;
        auto listener = on_loop([&] {
            return Listener::open(loop(),
                                  {.name = "tls",
                                   .endpoint = {asio::ip::address_v4::loopback(), 0},
                                   .role = LinkRole::vend,
                                   .tls = tls_,
                                   .limits = limits},
                                  services());
        });
        REQUIRE(listener);
        listener_.emplace(*std::move(listener));
    }
    void want_certificates() {
        settings.client_ca = dir.path() / "ca.pem";
        settings.clients = {{"CN=till 1,O=Utility", LinkRole::vend}, {"CN=keys", LinkRole::full}};
    }
    Result<void> reload() {
        return on_loop([this] { return tls_->reload(); });
    }
    std::size_t connections() {
        return on_loop([this] { return listener_->connections(); });
    }
    [[nodiscard]] tcp::endpoint endpoint() const { return listener_->endpoint(); }
    [[nodiscard]] TlsClient client(TlsClientSettings how = {}) const {
        if (how.ca.empty()) how.ca = dir.path() / "ca.pem";
        return {endpoint(), how};
    }
    /// Whether a client with these credentials is served.
    [[nodiscard]] bool serves(const Credentials* credentials) const {
        try {
            return client({.credentials = credentials}).ask(kIdentify) == kIdentity;
        } catch (const std::runtime_error&) {
            return false;
        }
    }

    conform::TemporaryDirectory dir;
    Credentials ca;
    TlsSettings settings;

  private:
    std::shared_ptr<TlsServer> tls_;
    std::optional<Listener> listener_;
};

}  // namespace

TEST_CASE("tls: lines and envelopes, in 1.2 and 1.3") {
    TlsBench bench;
    bench.open();
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    TlsClient lines = bench.client({.least = version, .most = version});
    CHECK(lines.version() == version);
    CHECK(lines.ask(kIdentify) == kIdentity);
    CHECK(lines.ask(kEcho) == kEchoed);
    CHECK(lines.ask("noise\r") == kDamaged);
    CHECK(lines.ask("GL?RR0E2E\r") == kEchoed);
    TlsClient envelopes = bench.client({.least = version, .most = version});
    CHECK(envelopes.ask(framed("SM?DI", true)) == framed("SM!DI00PSOFTSM01~PSTS6-001~", true));
    CHECK(bench.full_role == 0);
}

TEST_CASE("tls: long answers, and many requests at once") {
    TlsBench bench;
    bench.open();
    TlsClient client = bench.client();
    const std::string body(4000, 'x');
    for (int i = 0; i < 20; ++i) client.send(framed("SM?QL" + body));
    for (int i = 0; i < 20; ++i) CHECK(client.line() == framed("SM!QL00" + body));
}

TEST_CASE("tls: what is older than 1.2 gets no handshake") {
    TlsBench bench;
    bench.open();
    const int version = GENERATE(TLS1_VERSION, TLS1_1_VERSION);
    CHECK_THROWS(bench.client({.least = version, .most = version}));
    CHECK(bench.client().ask(kIdentify) == kIdentity);
}

TEST_CASE("tls: a client may not negotiate again") {
    TlsBench bench;
    bench.open();
    TlsClient client = bench.client({.most = TLS1_2_VERSION});
    CHECK(client.ask(kIdentify) == kIdentity);
    CHECK(client.renegotiate() != 1);
}

TEST_CASE("tls: a client without TLS gets no answer, and no other is concerned") {
    TlsBench bench;
    bench.open();
    RawClient plain(bench.endpoint());
    plain.send(kIdentify);
    // An alert may come, no answer.
    CHECK(plain.rest().find("SM!") == std::string::npos);
    CHECK(bench.client().ask(kIdentify) == kIdentity);
    CHECK(bench.executed == 1);
}

TEST_CASE("tls: a handshake that does not end is given up") {
    TlsBench bench;
    bench.settings.handshake = 100ms;
    bench.open();
    RawClient silent(bench.endpoint());
    RawClient half(bench.endpoint());
    half.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
    CHECK(silent.ended());
    CHECK(half.ended());
    CHECK(eventually([&] { return bench.connections() == 0; }));
    // A link whose handshake did end stays beyond that time.
    TlsClient client = bench.client();
    std::this_thread::sleep_for(300ms);
    CHECK(client.ask(kIdentify) == kIdentity);
}

TEST_CASE("tls: a link without a request for too long is closed") {
    TlsBench bench;
    bench.open({.idle = 100ms});
    TlsClient client = bench.client();
    CHECK(client.ask(kIdentify) == kIdentity);
    CHECK(client.line().empty());
    CHECK(eventually([&] { return bench.connections() == 0; }));
}

TEST_CASE("tls: a client that vanishes drops its command") {
    TlsBench bench;
    bench.open();
    std::unique_lock hold(bench.held);
    TlsClient client = bench.client();
    client.send(kIdentify + kIdentify);
    CHECK(eventually([&] { return bench.taken == 1; }));
    client.reset();
    hold.unlock();
    CHECK(eventually([&] { return bench.connections() == 0; }));
}

TEST_CASE("tls: a certificate on the list gives its role") {
    TlsBench bench;
    bench.want_certificates();
    bench.open();
    const Credentials till = make_certificate({.subject = {{"O", "Utility"}, {"CN", "till 1"}}}, &bench.ca);
    const Credentials keys = make_certificate({.subject = {{"CN", "keys"}}}, &bench.ca);
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    const TlsClientSettings how{.credentials = &till, .least = version, .most = version};
    CHECK(bench.client(how).ask(kIdentify) == kIdentity);
    CHECK(bench.full_role == 0);
    CHECK(bench.client({.credentials = &keys, .least = version, .most = version}).ask(kIdentify) ==
          kIdentity);
    CHECK(bench.full_role == 1);
}

TEST_CASE("tls: an authority that another one has signed serves as the clients' authority") {
    TlsBench bench;
    bench.want_certificates();
    const Credentials office = make_certificate({.subject = {{"CN", "Office"}}, .is_ca = true}, &bench.ca);
    office.write(bench.dir.path(), "office");
    bench.settings.client_ca = bench.dir.path() / "office.pem";
    bench.open();
    const Credentials keys = make_certificate({.subject = {{"CN", "keys"}}}, &office);
    CHECK(bench.serves(&keys));
    const Credentials of_root = make_certificate({.subject = {{"CN", "keys"}}}, &bench.ca);
    CHECK_FALSE(bench.serves(&of_root));
}

TEST_CASE("tls: certificates that do not serve") {
    TlsBench bench;
    bench.want_certificates();
    bench.open();
    const Credentials other_ca = make_certificate({.subject = {{"CN", "Test CA"}}, .is_ca = true});
    const std::vector<std::pair<std::string, std::string>> till = {{"O", "Utility"}, {"CN", "till 1"}};
    Credentials credentials;
    SECTION("none") {
        CHECK_FALSE(bench.serves(nullptr));
    }
    SECTION("of another CA of the same name") {
        credentials = make_certificate({.subject = till}, &other_ca);
    }
    SECTION("signed by itself") {
        credentials = make_certificate({.subject = till});
    }
    SECTION("expired") {
        credentials = make_certificate({.subject = till, .days_from = -9, .days_to = -1}, &bench.ca);
    }
    SECTION("not valid yet") {
        credentials = make_certificate({.subject = till, .days_from = 1}, &bench.ca);
    }
    SECTION("a subject that is not on the list") {
        credentials = make_certificate({.subject = {{"O", "Utility"}, {"CN", "till 2"}}}, &bench.ca);
    }
    SECTION("a subject in another order") {
        credentials = make_certificate({.subject = {{"CN", "till 1"}, {"O", "Utility"}}}, &bench.ca);
    }
    SECTION("a name that holds the text of another") {
        credentials = make_certificate({.subject = {{"CN", "till 1,O=Utility"}}}, &bench.ca);
    }
    SECTION("a subject that begins as one on the list") {
        credentials = make_certificate({.subject = {{"CN", "keys2"}}}, &bench.ca);
    }
    SECTION("no subject") {
        credentials = make_certificate({}, &bench.ca);
    }
    if (credentials.key) CHECK_FALSE(bench.serves(&credentials));
    CHECK(bench.executed == 0);
    const Credentials good = make_certificate({.subject = till}, &bench.ca);
    CHECK(bench.serves(&good));
}

TEST_CASE("tls: certificates are read again without dropping a link") {
    TlsBench bench;
    bench.open();
    TlsClient before = bench.client();
    CHECK(before.server_name() == "module");
    make_certificate({.subject = {{"CN", "module 2027"}}, .names = "DNS:localhost"}, &bench.ca)
        .write(bench.dir.path(), "server");
    REQUIRE(bench.reload());
    CHECK(before.ask(kIdentify) == kIdentity);
    TlsClient after = bench.client();
    CHECK(after.server_name() == "module 2027");
    CHECK(after.ask(kIdentify) == kIdentity);
    CHECK(before.ask(kEcho) == kEchoed);
}

TEST_CASE("tls: files that cannot be used leave those read before") {
    TlsBench bench;
    bench.open();
    SECTION("no certificate") {
        fs::remove(bench.settings.certificate);
        CHECK(bench.reload().error() == Errc::not_found);
    }
    SECTION("a pipe in the place of a certificate, into which nobody writes") {
        fs::remove(bench.settings.certificate);
        REQUIRE(mkfifo(bench.settings.certificate.c_str(), S_IRUSR | S_IWUSR) == 0);
        CHECK(bench.reload().error() == Errc::not_found);
    }
    SECTION("half a certificate") {
        fs::resize_file(bench.settings.certificate, 100);
        CHECK(bench.reload().error() == Errc::malformed);
    }
    SECTION("the key of another one") {
        make_certificate({.subject = {{"CN", "x"}}}).write(bench.dir.path(), "other");
        fs::rename(bench.dir.path() / "other.key", bench.settings.private_key);
        CHECK(bench.reload().error() == Errc::malformed);
    }
    SECTION("a key that others can read") {
        fs::permissions(bench.settings.private_key, fs::perms::group_read, fs::perm_options::add);
        CHECK(bench.reload().error() == Errc::permission);
    }
    CHECK(bench.client().ask(kIdentify) == kIdentity);
}

TEST_CASE("tls: no server with files that cannot be used") {
    TlsBench bench;
    SECTION("no certificate") {
        bench.settings.certificate = bench.dir.path() / "none.pem";
        CHECK(TlsServer::open(bench.settings).error() == Errc::not_found);
    }
    SECTION("no key") {
        bench.settings.private_key = bench.dir.path() / "none.key";
        CHECK(TlsServer::open(bench.settings).error() == Errc::not_found);
    }
    SECTION("a key with a passphrase, which nobody is there to type") {
        const auto key = make_certificate({.subject = {{"CN", "x"}}});
        key.write(bench.dir.path(), "server");
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
            std::fopen(bench.settings.private_key.c_str(), "w"), &std::fclose);
        REQUIRE(PEM_write_PKCS8PrivateKey(file.get(), key.key.get(), EVP_aes_128_cbc(), "secret", 6, nullptr,
                                          nullptr) == 1);
        std::fflush(file.get());
        CHECK(TlsServer::open(bench.settings).error() == Errc::malformed);
    }
    SECTION("a key of another type than the certificate's") {
        const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> rsa(EVP_RSA_gen(2048), &EVP_PKEY_free);
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
            std::fopen(bench.settings.private_key.c_str(), "w"), &std::fclose);
        REQUIRE(PEM_write_PrivateKey(file.get(), rsa.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
        std::fflush(file.get());
        CHECK(TlsServer::open(bench.settings).error() == Errc::malformed);
    }
    SECTION("no CA") {
        bench.want_certificates();
        bench.settings.client_ca = bench.dir.path() / "none.pem";
        CHECK(TlsServer::open(bench.settings).error() == Errc::not_found);
    }
    SECTION("a CA that is none") {
        bench.want_certificates();
        std::ofstream(bench.settings.client_ca) << "nothing";
        CHECK(TlsServer::open(bench.settings).error() == Errc::malformed);
    }
}

}  // namespace sts6
