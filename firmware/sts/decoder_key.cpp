// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/decoder_key.hpp"

#include <array>
#include <string_view>

#include "firmware/util/bytes.hpp"

namespace sts6::sts {

namespace {

/// `value` in N decimal digits.
template <std::size_t N>
std::array<char, N> decimal(std::uint32_t value) noexcept {
    std::array<char, N> digits{};
    for (std::size_t i = N; i-- > 0; value /= 10) digits[i] = static_cast<char>('0' + value % 10);
    return digits;
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

void put_item(ByteWriter& out, std::string_view text) noexcept {
    out.put_be(text.size(), 1);
    out.put(text);
}

template <std::size_t N>
void put_number(ByteWriter& out, std::uint32_t value) noexcept {
    const auto digits = decimal<N>(value);
    put_item(out, {digits.data(), N});
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
    constexpr unsigned kItems = 4;
    ByteWriter out(d);
    out.put_be(kItems, 1);
    put_item(out, "04");
    put_item(out, base_date_item(parameters.base_date));
    put_number<2>(out, static_cast<std::uint32_t>(parameters.ea));
    put_number<2>(out, parameters.ti);
    out.put_be(0, 1);
    out.put_be(kItems, 1);
    put_number<6>(out, parameters.sgc);
    put_number<1>(out, static_cast<std::uint32_t>(parameters.kt));
    put_number<1>(out, parameters.krn);
    put_item(out, key_pan(parameters).text());
    out.put_be(std::uint64_t{decoder_key_octets(parameters.ea)} * 8, 4);
}

}  // namespace sts6::sts
