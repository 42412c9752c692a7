// SPDX-License-Identifier: Apache-2.0
// The status table against the codes of sm-protocol 4, and the hexadecimal text it is written in.
#include "sts6/status.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace sts6 {
namespace {

constexpr std::array<std::string_view, 39> kCodes = {
    "00", "01", "02", "03", "05", "10", "20", "21", "22", "26", "27", "28", "29",
    "31", "33", "40", "41", "42", "43", "44", "45", "48", "49", "52", "53", "57",
    "58", "60", "61", "62", "63", "76", "77", "78", "80", "85", "87", "94", "EE"};

constexpr std::array<std::string_view, 39> kReserved = {
    "04", "06", "07", "08", "09", "11", "12", "13", "14", "15", "16", "17", "18", "19", "25", "30", "32",
    "46", "47", "51", "56", "59", "67", "68", "69", "70", "71", "72", "73", "74", "75", "82", "83", "84",
    // proprietary ranges, of which this product uses 22 alone
    "23", "24", "99", "F0", "FF"};

std::string code_of(Status status) {
    const auto code = status_code(status);
    return {code.data(), code.size()};
}

}  // namespace

TEST_CASE("the status table holds the codes of the protocol and no other") {
    std::vector<std::string> codes;
    codes.reserve(kStatusTable.size());
    for (const StatusRow& row : kStatusTable) codes.push_back(code_of(row.status));
    CHECK(std::is_sorted(codes.begin(), codes.end()));
    CHECK(std::equal(codes.begin(), codes.end(), kCodes.begin(), kCodes.end()));
    for (const std::string_view reserved : kReserved) {
        INFO(reserved);
        CHECK_FALSE(find_status(reserved));
    }
}

TEST_CASE("a status is named once and says what it means") {
    std::set<std::string_view> names;
    for (const StatusRow& row : kStatusTable) {
        names.insert(row.name);
        CHECK(status_name(row.status) == std::string_view(row.name));
        CHECK_FALSE(std::string_view(row.meaning).empty());
    }
    CHECK(names.size() == kStatusTable.size());
    CHECK(status_name(static_cast<Status>(0x04)) == std::string_view("unknown"));
    CHECK(status_name(static_cast<Status>(0xFF)) == std::string_view("unknown"));
}

TEST_CASE("the names stand for the codes of the protocol") {
    CHECK(code_of(Status::successful) == "00");
    CHECK(code_of(Status::device_failure) == "01");
    CHECK(code_of(Status::checksum_error) == "20");
    CHECK(code_of(Status::invalid_request_header) == "21");
    CHECK(code_of(Status::register_empty) == "22");
    CHECK(code_of(Status::kmc_key_state_error) == "26");
    CHECK(code_of(Status::insufficient_credit_balance) == "31");
    CHECK(code_of(Status::key_param_error) == "40");
    CHECK(code_of(Status::tampered_state) == "57");
    CHECK(code_of(Status::app_error_state) == "58");
    CHECK(code_of(Status::ptvd_nfields) == "60");
    CHECK(code_of(Status::ptvd_fieldtype) == "61");
    CHECK(code_of(Status::ptvd_encoding) == "62");
    CHECK(code_of(Status::ptvd_range) == "63");
    CHECK(code_of(Status::invalid_pan_error) == "76");
    CHECK(code_of(Status::sts_extended_error) == "EE");
}

TEST_CASE("a status is found by exactly its two characters") {
    for (const std::string_view code : kCodes) {
        const auto row = find_status(code);
        REQUIRE(row);
        CHECK(code_of(row->status) == code);
    }
    for (const std::string_view other :
         {"", "0", "000", "ee", "Ee", "0x", " 0", "4 ", "41 ", "G0", "4\xB1"}) {
        INFO(other);
        CHECK_FALSE(find_status(other));
    }
}

TEST_CASE("hexadecimal digits: upper case written, either read, nothing else") {
    constexpr std::string_view kUpper = "0123456789ABCDEF";
    constexpr std::string_view kLower = "0123456789abcdef";
    for (unsigned octet = 0; octet < 256; ++octet) {
        const char c = static_cast<char>(octet);
        const auto upper = kUpper.find(c);
        const auto lower = kLower.find(c);
        const auto value = hex_value(c);
        INFO("character " << octet);
        CHECK(value.has_value() == (upper != std::string_view::npos || lower != std::string_view::npos));
        if (value) CHECK(*value == std::min(upper, lower));
        CHECK(hex_digit(octet) == kUpper[octet % 16]);
    }
}

TEST_CASE("hexadecimal text has exactly two digits an octet") {
    std::array<std::uint8_t, 4> octets{};
    CHECK(read_hex("00ff7F80", octets));
    CHECK(octets == std::array<std::uint8_t, 4>{0x00, 0xFF, 0x7F, 0x80});
    std::array<char, 8> text{};
    write_hex(octets, text.data());
    CHECK(std::string_view(text.data(), text.size()) == "00FF7F80");
    CHECK(read_hex("", {}));
    CHECK_FALSE(read_hex("00", {}));
    for (const std::string_view bad : {"", "00FF7F8", "00FF7F800", "00FF7F8000", "00FF7F8G", "0xFF7F80",
                                       "00FF 7F8", "-0FF7F80", "00FF7F8\xC1"}) {
        INFO(bad);
        CHECK_FALSE(read_hex(bad, octets));
    }
}

}  // namespace sts6
