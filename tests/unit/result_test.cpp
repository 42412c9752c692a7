// SPDX-License-Identifier: Apache-2.0
#include "sts6/result.hpp"

#include <array>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>

#include <catch2/catch.hpp>

namespace sts6 {
namespace {

constexpr std::array kErrcs = {
#define STS6_ERRC(name, text) Errc::name,
#include "sts6/errc.def"
#undef STS6_ERRC
};

Result<std::unique_ptr<int>> owned(int value) {
    if (value < 0) return Unexpected{Errc::invalid_argument};
    return std::make_unique<int>(value);
}

Result<void> accept(bool good) {
    if (!good) return Unexpected{Errc::not_found};
    return {};
}

}  // namespace

TEST_CASE("a result holds a value or an error") {
    const Result<int> value = 7;
    CHECK(value.has_value());
    CHECK(static_cast<bool>(value));
    CHECK(*value == 7);
    const Result<int> failure = Unexpected{Errc::corrupt};
    CHECK_FALSE(failure.has_value());
    CHECK_FALSE(static_cast<bool>(failure));
    CHECK(failure.error() == Errc::corrupt);
}

TEST_CASE("a value and an error of the same type are told apart") {
    const Result<Errc, Errc> value = Errc::corrupt;
    const Result<Errc, Errc> failure = Unexpected{Errc::corrupt};
    CHECK(value.has_value());
    CHECK_FALSE(failure.has_value());
    CHECK(*value == failure.error());
    // A value that converts to false is still a value.
    CHECK(Result<bool>(false).has_value());
    CHECK(Result<int>(0).has_value());
}

TEST_CASE("a result moves what it owns") {
    auto result = owned(5);
    REQUIRE(result);
    CHECK(**result == 5);
    **result = 6;
    const std::unique_ptr<int> taken = *std::move(result);
    CHECK(*taken == 6);
    CHECK(owned(-1).error() == Errc::invalid_argument);
    CHECK(Result<std::string>("text")->size() == 4);
    const Result<std::string> constant = std::string("text");
    CHECK(constant->size() == 4);
}

TEST_CASE("a result without a value") {
    CHECK(accept(true).has_value());
    CHECK(Result<void>().has_value());
    const auto failure = accept(false);
    CHECK_FALSE(failure);
    CHECK(failure.error() == Errc::not_found);
    CHECK_FALSE(std::is_convertible_v<Result<void>, bool>);
    CHECK_FALSE(std::is_convertible_v<Result<int>, bool>);
}

TEST_CASE("a result works in constant expressions") {
    constexpr Result<int, char> kValue = 3;
    constexpr Result<int, char> kFailure = Unexpected{'x'};
    constexpr Result<void, char> kNothing;
    STATIC_REQUIRE(*kValue == 3);
    STATIC_REQUIRE(kFailure.error() == 'x');
    STATIC_REQUIRE(kNothing.has_value());
}

TEST_CASE("every internal error has a name and a text of its own") {
    std::set<std::string_view> names;
    std::set<std::string_view> texts;
    for (const Errc errc : kErrcs) {
        names.insert(errc_name(errc));
        texts.insert(errc_text(errc));
        CHECK_FALSE(std::string_view(errc_text(errc)).empty());
    }
    CHECK(names.size() == kErrcs.size());
    CHECK(texts.size() == kErrcs.size());
    CHECK(names.count("unknown") == 0);
    const auto unknown = static_cast<Errc>(kErrcs.size());
    CHECK(errc_name(unknown) == std::string_view("unknown"));
    CHECK(errc_text(unknown) == std::string_view("unknown error"));
}

}  // namespace sts6
