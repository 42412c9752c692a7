// SPDX-License-Identifier: Apache-2.0
// From a clear block to the token that is printed, and back (docs/tokens.md 1 and 12).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "firmware/sts/sta_tables.hpp"
#include "firmware/sts/token_block.hpp"
#include "firmware/util/vending_key.hpp"

namespace sts6::sts {

/// Encrypts under a decoder key, of which EA07 uses the first 8 octets. Precondition: class 0 or 2.
TokenNumber seal_token(const ClearToken& token, Ea ea, std::span<const std::uint8_t, 16> decoder_key,
                       const StaTables& tables) noexcept;

/// Decrypts and checks the CRC; none when it is wrong, which is all that shows a wrong key, EA or table set.
/// Class 1 is not encrypted: the key is not used.
std::optional<TokenFields> open_token(const TokenNumber& token, Ea ea,
                                      std::span<const std::uint8_t, 16> decoder_key,
                                      const StaTables& tables) noexcept;

/// Reads a token of class 1. None when the CRC is wrong.
std::optional<TokenFields> open_unencrypted(const TokenNumber& token) noexcept;

}  // namespace sts6::sts
