// SPDX-License-Identifier: Apache-2.0
// Big-endian octets in and out of fixed buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sts6 {

/// The octets of `in`, most significant first. Precondition: in.size() <= 8.
constexpr std::uint64_t load_be(std::span<const std::uint8_t> in) noexcept {
    std::uint64_t value = 0;
    for (const std::uint8_t octet : in) value = (value << 8U) | octet;
    return value;
}

/// Writes the low 8 * out.size() bits of `value`, most significant octet first.
constexpr void store_be(std::uint64_t value, std::span<std::uint8_t> out) noexcept {
    for (std::size_t i = out.size(); i-- > 0; value >>= 8U) out[i] = static_cast<std::uint8_t>(value);
}

/// Appends to a fixed buffer. A write that does not fit sets overflow() and leaves the buffer as it was.
class ByteWriter {
  public:
    constexpr explicit ByteWriter(std::span<std::uint8_t> buffer) noexcept : buffer_(buffer) {}

    constexpr void put(std::span<const std::uint8_t> octets) noexcept {
        if (!reserve(octets.size())) return;
        for (const std::uint8_t octet : octets) buffer_[size_++] = octet;
    }
    constexpr void put(std::string_view text) noexcept {
        if (!reserve(text.size())) return;
        for (const char c : text) buffer_[size_++] = static_cast<std::uint8_t>(c);
    }
    constexpr void put_be(std::uint64_t value, std::size_t octets) noexcept {
        if (!reserve(octets)) return;
        store_be(value, buffer_.subspan(size_, octets));
        size_ += octets;
    }
    [[nodiscard]] constexpr std::span<const std::uint8_t> written() const noexcept {
        return buffer_.first(size_);
    }
    [[nodiscard]] constexpr bool overflow() const noexcept { return overflow_; }

  private:
    constexpr bool reserve(std::size_t octets) noexcept {
        if (octets > buffer_.size() - size_) overflow_ = true;
        return !overflow_;
    }

    std::span<std::uint8_t> buffer_;
    std::size_t size_ = 0;
    bool overflow_ = false;
};

}  // namespace sts6
