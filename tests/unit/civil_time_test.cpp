// SPDX-License-Identifier: Apache-2.0
#include "sts6/civil_time.hpp"

#include <array>
#include <string>

#include <catch2/catch.hpp>

namespace sts6 {
namespace {

template <class Number>
std::string digits(Number value, std::size_t width) {
    const std::string text = std::to_string(value);
    return std::string(width - text.size(), '0') + text;
}

std::string formatted(CivilTime time) {
    const auto text = format_civil_time(time);
    return {text.data(), text.size()};
}

// The Gregorian rule, independent of the library's calendar.
unsigned days_of(int year, unsigned month) {
    constexpr std::array<unsigned, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return kDays.at(month - 1) + (month == 2 && leap ? 1 : 0);
}

}  // namespace

TEST_CASE("civil times count seconds since 1970") {
    CHECK(civil_time(1970, 1, 1).time_since_epoch().count() == 0);
    CHECK(civil_time(2001, 9, 9, 1, 46, 40).time_since_epoch().count() == 1000000000);
    CHECK(civil_time(1969, 12, 31, 23, 59, 59).time_since_epoch().count() == -1);
    CHECK(parse_civil_time("20010909014640") == civil_time(2001, 9, 9, 1, 46, 40));
    CHECK(parse_civil_time("19930101000000") == civil_time(1993, 1, 1));
    CHECK(parse_civil_time("20380119031408")->time_since_epoch().count() == 2147483648);
    // A token's time is counted in minutes from its base date (docs/tokens.md 8): TID 0x014EEC.
    CHECK(civil_time(2014, 1, 1) + std::chrono::minutes(0x014EEC) == civil_time(2014, 3, 1, 13, 0));
}

TEST_CASE("every day of every kind of year is read and written back, and no other") {
    for (const int year : {0, 1, 1582, 1900, 1970, 1999, 2000, 2023, 2024, 2100, 9999}) {
        for (unsigned month = 0; month <= 99; ++month) {
            for (unsigned day = 0; day <= 99; ++day) {
                const std::string text = digits(year, 4) + digits(month, 2) + digits(day, 2) + "120000";
                const bool exists = month >= 1 && month <= 12 && day >= 1 && day <= days_of(year, month);
                const auto time = parse_civil_time(text);
                if (time.has_value() != exists) FAIL_CHECK(text);
                if (time && formatted(*time) != text) FAIL_CHECK(text);
            }
        }
    }
}

TEST_CASE("every second of the day is read and written back, and no other") {
    for (int hour = 0; hour <= 99; ++hour) {
        for (int minute = 0; minute <= 99; ++minute) {
            for (const int second : {0, 1, 29, 59, 60, 61, 99}) {
                const std::string text = "20240229" + digits(hour, 2) + digits(minute, 2) + digits(second, 2);
                const bool exists = hour <= 23 && minute <= 59 && second <= 59;
                const auto time = parse_civil_time(text);
                if (time.has_value() != exists) FAIL_CHECK(text);
                if (time && *time != civil_time(2024, 2, 29, hour, minute, second)) FAIL_CHECK(text);
                if (time && formatted(*time) != text) FAIL_CHECK(text);
            }
        }
    }
}

TEST_CASE("the borders of the calendar") {
    CHECK(formatted(*parse_civil_time("00000101000000")) == "00000101000000");
    CHECK(formatted(*parse_civil_time("99991231235959")) == "99991231235959");
    CHECK(parse_civil_time("20000229000000"));
    CHECK(parse_civil_time("20240229000000"));
    CHECK_FALSE(parse_civil_time("19000229000000"));
    CHECK_FALSE(parse_civil_time("21000229000000"));
    CHECK_FALSE(parse_civil_time("20230229000000"));
    CHECK_FALSE(parse_civil_time("20230431000000"));
    CHECK_FALSE(parse_civil_time("20231301000000"));
    CHECK_FALSE(parse_civil_time("20230001000000"));
    CHECK_FALSE(parse_civil_time("20230100000000"));
    CHECK_FALSE(parse_civil_time("20230101240000"));
    CHECK_FALSE(parse_civil_time("20230101006000"));
    CHECK_FALSE(parse_civil_time("20161231235960"));  // a leap second that did happen
}

TEST_CASE("only fourteen digits are a civil time") {
    const std::string good = "20140301130000";
    REQUIRE(parse_civil_time(good));
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK_FALSE(parse_civil_time(good.substr(0, size)));
    CHECK_FALSE(parse_civil_time(good + "0"));
    CHECK_FALSE(parse_civil_time(good + "Z"));
    CHECK_FALSE(parse_civil_time("20140301T130000"));
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (const char other : {'/', ':', ' ', '-', '+', 'a', 'O', '\0', '\x80', '\xB2'}) {
            std::string bad = good;
            bad[at] = other;
            CHECK_FALSE(parse_civil_time(bad));
        }
    }
}

TEST_CASE("civil times work in constant expressions") {
    STATIC_REQUIRE(parse_civil_time("20140301130000") == civil_time(2014, 3, 1, 13, 0));
    STATIC_REQUIRE(format_civil_time(civil_time(2014, 3, 1, 13, 0))[3] == '4');
}

}  // namespace sts6
