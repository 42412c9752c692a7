// SPDX-License-Identifier: Apache-2.0
// Known-answer tests of the algorithms, run before the first command.
#pragma once

#include <array>
#include <span>

namespace sts6 {

struct SelfTest {
    const char* name;
    bool (*passes)() noexcept;
};

namespace self_test {

bool link_crc() noexcept;
bool token_crc() noexcept;
bool misty1() noexcept;
bool sta_sample() noexcept;
bool decoder_key_data() noexcept;
bool amounts() noexcept;
bool token() noexcept;

}  // namespace self_test

inline constexpr std::array kSelfTests = {
    SelfTest{"CRC-16/ARC", self_test::link_crc},
    SelfTest{"token CRC", self_test::token_crc},
    SelfTest{"EA11", self_test::misty1},
    SelfTest{"EA07 with the sample tables", self_test::sta_sample},
    SelfTest{"DKGA02 and DKGA04 data", self_test::decoder_key_data},
    SelfTest{"amounts", self_test::amounts},
    SelfTest{"token", self_test::token},
};

}  // namespace sts6
