// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sts6 {

inline constexpr std::size_t kEcPointOctets = 97;

/// A point of P-384 as SEC 1 writes it uncompressed: 04, X, Y. That it is on the curve is not implied.
using EcPoint = std::array<std::uint8_t, kEcPointOctets>;

}  // namespace sts6
