// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "sts6/hex.hpp"

namespace sts6 {

/// Appends text to a fixed buffer. A write that does not fit sets overflow() and leaves the buffer as it was.
class TextWriter {
  public:
    constexpr explicit TextWriter(std::span<char> buffer) noexcept : buffer_(buffer) {}

    constexpr TextWriter& put(std::string_view text) noexcept {
        if (!reserve(text.size())) return *this;
        for (const char c : text) buffer_[size_++] = c;
        return *this;
    }
    constexpr TextWriter& hex(std::span<const std::uint8_t> octets) noexcept {
        if (!reserve(2 * octets.size())) return *this;
        write_hex(octets, buffer_.data() + size_);
        size_ += 2 * octets.size();
        return *this;
    }
    /// In decimal, with zeros before it to `digits` digits at least, at most 20.
    constexpr TextWriter& number(std::uint64_t value, std::size_t digits = 1) noexcept {
        char text[20]{};
        std::size_t count = 0;
        for (; value != 0 || count < digits; value /= 10)
            text[sizeof text - ++count] = static_cast<char>('0' + value % 10);
        return put({text + sizeof text - count, count});
    }

    /// As after a write that did not fit.
    constexpr void fail() noexcept { overflow_ = true; }

    [[nodiscard]] constexpr std::string_view written() const noexcept { return {buffer_.data(), size_}; }
    [[nodiscard]] constexpr bool overflow() const noexcept { return overflow_; }

  private:
    constexpr bool reserve(std::size_t characters) noexcept {
        if (characters > buffer_.size() - size_) overflow_ = true;
        return !overflow_;
    }

    std::span<char> buffer_;
    std::size_t size_ = 0;
    bool overflow_ = false;
};

}  // namespace sts6
