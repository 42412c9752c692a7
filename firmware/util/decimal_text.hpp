// SPDX-License-Identifier: Apache-2.0
// Amounts in words, exactly. For the programs around the module: what executes commands allocates nothing.
#pragma once

#include <string>

namespace sts6 {

/// How amounts are counted: tenths of a unit, and 0.00001 of the currency unit.
inline constexpr unsigned kUnitDecimals = 1;
inline constexpr unsigned kCurrencyDecimals = 5;

/// A count of 10^-decimals, with that many decimals.
template <class Unsigned>
std::string decimal_text(Unsigned value, unsigned decimals) {
    std::string text;
    do {
        text.insert(text.begin(), static_cast<char>('0' + static_cast<unsigned>(value % 10)));
        value /= 10;
    } while (value != 0 || text.size() <= decimals);
    if (decimals != 0) text.insert(text.size() - decimals, ".");
    return text;
}

}  // namespace sts6
