// SPDX-License-Identifier: Apache-2.0
// Files of records with their trailer (docs/key-management.md 3.1), for hosts: a module gets records alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sts6::keyload {

inline constexpr std::size_t kLargestFile = std::size_t{1} << 20U;  ///< octets [C]
inline constexpr std::size_t kMostRecords = 4096 + 1;               ///< a header and 4096 KEY records [C]

/// SHA-1 over the parts one after the other; of the host's cryptographic library.
using Sha1 = std::array<std::uint8_t, 20> (*)(std::string_view text);

enum class FileFault : std::uint8_t {
    none,
    too_large,     ///< more than kLargestFile octets or kMostRecords records
    empty,         ///< no record
    edition_1,     ///< a key load file of Edition 1 (records 9500 and 9520)
    not_text,      ///< other than printable ASCII and line ends, or a line that is too long
    no_trailer,    ///< the last line is no '#' and 40 upper-case digits
    wrong_trailer  ///< the records are not those that the trailer was made over
};
/// For a user, one sentence.
[[nodiscard]] const char* fault_text(FileFault fault) noexcept;

struct RecordFile {
    FileFault fault = FileFault::none;
    std::vector<std::string> records;  ///< without line ends; empty when there is a fault
};

/// CRLF and blank lines, which mail makes, do not count. The records themselves are not judged.
[[nodiscard]] RecordFile read_file(std::string_view text, Sha1 sha1);

/// Records and trailer, lines ending in LF.
[[nodiscard]] std::string write_file(const std::vector<std::string>& records, Sha1 sha1);

}  // namespace sts6::keyload
