// SPDX-License-Identifier: Apache-2.0
// The data that a vending key turns into a meter's decoder key (docs/tokens.md 3). The operation with the key
// is the HSM's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "firmware/sts/pan.hpp"
#include "firmware/util/vending_key.hpp"

namespace sts6::sts {

struct DecoderKeyParameters {
    KeyType kt = KeyType::dutk;
    std::uint32_t sgc = 0;  ///< 0..999999
    std::uint8_t ti = 0;    ///< tariff index, 0..99
    std::uint8_t krn = 1;   ///< 1..9
    Pan pan;
    Ea ea = Ea::misty1;                    ///< part of a DKGA04 key only
    BaseDate base_date = BaseDate::y1993;  ///< part of a DKGA04 key only
};

inline constexpr std::size_t kDkga02DataOctets = 8;
inline constexpr std::size_t kDkga04DataOctets = 49;

/// X = PANBlock xor CONTROLBlock; the decoder key is DES_VK(X) xor X xor VK.
/// UNVERIFIED: for a common key the DRN digits of the PANBlock are 0.
void dkga02_data(const DecoderKeyParameters& parameters,
                 std::span<std::uint8_t, kDkga02DataOctets> x) noexcept;

/// D = label | 00 | context | L; the decoder key is the first octets of HMAC-SHA-256(VK, D).
/// UNVERIFIED: for a common key the PAN item is Pan::of_common_key().
void dkga04_data(const DecoderKeyParameters& parameters,
                 std::span<std::uint8_t, kDkga04DataOctets> d) noexcept;

}  // namespace sts6::sts
