// SPDX-License-Identifier: Apache-2.0
// Key-change sets: the tokens that move a meter to a new decoder key (tokens.md 11). Every field describes
// the new key; every token is encrypted under the current one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "firmware/sts/token_block.hpp"
#include "firmware/util/vending_key.hpp"
#include "firmware/util/wipe.hpp"

namespace sts6::sts {

struct NewKey {
    KeyType kt = KeyType::dutk;
    std::uint8_t ken = 255;
    std::uint8_t krn = 1;   ///< 1..9
    std::uint8_t ti = 0;    ///< 0..99
    std::uint32_t sgc = 0;  ///< 0..999999
    bool rollover = false;  ///< RO: the base date changes
};

/// Whether a set of so many tokens exists: EA07 has two or three (the third carries the SGC), EA11 four.
constexpr bool is_key_change_set(Ea ea, std::uint32_t tokens) noexcept {
    return ea == Ea::sta ? tokens == 2 || tokens == 3 : tokens == 4;
}

/// The clear tokens of a set in print order: SubClass 3, 4, 8, 9. They hold the new key, and are wiped.
class KeyChangeSet {
  public:
    static constexpr std::size_t kMost = 4;

    /// `key` is the new decoder key, of which EA07 uses the first 8 octets.
    /// Precondition: is_key_change_set(ea, tokens).
    KeyChangeSet(const NewKey& fields, std::span<const std::uint8_t, 16> key, Ea ea,
                 std::size_t tokens) noexcept;
    KeyChangeSet(const KeyChangeSet&) = delete;
    KeyChangeSet& operator=(const KeyChangeSet&) = delete;
    ~KeyChangeSet() { wipe(tokens_.data(), sizeof tokens_); }

    [[nodiscard]] std::span<const ClearToken> tokens() const noexcept {
        return std::span(tokens_).first(count_);
    }

  private:
    std::array<ClearToken, kMost> tokens_{};
    std::size_t count_;
};

}  // namespace sts6::sts
