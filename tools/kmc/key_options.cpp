// SPDX-License-Identifier: Apache-2.0
#include "tools/kmc/key_options.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/text.hpp"
#include "firmware/util/bytes.hpp"
#include "tools/kmc/kmc_error.hpp"

namespace sts6::kmc {

namespace {

constexpr std::uint32_t kMostRefreshDays = 36500;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Decimal always: an SGC with a zero before it is no octal number.
std::uint32_t number_option(const std::string& text, const char* name, std::uint32_t least,
                            std::uint32_t most) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
        usage_error(std::string(name) + " must be a number from " + std::to_string(least) + " to " +
                    std::to_string(most));
    }
    return value;
}

constexpr std::array kKeyTypeNames = {std::string_view("ditk"), std::string_view("vddk"),
                                      std::string_view("vudk"), std::string_view("vcdk")};

KeyType key_type(const std::string& text) {
    for (std::size_t i = 1; i < kKeyTypeNames.size(); ++i) {
        if (text == kKeyTypeNames.at(i) || text == std::to_string(i)) return static_cast<KeyType>(i);
    }
    usage_error("--ktc must be vddk (1), vudk (2) or vcdk (3)");
}

Dkga algorithm(const std::string& text) {
    if (text == "02") return Dkga::dkga02;
    if (text == "04") return Dkga::dkga04;
    usage_error("--dkg must be 02 or 04");
}

BaseDate base_date_option(const std::string& text) {
    for (const BaseDate base_date : {BaseDate::y1993, BaseDate::y2014, BaseDate::y2035}) {
        if (text == std::to_string(base_year(base_date))) return base_date;
    }
    usage_error("--base-date must be 1993, 2014 or 2035");
}

std::uint16_t bitmap(const std::string& text) {
    std::array<std::uint8_t, 2> octets{};
    if (!read_hex(text, octets)) usage_error("--sbm must be 4 hexadecimal digits");
    return static_cast<std::uint16_t>(load_be(octets));
}

}  // namespace

std::optional<CivilTime> date_option(const std::string& text, const char* name) {
    if (text.empty()) return std::nullopt;
    const auto date = keyload::parse_date(text);
    if (!date) usage_error(std::string(name) + " must be a date CCYYMMDDThhmmssZ");
    return date;
}

std::uint32_t clm_bits(const std::string& text) {
    const bool plain = std::ranges::all_of(text, [](char c) { return is_digit(c) || c == '.'; });
    float value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if (!plain || error != std::errc() || end != text.data() + text.size() ||
        !keyload::currency_limit(bits)) {
        usage_error("--clm must be a decimal number of currency units, at most 10000000000000");
    }
    return bits;
}

std::string clm_text(std::uint32_t bits) {
    std::array<char, 256> text{};  // the smallest of floats has 45 zeros behind its point
    const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(),
                                            std::bit_cast<float>(bits), std::chars_format::fixed);
    return {text.data(), error == std::errc() ? end : text.data()};
}

std::string key_type_text(KeyType ktc) {
    const auto number = static_cast<std::size_t>(ktc);
    std::string name(kKeyTypeNames.at(number));
    for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
    return std::to_string(number) + " " + name;
}

KeyName key_name(const std::string& sgc, const std::string& krn) {
    return {number_option(sgc, "--sgc", 0, 999'999),
            static_cast<std::uint8_t>(number_option(krn, "--krn", 1, 9))};
}

VendingKey vending_key(const KeyOptions& options, CivilTime now) {
    VendingKey key;
    KeyAttributes& attributes = key.attributes;
    std::tie(attributes.sgc, attributes.krn) = key_name(options.sgc, options.krn);
    attributes.ktc = key_type(options.ktc);
    attributes.dkg = algorithm(options.dkg);
    attributes.base_date = base_date_option(options.base_date);
    attributes.ken = static_cast<std::uint8_t>(number_option(options.ken, "--ken", 0, 255));
    attributes.sbm = bitmap(options.sbm);
    if (!options.ulm.empty()) attributes.ulm_units = number_option(options.ulm, "--ulm", 0, 999'999'998);
    if (!options.clm.empty()) attributes.clm_bits = clm_bits(options.clm);
    if (!attributes.sgn.assign(options.sgn)) usage_error("--sgn has 40 characters at most");
    attributes.active_from = date_option(options.act, "--act").value_or(now);
    attributes.expiry = date_option(options.exp, "--exp").value_or(ten_years_after(attributes.active_from));
    if (!options.refresh.empty()) {
        key.refresh_days = number_option(options.refresh, "--refresh", 1, kMostRefreshDays);
    }
    key.modules = options.modules;
    if (!options.value.empty()) {
        const std::size_t octets = vending_key_octets(attributes.dkg);
        if (!read_hex(options.value, std::span(key.value.octets()).first(octets))) {
            usage_error("--value must be " + std::to_string(2 * octets) + " hexadecimal digits for DKG " +
                        options.dkg);
        }
    }
    return key;
}

}  // namespace sts6::kmc
