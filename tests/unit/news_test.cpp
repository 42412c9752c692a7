// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/news.hpp"

#include <catch2/catch.hpp>

namespace sts6::p11 {

using namespace std::chrono_literals;

TEST_CASE("news: the same line once a minute, another one at once") {
    const News::Clock::time_point start{1000h};
    News news;
    CHECK(news.is_news("a", start));
    for (auto later = 0ms; later < 60s; later += 250ms) CHECK_FALSE(news.is_news("a", start + later));
    CHECK(news.is_news("b", start + 30s));
    CHECK(news.is_news("a", start + 60s));
    CHECK_FALSE(news.is_news("a", start + 119s));
    CHECK_FALSE(news.is_news("b", start + 89s));
    SECTION("from the beginning after the trouble") {
        news.forget();
        CHECK(news.is_news("a", start + 119s));
        CHECK(news.is_news("b", start + 119s));
    }
}

}  // namespace sts6::p11
