// SPDX-License-Identifier: Apache-2.0
// Messages as docs/protocol.md writes them, made and read a second time, without the code that is tested.
#pragma once

#include <cctype>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "sts6/status.hpp"
#include "tests/fuzz/harness.hpp"

namespace sts6::fuzz {

using namespace std::string_view_literals;

inline constexpr std::size_t kLongestMessage = 4096;  ///< header to CRC
inline constexpr std::string_view kMagic = "\xED\xF1\x2B\x00\xFE\xED"sv;

/// CRC-16/ARC, bit by bit.
inline std::uint16_t crc_of(std::string_view text) {
    unsigned crc = 0;
    for (const char c : text) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) * 0xA001U);
    }
    return static_cast<std::uint16_t>(crc);
}

inline std::string crc_digits(std::string_view text) {
    char digits[5];
    std::snprintf(digits, sizeof digits, "%04X", crc_of(text));
    return digits;
}

/// A message with CRC and CR.
inline std::string line_of(std::string_view message) {
    return std::string(message) + crc_digits(message) + "\r";
}

inline std::string envelope_of(std::string_view line) {
    const std::size_t length = kMagic.size() + line.size();
    std::string out{static_cast<char>(length >> 8U), static_cast<char>(length & 0xFFU)};
    return out.append(kMagic).append(line);
}

inline bool is_printable(std::string_view text) {
    for (const char c : text) {
        if (c < ' ' || c > '~') return false;
    }
    return true;
}

/// Header and body of a line without its CR, or none when it is no valid message.
inline std::optional<std::string_view> message_of(std::string_view line) {
    constexpr std::size_t kHeader = 5;
    constexpr std::size_t kCrc = 4;
    if (line.size() < kHeader + kCrc || line.size() > kLongestMessage) return std::nullopt;
    const std::string_view message = line.substr(0, line.size() - kCrc);
    std::string crc(line.substr(message.size()));
    for (char& c : crc) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (crc != crc_digits(message) || !is_printable(message.substr(0, kHeader))) return std::nullopt;
    return message;
}

struct ReadAnswer {
    std::string_view message;  ///< header, status and body
    std::string_view header;
    Status status{};
    std::string_view body;
    bool is_link_error = false;
};

/// Reads what a link sends for one message, and requires that it is one.
inline ReadAnswer read_answer(std::string_view octets, bool enveloped) {
    if (enveloped) {
        require(octets.size() > 8 && octets.substr(2, kMagic.size()) == kMagic, "an answer's envelope");
        const auto length = static_cast<std::size_t>(static_cast<unsigned char>(octets[0])) << 8U |
                            static_cast<unsigned char>(octets[1]);
        require(length == octets.size() - 2 && length <= 4110, "the length of an answer's envelope");
        octets.remove_prefix(8);
    }
    require(octets.size() >= 12 && octets.back() == '\r', "an answer has 11 characters and a CR at least");
    octets.remove_suffix(1);
    require(is_printable(octets), "an answer is printable");
    const auto message = message_of(octets);
    require(message.has_value() && crc_digits(*message) == octets.substr(message->size()), "an answer's CRC");
    const auto status = find_status(message->substr(5, 2));
    require((*message)[2] == '!' && status.has_value(), "an answer has a header and a status of the table");
    return {.message = *message,
            .header = message->substr(0, 5),
            .status = status->status,
            .body = message->substr(7),
            .is_link_error = message->starts_with("GL!ER")};
}

}  // namespace sts6::fuzz
