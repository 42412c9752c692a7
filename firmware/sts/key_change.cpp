// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/key_change.hpp"

#include "firmware/util/bytes.hpp"

namespace sts6::sts {

namespace {

constexpr unsigned kFirst = 3;   // KENHO, KRN, RO, 3KCT, KT, NKHO
constexpr unsigned kSecond = 4;  // KENLO, TI, NKLO
constexpr unsigned kThird = 8;   // SGC, or SGCLO and NKMO2
constexpr unsigned kFourth = 9;  // SGCHO and NKMO1

/// [SubClass:4][header:12][word:32][CRC:16]
ClearToken block(unsigned subclass, unsigned header, std::uint64_t word) noexcept {
    return clear_token(kClassManagement, subclass, (static_cast<std::uint64_t>(header) << 32U) | word);
}

}  // namespace

KeyChangeSet::KeyChangeSet(const NewKey& fields, std::span<const std::uint8_t, 16> key, Ea ea,
                           std::size_t tokens) noexcept
    : count_(tokens) {
    // In the order of the key's octets; EA07 has no middle words.
    const auto word = [key](std::size_t at) { return load_be(key.subspan(at, 4)); };
    const bool long_key = ea == Ea::misty1;
    const unsigned three_token_set = tokens == 3 ? 1 : 0;
    const unsigned first_header =
        (static_cast<unsigned>(fields.ken >> 4U) << 8U) | (static_cast<unsigned>(fields.krn) << 4U) |
        ((fields.rollover ? 1U : 0U) << 3U) | (three_token_set << 2U) | static_cast<unsigned>(fields.kt);
    const unsigned second_header = ((fields.ken & 0xFU) << 8U) | fields.ti;
    tokens_[0] = block(kFirst, first_header, word(0));
    tokens_[1] = block(kSecond, second_header, word(long_key ? 12 : 4));
    if (long_key) {
        tokens_[2] = block(kThird, fields.sgc & 0xFFFU, word(4));
        tokens_[3] = block(kFourth, fields.sgc >> 12U, word(8));
    } else if (three_token_set != 0) {
        // A 24-bit SGC and 20 zero bits (UNVERIFIED beyond one vector).
        tokens_[2] = block(kThird, fields.sgc >> 12U, std::uint64_t{fields.sgc & 0xFFFU} << 20U);
    }
}

}  // namespace sts6::sts
