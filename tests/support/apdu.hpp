// SPDX-License-Identifier: Apache-2.0
// APDUs as docs/protocol.md has them, written a second time.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace sts6::test {

using namespace std::string_view_literals;

struct Instruction {
    unsigned ins;
    std::string_view header;
};

inline constexpr auto kInstructions = std::to_array<Instruction>({
    {0x10, "SM?VC"},
    {0x12, "SM?VM"},
    {0x14, "SM?VK"},
    {0x16, "SM?VT"},
    {0x20, "SM?DI"},
    {0x22, "SM?QI"},
    {0x24, "SM?QD"},
    {0x26, "SM?GA"},
    {0x28, "SM?CQ"},
    {0x30, "SM?KC"},
    {0x32, "SM?KR"},
    {0x34, "SM?KL"},
    {0x36, "SM?KF"},
    {0x38, "SM?KX"},
    {0x40, "SM?CI"},
    {0x42, "SM?QL"},
    {0x50, "SM?MI"},
    {0x52, "SM?MF"},
});

/// Empty: no such instruction.
constexpr std::string_view header_of(unsigned ins) {
    for (const Instruction& instruction : kInstructions) {
        if (instruction.ins == ins) return instruction.header;
    }
    return "";
}

inline constexpr std::string_view kApplication = "\xF0STS6\x01"sv;
inline constexpr std::string_view kAtr = "\x3B\x8A\x01\x80\x54STS6\x73\x80\x00\x40\x8E"sv;

/// A number in two octets, the high one first.
inline std::string two_octets(std::size_t number) {
    return {static_cast<char>(number >> 8U & 0xFFU), static_cast<char>(number & 0xFFU)};
}

/// As it goes over a stream.
inline std::string length_framed(std::string_view apdu) {
    return two_octets(apdu.size()).append(apdu);
}

}  // namespace sts6::test
