// SPDX-License-Identifier: Apache-2.0
// What a token says, before encryption and after: the 64-bit block of each class and the 66-bit number with
// its 20 digits (docs/tokens.md 1, 6, 10).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sts6::sts {

inline constexpr unsigned kClassCredit = 0;
inline constexpr unsigned kClassMeterTest = 1;  ///< the only class that is not encrypted
inline constexpr unsigned kClassManagement = 2;

/// Currency credit: class 0 SubClass 4..7, with an amount of 20 bits and CRC_C.
constexpr bool is_currency_credit(unsigned token_class, unsigned subclass) noexcept {
    return token_class == kClassCredit && subclass >= 4 && subclass <= 7;
}

/// Tokens of the layout [SubClass][RND][TID][value][CRC]: class 0 SubClass 0..7 and class 2 SubClass 0, 1, 2,
/// 5, 6, 7, 10.
constexpr bool has_tid_layout(unsigned token_class, unsigned subclass) noexcept {
    if (token_class == kClassCredit) return subclass <= 7;
    return token_class == kClassManagement &&
           (subclass <= 2 || (subclass >= 5 && subclass <= 7) || subclass == 10);
}

/// A block before encryption, CRC included.
struct ClearToken {
    unsigned token_class = 0;
    std::uint64_t block = 0;
};

/// A block of SubClass, a body of 44 bits and the CRC that belongs to it.
ClearToken clear_token(unsigned token_class, unsigned subclass, std::uint64_t body) noexcept;

/// A credit token: `amount` is the 16-bit unit field, for SubClass 4..7 the 20-bit currency field, which
/// takes the place of RND. Precondition: subclass 0..7, rnd 0..15, a TID of 24 bits.
ClearToken credit_token(unsigned subclass, std::uint8_t rnd, std::uint32_t tid,
                        std::uint32_t amount) noexcept;

/// A management token with a 16-bit value. Precondition: has_tid_layout(2, subclass), rnd 0..15, 24 bits of
/// TID.
ClearToken management_token(unsigned subclass, std::uint8_t rnd, std::uint32_t tid,
                            std::uint32_t value) noexcept;

/// Bits of the manufacturer code of class 1 SubClass 0, 1 and 2; the control has the other 44 - n.
constexpr unsigned mfr_code_bits(unsigned subclass) noexcept {
    return subclass == 1 ? 16 : 8;
}

/// A meter test token (class 1), which is not encrypted. Precondition: SubClass 0 to 2, and both fields fit.
/// UNVERIFIED: the manufacturer code is 0 in every published vector.
ClearToken meter_test_token(unsigned subclass, std::uint64_t control, unsigned mfr_code) noexcept;

/// What was read from a block whose CRC is right. `amount` and `tid` are 0 where the layout has none: a body
/// that holds key material or is not known is not shown.
struct TokenFields {
    unsigned token_class = 0;
    unsigned subclass = 0;
    unsigned rnd = 0;          ///< 0 where the layout has none
    std::uint32_t tid = 0;     ///< 24 bits
    std::uint32_t amount = 0;  ///< 16 bits, for currency credit 20

    [[nodiscard]] bool has_tid() const noexcept { return has_tid_layout(token_class, subclass); }
    [[nodiscard]] bool is_currency() const noexcept { return is_currency_credit(token_class, subclass); }
};

/// None when the CRC is wrong.
std::optional<TokenFields> read_block(const ClearToken& token) noexcept;

/// The 66 bits of a token as printed: the block, encrypted or for class 1 clear, with the class bits
/// inserted.
class TokenNumber {
  public:
    static constexpr std::size_t kHexDigits = 17;
    static constexpr std::size_t kDecimalDigits = 20;

    TokenNumber() = default;
    TokenNumber(unsigned token_class, std::uint64_t block) noexcept;

    /// 17 hexadecimal or 20 decimal digits. None for anything else and for 2^66 or more.
    static std::optional<TokenNumber> parse(std::string_view text) noexcept;

    [[nodiscard]] unsigned token_class() const noexcept;
    [[nodiscard]] std::uint64_t block() const noexcept;
    [[nodiscard]] std::array<char, kHexDigits> hex() const noexcept;
    [[nodiscard]] std::array<char, kDecimalDigits> decimal() const noexcept;

    friend bool operator==(const TokenNumber&, const TokenNumber&) = default;

  private:
    std::uint64_t low_ = 0;
    unsigned high_ = 0;  ///< bits 65 and 64
};

}  // namespace sts6::sts
