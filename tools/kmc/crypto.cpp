// SPDX-License-Identifier: Apache-2.0
#include "tools/kmc/crypto.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>

namespace sts6::kmc {

namespace {

constexpr const char* kGroup = "P-384";
constexpr int kSealTagOctets = static_cast<int>(keyload::kCcmTagOctets);

struct Free {
    void operator()(EVP_PKEY* p) const noexcept { EVP_PKEY_free(p); }
    void operator()(EVP_PKEY_CTX* p) const noexcept { EVP_PKEY_CTX_free(p); }
    void operator()(EVP_CIPHER_CTX* p) const noexcept { EVP_CIPHER_CTX_free(p); }
    void operator()(EVP_CIPHER* p) const noexcept { EVP_CIPHER_free(p); }
    void operator()(OSSL_PARAM_BLD* p) const noexcept { OSSL_PARAM_BLD_free(p); }
    void operator()(OSSL_PARAM* p) const noexcept { OSSL_PARAM_free(p); }
    void operator()(BIGNUM* p) const noexcept { BN_clear_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

void require(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(std::string("OpenSSL failed: ") + what);
}
template <class T>
Owned<T> owned(T* object, const char* what) {
    require(object != nullptr, what);
    return Owned<T>(object);
}

/// None when OpenSSL does not take the key. Without a private key it is a public one.
Owned<EVP_PKEY> import_key(const EcPoint& point, const Secret<kScalarOctets>* private_key) {
    const auto builder = owned(OSSL_PARAM_BLD_new(), "parameters");
    Owned<BIGNUM> scalar;  // the builder refers to it until the parameters are made
    bool ok = OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, kGroup, 0) == 1 &&
              OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                               point.size()) == 1;
    if (private_key != nullptr) {
        scalar = owned(BN_secure_new(), "a number");
        ok = ok &&
             BN_bin2bn(private_key->octets().data(), static_cast<int>(kScalarOctets), scalar.get()) !=
                 nullptr &&
             OSSL_PARAM_BLD_push_BN_pad(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, scalar.get(),
                                        kScalarOctets) == 1;
    }
    require(ok, "parameters");
    const auto parameters = owned(OSSL_PARAM_BLD_to_param(builder.get()), "parameters");
    const auto context = owned(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), "EC");
    require(EVP_PKEY_fromdata_init(context.get()) == 1, "EC");
    EVP_PKEY* key = nullptr;
    const int selection = private_key != nullptr ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    if (EVP_PKEY_fromdata(context.get(), &key, selection, parameters.get()) != 1) return nullptr;
    return Owned<EVP_PKEY>(key);
}

Owned<EVP_PKEY_CTX> context_of(EVP_PKEY* key) {
    return owned(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr), "a key context");
}

template <std::size_t N>
std::array<std::uint8_t, N> digest(const char* name, const void* data, std::size_t size) {
    std::array<std::uint8_t, N> out{};
    std::size_t length = 0;
    require(EVP_Q_digest(nullptr, name, nullptr, data, size, out.data(), &length) == 1 && length == N, name);
    return out;
}

/// DES(key, zeros) in the first eight octets: three-key DES with one key three times is DES.
std::array<std::uint8_t, 8> des_of_zeros(Octets key) {
    Secret<24> three;
    for (std::size_t at = 0; at < 24; at += 8) std::ranges::copy(key, three.octets().subspan(at).begin());
    const auto cipher = owned(EVP_CIPHER_fetch(nullptr, "DES-EDE3-ECB", nullptr), "DES");
    const auto context = owned(EVP_CIPHER_CTX_new(), "DES");
    const std::array<std::uint8_t, 8> zeros{};
    std::array<std::uint8_t, 8> out{};
    int length = 0;
    require(EVP_EncryptInit_ex2(context.get(), cipher.get(), three.octets().data(), nullptr, nullptr) == 1 &&
                EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1 &&
                EVP_EncryptUpdate(context.get(), out.data(), &length, zeros.data(), 8) == 1 && length == 8,
            "DES");
    return out;
}

}  // namespace

KeyPair generate_key_pair() {
    const auto key = owned(EVP_EC_gen(kGroup), "key generation");
    KeyPair pair;
    std::size_t length = 0;
    require(EVP_PKEY_get_octet_string_param(key.get(), OSSL_PKEY_PARAM_PUB_KEY, pair.public_key.data(),
                                            pair.public_key.size(), &length) == 1 &&
                length == kEcPointOctets,
            "the public key");
    BIGNUM* number = nullptr;
    require(EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_PRIV_KEY, &number) == 1, "the private key");
    const Owned<BIGNUM> scalar(number);
    require(BN_bn2binpad(scalar.get(), pair.private_key.octets().data(), static_cast<int>(kScalarOctets)) ==
                static_cast<int>(kScalarOctets),
            "the private key");
    return pair;
}

bool is_key_pair(const KeyPair& key) {
    const auto imported = import_key(key.public_key, &key.private_key);
    return imported && EVP_PKEY_check(context_of(imported.get()).get()) == 1;
}

bool is_public_key(const EcPoint& point) {
    // OpenSSL also takes the hybrid forms, 06 and 07.
    if (point[0] != POINT_CONVERSION_UNCOMPRESSED) return false;
    const auto imported = import_key(point, nullptr);
    return imported && EVP_PKEY_public_check(context_of(imported.get()).get()) == 1;
}

Secret<kScalarOctets> shared_secret(const KeyPair& own, const EcPoint& peer) {
    const auto own_key = import_key(own.public_key, &own.private_key);
    const auto peer_key = import_key(peer, nullptr);
    require(own_key && peer_key, "key import");
    const auto context = context_of(own_key.get());
    Secret<kScalarOctets> secret;
    std::size_t length = kScalarOctets;
    require(EVP_PKEY_derive_init(context.get()) == 1 &&
                EVP_PKEY_derive_set_peer(context.get(), peer_key.get()) == 1 &&
                EVP_PKEY_derive(context.get(), secret.octets().data(), &length) == 1 &&
                length == kScalarOctets,
            "key agreement");
    return secret;
}

std::array<std::uint8_t, 20> sha1(std::string_view text) {
    return digest<20>("SHA1", text.data(), text.size());
}

Sha384Digest sha384(Octets octets) {
    return digest<48>("SHA384", octets.data(), octets.size());
}

Sha384Digest sha384(std::string_view text) {
    return digest<48>("SHA384", text.data(), text.size());
}

keyload::Fingerprint fingerprint(const EcPoint& point) {
    const Sha384Digest hash = sha384(Octets(point));
    keyload::Fingerprint first{};
    std::copy_n(hash.begin(), first.size(), first.begin());
    return first;
}

Sha384Digest hmac_sha384(Octets key, Octets message) {
    Sha384Digest out{};
    std::size_t length = 0;
    require(EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA384", nullptr, key.data(), key.size(), message.data(),
                      message.size(), out.data(), out.size(), &length) != nullptr &&
                length == out.size(),
            "HMAC");
    return out;
}

void seal_ccm(std::span<const std::uint8_t, 24> key, const keyload::Nonce& nonce, Octets associated,
              Octets plain, std::span<std::uint8_t> out) {
    const auto cipher = owned(EVP_CIPHER_fetch(nullptr, "AES-192-CCM", nullptr), "CCM");
    const auto holder = owned(EVP_CIPHER_CTX_new(), "CCM");
    EVP_CIPHER_CTX* context = holder.get();
    const auto ctrl = [context](int type, int size, void* data) {
        return EVP_CIPHER_CTX_ctrl(context, type, size, data) == 1;
    };
    const int size = static_cast<int>(plain.size());
    int length = 0;
    require(EVP_EncryptInit_ex2(context, cipher.get(), nullptr, nullptr, nullptr) == 1 &&
                ctrl(EVP_CTRL_AEAD_SET_IVLEN, static_cast<int>(nonce.size()), nullptr) &&
                ctrl(EVP_CTRL_AEAD_SET_TAG, kSealTagOctets, nullptr) &&
                EVP_EncryptInit_ex2(context, nullptr, key.data(), nonce.data(), nullptr) == 1 &&
                // CCM must know the length before it sees anything.
                EVP_EncryptUpdate(context, nullptr, &length, nullptr, size) == 1 &&
                EVP_EncryptUpdate(context, nullptr, &length, associated.data(),
                                  static_cast<int>(associated.size())) == 1 &&
                EVP_EncryptUpdate(context, out.data(), &length, plain.data(), size) == 1 && length == size &&
                ctrl(EVP_CTRL_AEAD_GET_TAG, kSealTagOctets, out.data() + size),
            "CCM");
}

Kcv check_value(Dkga dkg, Octets value) {
    Kcv kcv{};
    if (dkg == Dkga::dkga02) {
        std::ranges::copy_n(des_of_zeros(value).begin(), kcv.size(), kcv.begin());
        return kcv;
    }
    const std::array<std::uint8_t, 8> zeros{};
    std::array<std::uint8_t, 32> mac{};
    std::size_t length = 0;
    require(EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, value.data(), value.size(), zeros.data(),
                      zeros.size(), mac.data(), mac.size(), &length) != nullptr,
            "HMAC");
    std::copy_n(mac.begin(), kcv.size(), kcv.begin());
    return kcv;
}

void random_octets(std::span<std::uint8_t> out) {
    require(RAND_priv_bytes(out.data(), static_cast<int>(out.size())) == 1, "random numbers");
}

}  // namespace sts6::kmc
