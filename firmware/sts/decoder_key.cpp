// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/decoder_key.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "firmware/util/bytes.hpp"

namespace sts6::sts {

namespace {

constexpr std::array<std::uint32_t, 6> kPowersOfTen = {1, 10, 100, 1'000, 10'000, 100'000};

/// `value` in N decimal digits. No digit waits for another: this is done for every token.
template <std::size_t N>
std::array<char, N> decimal(std::uint32_t value) noexcept {
    static_assert(N <= kPowersOfTen.size());
    const auto digit = [value](std::size_t i) {
        return static_cast<char>('0' + value / kPowersOfTen[N - 1 - i] % 10);
    };
    return [&digit]<std::size_t... I>(std::index_sequence<I...>) {
        return std::array<char, N>{digit(I)...};
    }
    (std::make_index_sequence<N>());
}

std::uint64_t bcd(std::string_view digits) noexcept {
    std::uint64_t value = 0;
    for (const char digit : digits) value = (value << 4U) | static_cast<std::uint64_t>(digit - '0');
    return value;
}

template <std::size_t N>
std::uint64_t bcd_of(std::uint32_t value) noexcept {
    const auto digits = decimal<N>(value);
    return bcd({digits.data(), N});
}

Pan key_pan(const DecoderKeyParameters& parameters) noexcept {
    return parameters.kt == KeyType::dctk ? parameters.pan.of_common_key() : parameters.pan;
}

std::string_view base_date_item(BaseDate base_date) noexcept {
    switch (base_date) {
        case BaseDate::y1993:
            return "93";
        case BaseDate::y2014:
            return "14";
        case BaseDate::y2035:
            return "35";
    }
    return "93";
}

/// D with zeros where the parameters go. Counts and lengths stand before what they count.
constexpr std::array<std::uint8_t, kDkga04DataOctets> kEmptyData = {
    4, 2, '0', '4', 2, 0, 0, 2, 0, 0, 2, 0, 0,                     // DKGA, base date, EA, TI
    0,                                                             // between label and context
    4, 6, 0,   0,   0, 0, 0, 0, 1, 0, 1, 0, 18, 0, 0, 0, 0, 0, 0,  // SGC, KT, KRN, PAN
    0, 0, 0,   0,   0, 0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0};          // and L
constexpr std::size_t kBaseDateAt = 5;
constexpr std::size_t kEaAt = 8;
constexpr std::size_t kTiAt = 11;
constexpr std::size_t kSgcAt = 16;
constexpr std::size_t kKtAt = 23;
constexpr std::size_t kKrnAt = 25;
constexpr std::size_t kPanAt = 27;
constexpr std::size_t kLengthAt = 45;

template <std::size_t N>
void put_digits(std::span<std::uint8_t, kDkga04DataOctets> d, std::size_t at, std::uint32_t value) noexcept {
    std::ranges::copy(decimal<N>(value), d.begin() + static_cast<std::ptrdiff_t>(at));
}

void put_text(std::span<std::uint8_t, kDkga04DataOctets> d, std::size_t at, std::string_view text) noexcept {
    std::ranges::copy(text, d.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

void dkga02_data(const DecoderKeyParameters& parameters,
                 std::span<std::uint8_t, kDkga02DataOctets> x) noexcept {
    constexpr std::size_t kPanDigits = 16;
    const Pan pan = key_pan(parameters);
    // The last 16 digits before the PAN's check digit.
    const std::uint64_t pan_block = bcd(pan.text().substr(Pan::kDigits - 1 - kPanDigits, kPanDigits));
    const std::uint64_t control_block =
        (static_cast<std::uint64_t>(parameters.kt) << 60U) | (bcd_of<6>(parameters.sgc) << 36U) |
        (bcd_of<2>(parameters.ti) << 28U) | (bcd_of<1>(parameters.krn) << 24U) | 0xFFFFFFU;
    store_be(pan_block ^ control_block, x);
}

void dkga04_data(const DecoderKeyParameters& parameters,
                 std::span<std::uint8_t, kDkga04DataOctets> d) noexcept {
    std::ranges::copy(kEmptyData, d.begin());
    put_text(d, kBaseDateAt, base_date_item(parameters.base_date));
    put_digits<2>(d, kEaAt, static_cast<std::uint32_t>(parameters.ea));
    put_digits<2>(d, kTiAt, parameters.ti);
    put_digits<6>(d, kSgcAt, parameters.sgc);
    put_digits<1>(d, kKtAt, static_cast<std::uint32_t>(parameters.kt));
    put_digits<1>(d, kKrnAt, parameters.krn);
    put_text(d, kPanAt, key_pan(parameters).text());
    store_be(std::uint64_t{8} * decoder_key_octets(parameters.ea), d.subspan<kLengthAt, 4>());
}

}  // namespace sts6::sts
