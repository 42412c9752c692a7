// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/retry_delay.hpp"

#include <catch2/catch.hpp>

namespace sts6::p11 {
namespace {

using namespace std::chrono_literals;
using Login = RetryDelay::Login;

constexpr RetryDelay::Clock::time_point kStart{1000h};

}  // namespace

TEST_CASE("retry delay: the first attempt is due at once") {
    CHECK(RetryDelay().is_due(kStart));
}

TEST_CASE("retry delay: however long a token was away, it is looked for within a second") {
    RetryDelay delay;
    auto now = kStart;
    for (int attempt = 0; attempt < 100'000; ++attempt) {
        delay.attempted(now, now + 1ms, Login::harmless);
        now += 1ms;
        REQUIRE_FALSE(delay.is_due(now + 249ms));
        REQUIRE(delay.is_due(now + 1s));
        now += 1s;
    }
}

TEST_CASE("retry delay: no more time goes into attempts than into answers") {
    RetryDelay delay;
    delay.attempted(kStart, kStart + 10s, Login::harmless);
    CHECK_FALSE(delay.is_due(kStart + 19'999ms));
    CHECK(delay.is_due(kStart + 20s));
    delay.attempted(kStart, kStart + 10min, Login::harmless);
    CHECK_FALSE(delay.is_due(kStart + 10min + 29'999ms));
    CHECK(delay.is_due(kStart + 10min + 30s));
}

TEST_CASE("retry delay: logins that fail for no clear reason get rare") {
    RetryDelay delay;
    auto now = kStart;
    for (const auto pause : {500ms, 1000ms, 2000ms, 4000ms, 8000ms, 16'000ms, 30'000ms, 30'000ms}) {
        delay.attempted(now, now, Login::unclear);
        CHECK_FALSE(delay.is_due(now + pause - 1ms));
        CHECK(delay.is_due(now + pause));
        now += pause;
    }
    SECTION("until one attempt fails otherwise") {
        delay.attempted(now, now, Login::harmless);
        CHECK_FALSE(delay.is_due(now + 249ms));
        CHECK(delay.is_due(now + 250ms));
    }
    SECTION("or the trouble is over") {
        delay.attempted(now, now, Login::unclear);
        delay.reset();
        CHECK(delay.is_due(now));
        delay.attempted(now, now, Login::unclear);
        CHECK(delay.is_due(now + 500ms));
    }
}

}  // namespace sts6::p11
