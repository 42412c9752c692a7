// SPDX-License-Identifier: Apache-2.0
// Key-change sets and meter tests against the worked example of docs/tokens.md 11 and the published tokens.
#include <catch2/catch.hpp>

#include "firmware/sts/crc.hpp"
#include "firmware/sts/key_change.hpp"
#include "firmware/sts/misty1.hpp"
#include "firmware/sts/sta.hpp"
#include "firmware/sts/token.hpp"
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

using Key = std::array<std::uint8_t, 16>;

/// A key change to random fields under a random key, in a set of two, three or four.
struct RandomChange {
    explicit RandomChange(test::RandomInput& random)
        : fields{.kt = static_cast<KeyType>(random.bits(2)),
                 .ken = static_cast<std::uint8_t>(random.bits(8)),
                 .krn = static_cast<std::uint8_t>(1 + random.below(9)),
                 .ti = static_cast<std::uint8_t>(random.below(100)),
                 .sgc = static_cast<std::uint32_t>(random.below(1000000)),
                 .rollover = random.bits(1) != 0},
          tokens(2 + random.below(3)),
          ea(tokens == 4 ? Ea::misty1 : Ea::sta),
          key(random.octets<16>()),
          set(fields, key, ea, tokens) {}

    NewKey fields;
    std::size_t tokens;
    Ea ea;
    Key key;
    KeyChangeSet set;
};

/// `count` bits of a block, as docs/tokens.md 10 draws it, from the left.
std::uint64_t bits_of(const ClearToken& token, unsigned from, unsigned count) {
    return token.block << from >> (64U - count);
}

/// A set as a meter takes it: every bit of every token has one meaning.
bool says(std::span<const ClearToken> set, const RandomChange& change) {
    const auto word = [&change](std::size_t at) { return load_be(std::span(change.key).subspan(at, 4)); };
    const NewKey& fields = change.fields;
    const bool long_key = change.tokens == 4;
    bool right = set.size() == change.tokens;
    for (const ClearToken& token : set) {
        right = right && token.token_class == 2 && bits_of(token, 48, 16) == token_crc(2, token.block >> 16U);
    }
    right = right && bits_of(set[0], 0, 4) == 3 && bits_of(set[1], 0, 4) == 4 &&
            ((bits_of(set[0], 4, 4) << 4U) | bits_of(set[1], 4, 4)) == fields.ken &&
            bits_of(set[0], 8, 4) == fields.krn && bits_of(set[0], 12, 1) == (fields.rollover ? 1 : 0) &&
            bits_of(set[0], 13, 1) == (change.tokens == 3 ? 1 : 0) &&
            bits_of(set[0], 14, 2) == static_cast<std::uint64_t>(fields.kt) &&
            bits_of(set[0], 16, 32) == word(0) && bits_of(set[1], 8, 8) == fields.ti &&
            bits_of(set[1], 16, 32) == word(long_key ? 12 : 4);
    if (change.tokens == 3) {
        right = right && bits_of(set[2], 0, 4) == 8 && bits_of(set[2], 4, 24) == fields.sgc &&
                bits_of(set[2], 28, 20) == 0;
    }
    if (long_key) {
        right = right && bits_of(set[2], 0, 4) == 8 && bits_of(set[3], 0, 4) == 9 &&
                ((bits_of(set[3], 4, 12) << 12U) | bits_of(set[2], 4, 12)) == fields.sgc &&
                bits_of(set[2], 16, 32) == word(4) && bits_of(set[3], 16, 32) == word(8);
    }
    return right;
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

TEST_CASE("key change: 100000 random sets of two, three and four say what they were made of") {
    test::RandomInput random(17);
    for (int i = 0; i < 100000; ++i) {
        const RandomChange change(random);
        if (!says(change.set.tokens(), change)) FAIL(test::hex_of(change.set.tokens()[0].block));
    }
}

TEST_CASE("key change: a sealed set opens under the current key, and not under the new one") {
    test::RandomInput random(18);
    const auto other_tables =
        StaTables::make(random.permutation<16>(), random.permutation<16>(), random.permutation<64>());
    REQUIRE(other_tables);
    std::size_t accepted = 0;
    for (int i = 0; i < 5000; ++i) {
        const RandomChange change(random);
        const Key current = random.octets<16>();
        std::vector<ClearToken> received;
        for (const ClearToken& token : change.set.tokens()) {
            const TokenNumber sealed = seal_token(token, change.ea, current, kSampleStaTables);
            const auto read = TokenNumber::parse(test::text_of(sealed.decimal()));
            REQUIRE(read);
            const std::uint64_t block =
                change.ea == Ea::sta
                    ? sta_decrypt(kSampleStaTables, std::span(current).first<8>(), read->block())
                    : misty1_decrypt(current, read->block());
            received.push_back({read->token_class(), block});
            const Ea other_ea = change.ea == Ea::sta ? Ea::misty1 : Ea::sta;
            accepted += open_token(*read, change.ea, change.key, kSampleStaTables) ? 1 : 0;
            accepted += open_token(*read, other_ea, current, kSampleStaTables) ? 1 : 0;
            accepted += change.ea == Ea::sta && open_token(*read, change.ea, current, *other_tables) ? 1 : 0;
        }
        if (!says(received, change)) FAIL(test::hex_of(current));
    }
    CHECK(accepted <= 8);  // 0.6 expected of 38333; more than 8 would be one chance in a hundred million
}

TEST_CASE("meter test: 100000 random tokens are read, and none with a flipped bit") {
    test::RandomInput random(19);
    std::size_t accepted = 0;
    for (int i = 0; i < 100000; ++i) {
        const auto subclass = static_cast<unsigned>(random.below(3));
        const unsigned code_bits = subclass == 1 ? 16 : 8;
        const std::uint64_t control = random.bits(44 - code_bits);
        const auto code = static_cast<unsigned>(random.bits(code_bits));
        const ClearToken clear = meter_test_token(subclass, control, code);
        const TokenNumber token(clear.token_class, clear.block);
        const std::string digits = test::text_of(token.decimal());
        const auto read = TokenNumber::parse(digits);
        const auto fields = read ? open_unencrypted(*read) : std::nullopt;
        const bool right = fields && fields->token_class == 1 && fields->subclass == subclass &&
                           bits_of({1, read->block()}, 4, 44) == ((control << code_bits) | code);
        if (!right) FAIL(digits);

        // The CRC sees every single bit, those of the class too.
        const auto bit = static_cast<unsigned>(random.below(66));
        const TokenNumber flipped = bit < 64 ? TokenNumber(1, clear.block ^ (1ULL << bit))
                                             : TokenNumber(bit == 64 ? 0 : 3, clear.block);
        if (open_unencrypted(flipped)) FAIL(digits << " bit " << bit);
        std::string mistyped = digits;
        char& digit = mistyped[random.below(digits.size())];
        digit = static_cast<char>('0' + (digit - '0' + 1 + static_cast<int>(random.below(9))) % 10);
        const auto other = TokenNumber::parse(mistyped);
        accepted += other && open_unencrypted(*other) ? 1 : 0;
    }
    CHECK(accepted <= 12);  // 1.5 expected
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
