// SPDX-License-Identifier: Apache-2.0
// Token identifiers, docs/tokens.md 8.
#include <catch2/catch.hpp>

#include "firmware/sts/tid.hpp"

namespace sts6::sts {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr BaseDate kBaseDates[] = {BaseDate::y1993, BaseDate::y2014, BaseDate::y2035};

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

}  // namespace sts6::sts
