// SPDX-License-Identifier: Apache-2.0
// What the tests of firmware/sts share: text for values, reproducible random input, and the operations with a
// vending key that an HSM does, made with OpenSSL.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "firmware/sts/decoder_key.hpp"
#include "firmware/util/bytes.hpp"
#include "sts6/hex.hpp"

namespace sts6::test {

inline std::string hex_of(std::span<const std::uint8_t> octets) {
    std::string text(octets.size() * 2, '0');
    write_hex(octets, text.data());
    return text;
}

/// 16 digits.
inline std::string hex_of(std::uint64_t value) {
    std::array<std::uint8_t, 8> octets{};
    store_be(value, octets);
    return hex_of(octets);
}

template <std::size_t N>
std::string text_of(const std::array<char, N>& text) {
    return {text.data(), N};
}

inline std::vector<std::uint8_t> octets_of(std::string_view hex) {
    std::vector<std::uint8_t> octets(hex.size() / 2);
    if (!read_hex(hex, octets)) throw std::invalid_argument("not hexadecimal: " + std::string(hex));
    return octets;
}

template <std::size_t N>
std::array<std::uint8_t, N> array_of(std::string_view hex) {
    std::array<std::uint8_t, N> octets{};
    if (!read_hex(hex, octets)) throw std::invalid_argument("not hexadecimal: " + std::string(hex));
    return octets;
}

/// The same numbers in every run and on every platform.
class RandomInput {
  public:
    explicit RandomInput(std::uint64_t seed) : engine_(seed) {}

    std::uint64_t bits(unsigned count) { return engine_() >> (64U - count); }
    /// 0..limit-1; the slight bias for limits that are no power of two does not matter here.
    std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
    template <std::size_t N>
    std::array<std::uint8_t, N> octets() {
        std::array<std::uint8_t, N> result{};
        for (std::uint8_t& octet : result) octet = static_cast<std::uint8_t>(bits(8));
        return result;
    }
    template <std::size_t N>
    std::array<std::uint8_t, N> permutation() {
        std::array<std::uint8_t, N> result{};
        for (std::size_t i = 0; i < N; ++i) result[i] = static_cast<std::uint8_t>(i);
        for (std::size_t i = N; i > 1; --i) std::swap(result[i - 1], result[below(i)]);
        return result;
    }

  private:
    std::mt19937_64 engine_;
};

/// Single DES of one block, as triple DES with one key three times.
inline std::uint64_t des_encrypt(std::span<const std::uint8_t, 8> key, std::uint64_t block) {
    std::array<std::uint8_t, 24> keys{};
    for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = key[i % 8];
    std::array<std::uint8_t, 8> in{};
    std::array<std::uint8_t, 8> out{};
    store_be(block, in);
    int size = 0;
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(),
                                                                                  &EVP_CIPHER_CTX_free);
    if (!context ||
        EVP_EncryptInit_ex(context.get(), EVP_des_ede3_ecb(), nullptr, keys.data(), nullptr) != 1 ||
        EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1 ||
        EVP_EncryptUpdate(context.get(), out.data(), &size, in.data(), 8) != 1 || size != 8) {
        throw std::runtime_error("DES failed");
    }
    return load_be(out);
}

/// The decoder key that a vending key gives, in the first octets as open_token() takes it.
inline std::array<std::uint8_t, 16> derive_decoder_key(Dkga dkga, std::span<const std::uint8_t> vending_key,
                                                       const sts::DecoderKeyParameters& parameters) {
    if (vending_key.size() != vending_key_octets(dkga)) throw std::invalid_argument("vending key length");
    std::array<std::uint8_t, 16> key{};
    if (dkga == Dkga::dkga02) {
        std::array<std::uint8_t, sts::kDkga02DataOctets> x{};
        sts::dkga02_data(parameters, x);
        const std::uint64_t block = load_be(x);
        store_be(des_encrypt(vending_key.first<8>(), block) ^ block ^ load_be(vending_key),
                 std::span(key).first<8>());
        return key;
    }
    std::array<std::uint8_t, sts::kDkga04DataOctets> d{};
    sts::dkga04_data(parameters, d);
    std::array<std::uint8_t, 32> mac{};
    unsigned size = 0;
    if (HMAC(EVP_sha256(), vending_key.data(), static_cast<int>(vending_key.size()), d.data(), d.size(),
             mac.data(), &size) == nullptr ||
        size != mac.size()) {
        throw std::runtime_error("HMAC failed");
    }
    std::copy_n(mac.begin(), decoder_key_octets(parameters.ea), key.begin());
    return key;
}

}  // namespace sts6::test
