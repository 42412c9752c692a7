// SPDX-License-Identifier: Apache-2.0
// The other side of a key agreement and load, in OpenSSL and nothing of the product's.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>

#include "firmware/ports/hsm.hpp"
#include "tests/support/key_vectors.hpp"

namespace sts6::test {

inline void demand(bool done) {
    if (!done) throw std::runtime_error("OpenSSL fails");
}

inline Octets random_octets(std::size_t count) {
    Octets octets(count);
    demand(RAND_bytes(octets.data(), static_cast<int>(count)) == 1);
    return octets;
}

/// `secret` times `point`, or times the generator.
inline EcPoint times(std::span<const std::uint8_t> secret, const EcPoint* point) {
    const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(EC_GROUP_new_by_curve_name(NID_secp384r1),
                                                                    &EC_GROUP_free);
    const std::unique_ptr<EC_POINT, decltype(&EC_POINT_free)> product(EC_POINT_new(group.get()),
                                                                      &EC_POINT_free);
    const std::unique_ptr<BIGNUM, decltype(&BN_free)> factor(
        BN_bin2bn(secret.data(), static_cast<int>(secret.size()), nullptr), &BN_free);
    if (point == nullptr) {
        demand(EC_POINT_mul(group.get(), product.get(), factor.get(), nullptr, nullptr, nullptr) == 1);
    } else {
        demand(EC_POINT_oct2point(group.get(), product.get(), point->data(), point->size(), nullptr) == 1);
        demand(EC_POINT_mul(group.get(), product.get(), nullptr, product.get(), factor.get(), nullptr) == 1);
    }
    EcPoint octets{};
    demand(EC_POINT_point2oct(group.get(), product.get(), POINT_CONVERSION_UNCOMPRESSED, octets.data(),
                              octets.size(), nullptr) == octets.size());
    return octets;
}

/// A point whose X is a small number.
inline EcPoint small_point() {
    const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(EC_GROUP_new_by_curve_name(NID_secp384r1),
                                                                    &EC_GROUP_free);
    const std::unique_ptr<EC_POINT, decltype(&EC_POINT_free)> point(EC_POINT_new(group.get()),
                                                                    &EC_POINT_free);
    std::array<std::uint8_t, 49> compressed{0x02};
    do {
        ++compressed.back();
    } while (EC_POINT_oct2point(group.get(), point.get(), compressed.data(), compressed.size(), nullptr) !=
             1);
    EcPoint octets{};
    demand(EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED, octets.data(),
                              octets.size(), nullptr) == octets.size());
    return octets;
}

inline Octets sealed_by_openssl(std::span<const std::uint8_t> kek, const Octets& nonce, const Octets& data,
                                const Octets& payload) {
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> owner(EVP_CIPHER_CTX_new(),
                                                                                &EVP_CIPHER_CTX_free);
    EVP_CIPHER_CTX* c = owner.get();
    Octets sealed(payload.size() + 16);
    int size = 0;
    const auto length = [](const Octets& octets) { return static_cast<int>(octets.size()); };
    demand(EVP_EncryptInit_ex(c, EVP_aes_192_ccm(), nullptr, nullptr, nullptr) == 1);
    demand(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, length(nonce), nullptr) == 1);
    demand(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, nullptr) == 1);
    demand(EVP_EncryptInit_ex(c, nullptr, nullptr, kek.data(), nonce.data()) == 1);
    demand(EVP_EncryptUpdate(c, nullptr, &size, nullptr, length(payload)) == 1);
    if (!data.empty()) demand(EVP_EncryptUpdate(c, nullptr, &size, data.data(), length(data)) == 1);
    demand(EVP_EncryptUpdate(c, sealed.data(), &size, payload.data(), length(payload)) == 1);
    demand(EVP_EncryptFinal_ex(c, sealed.data() + size, &size) == 1);
    demand(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, sealed.data() + payload.size()) == 1);
    return sealed;
}

/// A response of this KMC to one ephemeral key.
struct Response {
    Octets other_info;
    Octets mac_data;
    std::array<std::uint8_t, 24> mac_tag{};
    std::array<std::uint8_t, 24> kek{};
};

/// What follows from Z = Ze || Zs.
inline Response response_of(const Octets& z, Octets other_info, Octets mac_data) {
    Response made{
        .other_info = std::move(other_info), .mac_data = std::move(mac_data), .mac_tag = {}, .kek = {}};
    Octets hashed{0, 0, 0, 1};
    hashed.insert(hashed.end(), z.begin(), z.end());
    hashed.insert(hashed.end(), made.other_info.begin(), made.other_info.end());
    std::array<std::uint8_t, 48> dkm{};
    demand(EVP_Digest(hashed.data(), hashed.size(), dkm.data(), nullptr, EVP_sha384(), nullptr) == 1);
    std::array<std::uint8_t, 48> mac{};
    demand(HMAC(EVP_sha384(), dkm.data(), 24, made.mac_data.data(), made.mac_data.size(), mac.data(),
                nullptr) != nullptr);
    std::copy_n(mac.begin(), 24, made.mac_tag.begin());
    std::copy_n(dkm.begin() + 24, 24, made.kek.begin());
    return made;
}

class SoftwareKmc {
  public:
    SoftwareKmc() : secret_(random_octets(48)), public_key_(make_public()) {}

    [[nodiscard]] const EcPoint& public_key() const { return public_key_; }

    [[nodiscard]] Response respond(const EcPoint& ephemeral, const EcPoint& other, Octets other_info,
                                   Octets mac_data) const {
        Octets z;
        for (const EcPoint* point : {&ephemeral, &other}) {
            const EcPoint shared = times(secret_, point);
            z.insert(z.end(), shared.begin() + 1, shared.begin() + 49);
        }
        return response_of(z, std::move(other_info), std::move(mac_data));
    }

  private:
    EcPoint make_public() {
        secret_[0] = 1;  // below the group's order
        return times(secret_, nullptr);
    }
    Octets secret_;
    EcPoint public_key_;
};

}  // namespace sts6::test
