// SPDX-License-Identifier: Apache-2.0
// The oddities of PKCS#11 tokens, all in one table. What can be found out by trying is probed (probes.hpp);
// here stands only what cannot, because it is about speed or about what happens out of sight.
#pragma once

#include <string_view>

namespace sts6::p11 {

struct Quirks {
    const char* name;
    /// A session copy of a key is much faster to use than the token object itself.
    bool session_copies;
    /// For the log and the status; empty = nothing to say.
    const char* note;
};

/// The row of a token, by what C_GetInfo and C_GetTokenInfo report; a token of no row gets careful defaults.
[[nodiscard]] const Quirks& quirks_of(std::string_view library_manufacturer,
                                      std::string_view token_model) noexcept;

}  // namespace sts6::p11
