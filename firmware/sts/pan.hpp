// SPDX-License-Identifier: Apache-2.0
// Meter numbers: PAN and DRN with their Luhn check digits (docs/tokens.md 2, IEC 62055-41).
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace sts6::sts {

/// The Luhn mod 10 check digit, 0..9, of decimal digits. Precondition: only '0'..'9'.
unsigned luhn_check_digit(std::string_view digits) noexcept;

/// True for a decoder reference number of 11 or 13 digits whose last digit is the Luhn digit of the others.
bool is_drn(std::string_view drn) noexcept;

/// A meter's primary account number: IIN 600727 with a DRN of 11 digits, or IIN 0000 with one of 13, and a
/// check digit over both.
class Pan {
  public:
    static constexpr std::size_t kDigits = 18;

    Pan() = default;

    /// None unless `text` is 18 digits in one of the two forms and the last one is the Luhn digit of the
    /// others. The DRN's own check digit is for the point of sale to look at, with is_drn(), where a person
    /// enters a DRN (CTSA17): a module takes any DRN of a right PAN.
    static std::optional<Pan> parse(std::string_view text) noexcept;

    /// What a person reads on the meter: the 18 digits, or a DRN of 11 or 13 digits with its check digit.
    static std::optional<Pan> of_meter_number(std::string_view text) noexcept;

    [[nodiscard]] std::string_view text() const noexcept { return {digits_.data(), kDigits}; }
    /// "600727" or "0000".
    [[nodiscard]] std::string_view iin() const noexcept;
    /// 11 or 13 digits.
    [[nodiscard]] std::string_view drn() const noexcept;

    /// The PAN that stands for every meter of a common key: DRN digits 0, the check digit made anew.
    /// UNVERIFIED, CONVENTION (docs/tokens.md 3.3): no published vector has a common key.
    [[nodiscard]] Pan of_common_key() const noexcept;

    friend bool operator==(const Pan&, const Pan&) = default;

  private:
    static Pan from_iin_and_drn(std::string_view iin, std::string_view drn) noexcept;

    std::array<char, kDigits> digits_{};
};

}  // namespace sts6::sts
