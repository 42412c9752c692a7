// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "src/pkcs11/cryptoki.hpp"

namespace sts6::p11 {

/// An attribute template that owns its values and wipes them. What does not fit sets overflow(), and such a
/// template must not be used.
class Attributes {
  public:
    Attributes() = default;
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    ~Attributes();

    Attributes& flag(CK_ATTRIBUTE_TYPE type, bool value);
    Attributes& number(CK_ATTRIBUTE_TYPE type, CK_ULONG value);
    Attributes& octets(CK_ATTRIBUTE_TYPE type, std::span<const std::uint8_t> value);
    Attributes& text(CK_ATTRIBUTE_TYPE type, std::string_view value);

    /// What is added from here on may be left out for a token that does not know it.
    Attributes& optional_from_here() noexcept {
        required_ = count_;
        return *this;
    }

    [[nodiscard]] std::span<CK_ATTRIBUTE> all() noexcept { return std::span(list_).first(count_); }
    [[nodiscard]] std::span<CK_ATTRIBUTE> required() noexcept {
        return std::span(list_).first(required_ < count_ ? required_ : count_);
    }
    [[nodiscard]] bool overflow() const noexcept { return overflow_; }

  private:
    static constexpr std::size_t kMost = 24;

    Attributes& add(CK_ATTRIBUTE_TYPE type, const void* value, std::size_t size);

    std::array<CK_ATTRIBUTE, kMost> list_{};
    std::size_t count_ = 0;
    std::size_t required_ = kMost;
    /// Libraries read numbers in place, so every value is aligned for one.
    alignas(CK_ULONG) std::array<std::uint8_t, 768> values_{};
    std::size_t used_ = 0;
    bool overflow_ = false;
};

}  // namespace sts6::p11
