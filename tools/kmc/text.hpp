// SPDX-License-Identifier: Apache-2.0
// The writers of the record layer fill fixed buffers; a KMC keeps strings.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "firmware/keyload/text.hpp"
#include "firmware/util/text_writer.hpp"
#include "sts6/hex.hpp"

namespace sts6::kmc {

/// What a writer makes: a record, or a part of one.
template <class Put>
std::string written(Put put) {
    std::array<char, keyload::kLongestRecord> buffer{};
    TextWriter out(buffer);
    put(out);
    if (out.overflow()) throw std::length_error("a record is longer than a record may be");
    return std::string(out.written());
}

inline std::string hex_text(std::span<const std::uint8_t> octets) {
    std::string text(2 * octets.size(), '0');
    write_hex(octets, text.data());
    return text;
}

inline std::string date_text(CivilTime time) {
    return written([time](TextWriter& out) { keyload::put_date(out, time); });
}

}  // namespace sts6::kmc
