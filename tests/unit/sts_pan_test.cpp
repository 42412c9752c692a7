// SPDX-License-Identifier: Apache-2.0
// Meter numbers, docs/tokens.md 2.
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "firmware/sts/pan.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

/// Luhn from its other description: the doubled digit as a table, and the digit that makes the sum end in 0.
char luhn_by_table(std::string_view digits) {
    constexpr std::string_view kDoubled = "0246813579";
    int sum = 0;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const bool doubled = (digits.size() - i) % 2 == 1;
        const auto digit = static_cast<std::size_t>(digits[i] - '0');
        sum += doubled ? kDoubled[digit] - '0' : digits[i] - '0';
    }
    char check = '0';
    while ((sum + check - '0') % 10 != 0) ++check;
    return check;
}

std::string with_check(std::string digits) {
    digits.push_back(luhn_by_table(digits));
    return digits;
}

constexpr std::string_view kPans[] = {"600727000000000009", "000001000000000082", "600727111111111153"};

}  // namespace

TEST_CASE("Luhn check digits") {
    CHECK(luhn_check_digit("1234567890") == 3);
    CHECK(luhn_check_digit("43135625623") == 7);
    CHECK(luhn_check_digit("7861754265922") == 0);
    CHECK(luhn_check_digit("7992739871") == 3);  // ISO/IEC 7812-1, the usual worked example
    CHECK(luhn_check_digit("0") == 0);
    CHECK(luhn_check_digit("1") == 8);
    CHECK(luhn_check_digit("5") == 9);
    CHECK(luhn_check_digit("9") == 1);
}

TEST_CASE("Luhn check digits of random digits against the table form") {
    test::RandomInput random(2);
    for (int i = 0; i < 10000; ++i) {
        std::string digits(1 + random.below(20), '0');
        for (char& digit : digits) digit = static_cast<char>('0' + random.below(10));
        if (static_cast<char>('0' + luhn_check_digit(digits)) != luhn_by_table(digits)) FAIL(digits);
    }
}

TEST_CASE("the published test PANs in their two forms") {
    const auto short_drn = Pan::parse(kPans[0]);
    REQUIRE(short_drn);
    CHECK(short_drn->text() == kPans[0]);
    CHECK(short_drn->iin() == "600727");
    CHECK(short_drn->drn() == "00000000000");

    const auto long_drn = Pan::parse(kPans[1]);
    REQUIRE(long_drn);
    CHECK(long_drn->iin() == "0000");
    CHECK(long_drn->drn() == "0100000000008");

    const auto ones = Pan::parse(kPans[2]);
    REQUIRE(ones);
    CHECK(ones->drn() == "11111111115");
    CHECK(*ones == *Pan::parse("600727111111111153"));
    CHECK_FALSE(*ones == *short_drn);
}

TEST_CASE("every wrong digit of a PAN is refused") {
    for (const std::string_view pan : kPans) {
        for (std::size_t at = 0; at < pan.size(); ++at) {
            for (char digit = '0'; digit <= '9'; ++digit) {
                std::string changed(pan);
                changed[at] = digit;
                CHECK(Pan::parse(changed).has_value() == (changed == pan));
                CHECK(Pan::of_meter_number(changed).has_value() == (changed == pan));
            }
        }
    }
}

TEST_CASE("a PAN stands on its own check digit, that of the DRN inside is the point of sale's to check") {
    const std::pair<std::string, std::string> forms[] = {{"600727", "0123456789"}, {"0000", "010123456789"}};
    for (const auto& [iin, drn_payload] : forms) {
        const char right = luhn_by_table(drn_payload);
        for (char check = '0'; check <= '9'; ++check) {
            const std::string drn = drn_payload + check;
            CAPTURE(iin, drn);
            const auto pan = Pan::parse(with_check(iin + drn));
            REQUIRE(pan);
            CHECK(pan->drn() == drn);
            CHECK(is_drn(drn) == (check == right));
            CHECK(Pan::of_meter_number(drn) == (check == right ? pan : std::nullopt));
        }
    }
}

TEST_CASE("any other IIN is refused, both check digits being right") {
    for (const std::string iin : {"600728", "600726", "600737", "610727", "500727", "000727", "060072"}) {
        CAPTURE(iin);
        CHECK_FALSE(Pan::parse(with_check(iin + with_check("0123456789"))));
    }
    for (const std::string iin : {"0001", "0010", "1000", "6007", "9999"}) {
        CAPTURE(iin);
        CHECK_FALSE(Pan::parse(with_check(iin + with_check("010123456789"))));
    }
}

TEST_CASE("a PAN that begins 600727 always has a DRN of 11 digits") {
    const auto pan = Pan::parse(with_check("6007" + with_check("270000000001")));
    REQUIRE(pan);
    CHECK(pan->iin() == "600727");
    CHECK(pan->drn().size() == 11);
}

TEST_CASE("what is not 18 decimal digits is no PAN") {
    const std::string pan(kPans[0]);
    CHECK_FALSE(Pan::parse(""));
    for (std::size_t size = 0; size < pan.size(); ++size) CHECK_FALSE(Pan::parse(pan.substr(0, size)));
    for (const std::string& text : {pan + "0", "0" + pan, pan + " ", " " + pan, pan + pan}) {
        CHECK_FALSE(Pan::parse(text));
        CHECK_FALSE(Pan::of_meter_number(text));
    }
    for (std::size_t at = 0; at < pan.size(); ++at) {
        for (const char wrong : {'/', ':', ' ', '-', '+', 'A', 'a', '\0', '\n', '\x80', '\xFF'}) {
            std::string changed(pan);
            changed[at] = wrong;
            CHECK_FALSE(Pan::parse(changed));
        }
    }
}

TEST_CASE("CTSA17: a DRN with a wrong check digit is refused") {
    CHECK_FALSE(is_drn("12345678904"));
    CHECK_FALSE(is_drn("11111111113"));
    CHECK_FALSE(Pan::of_meter_number("12345678904"));
    CHECK_FALSE(Pan::of_meter_number("11111111113"));
    CHECK(is_drn("12345678903"));
    CHECK(is_drn("11111111115"));
}

TEST_CASE("a DRN has 11 or 13 digits") {
    CHECK(is_drn("00000000000"));
    CHECK(is_drn("0100000000008"));
    for (std::size_t size = 0; size <= 20; ++size) {
        const std::string zeros(size, '0');  // whose check digit is right at every length
        CHECK(is_drn(zeros) == (size == 11 || size == 13));
    }
    CHECK_FALSE(is_drn("0000000000 "));
    CHECK_FALSE(is_drn("-0000000000"));
    CHECK_FALSE(is_drn("0100000000009"));
    CHECK_FALSE(is_drn("0000000000A"));
}

TEST_CASE("a DRN becomes the PAN of its form") {
    CHECK(Pan::of_meter_number("00000000000")->text() == "600727000000000009");
    CHECK(Pan::of_meter_number("0100000000008")->text() == "000001000000000082");
    CHECK(Pan::of_meter_number("11111111115")->text() == "600727111111111153");
    for (const std::string_view pan : kPans) CHECK(Pan::of_meter_number(pan)->text() == pan);
    CHECK_FALSE(Pan::of_meter_number(""));
    CHECK_FALSE(Pan::of_meter_number("000000000000"));
}

TEST_CASE("the PAN of a common key has no DRN of its own") {
    // 600727 with DRN digits 0 is a published test PAN.
    for (const std::string_view pan : {kPans[0], kPans[2]}) {
        CHECK(Pan::parse(pan)->of_common_key().text() == "600727000000000009");
    }
    const Pan common = Pan::parse(kPans[1])->of_common_key();
    CHECK(common.text() == "000000000000000000");
    CHECK(Pan::parse(common.text()) == common);
}

TEST_CASE("random PANs of both forms are read as they are") {
    test::RandomInput random(3);
    for (int i = 0; i < 10000; ++i) {
        const bool long_drn = random.bits(1) != 0;
        std::string drn(long_drn ? 12 : 10, '0');
        for (char& digit : drn) digit = static_cast<char>('0' + random.below(10));
        drn = with_check(drn);
        const std::string pan = with_check((long_drn ? "0000" : "600727") + drn);
        const auto read = Pan::parse(pan);
        if (!read || read->text() != pan || read->drn() != drn || Pan::of_meter_number(drn) != read)
            FAIL(pan);
    }
}

}  // namespace sts6::sts
