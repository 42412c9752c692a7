// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "sts6/result.hpp"

namespace sts6 {

class Random {
  public:
    Random() = default;
    Random(const Random&) = delete;
    Random& operator=(const Random&) = delete;
    virtual ~Random() = default;

    /// The RND field of a token, 0..15; fixed at 5 in the lab profile.
    [[nodiscard]] virtual Result<std::uint8_t> token_nibble() = 0;
};

}  // namespace sts6
