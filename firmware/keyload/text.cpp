// SPDX-License-Identifier: Apache-2.0
#include "firmware/keyload/text.hpp"

#include <algorithm>

namespace sts6::keyload {

namespace {

constexpr unsigned kReflectedPolynomial = 0xA001;  // x^16 + x^15 + x^2 + 1
constexpr unsigned kInitial = 0xFFFF;
constexpr std::size_t kCrcDigits = 4;

constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

constexpr bool is_ident_character(char c) noexcept {
    return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool split(std::string_view text, std::span<std::string_view> out) noexcept {
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t end = text.find('|');
        // Every field of a record has a separator behind it, the last one that of the CRC.
        if (end == std::string_view::npos) return false;
        out[i] = text.substr(0, end);
        text.remove_prefix(end + 1);
    }
    return text.empty();
}

}  // namespace

std::uint16_t record_crc(std::string_view text) noexcept {
    unsigned crc = kInitial;
    for (const char c : text) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc & 1U) != 0 ? (crc >> 1U) ^ kReflectedPolynomial : crc >> 1U;
        }
    }
    return static_cast<std::uint16_t>(crc);
}

bool is_ident(std::string_view text) noexcept {
    if (text.empty() || text.size() > kLongestIdent || !is_ident_character(text[0])) return false;
    return std::ranges::all_of(
        text, [](char c) { return is_ident_character(c) || c == '_' || c == '.' || c == ',' || c == '-'; });
}

std::optional<CivilTime> parse_date(std::string_view text) noexcept {
    if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
    std::array<char, 14> digits{};
    std::copy_n(text.begin(), 8, digits.begin());
    std::copy_n(text.begin() + 9, 6, digits.begin() + 8);
    return parse_civil_time({digits.data(), digits.size()});
}

void put_date(TextWriter& out, CivilTime time) noexcept {
    const auto digits = format_civil_time(time);
    const std::string_view text(digits.data(), digits.size());
    out.put(text.substr(0, 8)).put("T").put(text.substr(8)).put("Z");
}

bool read_upper_hex(std::string_view text, std::span<std::uint8_t> out) noexcept {
    const bool upper = std::ranges::none_of(text, [](char c) { return c >= 'a' && c <= 'f'; });
    return upper && read_hex(text, out);
}

std::optional<std::string_view> without_crc(std::string_view text, char separator) noexcept {
    if (text.size() <= kCrcDigits) return std::nullopt;
    const std::string_view before = text.substr(0, text.size() - kCrcDigits);
    std::array<std::uint8_t, 2> crc{};
    if (before.back() != separator || !read_upper_hex(text.substr(before.size()), crc)) return std::nullopt;
    if (record_crc(before) != ((crc[0] << 8U) | crc[1])) return std::nullopt;
    return before;
}

void put_crc(TextWriter& out) noexcept {
    const std::uint16_t crc = record_crc(out.written());
    out.hex(std::array{static_cast<std::uint8_t>(crc >> 8U), static_cast<std::uint8_t>(crc)});
}

template <std::size_t N>
Result<RecordFields<N>> split_record(std::string_view text, std::string_view type) noexcept {
    const bool printable =
        std::ranges::all_of(text, [](char c) { return c >= ' ' && static_cast<unsigned char>(c) <= 0x7E; });
    if (text.size() > kLongestRecord || !printable) return Unexpected{Errc::malformed};
    const auto content = without_crc(text, '|');
    RecordFields<N> fields;
    if (!content || !split(*content, fields) || fields[0] != type) return Unexpected{Errc::malformed};
    return fields;
}
template Result<RecordFields<4>> split_record<4>(std::string_view, std::string_view) noexcept;
template Result<RecordFields<5>> split_record<5>(std::string_view, std::string_view) noexcept;

std::string_view record_type(std::string_view text) noexcept {
    return text.substr(0, text.find('|'));
}

}  // namespace sts6::keyload
