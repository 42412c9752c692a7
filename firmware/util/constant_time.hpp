// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sts6 {

/// True when both hold the same octets; the time depends on the sizes only.
inline bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) noexcept {
    if (a.size() != b.size()) return false;
    unsigned difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
    // Keeps the compiler from turning the loop into an early exit.
    asm volatile("" : "+r"(difference));
    return difference == 0;
}

}  // namespace sts6
