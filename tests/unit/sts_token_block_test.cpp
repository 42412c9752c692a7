// SPDX-License-Identifier: Apache-2.0
// Clear blocks and the 66-bit number, docs/tokens.md 6, 10 and 12.
#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

#include "firmware/sts/crc.hpp"
#include "firmware/sts/token_block.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

std::string decimal_of(const TokenNumber& token) {
    return test::text_of(token.decimal());
}

std::string hex_of(const TokenNumber& token) {
    return test::text_of(token.hex());
}

/// A block of any SubClass and body with the CRC it should have.
ClearToken block_of(unsigned token_class, unsigned subclass, std::uint64_t body) {
    const std::uint64_t top48 = (std::uint64_t{subclass} << 44U) | (body & 0xFFFFFFFFFFF);
    const bool currency = token_class == 0 && subclass >= 4 && subclass <= 7;
    return {token_class,
            (top48 << 16U) | (currency ? token_crc_c(token_class, top48) : token_crc(token_class, top48))};
}

bool is_blank(const TokenFields& fields) {
    return fields.tid == 0 && fields.amount == 0 && fields.rnd == 0 && !fields.has_tid() &&
           !fields.is_currency();
}

/// CRC or CRC_C.
bool has_crc_c(const ClearToken& token) {
    return token.token_class == 0 && (token.block >> 62U) == 1;
}

ClearToken random_token(test::RandomInput& random) {
    return block_of(static_cast<unsigned>(random.bits(2)), static_cast<unsigned>(random.bits(4)),
                    random.bits(44));
}

__extension__ using Number = unsigned __int128;

std::string decimal_digits(Number value) {
    std::string digits(20, '0');
    for (std::size_t i = digits.size(); i-- > 0; value /= 10) {
        digits[i] = static_cast<char>('0' + static_cast<unsigned>(value % 10));
    }
    return digits;
}

}  // namespace

TEST_CASE("the credit block of the standard's worked example") {
    const ClearToken token = credit_token(0, 0xB, 0x19EB23, 0x0100);
    CHECK(token.token_class == 0);
    CHECK(test::hex_of(token.block) == "0B19EB230100C207");
}

TEST_CASE("each field of a block has its place") {
    CHECK(credit_token(3, 0, 0, 0).block >> 16U == 0x300000000000);
    CHECK(credit_token(0, 0xF, 0, 0).block >> 16U == 0x0F0000000000);
    CHECK(credit_token(0, 0, 0xFFFFFF, 0).block >> 16U == 0x00FFFFFF0000);
    CHECK(credit_token(0, 0, 0, 0xFFFF).block >> 16U == 0x00000000FFFF);
    CHECK(management_token(10, 5, 0x78657C, 0xFC00).block >> 16U == 0xA578657CFC00);
    CHECK(management_token(10, 5, 0x78657C, 0xFC00).token_class == 2);
}

TEST_CASE("currency credit: S&E takes the place of RND, and the CRC is CRC_C") {
    for (unsigned subclass = 4; subclass <= 7; ++subclass) {
        for (const unsigned rnd : {0U, 5U, 15U}) {
            const ClearToken token =
                credit_token(subclass, static_cast<std::uint8_t>(rnd), 0x6D6F5D, 0x860A9);
            const std::uint64_t top48 = (std::uint64_t{subclass} << 44U) | 0x086D6F5D60A9;
            CHECK(token.block >> 16U == top48);
            CHECK((token.block & 0xFFFF) == token_crc_c(0, top48));
            CHECK((token.block & 0xFFFF) != token_crc(0, top48));
            const auto fields = read_block(token);
            REQUIRE(fields);
            CHECK(fields->amount == 0x860A9);
            CHECK(fields->rnd == 0);
            CHECK(fields->is_currency());
        }
    }
    // Class 2 has no currency layout: SubClass 4 to 7 carry the plain CRC.
    const std::uint64_t top48 = management_token(5, 5, 0x522A38, 0).block >> 16U;
    CHECK((management_token(5, 5, 0x522A38, 0).block & 0xFFFF) == token_crc(2, top48));
}

TEST_CASE("a block under the other CRC is refused") {
    for (unsigned subclass = 0; subclass < 16; ++subclass) {
        const ClearToken token = block_of(0, subclass, 0x519EB230100);
        const std::uint64_t top48 = token.block >> 16U;
        const std::uint16_t other = has_crc_c(token) ? token_crc(0, top48) : token_crc_c(0, top48);
        CHECK(read_block(token));
        CHECK_FALSE(read_block({0, (top48 << 16U) | other}));
    }
}

TEST_CASE("every layout with a TID shows its fields") {
    for (const unsigned subclass : {0U, 1U, 2U, 3U}) {
        const auto fields = read_block(credit_token(subclass, 9, 0xABCDEF, 0x1234));
        REQUIRE(fields);
        CHECK(fields->token_class == 0);
        CHECK(fields->subclass == subclass);
        CHECK(fields->rnd == 9);
        CHECK(fields->tid == 0xABCDEF);
        CHECK(fields->amount == 0x1234);
        CHECK(fields->has_tid());
        CHECK_FALSE(fields->is_currency());
    }
    for (const unsigned subclass : {0U, 1U, 2U, 5U, 6U, 7U, 10U}) {
        const auto fields = read_block(management_token(subclass, 15, 0xFFFFFF, 0xFFFF));
        REQUIRE(fields);
        CHECK(fields->token_class == 2);
        CHECK(fields->subclass == subclass);
        CHECK(fields->rnd == 15);
        CHECK(fields->tid == 0xFFFFFF);
        CHECK(fields->amount == 0xFFFF);
        CHECK(fields->has_tid());
        CHECK_FALSE(fields->is_currency());
    }
}

TEST_CASE("a body that holds key material or is not known is not shown") {
    for (const std::uint64_t body :
         {std::uint64_t{0}, std::uint64_t{0xFFFFFFFFFFF}, std::uint64_t{0x123456789AB}}) {
        for (unsigned subclass = 0; subclass < 16; ++subclass) {
            CAPTURE(subclass, body);
            const bool key_or_unknown = subclass == 3 || subclass == 4 || subclass == 8 || subclass == 9 ||
                                        (subclass >= 11 && subclass <= 15);
            for (unsigned token_class = 0; token_class < 4; ++token_class) {
                const auto fields = read_block(block_of(token_class, subclass, body));
                REQUIRE(fields);
                CHECK(fields->token_class == token_class);
                CHECK(fields->subclass == subclass);
                const bool blank = token_class == 1 || token_class == 3 ||
                                   (token_class == 0 && subclass >= 8) ||
                                   (token_class == 2 && key_or_unknown);
                if (blank) CHECK(is_blank(*fields));
                if (!blank) CHECK(fields->tid == ((body >> 16U) & 0xFFFFFF));
                CHECK(fields->has_tid() == !blank);
            }
        }
    }
}

TEST_CASE("the published key-change blocks are read, and show no key") {
    for (const auto& [block, subclass] : {std::pair{0x3F6A39FA45A37B82U, 3U},
                                          {0x4F0268A25C98CA17U, 4U},
                                          {0x8B2553CB7295EFC9U, 8U},
                                          {0x903149DC515A3259U, 9U}}) {
        const auto fields = read_block({2, block});
        REQUIRE(fields);
        CHECK(fields->subclass == subclass);
        CHECK(is_blank(*fields));
        for (const unsigned other_class : {0U, 1U, 3U}) CHECK_FALSE(read_block({other_class, block}));
    }
}

TEST_CASE("every flipped bit of a clear block is detected") {
    test::RandomInput random(11);
    std::size_t between_crcs = 0;
    std::size_t missed = 0;
    for (int i = 0; i < 5000; ++i) {
        const ClearToken token = random_token(random);
        REQUIRE(read_block(token));
        for (unsigned bit = 0; bit < 66; ++bit) {
            const ClearToken changed = bit < 64
                                           ? ClearToken{token.token_class, token.block ^ (1ULL << bit)}
                                           : ClearToken{token.token_class ^ (1U << (bit - 64)), token.block};
            const bool accepted = read_block(changed).has_value();
            if (has_crc_c(changed) == has_crc_c(token)) {
                if (accepted) FAIL(test::hex_of(token.block) << " bit " << bit);
            } else {
                // Between CRC and CRC_C the code's guarantee ends; chance remains: at most two of 2^16.
                ++between_crcs;
                missed += accepted ? 1 : 0;
            }
        }
    }
    CHECK(between_crcs > 1000);
    CHECK(missed <= 3);
}

TEST_CASE("every two flipped bits of a clear block are detected") {
    test::RandomInput random(12);
    for (int i = 0; i < 100; ++i) {
        const ClearToken token = random_token(random);
        for (unsigned high = 1; high < 64; ++high) {
            for (unsigned low = 0; low < high; ++low) {
                const ClearToken changed{token.token_class, token.block ^ (1ULL << high) ^ (1ULL << low)};
                if (has_crc_c(changed) == has_crc_c(token) && read_block(changed)) {
                    FAIL(test::hex_of(token.block) << " bits " << high << ' ' << low);
                }
            }
        }
    }
}

TEST_CASE("the class takes the place of block bits 28 and 27") {
    for (unsigned token_class = 0; token_class < 4; ++token_class) {
        const Number class_bits = Number{token_class} << 27U;
        for (unsigned bit = 0; bit < 64; ++bit) {
            const unsigned to = bit == 27 ? 64 : bit == 28 ? 65 : bit;
            const TokenNumber token(token_class, 1ULL << bit);
            CHECK(decimal_of(token) == decimal_digits((Number{1} << to) | class_bits));
            CHECK(token.token_class() == token_class);
            CHECK(token.block() == 1ULL << bit);
        }
        CHECK(decimal_of({token_class, 0}) == decimal_digits(class_bits));
    }
}

TEST_CASE("published blocks and their tokens") {
    CHECK(decimal_of({0, 0xC45ED1619406DF95}) == "51043465443420856213");
    // Class 1 SubClass 0: control FFFFFFFFF and 1, MfrCode 0; SubClass 2: ReadControl 0.
    CHECK(decimal_of({1, block_of(1, 0, 0xFFFFFFFFF00).block}) == "56493153725450313471");
    CHECK(decimal_of({1, block_of(1, 0, 0x00000000100).block}) == "00000000000150997584");
    CHECK(decimal_of({1, block_of(1, 2, 0).block}) == "02305843009347914912");
}

TEST_CASE("the ends of the range of 66 bits") {
    const auto most = TokenNumber::parse("73786976294838206463");
    REQUIRE(most);
    CHECK(hex_of(*most) == "3FFFFFFFFFFFFFFFF");
    CHECK(most->token_class() == 3);
    CHECK(most->block() == 0xFFFFFFFFFFFFFFFF);
    CHECK(TokenNumber::parse("3FFFFFFFFFFFFFFFF") == most);
    const auto least = TokenNumber::parse("00000000000000000000");
    REQUIRE(least);
    CHECK(*least == TokenNumber());
    CHECK(hex_of(*least) == "00000000000000000");
    CHECK(decimal_of(*TokenNumber::parse("10000000000000000")) == "18446744073709551616");
    CHECK(decimal_of(*TokenNumber::parse("0FFFFFFFFFFFFFFFF")) == "18446744073709551615");

    CHECK_FALSE(TokenNumber::parse("73786976294838206464"));
    CHECK_FALSE(TokenNumber::parse("73786976294838206465"));
    CHECK_FALSE(TokenNumber::parse("73786976294838206470"));
    CHECK_FALSE(TokenNumber::parse("80000000000000000000"));
    CHECK_FALSE(TokenNumber::parse("99999999999999999999"));
    CHECK_FALSE(TokenNumber::parse("40000000000000000"));
    CHECK_FALSE(TokenNumber::parse("FFFFFFFFFFFFFFFFF"));
}

TEST_CASE("only 20 decimal or 17 hexadecimal digits are a token") {
    for (std::size_t size = 0; size <= 40; ++size) {
        const auto token = TokenNumber::parse(std::string(size, '1'));
        CHECK(token.has_value() == (size == 17 || size == 20));
    }
    // 17 digits are hexadecimal even when all are decimal.
    CHECK(decimal_of(*TokenNumber::parse("00000000000000010")) == "00000000000000000016");
    CHECK(TokenNumber::parse("0123456789abcdefA") == TokenNumber::parse("0123456789ABCDEFA"));

    for (const std::string good : {"51043465443420856213", "2C45ED16194000F95"}) {
        REQUIRE(TokenNumber::parse(good));
        for (std::size_t at = 0; at < good.size(); ++at) {
            for (const char wrong :
                 {' ', '-', '+', '.', '/', ':', '@', 'G', '`', 'g', 'x', '\0', '\n', '\xB2'}) {
                std::string text = good;
                text[at] = wrong;
                CHECK_FALSE(TokenNumber::parse(text));
            }
        }
    }
    for (const char letter : {'A', 'F', 'a', 'f'}) {
        CHECK_FALSE(TokenNumber::parse(std::string("5104346544342085621") + letter));
    }
    CHECK_FALSE(TokenNumber::parse("5104 3465 4434 2085 6213"));
    CHECK_FALSE(TokenNumber::parse("0x45ED16194000F95"));
}

TEST_CASE("random tokens: decimal, hexadecimal and block agree") {
    test::RandomInput random(13);
    for (int i = 0; i < 100000; ++i) {
        const auto token_class = static_cast<unsigned>(random.bits(2));
        const std::uint64_t block = random.bits(64);
        const TokenNumber token(token_class, block);
        const Number number = (Number{(block >> 27U) & 0b11U} << 64U) | (block & ~(0b11ULL << 27U)) |
                              (Number{token_class} << 27U);
        const bool right = decimal_of(token) == decimal_digits(number) &&
                           TokenNumber::parse(decimal_of(token)) == token &&
                           TokenNumber::parse(hex_of(token)) == token && token.token_class() == token_class &&
                           token.block() == block;
        if (!right) FAIL(test::hex_of(block));
    }
}

}  // namespace sts6::sts
