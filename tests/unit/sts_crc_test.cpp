// SPDX-License-Identifier: Apache-2.0
// The checksum of a token, docs/tokens.md 7.
#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>

#include "firmware/sts/crc.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

constexpr std::uint64_t kLow48 = 0xFFFFFFFFFFFF;

/// CRC-16/MODBUS bit by bit, with its two octets swapped.
std::uint16_t bitwise_crc(const std::vector<std::uint8_t>& octets) {
    unsigned crc = 0xFFFF;
    for (const std::uint8_t octet : octets) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            const unsigned feedback = (crc ^ (static_cast<unsigned>(octet) >> bit)) & 1U;
            crc = (crc >> 1U) ^ (feedback * 0xA001U);
        }
    }
    return static_cast<std::uint16_t>(((crc & 0xFFU) << 8U) | (crc >> 8U));
}

std::vector<std::uint8_t> crc_input(unsigned token_class, std::uint64_t top48) {
    std::vector<std::uint8_t> octets(7);
    store_be((static_cast<std::uint64_t>(token_class) << 48U) | (top48 & kLow48), octets);
    return octets;
}

}  // namespace

TEST_CASE("the check value of CRC-16/MODBUS holds for the bitwise form used here") {
    const std::string_view digits = "123456789";
    CHECK(bitwise_crc({digits.begin(), digits.end()}) == 0x374B);  // 4B37 before the swap
}

TEST_CASE("the official CRC and CRC_C") {
    CHECK(token_crc(0, 0x004A2D900FF2) == 0x0FFA);
    CHECK(token_crc_c(0, 0x004A2D900FF2) == 0x7BC4);
    CHECK(token_crc(0, 0x0B19EB230100) == 0xC207);  // IEC 62055-41
}

TEST_CASE("the CRCs of a published key-change set") {
    CHECK(token_crc(2, 0x3F6A39FA45A3) == 0x7B82);
    CHECK(token_crc(2, 0x4F0268A25C98) == 0xCA17);
    CHECK(token_crc(2, 0x8B2553CB7295) == 0xEFC9);
    CHECK(token_crc(2, 0x903149DC515A) == 0x3259);
}

TEST_CASE("the class is part of both CRCs, and the two are different") {
    for (const std::uint64_t top48 : {std::uint64_t{0}, std::uint64_t{0x004A2D900FF2}, kLow48}) {
        std::vector<std::uint16_t> seen;
        for (unsigned token_class = 0; token_class < 4; ++token_class) {
            seen.push_back(token_crc(token_class, top48));
            seen.push_back(token_crc_c(token_class, top48));
        }
        std::ranges::sort(seen);
        CHECK(std::ranges::adjacent_find(seen) == seen.end());
    }
}

TEST_CASE("every bit of the 48 counts, and none above") {
    constexpr std::uint64_t kTop48 = 0x0B19EB230100;
    for (unsigned bit = 0; bit < 64; ++bit) {
        const std::uint64_t changed = kTop48 ^ (std::uint64_t{1} << bit);
        CHECK((token_crc(0, changed) == token_crc(0, kTop48)) == (bit >= 48));
        CHECK((token_crc_c(0, changed) == token_crc_c(0, kTop48)) == (bit >= 48));
    }
}

TEST_CASE("CRC and CRC_C of random input against the bitwise form") {
    test::RandomInput random(7);
    for (int i = 0; i < 100000; ++i) {
        const auto token_class = static_cast<unsigned>(random.bits(2));
        const std::uint64_t top48 = random.bits(48);
        auto octets = crc_input(token_class, top48);
        const bool same = token_crc(token_class, top48) == bitwise_crc(octets);
        octets.push_back(0x01);
        if (!same || token_crc_c(token_class, top48) != bitwise_crc(octets)) FAIL(test::hex_of(top48));
    }
}

}  // namespace sts6::sts
