// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/pan.hpp"

#include <algorithm>

namespace sts6::sts {

namespace {

constexpr std::string_view kLongIin = "600727";
constexpr std::string_view kShortIin = "0000";
constexpr std::size_t kShortDrn = 11;
constexpr std::size_t kLongDrn = 13;

bool all_digits(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool ends_in_check_digit(std::string_view digits) noexcept {
    const std::string_view payload = digits.substr(0, digits.size() - 1);
    return luhn_check_digit(payload) == static_cast<unsigned>(digits.back() - '0');
}

}  // namespace

unsigned luhn_check_digit(std::string_view digits) noexcept {
    unsigned sum = 0;
    bool doubled = true;
    for (std::size_t i = digits.size(); i-- > 0; doubled = !doubled) {
        unsigned digit = static_cast<unsigned>(digits[i] - '0');
        if (doubled) digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
        sum += digit;
    }
    return (10 - sum % 10) % 10;
}

bool is_drn(std::string_view drn) noexcept {
    return (drn.size() == kShortDrn || drn.size() == kLongDrn) && all_digits(drn) && ends_in_check_digit(drn);
}

std::optional<Pan> Pan::parse(std::string_view text) noexcept {
    if (text.size() != kDigits || !all_digits(text) || !ends_in_check_digit(text)) return std::nullopt;
    if (!text.starts_with(kLongIin) && !text.starts_with(kShortIin)) return std::nullopt;
    Pan pan;
    std::ranges::copy(text, pan.digits_.begin());
    return pan;
}

std::optional<Pan> Pan::of_meter_number(std::string_view text) noexcept {
    if (text.size() == kDigits) return parse(text);
    if (!is_drn(text)) return std::nullopt;
    return from_iin_and_drn(text.size() == kShortDrn ? kLongIin : kShortIin, text);
}

Pan Pan::from_iin_and_drn(std::string_view iin, std::string_view drn) noexcept {
    Pan pan;
    auto end = std::ranges::copy(iin, pan.digits_.begin()).out;
    end = std::ranges::copy(drn, end).out;
    *end = static_cast<char>('0' + luhn_check_digit(pan.text().substr(0, kDigits - 1)));
    return pan;
}

std::string_view Pan::iin() const noexcept {
    return text().starts_with(kLongIin) ? kLongIin : kShortIin;
}

std::string_view Pan::drn() const noexcept {
    return text().substr(iin().size(), kDigits - 1 - iin().size());
}

Pan Pan::of_common_key() const noexcept {
    return from_iin_and_drn(iin(), std::string_view("0000000000000").substr(0, drn().size()));
}

}  // namespace sts6::sts
