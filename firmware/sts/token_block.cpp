// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/token_block.hpp"

#include "firmware/sts/crc.hpp"
#include "sts6/hex.hpp"

namespace sts6::sts {

namespace {

constexpr unsigned kCrcBits = 16;
constexpr unsigned kSubclassShift = 60;
constexpr unsigned kRndShift = 56;
constexpr unsigned kTidShift = 32;
constexpr unsigned kValueShift = 16;
// Where the class is inserted, and which block bits make room for it.
constexpr unsigned kClassShift = 27;
constexpr std::uint64_t kClassMask = 0b11ULL << kClassShift;

std::uint16_t crc_of(unsigned token_class, unsigned subclass, std::uint64_t top48) noexcept {
    return is_currency_credit(token_class, subclass) ? token_crc_c(token_class, top48)
                                                     : token_crc(token_class, top48);
}

/// `rnd_and_value` is the nibble after the SubClass and the 16-bit field, as 20 bits.
std::uint64_t tid_layout(std::uint32_t tid, std::uint32_t rnd_and_value) noexcept {
    return (static_cast<std::uint64_t>(rnd_and_value >> 16U) << (kRndShift - kCrcBits)) |
           (static_cast<std::uint64_t>(tid) << (kTidShift - kCrcBits)) | (rnd_and_value & 0xFFFFU);
}

std::uint32_t rnd_and_value(std::uint8_t rnd, std::uint32_t value) noexcept {
    return (static_cast<std::uint32_t>(rnd) << 16U) | (value & 0xFFFFU);
}

}  // namespace

ClearToken clear_token(unsigned token_class, unsigned subclass, std::uint64_t body) noexcept {
    const std::uint64_t block = (static_cast<std::uint64_t>(subclass) << kSubclassShift) | (body << kCrcBits);
    return {token_class, block | crc_of(token_class, subclass, block >> kCrcBits)};
}

ClearToken credit_token(unsigned subclass, std::uint8_t rnd, std::uint32_t tid,
                        std::uint32_t amount) noexcept {
    const std::uint32_t nibble_and_amount =
        is_currency_credit(kClassCredit, subclass) ? amount : rnd_and_value(rnd, amount);
    return clear_token(kClassCredit, subclass, tid_layout(tid, nibble_and_amount));
}

ClearToken management_token(unsigned subclass, std::uint8_t rnd, std::uint32_t tid,
                            std::uint32_t value) noexcept {
    return clear_token(kClassManagement, subclass, tid_layout(tid, rnd_and_value(rnd, value)));
}

ClearToken meter_test_token(unsigned subclass, std::uint64_t control, unsigned mfr_code) noexcept {
    return clear_token(kClassMeterTest, subclass, (control << mfr_code_bits(subclass)) | mfr_code);
}

std::optional<TokenFields> read_block(const ClearToken& token) noexcept {
    const auto subclass = static_cast<unsigned>(token.block >> kSubclassShift);
    const std::uint16_t crc = crc_of(token.token_class, subclass, token.block >> kCrcBits);
    if (crc != (token.block & 0xFFFFU)) return std::nullopt;
    TokenFields fields{.token_class = token.token_class, .subclass = subclass};
    if (!fields.has_tid()) return fields;
    const auto nibble = static_cast<unsigned>(token.block >> kRndShift) & 0xFU;
    fields.tid = static_cast<std::uint32_t>(token.block >> kTidShift) & 0xFFFFFFU;
    fields.amount = static_cast<std::uint32_t>(token.block >> kValueShift) & 0xFFFFU;
    if (fields.is_currency()) {
        fields.amount |= nibble << 16U;
    } else {
        fields.rnd = nibble;
    }
    return fields;
}

TokenNumber::TokenNumber(unsigned token_class, std::uint64_t block) noexcept
    : low_((block & ~kClassMask) | (static_cast<std::uint64_t>(token_class) << kClassShift)),
      high_(static_cast<unsigned>(block >> kClassShift) & 0b11U) {
}

std::optional<TokenNumber> TokenNumber::parse(std::string_view text) noexcept {
    if (text.size() != kHexDigits && text.size() != kDecimalDigits) return std::nullopt;
    const unsigned base = text.size() == kHexDigits ? 16 : 10;
    TokenNumber token;
    for (const char c : text) {
        const auto digit = hex_value(c);
        if (!digit || *digit >= base) return std::nullopt;
        // low * base + digit in halves of 32 bits, so that no carry is lost.
        const std::uint64_t low_half = (token.low_ & 0xFFFFFFFFU) * base + *digit;
        const std::uint64_t high_half = (token.low_ >> 32U) * base + (low_half >> 32U);
        token.low_ = (high_half << 32U) | (low_half & 0xFFFFFFFFU);
        token.high_ = token.high_ * base + static_cast<unsigned>(high_half >> 32U);
        if (token.high_ > 0b11U) return std::nullopt;
    }
    return token;
}

unsigned TokenNumber::token_class() const noexcept {
    return static_cast<unsigned>(low_ >> kClassShift) & 0b11U;
}

std::uint64_t TokenNumber::block() const noexcept {
    return (low_ & ~kClassMask) | (static_cast<std::uint64_t>(high_) << kClassShift);
}

std::array<char, TokenNumber::kHexDigits> TokenNumber::hex() const noexcept {
    std::array<char, kHexDigits> text{};
    text[0] = hex_digit(high_);
    std::uint64_t rest = low_;
    for (std::size_t i = kHexDigits; i-- > 1; rest >>= 4U) text[i] = hex_digit(static_cast<unsigned>(rest));
    return text;
}

std::array<char, TokenNumber::kDecimalDigits> TokenNumber::decimal() const noexcept {
    // 2^64 = 1844674407 * 10^10 + 3709551616: two halves of ten digits without 128-bit division.
    constexpr std::uint64_t kTenDigits = 10'000'000'000;
    constexpr std::uint64_t kQuotient = 1'844'674'407;
    constexpr std::uint64_t kRemainder = 3'709'551'616;
    const std::uint64_t low_sum = low_ % kTenDigits + high_ * kRemainder;
    const std::uint64_t halves[] = {low_ / kTenDigits + high_ * kQuotient + low_sum / kTenDigits,
                                    low_sum % kTenDigits};
    std::array<char, kDecimalDigits> text{};
    for (std::size_t half = 0; half < 2; ++half) {
        // Five digits at a time keep the divisions in 32 bits.
        constexpr std::uint64_t kFiveDigits = 100'000;
        std::uint32_t parts[] = {static_cast<std::uint32_t>(halves[half] / kFiveDigits),
                                 static_cast<std::uint32_t>(halves[half] % kFiveDigits)};
        for (std::size_t part = 0; part < 2; ++part) {
            for (std::size_t i = 5; i-- > 0; parts[part] /= 10) {
                text[half * 10 + part * 5 + i] = static_cast<char>('0' + parts[part] % 10);
            }
        }
    }
    return text;
}

}  // namespace sts6::sts
