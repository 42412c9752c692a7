// SPDX-License-Identifier: Apache-2.0
// Public profile 1 (docs/key-management.md 3.4): what goes into the key derivation, the key confirmation and
// the CCM of a key load, every [C] choice of it in this one place. A licensee's second profile stands beside
// it as another file of the same functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "firmware/keyload/records.hpp"
#include "firmware/util/bytes.hpp"
#include "firmware/util/ec_point.hpp"

namespace sts6::keyload::profile1 {

inline constexpr std::string_view kAlgorithmId =
    "STS600-4-2/public-profile-1/C(1e,2s)/P-384/SHA-384/AES-192-CCM";
inline constexpr std::size_t kMacKeyOctets = 24;
inline constexpr std::size_t kKekOctets = 24;

/// Enough for the largest identifiers and records.
inline constexpr std::size_t kMostOtherInfo = 4 * 6 + 62 + 2 * kLongestIdentifier + 3 * kEcPointOctets + 4;
inline constexpr std::size_t kMostMacData = 6 + 4 * 5 + 2 * kLongestIdentifier + kEcPointOctets + 1024;
inline constexpr std::size_t kMostAssociatedData = kMacTagOctets + 1024;

/// The two parties and their public keys. The identifiers are complete, with their CRCs.
struct Parties {
    std::string_view smid;
    std::string_view kmcid;
    const EcPoint& sm_static;     ///< Q_s,U
    const EcPoint& sm_ephemeral;  ///< Q_e,U
    const EcPoint& kmc_static;    ///< Q_s,V
};

/// DKM = SHA-384(00000001 || Ze || Zs || OtherInfo), MacKey its first 24 octets, KEK its last 24.
void put_other_info(ByteWriter& out, const Parties& parties) noexcept;

/// MacTag = HMAC-SHA-384(MacKey, MacData)[0:24]. `body` is that of the response record.
void put_mac_data(ByteWriter& out, const Parties& parties, std::string_view body) noexcept;

/// The associated data of a key record's CCM. The MacTag in it ties the record to its response.
void put_associated_data(ByteWriter& out, const MacTag& mac_tag, std::string_view body) noexcept;

}  // namespace sts6::keyload::profile1
