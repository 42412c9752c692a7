// SPDX-License-Identifier: Apache-2.0
// The words for a vending key that every room of the firmware shares.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "firmware/util/fixed_text.hpp"
#include "sts6/civil_time.hpp"

namespace sts6 {

/// Origin of token identifiers (docs/tokens.md 8); belongs to the vending key.
enum class BaseDate : std::uint8_t { y1993, y2014, y2035 };

constexpr int base_year(BaseDate base_date) noexcept {
    switch (base_date) {
        case BaseDate::y1993:
            return 1993;
        case BaseDate::y2014:
            return 2014;
        case BaseDate::y2035:
            return 2035;
    }
    return 1993;
}
constexpr CivilTime base_time(BaseDate base_date) noexcept {
    return civil_time(base_year(base_date), 1, 1);
}
constexpr std::optional<BaseDate> base_date_of_year(int year) noexcept {
    for (const BaseDate base_date : {BaseDate::y1993, BaseDate::y2014, BaseDate::y2035}) {
        if (base_year(base_date) == year) return base_date;
    }
    return std::nullopt;
}

/// Key type: of a vending key (KTC) and of the decoder keys made from it (KT); 0, DITK, stays in the factory.
enum class KeyType : std::uint8_t { ditk = 0, ddtk = 1, dutk = 2, dctk = 3 };

/// Decoder key generation algorithm (DKG). 01 and 03 are withdrawn.
enum class Dkga : std::uint8_t { dkga02 = 2, dkga04 = 4 };

/// Encryption algorithm of a token (EA).
enum class Ea : std::uint8_t { sta = 7, misty1 = 11 };

/// Decoder key octets that an encryption algorithm takes.
constexpr std::uint8_t decoder_key_octets(Ea ea) noexcept {
    return ea == Ea::sta ? 8 : 16;
}

/// Octets of the vending key of an algorithm.
constexpr std::uint8_t vending_key_octets(Dkga dkga) noexcept {
    return dkga == Dkga::dkga02 ? 8 : 20;
}

/// Key check value, three octets (docs/key-management.md).
using Kcv = std::array<std::uint8_t, 3>;

/// What the key owner says of a vending key (docs/key-management.md).
struct KeyAttributes {
    std::uint32_t sgc = 0;  ///< supply group code, 0..999999
    std::uint8_t krn = 1;   ///< key revision number, 1..9
    KeyType ktc = KeyType::dutk;
    Dkga dkg = Dkga::dkga04;
    BaseDate base_date = BaseDate::y1993;
    std::uint8_t ken = 255;      ///< key expiry number; 255 never expires
    std::uint32_t cluster = 0;   ///< CLU; only 0 is defined
    std::uint16_t sbm = 0xFFFF;  ///< bit n allows class 0 SubClass n
    CivilTime active_from{};     ///< ACT
    CivilTime expiry{};          ///< EXP
    CivilTime issue_until{};     ///< IUT
    std::optional<std::uint32_t>
        clm_bits;  ///< CLM as sent: the bits of a float32, currency units; none = unlimited
    std::optional<std::uint32_t> ulm_units;  ///< ULM in whole units; none = unlimited
    FixedText<40> sgn;                       ///< name of the supply group
};

}  // namespace sts6
