// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/quirks.hpp"

#include <array>

namespace sts6::p11 {
namespace {

struct Row {
    std::string_view library_manufacturer;  ///< CK_INFO.manufacturerID begins with it
    std::string_view token_model;           ///< CK_TOKEN_INFO.model begins with it
    Quirks quirks;
};

constexpr std::array kRows = {
    // Reads two files of the token for every C_SignInit on a token object, none for a copy.
    Row{"SoftHSM",
        "SoftHSM v2",
        {"SoftHSM 2", true, "global locks: more sessions than one bring no speed; no PIN lock-out"}},
    // Runs a password-based key derivation for every attribute of a token object it uses.
    Row{"Mozilla Foundation",
        "NSS 3",
        {"NSS softokn", true, "session copies of keys lie unencrypted in process memory; no PIN lock-out"}},
    Row{"IBM", "Soft", {"openCryptoki software token", true, ""}},
};

constexpr Quirks kUnknownToken{"no known oddities", false, ""};

}  // namespace

const Quirks& quirks_of(std::string_view library_manufacturer, std::string_view token_model) noexcept {
    for (const Row& row : kRows) {
        if (library_manufacturer.starts_with(row.library_manufacturer) &&
            token_model.starts_with(row.token_model)) {
            return row.quirks;
        }
    }
    return kUnknownToken;
}

}  // namespace sts6::p11
