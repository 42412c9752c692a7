// SPDX-License-Identifier: Apache-2.0
// EA07 (STA) and EA11 (MISTY1), docs/tokens.md 4 and 5.
#include <bit>
#include <optional>

#include <catch2/catch.hpp>

#include "firmware/sts/misty1.hpp"
#include "firmware/sts/sta.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

constexpr StaTables::Substitution kS1 = {12, 10, 8, 4, 3, 15, 0, 2, 14, 1, 5, 13, 6, 9, 7, 11};
constexpr StaTables::Substitution kS2 = {6, 9, 7, 4, 3, 10, 12, 14, 2, 13, 1, 15, 0, 11, 8, 5};
constexpr StaTables::Permutation kP = {29, 27, 34, 9,  16, 62, 55, 2,  40, 49, 38, 25, 33, 61, 30, 23,
                                       1,  41, 21, 57, 42, 15, 5,  58, 19, 53, 22, 17, 48, 28, 24, 39,
                                       3,  60, 36, 14, 11, 52, 54, 12, 31, 51, 10, 26, 0,  45, 37, 43,
                                       44, 6,  59, 4,  7,  35, 56, 50, 13, 18, 32, 47, 46, 63, 20, 8};

struct TableSet {
    StaTables::Substitution s1;
    StaTables::Substitution s2;
    StaTables::Permutation p;
};

unsigned nibble(std::uint64_t block, unsigned n) {
    return static_cast<unsigned>(block >> (4 * n)) & 0xFU;
}

std::uint64_t bit(std::uint64_t block, unsigned n) {
    return (block >> n) & 1U;
}

/// The cipher as the standard's text has it, with table look-ups.
std::uint64_t textbook_encrypt(const TableSet& tables, std::uint64_t key, std::uint64_t block, int rounds) {
    std::uint64_t k = std::rotr(~key, 12);
    for (int round = 0; round < rounds; ++round) {
        std::uint64_t substituted = 0;
        for (unsigned n = 0; n < 16; ++n) {
            const auto& table = bit(k, 4 * n + 3) != 0 ? tables.s2 : tables.s1;
            substituted |= std::uint64_t{table[nibble(block, n)]} << (4 * n);
        }
        block = 0;
        for (unsigned i = 0; i < 64; ++i) block |= bit(substituted, i) << tables.p[i];
        k = std::rotl(k, 1);
    }
    return block;
}

/// The other description of decryption: from the key itself, its bits 4n, the tables the other way round.
std::uint64_t textbook_decrypt(const TableSet& tables, std::uint64_t key, std::uint64_t block) {
    for (int round = 0; round < 16; ++round) {
        std::uint64_t permuted = 0;
        for (unsigned i = 0; i < 64; ++i) permuted |= bit(block, tables.p[i]) << i;
        block = 0;
        for (unsigned n = 0; n < 16; ++n) {
            const auto& table = bit(key, 4 * n) != 0 ? tables.s1 : tables.s2;
            std::uint64_t index = 0;
            while (table[index] != nibble(permuted, n)) ++index;
            block |= index << (4 * n);
        }
        key = std::rotr(key, 1);
    }
    return block;
}

constexpr TableSet kSample = {kS1, kS2, kP};
constexpr std::uint64_t kWorkedKey = 0x0ABC12DEF3456789;
constexpr std::uint64_t kWorkedBlock = 0x0B19EB230100C207;

std::array<std::uint8_t, 8> key_octets(std::uint64_t key) {
    std::array<std::uint8_t, 8> octets{};
    store_be(key, octets);
    return octets;
}

/// False when any of the four functions differs from the textbook.
bool agrees(const StaTables& tables, const TableSet& set, std::uint64_t key, std::uint64_t block) {
    const auto octets = key_octets(key);
    const std::uint64_t sealed = textbook_encrypt(set, key, block, 16);
    return sta_encrypt(tables, octets, block) == sealed && sta_decrypt(tables, octets, sealed) == block &&
           sta_encrypt_portable(tables, octets, block) == sealed &&
           sta_decrypt_portable(tables, octets, sealed) == block;
}

}  // namespace

TEST_CASE("STA: the rounds of the standard's worked example") {
    CHECK(std::rotr(~kWorkedKey, 12) == 0x876F543ED210CBA9);
    CHECK(textbook_encrypt(kSample, kWorkedKey, kWorkedBlock, 1) == 0xCEA6B17D9D323631);
    CHECK(textbook_encrypt(kSample, kWorkedKey, kWorkedBlock, 2) == 0x9A91A8A0CD1A42B9);
    CHECK(textbook_encrypt(kSample, kWorkedKey, kWorkedBlock, 16) == 0xC45ED1619406DF95);
    CHECK(textbook_decrypt(kSample, kWorkedKey, 0xC45ED1619406DF95) == kWorkedBlock);
}

TEST_CASE("STA: the worked example with the sample tables") {
    const auto key = key_octets(kWorkedKey);
    CHECK(sta_encrypt(kSampleStaTables, key, kWorkedBlock) == 0xC45ED1619406DF95);
    CHECK(sta_decrypt(kSampleStaTables, key, 0xC45ED1619406DF95) == kWorkedBlock);
    CHECK(sta_encrypt_portable(kSampleStaTables, key, kWorkedBlock) == 0xC45ED1619406DF95);
    CHECK(sta_decrypt_portable(kSampleStaTables, key, 0xC45ED1619406DF95) == kWorkedBlock);
}

TEST_CASE("STA: the sample tables are those of the standard") {
    for (unsigned i = 0; i < 64; ++i) {
        // Keys 0 and all ones use one substitution throughout, so that wrong tables cannot hide.
        for (const std::uint64_t key : {std::uint64_t{0}, ~std::uint64_t{0}}) {
            CHECK(agrees(kSampleStaTables, kSample, key, std::uint64_t{1} << i));
        }
    }
}

TEST_CASE("STA: vector and portable code do as the textbook, both ways, with the sample tables") {
    test::RandomInput random(4);
    for (int i = 0; i < 100000; ++i) {
        const std::uint64_t key = random.bits(64);
        const std::uint64_t block = random.bits(64);
        if (!agrees(kSampleStaTables, kSample, key, block)) FAIL(test::hex_of(key) << test::hex_of(block));
    }
}

TEST_CASE("STA: the two descriptions of decryption agree") {
    test::RandomInput random(5);
    for (int i = 0; i < 10000; ++i) {
        const std::uint64_t key = random.bits(64);
        const std::uint64_t block = random.bits(64);
        if (sta_decrypt(kSampleStaTables, key_octets(key), block) != textbook_decrypt(kSample, key, block)) {
            FAIL(test::hex_of(key) << test::hex_of(block));
        }
    }
}

TEST_CASE("STA: any valid tables work") {
    test::RandomInput random(6);
    for (int i = 0; i < 1000; ++i) {
        const TableSet set = {random.permutation<16>(), random.permutation<16>(), random.permutation<64>()};
        const auto tables = StaTables::make(set.s1, set.s2, set.p);
        REQUIRE(tables);
        for (int j = 0; j < 20; ++j) {
            const std::uint64_t key = random.bits(64);
            const std::uint64_t block = random.bits(64);
            if (!agrees(*tables, set, key, block)) FAIL(test::hex_of(key) << test::hex_of(block));
        }
    }
}

TEST_CASE("STA: each key bit and each block bit matters") {
    const std::uint64_t sealed = sta_encrypt(kSampleStaTables, key_octets(kWorkedKey), kWorkedBlock);
    for (unsigned i = 0; i < 64; ++i) {
        const std::uint64_t flip = std::uint64_t{1} << i;
        CHECK(sta_encrypt(kSampleStaTables, key_octets(kWorkedKey ^ flip), kWorkedBlock) != sealed);
        CHECK(sta_encrypt(kSampleStaTables, key_octets(kWorkedKey), kWorkedBlock ^ flip) != sealed);
    }
}

TEST_CASE("StaTables refuses a substitution that is no permutation of 0..15") {
    REQUIRE(StaTables::make(kS1, kS2, kP));
    for (std::size_t at = 0; at < StaTables::kNibbles; ++at) {
        for (const unsigned wrong : {16U, 255U, unsigned{kS1[(at + 1) % 16]}}) {
            auto table = kS1;
            table[at] = static_cast<std::uint8_t>(wrong);
            CHECK_FALSE(StaTables::make(table, kS2, kP));
        }
        for (const unsigned wrong : {16U, 128U, unsigned{kS2[(at + 15) % 16]}}) {
            auto table = kS2;
            table[at] = static_cast<std::uint8_t>(wrong);
            CHECK_FALSE(StaTables::make(kS1, table, kP));
        }
    }
    CHECK_FALSE(StaTables::make({}, kS2, kP));
    CHECK_FALSE(StaTables::make(kS1, {}, kP));
    StaTables::Substitution from_one{};
    for (std::size_t i = 0; i < 16; ++i) from_one[i] = static_cast<std::uint8_t>(i + 1);
    CHECK_FALSE(StaTables::make(from_one, kS2, kP));
}

TEST_CASE("StaTables refuses what is no permutation of 0..63") {
    for (std::size_t at = 0; at < StaTables::kBits; ++at) {
        for (const unsigned wrong : {64U, 255U, unsigned{kP[(at + 1) % 64]}}) {
            auto table = kP;
            table[at] = static_cast<std::uint8_t>(wrong);
            CHECK_FALSE(StaTables::make(kS1, kS2, table));
        }
    }
    CHECK_FALSE(StaTables::make(kS1, kS2, {}));
}

TEST_CASE("MISTY1: the known answers of RFC 2994") {
    const auto key = test::array_of<16>("00112233445566778899AABBCCDDEEFF");
    CHECK(misty1_encrypt(key, 0x0123456789ABCDEF) == 0x8B1DA5F56AB3D07C);
    CHECK(misty1_encrypt(key, 0xFEDCBA9876543210) == 0x04B68240B13BE95D);
    CHECK(misty1_decrypt(key, 0x8B1DA5F56AB3D07C) == 0x0123456789ABCDEF);
    CHECK(misty1_decrypt(key, 0x04B68240B13BE95D) == 0xFEDCBA9876543210);
}

TEST_CASE("MISTY1: decryption inverts encryption") {
    test::RandomInput random(8);
    for (int i = 0; i < 100000; ++i) {
        const auto key = random.octets<16>();
        const std::uint64_t block = random.bits(64);
        if (misty1_decrypt(key, misty1_encrypt(key, block)) != block ||
            misty1_encrypt(key, misty1_decrypt(key, block)) != block) {
            FAIL(test::hex_of(key) << test::hex_of(block));
        }
    }
}

TEST_CASE("MISTY1: each key bit and each block bit matters") {
    const auto key = test::array_of<16>("00112233445566778899AABBCCDDEEFF");
    for (unsigned i = 0; i < 128; ++i) {
        auto other = key;
        other[i / 8] ^= static_cast<std::uint8_t>(1U << (i % 8));
        CHECK(misty1_encrypt(other, 0x0123456789ABCDEF) != 0x8B1DA5F56AB3D07C);
    }
    for (unsigned i = 0; i < 64; ++i) {
        CHECK(misty1_encrypt(key, 0x0123456789ABCDEF ^ (std::uint64_t{1} << i)) != 0x8B1DA5F56AB3D07C);
    }
}

}  // namespace sts6::sts
