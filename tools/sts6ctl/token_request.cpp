// SPDX-License-Identifier: Apache-2.0
#include "tools/sts6ctl/token_request.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <string_view>

#include "firmware/sts/amount.hpp"
#include "firmware/sts/tid.hpp"
#include "firmware/sts/token_block.hpp"
#include "firmware/util/decimal_text.hpp"
#include "sts6/ptvd.hpp"
#include "tools/sts6ctl/ctl_error.hpp"

namespace sts6::ctl {

namespace {

constexpr std::uint32_t kFirstCurrencySubclass = 4;

constexpr std::array<std::string_view, 4> kServices = {"electricity", "water", "gas", "time"};
constexpr std::array<std::string_view, 4> kUnits = {"kWh", "m3", "m3", "min"};

enum class Coding : std::uint8_t { watts, credit_register, number, none, index_and_value };

struct ManagementAction {
    std::string_view name;
    std::uint32_t subclass;
    Coding coding;
    std::string_view value;
};

constexpr std::array kActions = {
    ManagementAction{"set-maximum-power-limit", 0, Coding::watts, "watts"},
    ManagementAction{"clear-credit", 1, Coding::credit_register,
                     "electricity, water, gas, time, all or a number"},
    ManagementAction{"set-tariff-rate", 2, Coding::number, "0..65535"},
    ManagementAction{"clear-tamper-condition", 5, Coding::none, "none"},
    ManagementAction{"set-maximum-phase-power-unbalance-limit", 6, Coding::watts, "watts"},
    ManagementAction{"set-water-meter-factor", 7, Coding::number, "0..65535"},
    ManagementAction{"extended", 10, Coding::index_and_value, "INDEX:VALUE, 0..63 and 0..1023"},
};

std::uint32_t number_in(const std::string& text, std::uint32_t most, const std::string& what) {
    const auto value = ptvd::parse_number(text);
    if (!value || *value > most) usage_error(what + " must be a number from 0 to " + std::to_string(most));
    return *value;
}

std::uint16_t coded_watts(const std::string& text) {
    const auto field = sts::encode_units(number_in(text, sts::kMostUnits, "watts"));
    if (!field) usage_error("watts: too large");
    return *field;
}

std::uint16_t credit_register(const std::string& text) {
    constexpr std::uint16_t kAllRegisters = 0xFFFF;
    if (text == "all") return kAllRegisters;
    const auto service = std::ranges::find(kServices, text);
    if (service != kServices.end()) return static_cast<std::uint16_t>(service - kServices.begin());
    return static_cast<std::uint16_t>(number_in(text, 0xFFFF, "the credit register"));
}

std::uint16_t index_and_value(const std::string& text) {
    constexpr unsigned kValueBits = 10;
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos) usage_error("an extended token needs INDEX:VALUE");
    const std::uint32_t index = number_in(text.substr(0, colon), 63, "the index");
    const std::uint32_t value = number_in(text.substr(colon + 1), 1023, "the value");
    return static_cast<std::uint16_t>((index << kValueBits) | value);
}

std::uint16_t coded(const ManagementAction& action, const std::string& value) {
    switch (action.coding) {
        case Coding::watts:
            return coded_watts(value);
        case Coding::credit_register:
            return credit_register(value);
        case Coding::number:
            return static_cast<std::uint16_t>(number_in(value, 0xFFFF, std::string(action.name)));
        case Coding::none:
            if (!value.empty()) usage_error(std::string(action.name) + " takes no value");
            return 0;
        case Coding::index_and_value:
            return index_and_value(value);
    }
    return 0;
}

CivilTime local_time_now() {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    if (localtime_r(&now, &local) == nullptr)
        throw CtlError(kExitRefused, "this machine's time cannot be read");
    return civil_time(local.tm_year + 1900, static_cast<unsigned>(local.tm_mon + 1),
                      static_cast<unsigned>(local.tm_mday), local.tm_hour, local.tm_min);
}

CivilTime parse_time(const std::string& text) {
    std::string digits;
    constexpr std::string_view kShape = "dddd-dd-dd dd:dd";
    const bool shaped =
        text.size() == kShape.size() && std::ranges::equal(text, kShape, [](char c, char shape) {
            return shape == 'd' ? c >= '0' && c <= '9' : c == shape;
        });
    std::ranges::copy_if(text, std::back_inserter(digits), [](char c) { return c >= '0' && c <= '9'; });
    const auto time = shaped ? parse_civil_time(digits + "00") : std::nullopt;
    if (!time) usage_error("a time must be \"CCYY-MM-DD hh:mm\"");
    return *time;
}

}  // namespace

CreditAmount credit_amount(const std::string& service, const std::optional<std::string>& units,
                           const std::optional<std::string>& money) {
    const auto found = std::ranges::find(kServices, service);
    if (found == kServices.end()) usage_error("the service must be electricity, water, gas or time");
    if (units.has_value() == money.has_value()) usage_error("give either --amount or --money");
    auto subclass = static_cast<std::uint32_t>(found - kServices.begin());
    if (units) {
        const auto amount = sts::parse_decimal(*units, kUnitDecimals);
        if (!amount || amount->negative) {
            usage_error("an amount is a positive number with at most one decimal: tokens count in tenths");
        }
        const auto field = amount->magnitude <= sts::kMostUnits
                               ? sts::encode_units(static_cast<std::uint64_t>(amount->magnitude))
                               : std::nullopt;
        if (!field) usage_error("the largest amount of a token is 1820162.4");
        return {.subclass = subclass, .field = *field, .currency = false};
    }
    const auto amount = sts::parse_decimal(*money, kCurrencyDecimals);
    if (!amount) usage_error("money is a number with at most five decimals");
    const auto field = sts::encode_currency(*amount);
    if (!field) usage_error("the amount of money is too large for a token");
    return {.subclass = subclass + kFirstCurrencySubclass, .field = *field, .currency = true};
}

ManagementValue management_value(const std::string& action, const std::string& value) {
    const auto found = std::ranges::find(kActions, action, &ManagementAction::name);
    if (found == kActions.end()) usage_error("the action must be one of " + management_actions());
    return {.subclass = found->subclass, .field = coded(*found, value)};
}

CivilTime issue_time(const std::string& text) {
    return text.empty() ? local_time_now() : parse_time(text);
}

std::uint32_t tid_at(CivilTime time, BaseDate base_date) {
    const auto tid = sts::tid_of(time, base_date);
    if (!tid) {
        usage_error("the time is out of the range of base date " + std::to_string(base_year(base_date)));
    }
    return *tid;
}

sts::Pan pan_from_text(const std::string& meter) {
    const auto pan = sts::Pan::of_meter_number(meter);
    if (!pan)
        usage_error("the meter number must be a PAN of 18 digits or a DRN of 11 or 13, check digits right");
    return *pan;
}

std::string amount_in_words(unsigned token_class, unsigned subclass, std::uint32_t field) {
    if (sts::is_currency_credit(token_class, subclass)) {
        const sts::Currency amount = sts::decode_currency(field);
        return (amount.negative ? "-" : "") + decimal_text(amount.magnitude, kCurrencyDecimals) +
               " (currency)";
    }
    if (token_class == sts::kClassCredit && subclass < kUnits.size()) {
        return decimal_text(sts::decode_units(static_cast<std::uint16_t>(field)), kUnitDecimals) + " " +
               std::string(kUnits[subclass]);
    }
    const auto action = std::ranges::find(kActions, subclass, &ManagementAction::subclass);
    if (action == kActions.end()) return "";
    if (action->coding == Coding::watts) {
        return std::string(action->name) + " " +
               std::to_string(sts::decode_units(static_cast<std::uint16_t>(field))) + " W";
    }
    return std::string(action->name) + " " + std::to_string(field);
}

std::string management_actions() {
    std::string names;
    for (const ManagementAction& action : kActions) {
        names +=
            (names.empty() ? "" : "; ") + std::string(action.name) + " (" + std::string(action.value) + ")";
    }
    return names;
}

}  // namespace sts6::ctl
