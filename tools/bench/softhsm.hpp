// SPDX-License-Identifier: Apache-2.0
// A SoftHSM token of a benchmark's own.
#pragma once

#include <filesystem>

#include "src/pkcs11/token_config.hpp"

namespace sts6::bench {

inline constexpr const char* kSoftHsm = "/usr/lib/softhsm/libsofthsm2.so";
inline constexpr const char* kTokenPin = "bench-0123456789";

/// Makes the token in `place`. SOFTHSM2_CONF names it from then on, in the programs started too. Throws
/// std::runtime_error.
p11::TokenConfig make_softhsm_token(const std::filesystem::path& place);

/// A file with its PIN, in `place`.
std::filesystem::path write_pin_file(const std::filesystem::path& place);

}  // namespace sts6::bench
