// SPDX-License-Identifier: Apache-2.0
// PTVD fields, the bodies of SM commands (docs/protocol.md): type letter, value and '~', nothing between.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "sts6/civil_time.hpp"
#include "sts6/commands.hpp"
#include "sts6/hex.hpp"
#include "sts6/result.hpp"
#include "sts6/status.hpp"

namespace sts6 {

struct PtvdField {
    char type = 0;
    std::string_view value;
};

namespace ptvd {

/// An N value: decimal without leading zeros, "0" allowed, at most 2^32-1.
constexpr std::optional<std::uint32_t> parse_number(std::string_view text) noexcept {
    if (text.empty() || text.size() > 10 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (value > 0xFFFFFFFFU) return std::nullopt;
    return static_cast<std::uint32_t>(value);
}

constexpr bool is_printable(std::string_view text) noexcept {
    for (const char c : text) {
        if (c < ' ' || c > '}') return false;
    }
    return true;
}

constexpr bool is_octets(std::string_view text) noexcept {
    if (text.size() % 2 != 0) return false;
    for (const char c : text) {
        if (!hex_value(c)) return false;
    }
    return true;
}

/// 17 hexadecimal or 20 decimal digits whose value is below 2^66.
constexpr bool is_token(std::string_view text) noexcept {
    if (text.size() == 17) {
        for (const char c : text) {
            if (!hex_value(c)) return false;
        }
        return *hex_value(text[0]) < 4;
    }
    constexpr std::string_view kLimit = "73786976294838206464";  // 2^66
    if (text.size() != kLimit.size()) return false;
    for (const char c : text) {
        if (c < '0' || c > '9') return false;
    }
    return text < kLimit;
}

constexpr bool follows_grammar(const FieldSpec& spec, std::string_view value) noexcept {
    switch (spec.type) {
        case FieldType::number:
            return parse_number(value).has_value();
        case FieldType::printable:
            return is_printable(value);
        case FieldType::octets:
            return is_octets(value);
        case FieldType::date_time:
            return parse_civil_time(value).has_value();
    }
    return false;
}

/// Precondition: follows_grammar(spec, value).
constexpr bool in_range(const FieldSpec& spec, std::string_view value, std::uint32_t registers) noexcept {
    switch (spec.rule) {
        case RangeRule::pan:
            return true;
        case RangeRule::token:
            return is_token(value);
        case RangeRule::register_number: {
            const std::uint32_t number = *parse_number(value);
            return number >= 1 && number <= registers;
        }
        case RangeRule::plain:
            break;
    }
    switch (spec.type) {
        case FieldType::number: {
            const std::uint32_t number = *parse_number(value);
            return number >= spec.min && number <= spec.max;
        }
        case FieldType::printable:
            return value.size() >= spec.min && value.size() <= spec.max;
        case FieldType::octets:
            return value.size() / 2 >= spec.min && value.size() / 2 <= spec.max;
        case FieldType::date_time:
            return true;
    }
    return false;
}

}  // namespace ptvd

/// The checked fields of one request, in the order of its grammar. Views into the message.
class Fields {
  public:
    [[nodiscard]] constexpr bool present(std::size_t field) const noexcept {
        return values_[field].data() != nullptr;
    }
    [[nodiscard]] constexpr std::string_view text(std::size_t field) const noexcept { return values_[field]; }
    /// Of an N field.
    [[nodiscard]] constexpr std::uint32_t number(std::size_t field) const noexcept {
        return ptvd::parse_number(values_[field]).value_or(0);
    }
    /// Of an H field, its octet count.
    [[nodiscard]] constexpr std::size_t octet_count(std::size_t field) const noexcept {
        return values_[field].size() / 2;
    }
    /// Of an H field of at most eight octets, its value read big-endian.
    [[nodiscard]] constexpr std::uint64_t octets_be(std::size_t field) const noexcept {
        std::uint64_t value = 0;
        for (const char c : values_[field]) value = (value << 4U) | hex_value(c).value_or(0);
        return value;
    }

  private:
    friend constexpr Result<Fields, Status> parse_fields(std::string_view body,
                                                         std::span<const FieldSpec> grammar,
                                                         std::uint32_t registers) noexcept;

    std::array<std::string_view, kMaxFields> values_{};
};

/// Splits and checks a request body against its grammar: first 60 (field count, missing '~', trailing
/// octets), then 61 over all fields, then 62 over all, then 63 over all. `registers` is the number of
/// registers configured. An optional field is absent exactly when the body has that many fields fewer.
constexpr Result<Fields, Status> parse_fields(std::string_view body, std::span<const FieldSpec> grammar,
                                              std::uint32_t registers) noexcept {
    std::array<PtvdField, kMaxFields> raw{};
    std::size_t count = 0;
    for (std::size_t at = 0; at < body.size(); ++count) {
        const std::size_t end = body.find('~', at);
        if (end == std::string_view::npos || count == grammar.size()) return Unexpected{Status::ptvd_nfields};
        // A lone '~' is a field without a type letter: the wrong letter, not a missing field.
        raw[count] = end == at ? PtvdField{} : PtvdField{body[at], body.substr(at + 1, end - at - 1)};
        at = end + 1;
    }

    std::array<const FieldSpec*, kMaxFields> specs{};
    std::array<std::size_t, kMaxFields> places{};
    std::size_t absent = grammar.size() - count;
    std::size_t expected = 0;
    for (std::size_t place = 0; place < grammar.size(); ++place) {
        if (grammar[place].optional && absent > 0) {
            --absent;
            continue;
        }
        specs[expected] = &grammar[place];
        places[expected++] = place;
    }
    if (expected != count) return Unexpected{Status::ptvd_nfields};

    for (std::size_t i = 0; i < count; ++i) {
        if (raw[i].type != static_cast<char>(specs[i]->type)) return Unexpected{Status::ptvd_fieldtype};
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (!ptvd::follows_grammar(*specs[i], raw[i].value)) return Unexpected{Status::ptvd_encoding};
    }
    Fields fields;
    for (std::size_t i = 0; i < count; ++i) {
        if (!ptvd::in_range(*specs[i], raw[i].value, registers)) return Unexpected{Status::ptvd_range};
        fields.values_[places[i]] = raw[i].value;
    }
    return fields;
}

/// Splits a response body, whose grammar the caller knows. None when a field lacks its letter or its '~', or
/// when there are more than out.size() fields; else the number of fields.
constexpr std::optional<std::size_t> split_fields(std::string_view body, std::span<PtvdField> out) noexcept {
    std::size_t count = 0;
    for (std::size_t at = 0; at < body.size(); ++count) {
        const std::size_t end = body.find('~', at);
        if (end == std::string_view::npos || end == at || count == out.size()) return std::nullopt;
        out[count] = {body[at], body.substr(at + 1, end - at - 1)};
        at = end + 1;
    }
    return count;
}

/// Writes PTVD fields into a fixed buffer. A field that does not fit sets overflow() and is left out.
class PtvdWriter {
  public:
    constexpr explicit PtvdWriter(std::span<char> buffer) noexcept : buffer_(buffer) {}

    constexpr PtvdWriter& number(std::uint32_t value) noexcept {
        std::array<char, 10> digits{};
        std::size_t count = 0;
        do {
            digits[digits.size() - ++count] = static_cast<char>('0' + value % 10);
            value /= 10;
        } while (value != 0);
        return field('N', {digits.data() + digits.size() - count, count});
    }
    /// Precondition: ptvd::is_printable(text).
    constexpr PtvdWriter& printable(std::string_view text) noexcept { return field('P', text); }
    constexpr PtvdWriter& octets(std::span<const std::uint8_t> value) noexcept {
        if (char* at = open('H', value.size() * 2)) write_hex(value, at);
        return *this;
    }
    /// The low 8 * count bits of `value`, count <= 8.
    constexpr PtvdWriter& octets_be(std::uint64_t value, std::size_t count) noexcept {
        if (char* at = open('H', count * 2)) {
            for (std::size_t i = count * 2; i-- > 0; value >>= 4U)
                at[i] = hex_digit(static_cast<unsigned>(value));
        }
        return *this;
    }
    constexpr PtvdWriter& date_time(CivilTime time) noexcept {
        const auto text = format_civil_time(time);
        return field('D', {text.data(), text.size()});
    }

    [[nodiscard]] constexpr std::string_view written() const noexcept { return {buffer_.data(), size_}; }
    [[nodiscard]] constexpr bool overflow() const noexcept { return overflow_; }

  private:
    constexpr char* open(char type, std::size_t length) noexcept {
        if (overflow_ || length + 2 > buffer_.size() - size_) {
            overflow_ = true;
            return nullptr;
        }
        char* value = buffer_.data() + size_ + 1;
        value[-1] = type;
        value[length] = '~';
        size_ += length + 2;
        return value;
    }
    constexpr PtvdWriter& field(char type, std::string_view text) noexcept {
        if (char* at = open(type, text.size())) {
            for (const char c : text) *at++ = c;
        }
        return *this;
    }

    std::span<char> buffer_;
    std::size_t size_ = 0;
    bool overflow_ = false;
};

}  // namespace sts6
