// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firmware/module/module.hpp"
#include "firmware/ports/clock.hpp"
#include "src/pkcs11/pkcs11_hsm.hpp"

namespace sts6 {

/// How this run of the daemon began.
struct RunFacts {
    std::string sta_tables;         ///< the name of the EA07 table set
    CivilTime self_tested{};        ///< module time
    bool self_test_passed = false;  ///< false: the error state is its doing
};

/// What a running daemon adds to the status of its module, as a JSON object. On the module thread.
[[nodiscard]] std::string daemon_status(Module& module, const p11::Pkcs11Hsm& hsm, Clock& clock,
                                        const RunFacts& run);

}  // namespace sts6
