// SPDX-License-Identifier: Apache-2.0
// The records that a security module and a KMC exchange (docs/key-management.md 3.2 to 3.4). What is parsed
// views into the text it was parsed from; every parser answers malformed to a text that is no such record.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "firmware/keyload/cards.hpp"
#include "firmware/keyload/identifier.hpp"
#include "firmware/util/ec_point.hpp"

namespace sts6::keyload {

inline constexpr std::string_view kSmKeyType = "PKSM.1";
inline constexpr std::string_view kKmcKeyType = "PKKMC.1";
inline constexpr std::string_view kLoadRequestType = "VKLOAD.REQ.1";
inline constexpr std::string_view kLoadResponseType = "VKLOAD.RESP.1";
inline constexpr std::string_view kKeyType = "KEY.1";
inline constexpr std::string_view kCurve = "P-384";

inline constexpr std::size_t kMacTagOctets = 24;
inline constexpr std::size_t kNonceOctets = 12;
inline constexpr std::size_t kCcmTagOctets = 16;
inline constexpr std::size_t kMostSealedOctets = 20 + kCcmTagOctets;

using MacTag = std::array<std::uint8_t, kMacTagOctets>;
using Nonce = std::array<std::uint8_t, kNonceOctets>;

/// PKSM.1|SMID|cards|Q|CRC [C]
struct SmKeyRecord {
    Identifier smid;
    std::string_view firmware_id;  ///< FWI
    std::string_view hardware_id;  ///< HWI
    EcPoint key{};
};
[[nodiscard]] Result<SmKeyRecord> parse_sm_key(std::string_view text) noexcept;
/// Of `record` the identifier's text is used as it is.
void put_sm_key(TextWriter& out, const SmKeyRecord& record) noexcept;

/// PKKMC.1|KMCID|cards|Q|CRC [C]. Curve and point are the caller's to judge: they have answers of their own.
struct KmcKeyRecord {
    Identifier kmcid;
    CivilTime active_from{};  ///< ACT
    CivilTime expiry{};       ///< EXP, after ACT
    std::string_view curve;   ///< CRV
    std::string_view point;   ///< the text of Q
};
[[nodiscard]] Result<KmcKeyRecord> parse_kmc_key(std::string_view text) noexcept;
void put_kmc_key(TextWriter& out, const KmcKeyRecord& record) noexcept;

/// 194 upper-case hexadecimal digits of an uncompressed point; whether it is on the curve is not judged here.
[[nodiscard]] std::optional<EcPoint> read_point(std::string_view text) noexcept;

/// VKLOAD.REQ.1|KMCID|SMID|time|Qe|CRC [C]
struct LoadRequest {
    Identifier kmcid;
    Identifier smid;
    CivilTime time{};  ///< module time
    EcPoint ephemeral_key{};
};
[[nodiscard]] Result<LoadRequest> parse_load_request(std::string_view text) noexcept;
void put_load_request(TextWriter& out, const LoadRequest& request) noexcept;

/// VKLOAD.RESP.1|KMCID|SMID|time|MacTag|CRC [P]
struct LoadResponse {
    Identifier kmcid;
    Identifier smid;
    CivilTime time{};
    MacTag mac_tag{};
    std::string_view body;  ///< what the MacTag covers: from the type to the '|' before it
};
[[nodiscard]] Result<LoadResponse> parse_load_response(std::string_view text) noexcept;
/// What the MacTag covers; put_load_response() then appends it.
void put_load_response_body(TextWriter& out, std::string_view kmcid, std::string_view smid,
                            CivilTime time) noexcept;
void put_load_response(TextWriter& out, std::string_view body, const MacTag& mac_tag) noexcept;

/// KEY.1|nonce|cards|sealed key|CRC [P]
struct KeyRecord {
    Nonce nonce{};
    std::string_view cards_text;
    Cards cards;
    std::string_view body;  ///< what the CCM tag covers: from the type to the '|' before the sealed key
    std::array<std::uint8_t, kMostSealedOctets> sealed_buffer{};
    std::size_t sealed_size = 0;

    /// The encrypted key and its tag, 24 to 36 octets.
    [[nodiscard]] std::span<const std::uint8_t> sealed() const noexcept {
        return std::span(sealed_buffer).first(sealed_size);
    }
};
[[nodiscard]] Result<KeyRecord> parse_key(std::string_view text) noexcept;
/// What the CCM tag covers; put_key() then appends the sealed key.
void put_key_body(TextWriter& out, const Nonce& nonce, std::string_view cards) noexcept;
void put_key(TextWriter& out, std::string_view body, std::span<const std::uint8_t> sealed) noexcept;

}  // namespace sts6::keyload
