// SPDX-License-Identifier: Apache-2.0
// From what a person knows (meter, amount, time) to the coded fields of SM?VC and SM?VM.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "firmware/sts/pan.hpp"
#include "firmware/util/vending_key.hpp"
#include "sts6/civil_time.hpp"

namespace sts6::ctl {

/// The meter key that a token is for.
struct MeterOptions {
    std::string meter;  ///< PAN of 18 digits, or DRN of 11 or 13
    std::uint32_t register_number = 1;
    std::uint32_t ti = 1;
    std::uint32_t ea = 11;
    std::uint32_t tct = 2;  ///< 02: numeric token
};

/// Class 0: SubClass and coded amount.
struct CreditAmount {
    std::uint32_t subclass = 0;
    std::uint32_t field = 0;
    bool currency = false;
};

/// `service` is electricity, water, gas or time. Exactly one of `units` (kWh, m3, minutes) and `money` is
/// given.
CreditAmount credit_amount(const std::string& service, const std::optional<std::string>& units,
                           const std::optional<std::string>& money);

/// Class 2: SubClass and value. `action` is the token's name, `value` what it sets.
struct ManagementValue {
    std::uint32_t subclass = 0;
    std::uint16_t field = 0;
};
ManagementValue management_value(const std::string& action, const std::string& value);

/// "CCYY-MM-DD hh:mm"; an empty text is this machine's local time.
CivilTime issue_time(const std::string& text);

std::uint32_t tid_at(CivilTime time, BaseDate base_date);

sts::Pan pan_from_text(const std::string& meter);

/// The amount of a token in words: "0.1 kWh", "-12.00000 (currency)".
std::string amount_in_words(unsigned token_class, unsigned subclass, std::uint32_t field);

/// The names of the management actions, for help and errors.
std::string management_actions();

}  // namespace sts6::ctl
