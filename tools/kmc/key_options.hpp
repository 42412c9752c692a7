// SPDX-License-Identifier: Apache-2.0
// What a person writes of a vending key. kExitUsage for what is not understood or out of its range.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/kmc/kmc.hpp"

namespace sts6::kmc {

struct KeyOptions {
    std::string sgc;
    std::string krn;
    std::string ktc;
    std::string dkg;
    std::string base_date;
    std::string ken = "255";
    std::string ulm;
    std::string clm;
    std::string sbm = "FFFF";
    std::string sgn;
    std::string act;
    std::string exp;
    std::string refresh;
    std::string value;
    std::vector<std::string> modules;
};

/// For add_key(). Without --act it is active from `now`.
[[nodiscard]] VendingKey vending_key(const KeyOptions& options, CivilTime now);

[[nodiscard]] KeyName key_name(const std::string& sgc, const std::string& krn);

/// CCYYMMDDThhmmssZ; none for an empty text.
[[nodiscard]] std::optional<CivilTime> date_option(const std::string& text, const char* name);

/// The float32 nearest to a decimal number of currency units.
[[nodiscard]] std::uint32_t clm_bits(const std::string& text);
/// The shortest decimal number that is nearest to that float32.
[[nodiscard]] std::string clm_text(std::uint32_t bits);

/// "2 VUDK"
[[nodiscard]] std::string key_type_text(KeyType ktc);

}  // namespace sts6::kmc
