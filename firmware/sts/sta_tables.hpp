// SPDX-License-Identifier: Apache-2.0
// The tables of EA07 (docs/tokens.md 4.1): public indices, arranged for a cipher that never looks a secret
// up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sts6::sts {

namespace detail {

// Outside the class, so that the constant below can use them: clang 14 has not yet seen a member template
// there.
template <std::size_t N>
constexpr bool is_permutation(const std::array<std::uint8_t, N>& table) noexcept {
    std::array<bool, N> seen{};
    for (const std::uint8_t value : table) {
        if (value >= N || seen[value]) return false;
        seen[value] = true;
    }
    return true;
}

template <std::size_t N>
constexpr std::array<std::uint8_t, N> inverse(const std::array<std::uint8_t, N>& table) noexcept {
    std::array<std::uint8_t, N> result{};
    for (std::size_t i = 0; i < N; ++i) result[table[i]] = static_cast<std::uint8_t>(i);
    return result;
}

}  // namespace detail

/// A validated set of substitution and permutation tables.
class StaTables {
  public:
    static constexpr std::size_t kNibbles = 16;
    static constexpr std::size_t kBits = 64;
    using Substitution = std::array<std::uint8_t, kNibbles>;
    using Permutation = std::array<std::uint8_t, kBits>;

    /// One direction of the cipher. The permutation is kept as a gather: bit `j` of output nibble `n` is the
    /// bit `source_bit[j][n]` (a mask) of input nibble `source_nibble[j][n]`.
    struct Direction {
        Substitution when_clear{};  ///< for a key bit 0
        Substitution when_set{};    ///< for a key bit 1
        std::array<std::array<std::uint8_t, kNibbles>, 4> source_nibble{};
        std::array<std::array<std::uint8_t, kNibbles>, 4> source_bit{};
    };

    /// None unless both substitutions are permutations of 0..15 and `p` is one of 0..63.
    static constexpr std::optional<StaTables> make(const Substitution& s1, const Substitution& s2,
                                                   const Permutation& p) noexcept {
        if (!detail::is_permutation(s1) || !detail::is_permutation(s2) || !detail::is_permutation(p)) {
            return std::nullopt;
        }
        StaTables tables;
        tables.encrypt_.when_clear = s1;
        tables.encrypt_.when_set = s2;
        tables.decrypt_.when_clear = detail::inverse(s1);
        tables.decrypt_.when_set = detail::inverse(s2);
        gather(detail::inverse(p), tables.encrypt_);
        gather(p, tables.decrypt_);
        return tables;
    }

    [[nodiscard]] constexpr const Direction& encryption() const noexcept { return encrypt_; }
    [[nodiscard]] constexpr const Direction& decryption() const noexcept { return decrypt_; }

  private:
    constexpr StaTables() = default;

    /// `source[b]` is the input bit that output bit b comes from.
    static constexpr void gather(const Permutation& source, Direction& direction) noexcept {
        for (std::size_t bit = 0; bit < kBits; ++bit) {
            direction.source_nibble[bit % 4][bit / 4] = static_cast<std::uint8_t>(source[bit] / 4);
            direction.source_bit[bit % 4][bit / 4] = static_cast<std::uint8_t>(1U << (source[bit] % 4));
        }
    }

    Direction encrypt_;
    Direction decrypt_;
};

/// The sample set printed in IEC 62055-41. Meters in the field use the operational set, which a licensee
/// loads.
inline constexpr StaTables kSampleStaTables =
    *StaTables::make({12, 10, 8, 4, 3, 15, 0, 2, 14, 1, 5, 13, 6, 9, 7, 11},
                     {6, 9, 7, 4, 3, 10, 12, 14, 2, 13, 1, 15, 0, 11, 8, 5},
                     {29, 27, 34, 9,  16, 62, 55, 2,  40, 49, 38, 25, 33, 61, 30, 23, 1,  41, 21, 57, 42, 15,
                      5,  58, 19, 53, 22, 17, 48, 28, 24, 39, 3,  60, 36, 14, 11, 52, 54, 12, 31, 51, 10, 26,
                      0,  45, 37, 43, 44, 6,  59, 4,  7,  35, 56, 50, 13, 18, 32, 47, 46, 63, 20, 8});

}  // namespace sts6::sts
