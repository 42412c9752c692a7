// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "firmware/util/text_writer.hpp"
#include "sts6/civil_time.hpp"
#include "sts6/result.hpp"

namespace sts6::keyload {

/// The first 8 octets of SHA-384 over a public key's point. It names the key and authenticates nothing. [C]
using Fingerprint = std::array<std::uint8_t, 8>;

inline constexpr std::string_view kSmidType = "SMID.1";
inline constexpr std::string_view kKmcidType = "KMCID.1";
inline constexpr std::size_t kLongestIdentifier = 128;

/// A public key identifier (docs/key-management.md 3.2): type:issuer:unique:date:fingerprint:CRC. Of an SM
/// the issuer is the manufacturer and unique the ModuleID; of a KMC, its operator and its name.
struct Identifier {
    std::string_view text{};  ///< complete, with its CRC
    std::string_view issuer{};
    std::string_view unique{};
    CivilTime created{};
    Fingerprint fingerprint{};
};

/// The result views into `text`. malformed.
[[nodiscard]] Result<Identifier> parse_identifier(std::string_view text, std::string_view type) noexcept;

/// Writes one; its `text` is not read. Preconditions: issuer and unique are IDENTs, the year is 0 to 9999.
void put_identifier(TextWriter& out, std::string_view type, const Identifier& identifier) noexcept;

}  // namespace sts6::keyload
