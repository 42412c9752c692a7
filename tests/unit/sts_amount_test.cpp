// SPDX-License-Identifier: Apache-2.0
// Unit and currency amounts, docs/tokens.md 9.
#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "firmware/sts/amount.hpp"
#include "firmware/sts/token_block.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

/// The amounts of all fields with so many exponents, counted up step by step from 0.
std::vector<Magnitude> amounts_of_fields(unsigned exponents) {
    std::vector<Magnitude> amounts;
    amounts.reserve(std::size_t{exponents} << 14U);
    Magnitude amount = 0;
    Magnitude step = 1;
    for (unsigned e = 0; e < exponents; ++e, step *= 10) {
        for (unsigned m = 0; m < 16384; ++m, amount += step) amounts.push_back(amount);
    }
    return amounts;
}

/// offset(e) of docs/tokens.md 9.1.
Magnitude offset_of(unsigned e) {
    Magnitude ones = 0;
    for (unsigned i = 0; i < e; ++i) ones = ones * 10 + 1;
    return 16384 * ones;
}

constexpr std::uint32_t kSign = 0x80000;

std::optional<std::uint32_t> currency_field(std::string_view amount) {
    const auto value = parse_decimal(amount, 5);
    return value ? encode_currency(*value) : std::nullopt;
}

std::string digits_of(Magnitude value) {
    std::string digits;
    do {
        digits.insert(digits.begin(), static_cast<char>('0' + static_cast<unsigned>(value % 10)));
        value /= 10;
    } while (value != 0);
    return digits;
}

}  // namespace

TEST_CASE("unit amounts at every exponent border, on both sides") {
    CHECK(encode_units(0) == 0x0000);
    CHECK(encode_units(1) == 0x0001);
    CHECK(encode_units(16382) == 0x3FFE);
    CHECK(encode_units(16383) == 0x3FFF);
    CHECK(encode_units(16384) == 0x4000);
    CHECK(encode_units(16385) == 0x4001);
    CHECK(encode_units(16394) == 0x4001);
    CHECK(encode_units(16395) == 0x4002);
    CHECK(encode_units(20000) == 0x416A);
    CHECK(encode_units(180214) == 0x7FFF);
    CHECK(encode_units(180215) == 0x8000);
    CHECK(encode_units(180223) == 0x8000);
    CHECK(encode_units(180224) == 0x8000);
    CHECK(encode_units(180225) == 0x8001);
    CHECK(encode_units(1818523) == 0xBFFF);
    CHECK(encode_units(1818524) == 0xBFFF);
    CHECK(encode_units(1818525) == 0xC000);
    CHECK(encode_units(1818623) == 0xC000);
    CHECK(encode_units(1818624) == 0xC000);
    CHECK(encode_units(1818625) == 0xC001);
    CHECK(encode_units(18200624) == 0xFFFE);
    CHECK(encode_units(18200625) == 0xFFFF);
    CHECK(encode_units(18201624) == 0xFFFF);
    CHECK(kMostUnits == 18201624);
}

TEST_CASE("an amount above the largest unit field is refused") {
    CHECK_FALSE(encode_units(18201625));
    CHECK_FALSE(encode_units(0xFFFFFFFF));
    CHECK_FALSE(encode_units(0x100000000));  // a multiple of 2^32 is not taken for 0
    CHECK_FALSE(encode_units(0x100000001));
    CHECK_FALSE(encode_units(~std::uint64_t{0}));
}

TEST_CASE("unit fields at their borders") {
    CHECK(decode_units(0x0000) == 0);
    CHECK(decode_units(0x3FFF) == 16383);
    CHECK(decode_units(0x4000) == 16384);
    CHECK(decode_units(0x416A) == 20004);
    CHECK(decode_units(0x7FFF) == 180214);
    CHECK(decode_units(0x8000) == 180224);
    CHECK(decode_units(0xBFFF) == 1818524);
    CHECK(decode_units(0xC000) == 1818624);
    CHECK(decode_units(0xFFFF) == 18201624);
}

TEST_CASE("1 kW is 03E8") {
    CHECK(encode_units(1000) == 0x03E8);
    CHECK(decode_units(0x03E8) == 1000);
}

TEST_CASE("all 65536 unit fields come back and rise") {
    const auto amounts = amounts_of_fields(4);
    REQUIRE(amounts.size() == 65536);
    for (std::uint32_t field = 0; field < 65536; ++field) {
        const std::uint32_t amount = decode_units(static_cast<std::uint16_t>(field));
        if (amount != amounts[field] || encode_units(amount) != field) FAIL(field);
    }
}

TEST_CASE("every unit amount takes the smallest field that is not below it") {
    const auto amounts = amounts_of_fields(4);
    std::size_t field = 0;
    for (std::uint32_t amount = 0; amount <= kMostUnits; ++amount) {
        if (amounts[field] < amount) ++field;
        if (encode_units(amount) != field) FAIL(amount);
    }
    CHECK(field == 0xFFFF);
}

TEST_CASE("CTSA20: currency amounts of the test specification") {
    CHECK(currency_field("1") == 0x060AA);
    CHECK(currency_field("16384") == 0x178E4);
    CHECK(currency_field("1818624") == 0x1FFEE);
    CHECK(currency_field("182042624") == 0x28000);
    CHECK(currency_field("18204442624") == 0x30000);
    CHECK(currency_field("182044000000000000000") == 0x58000);
    CHECK(currency_field("-1") == 0x860A9);
    CHECK(currency_field("-182044000000000") == 0xBFFFF);
}

TEST_CASE("CTSA20: positive amounts round up, negative ones towards zero") {
    CHECK(decode_currency(0x060AA) == Currency{false, 100004});
    CHECK(decode_currency(0x060A9) == Currency{false, 99994});
    CHECK(decode_currency(0x860A9) == Currency{true, 99994});
    CHECK(encode_currency({false, 99994}) == 0x060A9);
    CHECK(encode_currency({false, 99995}) == 0x060AA);
    CHECK(encode_currency({false, 100004}) == 0x060AA);
    CHECK(encode_currency({true, 99994}) == 0x860A9);
    CHECK(encode_currency({true, 100003}) == 0x860A9);
    CHECK(encode_currency({true, 100004}) == 0x860AA);
}

TEST_CASE("the start of every currency exponent, on both sides and with both signs") {
    CHECK(encode_currency({false, offset_of(22)}) == 0x58000);
    for (unsigned e = 1; e < 32; ++e) {
        const Magnitude start = offset_of(e);
        const std::uint32_t field = e << 14U;
        CAPTURE(e);
        CHECK(decode_currency(field) == Currency{false, start});
        CHECK(encode_currency({false, start}) == field);
        CHECK(encode_currency({false, start - 1}) == (e == 1 ? field - 1 : field));
        CHECK(encode_currency({false, start + 1}) == field + 1);
        CHECK(decode_currency(kSign | field) == Currency{true, start});
        CHECK(encode_currency({true, start}) == (kSign | field));
        CHECK(encode_currency({true, start - 1}) == (kSign | (field - 1)));
        CHECK(encode_currency({true, start + 1}) == (kSign | field));
    }
}

TEST_CASE("the largest currency amount, and above it") {
    Magnitude step = 1;
    for (int i = 0; i < 31; ++i) step *= 10;
    const Magnitude most = offset_of(31) + 16383 * step;
    CHECK(decode_currency(0x7FFFF) == Currency{false, most});
    CHECK(decode_currency(0xFFFFF) == Currency{true, most});
    CHECK(encode_currency({false, most}) == 0x7FFFF);
    CHECK(encode_currency({false, most - 1}) == 0x7FFFF);
    CHECK(encode_currency({false, most - step}) == 0x7FFFE);
    CHECK(encode_currency({true, most}) == 0xFFFFF);
    CHECK(encode_currency({true, most - 1}) == 0xFFFFE);
    // What rounds towards zero still fits, up to the next step.
    CHECK(encode_currency({true, most + step - 1}) == 0xFFFFF);
    CHECK_FALSE(encode_currency({true, most + step}));
    CHECK_FALSE(encode_currency({false, most + 1}));
    CHECK_FALSE(encode_currency({false, ~Magnitude{0}}));
    CHECK_FALSE(encode_currency({true, ~Magnitude{0}}));
}

TEST_CASE("zero has one field, whatever its sign") {
    CHECK(encode_currency({false, 0}) == 0);
    CHECK(encode_currency({true, 0}) == 0);
    CHECK(decode_currency(0) == Currency{false, 0});
    CHECK(decode_currency(kSign) == Currency{false, 0});
    CHECK(parse_decimal("-0", 5) == Currency{false, 0});
    CHECK(parse_decimal("-0.00", 5) == Currency{false, 0});
}

TEST_CASE("all 2^20 currency fields come back, only the low 20 bits count") {
    const auto amounts = amounts_of_fields(32);
    REQUIRE(amounts.size() == kSign);
    for (std::uint32_t field = 0; field < 2 * kSign; ++field) {
        const Currency amount = decode_currency(field);
        const bool negative = field > kSign;
        if (amount != Currency{negative, amounts[field % kSign]}) FAIL(field);
        if (field != kSign && encode_currency(amount) != field) FAIL(field);
        if (decode_currency(field | 0xFFF00000) != amount) FAIL(field);
    }
}

TEST_CASE("random currency amounts against a search among all fields") {
    const auto amounts = amounts_of_fields(32);
    test::RandomInput random(9);
    for (int i = 0; i < 200000; ++i) {
        // All magnitudes alike: a random number of random bits, up to the largest field.
        const Magnitude wide = (Magnitude{random.bits(64)} << 64U) | random.bits(64);
        const Magnitude amount = (wide >> random.below(128)) % (amounts.back() + 1);
        const auto up = std::ranges::lower_bound(amounts, amount) - amounts.begin();
        const auto down = std::ranges::upper_bound(amounts, amount) - amounts.begin() - 1;
        if (encode_currency({false, amount}) != static_cast<std::uint32_t>(up)) FAIL(digits_of(amount));
        if (amount != 0 && encode_currency({true, amount}) != (kSign | static_cast<std::uint32_t>(down))) {
            FAIL(digits_of(amount));
        }
    }
}

TEST_CASE("random currency amounts round every exponent border, as a token carries them") {
    const auto amounts = amounts_of_fields(32);
    test::RandomInput random(21);
    Magnitude step = 1;
    for (unsigned e = 1; e < 32; ++e) {
        step *= 10;
        for (int i = 0; i < 3300; ++i) {
            // Up to three of the larger steps on either side.
            const Magnitude wide = (Magnitude{random.bits(64)} << 64U) | random.bits(64);
            const Magnitude amount = offset_of(e) - 3 * step + wide % (6 * step);
            const auto up =
                static_cast<std::size_t>(std::ranges::lower_bound(amounts, amount) - amounts.begin());
            const bool exact = amounts[up] == amount;
            const std::size_t down = exact ? up : up - 1;
            for (const bool negative : {false, true}) {
                const auto field = encode_currency({negative, amount});
                if (field != (negative ? kSign | down : up)) FAIL(e << ' ' << digits_of(amount));
                const auto read = read_block(credit_token(4, 0, 0, *field));
                if (!read ||
                    decode_currency(read->amount) != Currency{negative, amounts[negative ? down : up]}) {
                    FAIL(e << ' ' << digits_of(amount));
                }
            }
        }
    }
}

TEST_CASE("random unit amounts round every exponent border, as a token carries them") {
    test::RandomInput random(22);
    for (const std::uint32_t border : {16384U, 180224U, 1818624U, kMostUnits + 1}) {
        for (int i = 0; i < 25000; ++i) {
            const auto amount = static_cast<std::uint32_t>(border - 8000 + random.below(16000));
            const auto field = encode_units(amount);
            if (field.has_value() != (amount <= kMostUnits)) FAIL(amount);
            if (!field) continue;
            const auto read = read_block(credit_token(0, 5, 0, *field));
            REQUIRE(read);
            const std::uint32_t kept = decode_units(static_cast<std::uint16_t>(read->amount));
            // Never less than was paid for, and less than one step more; docs/tokens.md 9.1 names the steps.
            const std::uint32_t step = kept <= 16384 ? 1 : kept <= 180224 ? 10 : kept <= 1818624 ? 100 : 1000;
            if (kept < amount || kept - amount >= step) FAIL(amount);
        }
    }
}

TEST_CASE("decimal numbers are read exactly") {
    CHECK(parse_decimal("0", 0) == Currency{false, 0});
    CHECK(parse_decimal("25.6", 1) == Currency{false, 256});
    CHECK(parse_decimal("25", 1) == Currency{false, 250});
    CHECK(parse_decimal("-12.345", 5) == Currency{true, 1234500});
    CHECK(parse_decimal("0.00001", 5) == Currency{false, 1});
    CHECK(parse_decimal("-0.00001", 5) == Currency{true, 1});
    CHECK(parse_decimal("0001", 0) == Currency{false, 1});
    CHECK(parse_decimal("1.50000", 1) == Currency{false, 15});  // zeros make it no finer
    CHECK(parse_decimal("7.000000", 0) == Currency{false, 7});
    CHECK(parse_decimal("1820162.4", 1) == Currency{false, 18201624});
}

TEST_CASE("a number finer than its unit is refused, not rounded") {
    CHECK_FALSE(parse_decimal("0.01", 1));
    CHECK_FALSE(parse_decimal("18981.349", 1));
    CHECK_FALSE(parse_decimal("1.5", 0));
    CHECK_FALSE(parse_decimal("0.000001", 5));
    CHECK_FALSE(parse_decimal("-0.000001", 5));
    CHECK_FALSE(parse_decimal("1.0000000000000000000000001", 5));
}

TEST_CASE("what is no plain decimal number is refused") {
    using namespace std::string_view_literals;
    for (const auto text :
         {""sv,      "-"sv,    "."sv,    "-."sv,    "+1"sv,     "--1"sv,  "1-"sv,    "1."sv,
          ".5"sv,    "-.5"sv,  "1..2"sv, "1.2.3"sv, "1.-2"sv,   "1,5"sv,  " 1"sv,    "1 "sv,
          "1 000"sv, "1\t"sv,  "1\n"sv,  "1e5"sv,   "1E+20"sv,  "0x10"sv, "1A"sv,    "inf"sv,
          "nan"sv,   "1/2"sv,  "1:2"sv,  "1'000"sv, "1\0002"sv, "\0"sv,   "1.2\0"sv, "\xD9\xA1"sv,
          "\xFF"sv,  "1.2 "sv, "1.0x"sv, "-\0"sv,   "- 1"sv}) {
        CAPTURE(text);
        for (const unsigned decimals : {0U, 1U, 5U}) CHECK_FALSE(parse_decimal(text, decimals));
    }
}

TEST_CASE("a number that does not fit is refused") {
    const std::string most = "340282366920938463463374607431768211455";  // 2^128 - 1
    CHECK(parse_decimal(most, 0) == Currency{false, ~Magnitude{0}});
    CHECK(parse_decimal("-" + most, 0) == Currency{true, ~Magnitude{0}});
    CHECK(parse_decimal("0000000000000" + most, 0) == Currency{false, ~Magnitude{0}});
    CHECK_FALSE(parse_decimal("340282366920938463463374607431768211456", 0));
    CHECK_FALSE(parse_decimal("340282366920938463463374607431768211460", 0));
    CHECK_FALSE(parse_decimal("1000000000000000000000000000000000000000", 0));
    CHECK_FALSE(parse_decimal(std::string(1000, '9'), 0));
    // The decimals count too.
    CHECK_FALSE(parse_decimal(most, 1));
    CHECK(parse_decimal("3402823669209384634633746074317682.11455", 5) == Currency{false, ~Magnitude{0}});
    CHECK_FALSE(parse_decimal("3402823669209384634633746074317682.11456", 5));
}

TEST_CASE("random decimal numbers come back") {
    test::RandomInput random(10);
    for (int i = 0; i < 20000; ++i) {
        const Magnitude value =
            ((Magnitude{random.bits(64)} << 64U) | random.bits(64)) >> (1 + random.below(127));
        std::string text = digits_of(value);
        if (text.size() <= 5) text.insert(0, 6 - text.size(), '0');
        text.insert(text.size() - 5, 1, '.');
        if (parse_decimal(text, 5) != Currency{false, value}) FAIL(text);
        if (value != 0 && parse_decimal("-" + text, 5) != Currency{true, value}) FAIL(text);
    }
}

}  // namespace sts6::sts
