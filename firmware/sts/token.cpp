// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/token.hpp"

#include "firmware/sts/misty1.hpp"
#include "firmware/sts/sta.hpp"

namespace sts6::sts {

TokenNumber seal_token(const ClearToken& token, Ea ea, std::span<const std::uint8_t, 16> decoder_key,
                       const StaTables& tables) noexcept {
    const std::uint64_t block = ea == Ea::sta
                                    ? sta_encrypt(tables, decoder_key.first<kStaKeyOctets>(), token.block)
                                    : misty1_encrypt(decoder_key, token.block);
    return {token.token_class, block};
}

std::optional<TokenFields> open_token(const TokenNumber& token, Ea ea,
                                      std::span<const std::uint8_t, 16> decoder_key,
                                      const StaTables& tables) noexcept {
    if (token.token_class() == kClassMeterTest) return open_unencrypted(token);
    const std::uint64_t block = ea == Ea::sta
                                    ? sta_decrypt(tables, decoder_key.first<kStaKeyOctets>(), token.block())
                                    : misty1_decrypt(decoder_key, token.block());
    return read_block({token.token_class(), block});
}

std::optional<TokenFields> open_unencrypted(const TokenNumber& token) noexcept {
    return read_block({token.token_class(), token.block()});
}

}  // namespace sts6::sts
