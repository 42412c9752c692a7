// SPDX-License-Identifier: Apache-2.0
#include "src/admin/officers.hpp"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

namespace sts6::admin {

namespace {

// RFC 7914: 32 MiB and some 100 ms for one guess.
constexpr std::uint64_t kCost = 1U << 15U;
constexpr std::uint64_t kBlockSize = 8;
constexpr std::uint64_t kParallel = 1;
constexpr std::uint64_t kMostMemory = 64U << 20U;

bool derive(std::string_view pin, const Officer& officer, std::span<std::uint8_t> out) {
    return EVP_PBE_scrypt(pin.data(), pin.size(), officer.salt.data(), officer.salt.size(), kCost, kBlockSize,
                          kParallel, kMostMemory, out.data(), out.size()) == 1;
}

bool is_name(std::string_view name) noexcept {
    const auto is_character = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-' || c == '.';
    };
    return !name.empty() && name.size() <= 40 && std::ranges::all_of(name, is_character);
}

}  // namespace

bool is_pin(std::string_view pin) noexcept {
    return pin.size() >= kShortestPin && pin.size() <= kLongestPin &&
           std::ranges::all_of(pin, [](char c) { return c >= ' ' && c <= '~'; });
}

Result<Officer> make_officer(std::string_view name, std::string_view pin) {
    Officer officer;
    if (!is_name(name) || !officer.name.assign(name) || !is_pin(pin))
        return Unexpected{Errc::invalid_argument};
    if (RAND_bytes(officer.salt.data(), static_cast<int>(officer.salt.size())) != 1 ||
        !derive(pin, officer, officer.verifier)) {
        return Unexpected{Errc::io_failed};
    }
    return officer;
}

bool pin_fits(const Officer& officer, std::string_view pin) {
    std::array<std::uint8_t, 32> verifier{};
    if (!derive(pin, officer, verifier)) return false;
    return CRYPTO_memcmp(verifier.data(), officer.verifier.data(), verifier.size()) == 0;
}

}  // namespace sts6::admin
