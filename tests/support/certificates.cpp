// SPDX-License-Identifier: Apache-2.0
#include "tests/support/certificates.hpp"

#include <cstdio>
#include <stdexcept>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

namespace sts6::test {

namespace {

void require(bool holds, const char* what) {
    if (!holds) throw std::runtime_error(std::string("OpenSSL: ") + what);
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    require(extension != nullptr, "X509V3_EXT_conf_nid");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

template <class Write>
void write_file(const std::filesystem::path& path, Write write) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "w"), &std::fclose);
    require(file != nullptr && write(file.get()) == 1, "cannot write a PEM file");
}

}  // namespace

void Credentials::write(const std::filesystem::path& dir, const std::string& name) const {
    write_file(dir / (name + ".pem"),
               [this](std::FILE* file) { return PEM_write_X509(file, certificate.get()); });
    const auto path = dir / (name + ".key");
    write_file(path, [this](std::FILE* file) {
        return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    std::filesystem::permissions(path,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

void Credentials::write_encrypted_key(const std::filesystem::path& file,
                                      const std::string& passphrase) const {
    write_file(file, [&](std::FILE* out) {
        return PEM_write_PKCS8PrivateKey(out, key.get(), EVP_aes_256_cbc(), passphrase.data(),
                                         static_cast<int>(passphrase.size()), nullptr, nullptr);
    });
}

Credentials make_certificate(const CertificateRequest& request, const Credentials* issuer) {
    Credentials made{{X509_new(), &X509_free},
                     {request.is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"), &EVP_PKEY_free}};
    require(made.certificate != nullptr && made.key != nullptr, "no memory");
    X509* certificate = made.certificate.get();
    const Credentials& signer = issuer != nullptr ? *issuer : made;
    X509_set_version(certificate, X509_VERSION_3);
    std::uint32_t serial = 0;
    require(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1, "RAND_bytes");
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), request.days_from * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(certificate), request.days_to * 86400L);
    X509_NAME* name = X509_get_subject_name(certificate);
    for (const auto& [type, value] : request.subject) {
        require(
            X509_NAME_add_entry_by_txt(name, type.c_str(), MBSTRING_UTF8,
                                       reinterpret_cast<const unsigned char*>(value.c_str()), -1, -1, 0) == 1,
            "X509_NAME_add_entry_by_txt");
    }
    X509_set_issuer_name(certificate, X509_get_subject_name(signer.certificate.get()));
    X509_set_pubkey(certificate, made.key.get());
    add_extension(certificate, signer.certificate.get(), NID_basic_constraints,
                  request.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (!request.names.empty()) {
        add_extension(certificate, signer.certificate.get(), NID_subject_alt_name, request.names);
    }
    require(X509_sign(certificate, signer.key.get(), EVP_sha256()) > 0, "X509_sign");
    return made;
}

Credentials write_server_certificate(const std::filesystem::path& dir) {
    Credentials ca = make_certificate({.subject = {{"CN", "Test CA"}}, .is_ca = true});
    ca.write(dir, "ca");
    const CertificateRequest server{.subject = {{"CN", "module"}}, .names = "DNS:localhost,IP:127.0.0.1"};
    make_certificate(server, &ca).write(dir, "server");
    return ca;
}

}  // namespace sts6::test
