// SPDX-License-Identifier: Apache-2.0
#include "firmware/sts/sta.hpp"

#include <array>
#include <bit>

#include "firmware/util/bytes.hpp"
#include "firmware/util/wipe.hpp"

#if defined(__x86_64__)
#include <tmmintrin.h>
#define STS6_STA_SSSE3 1
#endif

namespace sts6::sts {

namespace {

constexpr unsigned kRounds = 16;
constexpr std::uint64_t kLowBits = 0x1111111111111111;

/// The round key k before the first round; it turns left by one bit a round.
std::uint64_t initial_key(std::span<const std::uint8_t, kStaKeyOctets> key) noexcept {
    return std::rotr(~load_be(key), 12);
}

/// One in every nibble of `block` that equals `value`.
constexpr std::uint64_t nibbles_equal(std::uint64_t block, unsigned value) noexcept {
    const std::uint64_t difference = block ^ (kLowBits * value);
    return ~(difference | (difference >> 1U) | (difference >> 2U) | (difference >> 3U)) & kLowBits;
}

/// Every nibble through its table, chosen by bit 4n+3 of `key`: all 16 entries of both tables are visited.
std::uint64_t substitute(const StaTables::Direction& direction, std::uint64_t block,
                         std::uint64_t key) noexcept {
    std::uint64_t clear = 0;
    std::uint64_t set = 0;
    for (unsigned value = 0; value < StaTables::kNibbles; ++value) {
        const std::uint64_t here = nibbles_equal(block, value);
        clear |= here * direction.when_clear[value];
        set |= here * direction.when_set[value];
    }
    const std::uint64_t chosen = ((key >> 3U) & kLowBits) * 0xF;
    return (clear & ~chosen) | (set & chosen);
}

std::uint64_t permute(const StaTables::Direction& direction, std::uint64_t block) noexcept {
    std::uint64_t out = 0;
    for (unsigned bit = 0; bit < StaTables::kBits; ++bit) {
        const unsigned nibble = direction.source_nibble[bit % 4][bit / 4];
        const unsigned mask = direction.source_bit[bit % 4][bit / 4];
        const std::uint64_t moved =
            (block >> (4 * nibble + static_cast<unsigned>(std::countr_zero(mask)))) & 1U;
        out |= moved << bit;
    }
    return out;
}

#if defined(STS6_STA_SSSE3)

#define STS6_TARGET_SSSE3 __attribute__((target("ssse3")))

STS6_TARGET_SSSE3 inline __m128i load(const std::array<std::uint8_t, 16>& octets) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(octets.data()));
}

/// A nibble in each octet, nibble 0 in octet 0.
STS6_TARGET_SSSE3 inline __m128i spread(std::uint64_t block) noexcept {
    const __m128i octets = _mm_cvtsi64_si128(static_cast<long long>(block));
    const __m128i mask = _mm_set1_epi8(0x0F);
    return _mm_unpacklo_epi8(_mm_and_si128(octets, mask), _mm_and_si128(_mm_srli_epi64(octets, 4), mask));
}

STS6_TARGET_SSSE3 inline std::uint64_t gather_nibbles(__m128i nibbles) noexcept {
    // low + 16 * high of each pair
    const __m128i pairs = _mm_maddubs_epi16(nibbles, _mm_set1_epi16(0x1001));
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_packus_epi16(pairs, pairs)));
}

/// Octet n is FF when bit `bit` of nibble n is set.
STS6_TARGET_SSSE3 inline __m128i bit_mask(__m128i nibbles, int bit) noexcept {
    const __m128i mask = _mm_set1_epi8(static_cast<char>(1 << bit));
    return _mm_cmpeq_epi8(_mm_and_si128(nibbles, mask), mask);
}

STS6_TARGET_SSSE3 inline __m128i substitute(const StaTables::Direction& direction, __m128i state,
                                            __m128i chosen) noexcept {
    const __m128i clear = _mm_shuffle_epi8(load(direction.when_clear), state);
    const __m128i set = _mm_shuffle_epi8(load(direction.when_set), state);
    return _mm_or_si128(_mm_andnot_si128(chosen, clear), _mm_and_si128(chosen, set));
}

STS6_TARGET_SSSE3 inline __m128i permute(const StaTables::Direction& direction, __m128i state) noexcept {
    __m128i out = _mm_setzero_si128();
    for (std::size_t j = 0; j < 4; ++j) {
        const __m128i source = _mm_shuffle_epi8(state, load(direction.source_nibble[j]));
        const __m128i bit = load(direction.source_bit[j]);
        const __m128i is_set = _mm_cmpeq_epi8(_mm_and_si128(source, bit), bit);
        out = _mm_or_si128(out, _mm_and_si128(is_set, _mm_set1_epi8(static_cast<char>(1U << j))));
    }
    return out;
}

/// The key turns by a nibble, one octet here, in four rounds.
STS6_TARGET_SSSE3 inline __m128i turn_left(__m128i mask) noexcept {
    return _mm_alignr_epi8(mask, mask, 15);
}
STS6_TARGET_SSSE3 inline __m128i turn_right(__m128i mask) noexcept {
    return _mm_alignr_epi8(mask, mask, 1);
}

STS6_TARGET_SSSE3 std::uint64_t encrypt_ssse3(const StaTables::Direction& direction, std::uint64_t key,
                                              std::uint64_t block) noexcept {
    const __m128i nibbles = spread(key);
    __m128i chosen[4] = {bit_mask(nibbles, 3), bit_mask(nibbles, 2), bit_mask(nibbles, 1),
                         bit_mask(nibbles, 0)};
    __m128i state = spread(block);
    for (unsigned round = 0; round < kRounds; round += 4) {
        for (__m128i& mask : chosen) {
            state = permute(direction, substitute(direction, state, mask));
            mask = turn_left(mask);
        }
    }
    wipe(chosen, sizeof chosen);
    return gather_nibbles(state);
}

/// `key` is the one of the last round.
STS6_TARGET_SSSE3 std::uint64_t decrypt_ssse3(const StaTables::Direction& direction, std::uint64_t key,
                                              std::uint64_t block) noexcept {
    // A turn to the right brings bit 0 of the next nibble to bit 3: those masks start one nibble further on.
    const __m128i nibbles = spread(key);
    __m128i chosen[4] = {bit_mask(nibbles, 3), turn_right(bit_mask(nibbles, 0)),
                         turn_right(bit_mask(nibbles, 1)), turn_right(bit_mask(nibbles, 2))};
    __m128i state = spread(block);
    for (unsigned round = 0; round < kRounds; round += 4) {
        for (__m128i& mask : chosen) {
            state = substitute(direction, permute(direction, state), mask);
            mask = turn_right(mask);
        }
    }
    wipe(chosen, sizeof chosen);
    return gather_nibbles(state);
}

const bool has_ssse3 = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("ssse3") != 0;
}();

#endif

}  // namespace

std::uint64_t sta_encrypt_portable(const StaTables& tables, std::span<const std::uint8_t, kStaKeyOctets> key,
                                   std::uint64_t block) noexcept {
    std::uint64_t round_key = initial_key(key);
    for (unsigned round = 0; round < kRounds; ++round) {
        block = permute(tables.encryption(), substitute(tables.encryption(), block, round_key));
        round_key = std::rotl(round_key, 1);
    }
    return block;
}

std::uint64_t sta_decrypt_portable(const StaTables& tables, std::span<const std::uint8_t, kStaKeyOctets> key,
                                   std::uint64_t block) noexcept {
    std::uint64_t round_key = std::rotl(initial_key(key), kRounds - 1);
    for (unsigned round = 0; round < kRounds; ++round) {
        block = substitute(tables.decryption(), permute(tables.decryption(), block), round_key);
        round_key = std::rotr(round_key, 1);
    }
    return block;
}

std::uint64_t sta_encrypt(const StaTables& tables, std::span<const std::uint8_t, kStaKeyOctets> key,
                          std::uint64_t block) noexcept {
#if defined(STS6_STA_SSSE3)
    if (has_ssse3) return encrypt_ssse3(tables.encryption(), initial_key(key), block);
#endif
    return sta_encrypt_portable(tables, key, block);
}

std::uint64_t sta_decrypt(const StaTables& tables, std::span<const std::uint8_t, kStaKeyOctets> key,
                          std::uint64_t block) noexcept {
#if defined(STS6_STA_SSSE3)
    if (has_ssse3) return decrypt_ssse3(tables.decryption(), std::rotl(initial_key(key), kRounds - 1), block);
#endif
    return sta_decrypt_portable(tables, key, block);
}

}  // namespace sts6::sts
