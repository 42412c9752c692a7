// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace sts6 {

/// Text of at most N characters without allocation. assign() of a longer text is refused.
template <std::size_t N>
class FixedText {
  public:
    static constexpr std::size_t kCapacity = N;

    constexpr FixedText() = default;

    [[nodiscard]] constexpr bool assign(std::string_view text) noexcept {
        if (text.size() > N) return false;
        for (std::size_t i = 0; i < text.size(); ++i) chars_[i] = text[i];
        size_ = text.size();
        return true;
    }
    [[nodiscard]] constexpr std::string_view view() const noexcept { return {chars_.data(), size_}; }
    [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
    friend constexpr bool operator==(const FixedText& a, const FixedText& b) noexcept {
        return a.view() == b.view();
    }

  private:
    std::array<char, N> chars_{};
    std::size_t size_ = 0;
};

}  // namespace sts6
