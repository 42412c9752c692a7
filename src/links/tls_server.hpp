// SPDX-License-Identifier: Apache-2.0
// TLS 1.2 and 1.3 for links: the module's certificate, and which client certificates may do what.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <asio/ip/tcp.hpp>

#include "src/links/link.hpp"
#include "src/links/link_services.hpp"
#include "sts6/commands.hpp"
#include "sts6/result.hpp"

namespace sts6 {

struct TlsSettings {
    std::filesystem::path certificate;  ///< PEM, the whole chain
    std::filesystem::path private_key;  ///< PEM; nobody but its owner may read it
    std::filesystem::path client_ca;    ///< PEM; empty: clients need no certificate
    /// With client_ca: what the client with a certificate of that subject (RFC 2253: "CN=till 1,O=Utility")
    /// may do. Others may not connect.
    std::map<std::string, LinkRole> clients;
    std::chrono::milliseconds handshake{10000};  ///< longer ones are given up
};

/// Everything happens on the loop's thread.
class TlsServer {
  public:
    /// Reads the files. not_found: no such file; permission: a private key that others can read or write, or
    /// of another user; malformed: what a file holds, a key that is not the certificate's or that needs a
    /// passphrase; io_failed. The log has the reason.
    [[nodiscard]] static Result<std::shared_ptr<TlsServer>> open(const TlsSettings& settings);

    TlsServer(const TlsServer&) = delete;
    TlsServer& operator=(const TlsServer&) = delete;
    ~TlsServer();

    /// Reads the files again, for the connections to come. What open() would refuse leaves all as it was.
    [[nodiscard]] Result<void> reload();

    /// A link that begins with a handshake, and carries messages. `role` is for clients that need no
    /// certificate.
    [[nodiscard]] std::shared_ptr<Link> make_link(asio::ip::tcp::socket socket,
                                                  std::shared_ptr<LinkHost> host,
                                                  const LinkServices& services, LinkRole role);

  private:
    struct Context;

    explicit TlsServer(const TlsSettings& settings);

    TlsSettings settings_;
    std::shared_ptr<Context> context_;
};

}  // namespace sts6
