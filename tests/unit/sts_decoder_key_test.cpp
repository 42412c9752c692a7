// SPDX-License-Identifier: Apache-2.0
// The data of decoder keys, docs/tokens.md 3, and with OpenSSL the keys themselves.
#include <optional>
#include <string>

#include <catch2/catch.hpp>

#include "firmware/sts/decoder_key.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

Pan pan_of(std::string_view text) {
    const auto pan = Pan::parse(text);
    REQUIRE(pan);
    return *pan;
}

/// PAN 600727000000000009, SGC 201457, TI 01, KRN 1, base date 2014.
DecoderKeyParameters worked_dkga04(Ea ea = Ea::sta) {
    return {.kt = KeyType::dutk,
            .sgc = 201457,
            .ti = 1,
            .krn = 1,
            .pan = pan_of("600727000000000009"),
            .ea = ea,
            .base_date = BaseDate::y2014};
}

DecoderKeyParameters worked_dkga02(std::string_view pan = "600727000000000009") {
    auto parameters = worked_dkga04();
    parameters.sgc = 123456;
    parameters.pan = pan_of(pan);
    parameters.base_date = BaseDate::y1993;
    return parameters;
}

std::string x_of(const DecoderKeyParameters& parameters) {
    std::array<std::uint8_t, kDkga02DataOctets> x{};
    dkga02_data(parameters, x);
    return test::hex_of(x);
}

std::string d_of(const DecoderKeyParameters& parameters) {
    std::array<std::uint8_t, kDkga04DataOctets> d{};
    dkga04_data(parameters, d);
    return test::hex_of(d);
}

std::string key_of(Dkga dkga, std::string_view vending_key, const DecoderKeyParameters& parameters) {
    const auto key = test::derive_decoder_key(dkga, test::octets_of(vending_key), parameters);
    return test::hex_of(std::span(key).first(decoder_key_octets(parameters.ea)));
}

/// The D of the worked example, with one item replaced.
std::string d_with(std::size_t at_octet, std::string_view hex) {
    std::string d =
        "0402303402313402303702303100040632303134353701320131"
        "1236303037323730303030303030303030303900000040";
    return d.replace(at_octet * 2, hex.size(), hex);
}

constexpr std::string_view kVudk02 = "ABABABABABABABAB";
constexpr std::string_view kVudk04 = "ABABABABABABABAB949494949494949401234567";

}  // namespace

TEST_CASE("DKGA02: the worked example") {
    CHECK(x_of(worked_dkga02()) == "2151356011FFFFFF");
    CHECK(test::des_encrypt(test::array_of<8>(kVudk02), 0x2151356011FFFFFF) == 0x6CA9AAD4270FA73B);
    CHECK(key_of(Dkga::dkga02, kVudk02, worked_dkga02()) == "E653341F9D5BF36F");
}

TEST_CASE("DKGA02: a PAN of the long form") {
    // PANBlock 0000100000000008 xor CONTROLBlock 2123456011FFFFFF
    CHECK(x_of(worked_dkga02("000001000000000082")) == "2123556011FFFFF7");
    CHECK(key_of(Dkga::dkga02, kVudk02, worked_dkga02("000001000000000082")) == "E94023262E9993C2");
}

TEST_CASE("DKGA02: every field has its nibbles") {
    auto parameters = worked_dkga02();
    parameters.kt = KeyType::ddtk;
    CHECK(x_of(parameters) == "1151356011FFFFFF");
    parameters = worked_dkga02();
    parameters.sgc = 1;
    CHECK(x_of(parameters) == "2072701011FFFFFF");
    parameters.sgc = 999999;
    CHECK(x_of(parameters) == "29EBE99011FFFFFF");
    parameters = worked_dkga02();
    parameters.ti = 99;
    CHECK(x_of(parameters) == "2151356991FFFFFF");
    parameters.ti = 0;
    CHECK(x_of(parameters) == "2151356001FFFFFF");
    parameters = worked_dkga02();
    parameters.krn = 9;
    CHECK(x_of(parameters) == "2151356019FFFFFF");
    parameters = worked_dkga02("600727111111111153");
    CHECK(x_of(parameters) == "2151347100EEEEEA");  // PANBlock 0072711111111115
}

TEST_CASE("DKGA02: neither base date nor algorithm is part of the key") {
    for (const BaseDate base_date : {BaseDate::y2014, BaseDate::y2035}) {
        auto parameters = worked_dkga02();
        parameters.base_date = base_date;
        CHECK(x_of(parameters) == "2151356011FFFFFF");
        parameters.ea = Ea::misty1;
        CHECK(x_of(parameters) == "2151356011FFFFFF");
    }
}

TEST_CASE("DKGA04: the worked example for EA07") {
    CHECK(d_of(worked_dkga04()) == d_with(0, ""));
    CHECK(key_of(Dkga::dkga04, kVudk04, worked_dkga04()) == "87F3ECBB2E46B48F");
}

TEST_CASE("DKGA04: the worked example for EA11") {
    CHECK(d_of(worked_dkga04(Ea::misty1)) ==
          "0402303402313402313102303100040632303134353701320131"
          "1236303037323730303030303030303030303900000080");
    CHECK(key_of(Dkga::dkga04, kVudk04, worked_dkga04(Ea::misty1)) == "929BD3A415C9420A05EC5EE9F3CE91C3");
}

TEST_CASE("DKGA04: the new key of the published key-change set") {
    auto parameters = worked_dkga04(Ea::misty1);
    parameters.sgc = 203557;
    parameters.krn = 6;
    parameters.ti = 2;
    parameters.base_date = BaseDate::y2035;
    CHECK(key_of(Dkga::dkga04, kVudk04, parameters) == "39FA45A353CB729549DC515A68A25C98");
}

TEST_CASE("DKGA04: every field has its item, and changes nothing else") {
    auto parameters = worked_dkga04();
    parameters.base_date = BaseDate::y1993;
    CHECK(d_of(parameters) == d_with(5, "3933"));
    parameters.base_date = BaseDate::y2035;
    CHECK(d_of(parameters) == d_with(5, "3335"));
    parameters = worked_dkga04();
    parameters.ti = 0;
    CHECK(d_of(parameters) == d_with(11, "3030"));
    parameters.ti = 99;
    CHECK(d_of(parameters) == d_with(11, "3939"));
    parameters = worked_dkga04();
    parameters.sgc = 0;
    CHECK(d_of(parameters) == d_with(16, "303030303030"));
    parameters.sgc = 42;
    CHECK(d_of(parameters) == d_with(16, "303030303432"));
    parameters.sgc = 999999;
    CHECK(d_of(parameters) == d_with(16, "393939393939"));
    parameters = worked_dkga04();
    parameters.kt = KeyType::ddtk;
    CHECK(d_of(parameters) == d_with(23, "31"));
    parameters.kt = KeyType::ditk;
    CHECK(d_of(parameters) == d_with(23, "30"));
    parameters = worked_dkga04();
    parameters.krn = 9;
    CHECK(d_of(parameters) == d_with(25, "39"));
    parameters = worked_dkga04();
    parameters.pan = pan_of("000001000000000082");
    CHECK(d_of(parameters) == d_with(27, "303030303031303030303030303030303832"));
}

TEST_CASE("a common key is the same for every meter of a form") {
    // UNVERIFIED, CONVENTION: no published vector has a common key.
    auto first = worked_dkga04();
    first.kt = KeyType::dctk;
    auto second = first;
    second.pan = pan_of("600727111111111153");
    CHECK(d_of(first) == d_of(second));
    CHECK(d_of(first) == d_with(23, "33"));  // the PAN of the example has DRN digits 0
    CHECK(x_of(first) == x_of(second));
    first.sgc = 123456;
    CHECK(x_of(first) == "3151356011FFFFFF");

    second.kt = KeyType::dutk;
    first.kt = KeyType::dutk;
    CHECK(d_of(first) != d_of(second));
    CHECK(x_of(first) != x_of(second));
}

}  // namespace sts6::sts
