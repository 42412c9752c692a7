// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "firmware/sts/sta.hpp"
#include "firmware/util/fixed_text.hpp"

namespace sts6 {

/// What does not change while the module runs.
struct ModuleSettings {
    std::uint32_t registers = 64;       ///< 1..4096
    std::uint32_t tid_window_days = 7;  ///< 0 = off
    FixedText<40> firmware_id;          ///< an IDENT: names the table set and the LAB profile
    /// First octets of the SHA-384 of the program file: the whole of it would make SM?QI's answer too long
    /// for an envelope.
    std::array<std::uint8_t, 8> firmware_hash{};
    sts::StaTables sta_tables = sts::kSampleStaTables;
    FixedText<200> hsm;            ///< the PKCS#11 token and its strategies, for the audit of a start
    bool lab = false;              ///< no limit on failed verifications
    bool clock_is_preset = false;  ///< --lab-time: the time mark is neither applied nor raised
};

}  // namespace sts6
