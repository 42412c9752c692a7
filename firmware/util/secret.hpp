// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "firmware/util/wipe.hpp"

namespace sts6 {

/// N octets of key material. Never copied; wiped when moved from and when destroyed.
template <std::size_t N>
class Secret {
  public:
    Secret() = default;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    Secret(Secret&& other) noexcept : octets_(other.octets_) { other.clear(); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            octets_ = other.octets_;
            other.clear();
        }
        return *this;
    }
    ~Secret() { clear(); }

    [[nodiscard]] std::span<std::uint8_t, N> octets() noexcept { return octets_; }
    [[nodiscard]] std::span<const std::uint8_t, N> octets() const noexcept { return octets_; }
    void clear() noexcept { wipe(octets_.data(), N); }

  private:
    std::array<std::uint8_t, N> octets_{};
};

}  // namespace sts6
