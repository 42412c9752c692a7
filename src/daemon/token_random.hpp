// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "firmware/ports/random.hpp"
#include "src/pkcs11/pkcs11_hsm.hpp"

namespace sts6 {

/// RND fields from the HSM's generator, fetched many at a time.
class HsmRandom final : public Random {
  public:
    explicit HsmRandom(p11::Pkcs11Hsm& hsm) noexcept : hsm_(hsm) {}
    Result<std::uint8_t> token_nibble() override {
        if (used_ == octets_.size()) {
            if (auto filled = hsm_.random(octets_); !filled) return Unexpected{filled.error()};
            used_ = 0;
        }
        return static_cast<std::uint8_t>(octets_[used_++] & 0xFU);
    }

  private:
    p11::Pkcs11Hsm& hsm_;
    std::array<std::uint8_t, 256> octets_{};
    std::size_t used_ = octets_.size();
};

/// The lab profile's RND, as in every published vector.
class FixedRandom final : public Random {
  public:
    Result<std::uint8_t> token_nibble() override { return std::uint8_t{5}; }
};

}  // namespace sts6
