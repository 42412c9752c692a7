// SPDX-License-Identifier: Apache-2.0
#include "firmware/keyload/attributes.hpp"

#include <algorithm>
#include <array>

#include "firmware/keyload/text.hpp"
#include "firmware/util/bytes.hpp"

namespace sts6::keyload {

namespace {

constexpr std::uint32_t kMostUlm = 999'999'998;
constexpr std::uint64_t kMostClm = 10'000'000'000'000;  // currency units
constexpr std::uint64_t kCurrencyParts = 100'000;       // of a unit
constexpr std::string_view kFourZeros = "0000";         // before the six digits of an SGC

/// Decimal without leading zeros, at most `most`.
std::optional<std::uint32_t> read_decimal(std::string_view text, std::uint32_t most) noexcept {
    if (text.empty() || text.size() > 10 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = 10 * value + static_cast<std::uint64_t>(c - '0');
    }
    if (value > most) return std::nullopt;
    return static_cast<std::uint32_t>(value);
}

/// `digits` decimal digits, with leading zeros.
std::optional<std::uint32_t> read_digits(std::string_view text, std::size_t digits) noexcept {
    if (text.size() != digits) return std::nullopt;
    std::uint32_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = 10 * value + static_cast<std::uint32_t>(c - '0');
    }
    return value;
}

using Value = std::string_view;
using Read = bool (*)(Value, KeyCards&) noexcept;

bool read_act(Value value, KeyCards& key) noexcept {
    const auto date = parse_date(value);
    if (date) key.attributes.active_from = *date;
    return date.has_value();
}
bool read_bdt(Value value, KeyCards& key) noexcept {
    const auto date = parse_date(value);
    for (const BaseDate base_date : {BaseDate::y1993, BaseDate::y2014, BaseDate::y2035}) {
        if (date != base_time(base_date)) continue;
        key.attributes.base_date = base_date;
        return true;
    }
    return false;
}
bool read_clm(Value value, KeyCards& key) noexcept {
    std::array<std::uint8_t, 4> octets{};
    if (!read_hex(value, octets)) return false;
    const auto bits = static_cast<std::uint32_t>(load_be(octets));
    key.attributes.clm_bits = bits;
    return currency_limit(bits).has_value();
}
bool read_clu(Value value, KeyCards& key) noexcept {
    const auto cluster = read_decimal(value, 0);
    if (cluster) key.attributes.cluster = *cluster;
    return cluster.has_value();
}
bool read_dkg(Value value, KeyCards& key) noexcept {
    if (value != "02" && value != "04") return false;
    key.attributes.dkg = value == "02" ? Dkga::dkga02 : Dkga::dkga04;
    return true;
}
bool read_exp(Value value, KeyCards& key) noexcept {
    const auto date = parse_date(value);
    if (date) key.attributes.expiry = *date;
    return date.has_value();
}
bool read_iut(Value value, KeyCards& key) noexcept {
    const auto date = parse_date(value);
    if (date) key.attributes.issue_until = *date;
    return date.has_value();
}
bool read_kcv(Value value, KeyCards& key) noexcept {
    return read_upper_hex(value, key.kcv);
}
bool read_ken(Value value, KeyCards& key) noexcept {
    const auto ken = read_decimal(value, 255);
    if (ken) key.attributes.ken = static_cast<std::uint8_t>(*ken);
    return ken.has_value();
}
bool read_krn(Value value, KeyCards& key) noexcept {
    const auto krn = read_decimal(value, 9);
    if (krn) key.attributes.krn = static_cast<std::uint8_t>(*krn);
    return krn.has_value() && *krn >= 1;
}
bool read_ktc(Value value, KeyCards& key) noexcept {
    const auto ktc = read_decimal(value, 3);
    if (ktc) key.attributes.ktc = static_cast<KeyType>(*ktc);
    return ktc.has_value() && *ktc >= 1;  // 0, DITK, stays in the factory
}
bool read_sbm(Value value, KeyCards& key) noexcept {
    std::array<std::uint8_t, 2> octets{};
    if (!read_upper_hex(value, octets)) return false;
    key.attributes.sbm = static_cast<std::uint16_t>(load_be(octets));
    return true;
}
bool read_sgc(Value value, KeyCards& key) noexcept {
    if (!value.starts_with(kFourZeros)) return false;
    const auto sgc = read_digits(value.substr(kFourZeros.size()), 6);
    if (sgc) key.attributes.sgc = *sgc;
    return sgc.has_value();
}
bool read_sgn(Value value, KeyCards& key) noexcept {
    return key.attributes.sgn.assign(value);
}
bool read_ulm(Value value, KeyCards& key) noexcept {
    key.attributes.ulm_units = read_decimal(value, kMostUlm);
    return key.attributes.ulm_units.has_value();
}

struct Row {
    std::string_view tag;
    bool mandatory;
    Read read;
};
constexpr std::array kRows = {
    Row{"ACT", true, read_act},  Row{"BDT", true, read_bdt},  Row{"CLM", false, read_clm},
    Row{"CLU", false, read_clu}, Row{"DKG", true, read_dkg},  Row{"EXP", true, read_exp},
    Row{"IUT", false, read_iut}, Row{"KCV", true, read_kcv},  Row{"KEN", true, read_ken},
    Row{"KRN", true, read_krn},  Row{"KTC", true, read_ktc},  Row{"SBM", false, read_sbm},
    Row{"SGC", true, read_sgc},  Row{"SGN", false, read_sgn}, Row{"ULM", false, read_ulm},
};

bool has_unknown_tags(Cards cards) noexcept {
    while (const auto card = cards.take()) {
        if (std::ranges::find(kRows, card->tag, &Row::tag) == kRows.end()) return true;
    }
    return false;
}

void put_date_card(TextWriter& out, std::string_view tag, CivilTime time) noexcept {
    out.put(tag);
    put_date(out, time);
    out.put(";");
}

/// CLM alone is in lower case.
void put_clm_card(TextWriter& out, std::uint32_t bits) noexcept {
    std::array<char, 8> digits{};
    for (std::size_t i = digits.size(); i-- > 0; bits >>= 4U) digits[i] = "0123456789abcdef"[bits & 0xFU];
    out.put("CLM").put({digits.data(), digits.size()}).put(";");
}

}  // namespace

std::optional<KeyCards> read_key_cards(const Cards& cards) noexcept {
    KeyCards key;
    for (const Row& row : kRows) {
        const auto value = cards.find(row.tag);
        if (value ? !row.read(*value, key) : row.mandatory) return std::nullopt;
    }
    KeyAttributes& attributes = key.attributes;
    if (!cards.find("IUT")) attributes.issue_until = attributes.expiry;
    if (attributes.expiry <= attributes.active_from || attributes.issue_until > attributes.expiry)
        return std::nullopt;
    key.has_unknown_tags = has_unknown_tags(cards);
    return key;
}

void put_key_cards(TextWriter& out, const KeyAttributes& key, const Kcv& kcv) noexcept {
    put_date_card(out, "ACT", key.active_from);
    put_date_card(out, "BDT", base_time(key.base_date));
    if (key.clm_bits) put_clm_card(out, *key.clm_bits);
    out.put("CLU").number(key.cluster).put(";DKG").number(static_cast<std::uint64_t>(key.dkg), 2).put(";");
    put_date_card(out, "EXP", key.expiry);
    put_date_card(out, "IUT", key.issue_until);
    out.put("KCV").hex(kcv).put(";KEN").number(key.ken).put(";KRN").number(key.krn);
    out.put(";KTC").number(static_cast<std::uint64_t>(key.ktc));
    out.put(";SBM").hex(
        std::array{static_cast<std::uint8_t>(key.sbm >> 8U), static_cast<std::uint8_t>(key.sbm)});
    out.put(";SGC").put(kFourZeros).number(key.sgc, 6).put(";SGN").put(key.sgn.view()).put(";");
    if (key.ulm_units) out.put("ULM").number(*key.ulm_units).put(";");
}

std::optional<std::uint64_t> currency_limit(std::uint32_t clm_bits) noexcept {
    constexpr std::uint32_t kSign = 0x80000000U;
    constexpr unsigned kMantissaBits = 23;
    constexpr int kExponentOfOne =
        127 + static_cast<int>(kMantissaBits);  // of the mantissa read as an integer
    const std::uint32_t exponent = (clm_bits >> kMantissaBits) & 0xFFU;
    std::uint64_t mantissa = clm_bits & ((1U << kMantissaBits) - 1);
    if ((clm_bits & kSign) != 0 || exponent == 0xFF) return std::nullopt;
    if (exponent != 0) mantissa |= 1U << kMantissaBits;
    const int shift = static_cast<int>(std::max(exponent, 1U)) - kExponentOfOne;
    if (shift > 0) {
        // 24 bits and 20 more are below 2^44, about 1.8 x 10^13.
        if (shift > 20 || (mantissa << shift) > kMostClm) return std::nullopt;
        return (mantissa << shift) * kCurrencyParts;
    }
    // 24 bits of mantissa and 17 of the factor.
    return -shift >= 64 ? 0 : (mantissa * kCurrencyParts) >> -shift;
}

}  // namespace sts6::keyload
