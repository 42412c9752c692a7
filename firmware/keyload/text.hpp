// SPDX-License-Identifier: Apache-2.0
// The text layer of key management records (docs/key-management.md 3.1): printable ASCII, fields between '|',
// a CRC at the end of every record and every identifier.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "firmware/util/text_writer.hpp"
#include "sts6/civil_time.hpp"
#include "sts6/result.hpp"

namespace sts6::keyload {

inline constexpr std::size_t kLongestRecord = 1024;  ///< characters of a line, without its end [C]
inline constexpr std::size_t kLongestIdent = 40;

/// CRC-16/MODBUS (reflected 8005, initial value FFFF): "123456789" gives 4B37. Not the CRC of a link.
[[nodiscard]] std::uint16_t record_crc(std::string_view text) noexcept;

/// [A-Za-z0-9][A-Za-z0-9_.,-]{0,39}: issuers, ModuleIDs, names of KMCs.
[[nodiscard]] bool is_ident(std::string_view text) noexcept;

/// Exactly "CCYYMMDDThhmmssZ", a real date.
[[nodiscard]] std::optional<CivilTime> parse_date(std::string_view text) noexcept;
/// Precondition: the year is 0 to 9999.
void put_date(TextWriter& out, CivilTime time) noexcept;

/// Upper-case digits only, exactly 2 * out.size() of them.
[[nodiscard]] bool read_upper_hex(std::string_view text, std::span<std::uint8_t> out) noexcept;

/// `text` ends in `separator` and the CRC over all before it, in upper case; the rest, with the separator.
[[nodiscard]] std::optional<std::string_view> without_crc(std::string_view text, char separator) noexcept;
/// Appends the CRC of all that was written, of which the last character is the separator.
void put_crc(TextWriter& out) noexcept;

/// The fields of a record: type first, CRC not among them.
template <std::size_t N>
using RecordFields = std::array<std::string_view, N>;

/// A record of `type` with N fields and a right CRC, at most kLongestRecord printable characters. malformed.
template <std::size_t N>
[[nodiscard]] Result<RecordFields<N>> split_record(std::string_view text, std::string_view type) noexcept;

/// What stands before the first '|'; all of the text when there is none.
[[nodiscard]] std::string_view record_type(std::string_view text) noexcept;

}  // namespace sts6::keyload
