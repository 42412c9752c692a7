// SPDX-License-Identifier: Apache-2.0
// Officers and their PINs, of which there is a scrypt verifier only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firmware/ports/admin_store.hpp"

namespace sts6::admin {

inline constexpr std::uint8_t kMostFailures = 5;  ///< wrong PINs in a row; then the officer is locked
inline constexpr std::size_t kShortestPin = 8;
inline constexpr std::size_t kLongestPin = 255;

/// 8 to 255 printable characters.
[[nodiscard]] bool is_pin(std::string_view pin) noexcept;

/// io_failed when OpenSSL fails; invalid_argument: no IDENT, or no PIN.
[[nodiscard]] Result<Officer> make_officer(std::string_view name, std::string_view pin);

/// Takes some 100 ms of a processor, on purpose. In constant time as far as the PIN goes.
[[nodiscard]] bool pin_fits(const Officer& officer, std::string_view pin);

}  // namespace sts6::admin
