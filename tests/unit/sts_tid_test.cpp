// SPDX-License-Identifier: Apache-2.0
// Token identifiers, docs/tokens.md 8.
#include <catch2/catch.hpp>

#include "firmware/sts/tid.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr BaseDate kBaseDates[] = {BaseDate::y1993, BaseDate::y2014, BaseDate::y2035};

/// A date and time as a person writes it.
struct Written {
    int year;
    unsigned month;
    unsigned day;
    int hour;
    int minute;
    int second;
};

bool is_leap(int year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

unsigned days_of_month(int year, unsigned month) {
    constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return kDays[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/// Minutes from 1 January 00:00 of a year, counted year by year and month by month.
std::int64_t minutes_since(int base_year, const Written& time) {
    std::int64_t days = 0;
    for (int year = base_year; year < time.year; ++year) days += is_leap(year) ? 366 : 365;
    for (int year = time.year; year < base_year; ++year) days -= is_leap(year) ? 366 : 365;
    for (unsigned month = 1; month < time.month; ++month) days += days_of_month(time.year, month);
    return (days + time.day - 1) * 1440 + time.hour * 60 + time.minute;
}

/// Any time up to a year outside the base date's range; one in three is near 00:01, one in two near an end.
Written random_time(test::RandomInput& random, int base_year) {
    const auto below = [&random](std::uint64_t limit) { return static_cast<int>(random.below(limit)); };
    Written time{.year = base_year - 1 + below(34),
                 .month = 1 + static_cast<unsigned>(random.below(12)),
                 .day = 1,
                 .hour = below(24),
                 .minute = below(60),
                 .second = below(60)};
    time.day += static_cast<unsigned>(random.below(days_of_month(time.year, time.month)));
    const int kind = below(6);
    if (kind < 2) {
        time.hour = 0;
        time.minute = below(4);
    } else if (kind == 2) {
        time = {base_year, 1, 1, 0, below(5), time.second};
    } else if (kind == 3) {
        time = {base_year - 1, 12, 31, 23, 55 + below(5), time.second};
    } else if (kind == 4) {
        time = {base_year + 31, 11, 24, 20, 10 + below(10), time.second};
    }
    return time;
}

}  // namespace

TEST_CASE("the TID of published issue times") {
    CHECK(tid_of(civil_time(2035, 1, 1, 8), BaseDate::y2035) == 480);
    CHECK(tid_of(civil_time(1996, 3, 25, 13, 55, 22), BaseDate::y1993) == 0x19EB23);  // IEC 62055-41
    CHECK(tid_of(civil_time(2004, 4, 21, 10, 1), BaseDate::y1993) == 0x5AB659);
    CHECK(tid_of(civil_time(2014, 3, 1, 13), BaseDate::y2014) == 0x014EEC);
    CHECK(tid_of(civil_time(2034, 7, 3, 9, 5), BaseDate::y2014) == 0xA48A21);
}

TEST_CASE("both ends of each base date's range") {
    for (const BaseDate base_date : kBaseDates) {
        const CivilTime first = civil_time(base_year(base_date), 1, 1);
        const CivilTime last = first + minutes{0xFFFFFF};
        CHECK(tid_of(first, base_date) == 0);
        CHECK_FALSE(tid_of(first - seconds{1}, base_date));
        CHECK_FALSE(tid_of(first - minutes{1}, base_date));
        CHECK(tid_of(last - seconds{1}, base_date) == 0xFFFFFE);
        CHECK(tid_of(last, base_date) == 0xFFFFFF);
        CHECK(tid_of(last + seconds{59}, base_date) == 0xFFFFFF);
        CHECK_FALSE(tid_of(last + seconds{60}, base_date));
    }
    // 16777215 minutes are 11650 days, 20 hours and 15 minutes.
    CHECK(tid_of(civil_time(2024, 11, 24, 20, 15), BaseDate::y1993) == kMostTid);
    CHECK_FALSE(tid_of(civil_time(2024, 11, 24, 20, 16), BaseDate::y1993));
    CHECK(tid_of(civil_time(2045, 11, 24, 20, 15), BaseDate::y2014) == kMostTid);
    CHECK_FALSE(tid_of(civil_time(2045, 11, 24, 20, 16), BaseDate::y2014));
    CHECK(tid_of(civil_time(2066, 11, 24, 20, 15), BaseDate::y2035) == kMostTid);
    CHECK_FALSE(tid_of(civil_time(2066, 11, 24, 20, 16), BaseDate::y2035));
}

TEST_CASE("times far outside any range have no TID") {
    for (const BaseDate base_date : kBaseDates) {
        CHECK_FALSE(tid_of(civil_time(0, 1, 1), base_date));
        CHECK_FALSE(tid_of(civil_time(1970, 1, 1), base_date));
        CHECK_FALSE(tid_of(civil_time(9999, 12, 31, 23, 59, 59), base_date));
    }
    CHECK_FALSE(tid_of(civil_time(2013, 12, 31, 23, 59, 59), BaseDate::y2014));
    CHECK_FALSE(tid_of(civil_time(2034, 12, 31, 23, 59, 59), BaseDate::y2035));
}

TEST_CASE("seconds are dropped, never rounded") {
    const CivilTime minute = civil_time(2014, 3, 1, 13);
    for (int second = 0; second < 60; ++second) {
        CHECK(tid_of(minute + seconds{second}, BaseDate::y2014) == 0x014EEC);
    }
    CHECK(tid_of(minute + seconds{60}, BaseDate::y2014) == 0x014EED);
}

TEST_CASE("leap days count, in the century year 2000 too") {
    const auto day = [](int year, unsigned month, unsigned at) {
        return tid_of(civil_time(year, month, at), BaseDate::y1993).value_or(0) / kMinutesOfDay;
    };
    CHECK(day(2000, 2, 29) == day(2000, 2, 28) + 1);
    CHECK(day(2000, 3, 1) == day(2000, 2, 29) + 1);
    CHECK(day(2001, 3, 1) == day(2001, 2, 28) + 1);
    CHECK(day(1994, 1, 1) == 365);
    CHECK(day(1997, 1, 1) == 3 * 365 + 366);
}

TEST_CASE("00:01 of any day is reserved") {
    CHECK(is_reserved_tid(1));
    CHECK(is_reserved_tid(1441));
    CHECK(is_reserved_tid(0x64E601));  // CTSA09, 2026-07-29
    for (const std::uint32_t tid : {0U, 2U, 1439U, 1440U, 1442U, 0x64E600U, 0x64E602U, kMostTid}) {
        CHECK_FALSE(is_reserved_tid(tid));
    }
    std::uint32_t reserved = 0;
    for (std::uint32_t tid = 0; tid <= kMostTid; ++tid) reserved += is_reserved_tid(tid) ? 1 : 0;
    CHECK(reserved == 11651);  // once in each of the 11650 whole days and in the last, shorter one
}

TEST_CASE("CTSA09: a token issued at 00:01 takes the TID of 00:02") {
    const CivilTime midnight = civil_time(2026, 7, 29);
    CHECK(tid_of(midnight, BaseDate::y2014) == 0x64E600);
    CHECK(tid_of(midnight + seconds{59}, BaseDate::y2014) == 0x64E600);
    CHECK(tid_of(midnight + seconds{60}, BaseDate::y2014) == 0x64E602);
    CHECK(tid_of(midnight + seconds{119}, BaseDate::y2014) == 0x64E602);
    CHECK(tid_of(midnight + seconds{120}, BaseDate::y2014) == 0x64E602);
    CHECK(tid_of(midnight + seconds{180}, BaseDate::y2014) == 0x64E603);
    for (const BaseDate base_date : kBaseDates) {
        CHECK(tid_of(base_time(base_date) + minutes{1}, base_date) == 2);
    }
}

TEST_CASE("CTSA09: each further token in the minute takes the next one") {
    std::optional<std::uint32_t> tid = 0x64E602;
    for (const std::uint32_t expected : {0x64E603U, 0x64E604U, 0x64E605U}) {
        tid = next_tid(*tid);
        REQUIRE(tid);
        CHECK(*tid == expected);
    }
}

TEST_CASE("counting on skips the reserved minute and ends with the range") {
    CHECK(next_tid(0) == 2);
    CHECK(next_tid(1) == 2);
    CHECK(next_tid(1438) == 1439);
    CHECK(next_tid(1439) == 1440);
    CHECK(next_tid(1440) == 1442);
    CHECK(next_tid(0x64E600) == 0x64E602);
    CHECK(next_tid(kMostTid - 1) == kMostTid);
    CHECK_FALSE(next_tid(kMostTid));
    CHECK_FALSE(next_tid(kMostTid + 1));
    CHECK_FALSE(next_tid(0xFFFFFFFF));
}

TEST_CASE("a TID comes back from its time, unless it is reserved") {
    for (const BaseDate base_date : kBaseDates) {
        for (std::uint32_t tid = 0; tid <= kMostTid; tid += 61) {
            const std::uint32_t expected = is_reserved_tid(tid) ? tid + 1 : tid;
            if (tid_of(time_of_tid(tid, base_date), base_date) != expected) FAIL(tid);
        }
    }
    CHECK(time_of_tid(480, BaseDate::y2035) == civil_time(2035, 1, 1, 8));
    CHECK(time_of_tid(kMostTid, BaseDate::y1993) == civil_time(2024, 11, 24, 20, 15));
}

TEST_CASE("100000 random times have the TID that a calendar gives them") {
    test::RandomInput random(23);
    std::size_t without = 0;
    std::size_t moved = 0;
    for (int i = 0; i < 100000; ++i) {
        const BaseDate base_date = kBaseDates[random.below(3)];
        const Written written = random_time(random, base_year(base_date));
        const CivilTime time = civil_time(written.year, written.month, written.day, written.hour,
                                          written.minute, written.second);
        const std::int64_t counted = minutes_since(base_year(base_date), written);
        const bool in_range = counted >= 0 && counted <= 16777215;
        const bool reserved = written.hour == 0 && written.minute == 1;
        const auto tid = tid_of(time, base_date);
        if (tid.has_value() != in_range) FAIL(test::text_of(format_civil_time(time)));
        if (!tid) {
            ++without;
            continue;
        }
        moved += reserved ? 1 : 0;
        if (*tid != counted + (reserved ? 1 : 0)) FAIL(test::text_of(format_civil_time(time)));
        const CivilTime minute = time - seconds{written.second} + minutes{reserved ? 1 : 0};
        if (time_of_tid(*tid, base_date) != minute) FAIL(test::text_of(format_civil_time(time)));
        // One more token in this minute: the next minute, and after 00:00 that is 00:02.
        const bool before_reserved = written.hour == 0 && written.minute == 0;
        const auto next = next_tid(*tid);
        if (next.has_value() != (counted < 16777215)) FAIL(test::text_of(format_civil_time(time)));
        if (next && *next != *tid + (before_reserved ? 2 : 1)) FAIL(test::text_of(format_civil_time(time)));
    }
    CHECK(without > 10000);
    CHECK(moved > 5000);
}

}  // namespace sts6::sts
