// SPDX-License-Identifier: Apache-2.0
// Key-change sets and meter tests against the worked example of docs/tokens.md 11 and the published tokens.
#include <catch2/catch.hpp>

#include "firmware/sts/crc.hpp"
#include "firmware/sts/key_change.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

using test::array_of;

constexpr NewKey kWorkedKey{
    .kt = KeyType::dutk, .ken = 255, .krn = 6, .ti = 2, .sgc = 203557, .rollover = true};

std::vector<std::uint64_t> blocks(const KeyChangeSet& set) {
    std::vector<std::uint64_t> found;
    for (const ClearToken& token : set.tokens()) {
        CHECK(token.token_class == 2);
        CHECK(read_block(token).has_value());
        found.push_back(token.block);
    }
    return found;
}

}  // namespace

TEST_CASE("key change: the worked set of four") {
    const auto key = array_of<16>("39FA45A353CB729549DC515A68A25C98");
    const KeyChangeSet set(kWorkedKey, key, Ea::misty1, 4);
    CHECK(blocks(set) == std::vector<std::uint64_t>{0x3F6A39FA45A37B82, 0x4F0268A25C98CA17,
                                                    0x8B2553CB7295EFC9, 0x903149DC515A3259});
}

TEST_CASE("key change: EA07 takes the first eight octets, and the third token the SGC") {
    const auto key = array_of<16>("0123456789ABCDEFFFFFFFFFFFFFFFFF");
    NewKey fields{.kt = KeyType::dctk, .ken = 0x12, .krn = 9, .ti = 99, .sgc = 999999, .rollover = false};
    const auto two = blocks(KeyChangeSet(fields, key, Ea::sta, 2));
    const auto three = blocks(KeyChangeSet(fields, key, Ea::sta, 3));
    REQUIRE(two.size() == 2);
    REQUIRE(three.size() == 3);
    CHECK(two[0] >> 16U == 0x319301234567);
    CHECK(two[1] >> 16U == 0x426389ABCDEF);
    // 3CKT is the only difference of the first token.
    CHECK(three[0] >> 16U == 0x319701234567);
    CHECK(three[1] == two[1]);
    // 999999 is F423F.
    CHECK(three[2] >> 16U == 0x80F423F00000);
    fields.rollover = true;
    CHECK(blocks(KeyChangeSet(fields, key, Ea::sta, 2))[0] >> 16U == 0x319B01234567);
}

TEST_CASE("key change: which sets exist") {
    for (std::uint32_t tokens = 0; tokens < 10; ++tokens) {
        CHECK(is_key_change_set(Ea::sta, tokens) == (tokens == 2 || tokens == 3));
        CHECK(is_key_change_set(Ea::misty1, tokens) == (tokens == 4));
    }
    CHECK_FALSE(is_key_change_set(Ea::misty1, 0xFFFFFFFF));
}

TEST_CASE("key change: a token shows nothing of the key when it is read") {
    const auto key = array_of<16>("39FA45A353CB729549DC515A68A25C98");
    const KeyChangeSet set(kWorkedKey, key, Ea::misty1, 4);
    const unsigned subclasses[] = {3, 4, 8, 9};
    for (std::size_t i = 0; i < 4; ++i) {
        const auto fields = read_block(set.tokens()[i]);
        REQUIRE(fields);
        CHECK(fields->subclass == subclasses[i]);
        CHECK(fields->amount == 0);
        CHECK(fields->tid == 0);
        CHECK(fields->rnd == 0);
        CHECK_FALSE(fields->has_tid());
    }
}

TEST_CASE("meter test: the published token of all control bits, and where the fields stand") {
    // STS531-1-11/CTSA02/1
    const ClearToken all = meter_test_token(0, 0xFFFFFFFFF, 0);
    CHECK(TokenNumber(all.token_class, all.block) == TokenNumber::parse("56493153725450313471").value());
    CHECK(meter_test_token(0, 0xABCDEF012, 0x34).block >> 16U == 0x0ABCDEF01234);
    CHECK(meter_test_token(1, 0xABCDEF0, 0x1234).block >> 16U == 0x1ABCDEF01234);
    CHECK(meter_test_token(2, 0xFC0000000, 0).block >> 16U == 0x2FC000000000);
    CHECK(meter_test_token(1, 1, 0).token_class == 1);
}

}  // namespace sts6::sts
