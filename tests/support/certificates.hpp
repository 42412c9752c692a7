// SPDX-License-Identifier: Apache-2.0
// Certificates for tests of TLS, made with OpenSSL when they are needed.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <openssl/types.h>

namespace sts6::test {

/// A certificate and its key.
struct Credentials {
    std::shared_ptr<X509> certificate;
    std::shared_ptr<EVP_PKEY> key;

    /// Writes DIR/NAME.pem and DIR/NAME.key (0600).
    void write(const std::filesystem::path& dir, const std::string& name) const;
    /// Writes the key alone, encrypted (PKCS#8, AES-256-CBC).
    void write_encrypted_key(const std::filesystem::path& file, const std::string& passphrase) const;
};

struct CertificateRequest {
    /// The subject's attributes in order, most significant first: {"O", "Utility"}, {"CN", "till 1"}.
    std::vector<std::pair<std::string, std::string>> subject{};
    std::string names{};  ///< subjectAltName: "DNS:localhost,IP:127.0.0.1"
    int days_from = -1;   ///< validity, from today
    int days_to = 30;
    bool is_ca = false;
    bool is_rsa = false;  ///< a key of RSA, 2048 bits; otherwise P-256
};

/// Signed by `issuer`, or by itself. Throws std::runtime_error.
[[nodiscard]] Credentials make_certificate(const CertificateRequest& request,
                                           const Credentials* issuer = nullptr);

/// A CA, a certificate of it for localhost and 127.0.0.1, written to DIR/ca.pem, DIR/server.pem and
/// DIR/server.key.
[[nodiscard]] Credentials write_server_certificate(const std::filesystem::path& dir);

}  // namespace sts6::test
