// SPDX-License-Identifier: Apache-2.0
// Sealing and opening of whole tokens, docs/tokens.md 1 and 12.
#include <optional>
#include <string>

#include <catch2/catch.hpp>

#include "firmware/sts/token.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

using Key = std::array<std::uint8_t, 16>;

/// What a token is made of.
struct Content {
    unsigned token_class = 0;
    unsigned subclass = 0;
    std::uint8_t rnd = 0;
    std::uint32_t tid = 0;
    std::uint32_t amount = 0;
};

Content random_content(test::RandomInput& random) {
    static constexpr unsigned kManagement[] = {0, 1, 2, 5, 6, 7, 10};
    Content content;
    content.token_class = random.bits(1) != 0 ? kClassManagement : kClassCredit;
    const bool credit = content.token_class == kClassCredit;
    content.subclass = credit ? static_cast<unsigned>(random.bits(3)) : kManagement[random.below(7)];
    content.rnd = static_cast<std::uint8_t>(random.bits(4));
    content.tid = static_cast<std::uint32_t>(random.bits(24));
    content.amount = static_cast<std::uint32_t>(random.bits(credit && content.subclass >= 4 ? 20 : 16));
    return content;
}

ClearToken clear_token(const Content& content) {
    return content.token_class == kClassCredit
               ? credit_token(content.subclass, content.rnd, content.tid, content.amount)
               : management_token(content.subclass, content.rnd, content.tid, content.amount);
}

bool shows(const std::optional<TokenFields>& fields, const Content& content) {
    if (!fields) return false;
    const bool currency = content.token_class == kClassCredit && content.subclass >= 4;
    return fields->token_class == content.token_class && fields->subclass == content.subclass &&
           fields->rnd == (currency ? 0U : content.rnd) && fields->tid == content.tid &&
           fields->amount == content.amount && fields->has_tid() && fields->is_currency() == currency;
}

Key key_of(std::string_view hex) {
    Key key{};
    const auto octets = test::octets_of(hex);
    std::copy_n(octets.begin(), octets.size(), key.begin());
    return key;
}

std::string sealed(const ClearToken& token, Ea ea, std::string_view key) {
    return test::text_of(seal_token(token, ea, key_of(key), kSampleStaTables).decimal());
}

}  // namespace

TEST_CASE("the standard's worked example, from fields to digits and back") {
    CHECK(sealed(credit_token(0, 0xB, 0x19EB23, 0x0100), Ea::sta, "0ABC12DEF3456789") ==
          "51043465443420856213");
    const auto fields = open_token(*TokenNumber::parse("51043465443420856213"), Ea::sta,
                                   key_of("0ABC12DEF3456789"), kSampleStaTables);
    REQUIRE(fields);
    CHECK(fields->subclass == 0);
    CHECK(fields->rnd == 0xB);
    CHECK(fields->tid == 0x19EB23);
    CHECK(fields->amount == 0x0100);
}

TEST_CASE("EA07 uses the first eight octets of the key alone") {
    const ClearToken token = credit_token(0, 0xB, 0x19EB23, 0x0100);
    CHECK(sealed(token, Ea::sta, "0ABC12DEF3456789FFFFFFFFFFFFFFFF") == "51043465443420856213");
    CHECK(sealed(token, Ea::misty1, "0ABC12DEF3456789FFFFFFFFFFFFFFFF") !=
          sealed(token, Ea::misty1, "0ABC12DEF34567890000000000000000"));
}

TEST_CASE("published EA11 tokens") {
    // STS 531-1-11, CTSA01 and CTSA03, and the set of docs/tokens.md 11, which the same key encrypts.
    const std::string_view key = "929BD3A415C9420A05EC5EE9F3CE91C3";
    CHECK(sealed(credit_token(0, 5, 0x014EEC, 1), Ea::misty1, key) == "58625789986991357486");
    CHECK(sealed(management_token(0, 5, 0x5229FD, 0x03E8), Ea::misty1, key) == "34494889475378866499");
    CHECK(sealed({2, 0x3F6A39FA45A37B82}, Ea::misty1, key) == "39536809214641544852");
    CHECK(sealed({2, 0x4F0268A25C98CA17}, Ea::misty1, key) == "23263472884016433225");
    CHECK(sealed({2, 0x8B2553CB7295EFC9}, Ea::misty1, key) == "45268691985939334940");
    CHECK(sealed({2, 0x903149DC515A3259}, Ea::misty1, key) == "65389277406881242890");
}

TEST_CASE("100000 random tokens are opened as they were made, under both algorithms") {
    for (const Ea ea : {Ea::sta, Ea::misty1}) {
        test::RandomInput random(14);
        for (int i = 0; i < 100000; ++i) {
            const Content content = random_content(random);
            const Key key = random.octets<16>();
            const TokenNumber token = seal_token(clear_token(content), ea, key, kSampleStaTables);
            const auto read = TokenNumber::parse(test::text_of(token.decimal()));
            if (!read || read->token_class() != content.token_class ||
                !shows(open_token(*read, ea, key, kSampleStaTables), content)) {
                FAIL(test::text_of(token.decimal()) << ' ' << test::hex_of(key));
            }
        }
    }
}

TEST_CASE("a flipped bit of a sealed token opens at a chance of 2^-16") {
    for (const Ea ea : {Ea::sta, Ea::misty1}) {
        test::RandomInput random(15);
        std::size_t accepted = 0;
        for (int i = 0; i < 2000; ++i) {
            const Key key = random.octets<16>();
            const TokenNumber token =
                seal_token(clear_token(random_content(random)), ea, key, kSampleStaTables);
            for (unsigned bit = 0; bit < 66; ++bit) {
                const std::uint64_t block = token.block() ^ (bit < 64 ? 1ULL << bit : 0);
                const unsigned token_class = token.token_class() ^ (bit < 64 ? 0 : 1U << (bit - 64));
                accepted += open_token({token_class, block}, ea, key, kSampleStaTables) ? 1 : 0;
            }
        }
        CHECK(accepted <= 12);  // 2 expected of 132000; more than 12 would be one chance in a million
    }
}

TEST_CASE("a wrong digit is no token, or opens at a chance of 2^-16") {
    for (const Ea ea : {Ea::sta, Ea::misty1}) {
        test::RandomInput random(20);
        std::size_t accepted = 0;
        std::size_t too_large = 0;
        for (int i = 0; i < 1500; ++i) {
            const Key key = random.octets<16>();
            const std::string digits = test::text_of(
                seal_token(clear_token(random_content(random)), ea, key, kSampleStaTables).decimal());
            for (std::size_t at = 0; at < digits.size(); ++at) {
                std::string mistyped = digits;
                mistyped[at] =
                    static_cast<char>('0' + (digits[at] - '0' + 1 + static_cast<int>(random.below(9))) % 10);
                const auto token = TokenNumber::parse(mistyped);
                // docs/tokens.md 6: 2^66 or more is invalid; equal lengths compare as numbers do.
                if (token.has_value() != (mistyped < "73786976294838206464")) FAIL(mistyped);
                too_large += token ? 0 : 1;
                accepted += token && open_token(*token, ea, key, kSampleStaTables) ? 1 : 0;
            }
        }
        CHECK(too_large > 100);
        CHECK(accepted <= 8);  // 0.5 expected of 30000
    }
}

TEST_CASE("a wrong key, algorithm or table set shows as a wrong CRC") {
    test::RandomInput random(16);
    const auto other_tables =
        StaTables::make(random.permutation<16>(), random.permutation<16>(), random.permutation<64>());
    REQUIRE(other_tables);
    std::size_t accepted = 0;
    for (int i = 0; i < 20000; ++i) {
        const Key key = random.octets<16>();
        const Key other_key = random.octets<16>();
        const ClearToken token = clear_token(random_content(random));
        const TokenNumber sta = seal_token(token, Ea::sta, key, kSampleStaTables);
        const TokenNumber misty1 = seal_token(token, Ea::misty1, key, kSampleStaTables);
        accepted += open_token(sta, Ea::sta, other_key, kSampleStaTables) ? 1 : 0;
        accepted += open_token(sta, Ea::misty1, key, kSampleStaTables) ? 1 : 0;
        accepted += open_token(sta, Ea::sta, key, *other_tables) ? 1 : 0;
        accepted += open_token(misty1, Ea::misty1, other_key, kSampleStaTables) ? 1 : 0;
        accepted += open_token(misty1, Ea::sta, key, kSampleStaTables) ? 1 : 0;
        accepted += open_unencrypted(sta) ? 1 : 0;
    }
    CHECK(accepted <= 12);  // 1.8 expected of 120000
}

TEST_CASE("class 1 is opened without a key, whatever key is given") {
    const auto all_tests = TokenNumber::parse("56493153725450313471");
    REQUIRE(all_tests);
    CHECK(all_tests->token_class() == kClassMeterTest);
    CHECK(all_tests->block() >> 16U == 0x0FFFFFFFFF00);
    CHECK(open_unencrypted(*all_tests));
    for (const Ea ea : {Ea::sta, Ea::misty1}) {
        for (const Key& key : {Key{}, key_of("929BD3A415C9420A05EC5EE9F3CE91C3")}) {
            const auto fields = open_token(*all_tests, ea, key, kSampleStaTables);
            REQUIRE(fields);
            CHECK(fields->token_class == kClassMeterTest);
            CHECK(fields->subclass == 0);
            CHECK(fields->tid == 0);
            CHECK(fields->amount == 0);
        }
    }
    CHECK_FALSE(open_unencrypted(*TokenNumber::parse("56493153725450313470")));
    CHECK_FALSE(open_token(*TokenNumber::parse("56493153725450313470"), Ea::sta, Key{}, kSampleStaTables));
}

TEST_CASE("key-change tokens are opened and show no key material") {
    const Key key = key_of("929BD3A415C9420A05EC5EE9F3CE91C3");
    for (const auto& [digits, subclass] : {std::pair{"39536809214641544852", 3U},
                                           {"23263472884016433225", 4U},
                                           {"45268691985939334940", 8U},
                                           {"65389277406881242890", 9U}}) {
        const auto fields = open_token(*TokenNumber::parse(digits), Ea::misty1, key, kSampleStaTables);
        REQUIRE(fields);
        CHECK(fields->token_class == kClassManagement);
        CHECK(fields->subclass == subclass);
        CHECK_FALSE(fields->has_tid());
        CHECK(fields->rnd == 0);
        CHECK(fields->tid == 0);
        CHECK(fields->amount == 0);
    }
}

}  // namespace sts6::sts
