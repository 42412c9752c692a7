// SPDX-License-Identifier: Apache-2.0
// Exit codes of every program of the project.
#pragma once

#include "sts6/errc.hpp"

namespace sts6 {

inline constexpr int kExitRefused = 1;  ///< refused by the module, or failed
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNoConnection = 3;  ///< the daemon, the directory or the PKCS#11 token is not there
inline constexpr int kExitErrorState = 4;
inline constexpr int kExitIntegrity = 5;
inline constexpr int kExitTimeOut = 6;
inline constexpr int kExitConformance = 7;

constexpr int exit_code(Errc code) noexcept {
    switch (code) {
        case Errc::invalid_argument:
        case Errc::malformed:
            return kExitUsage;
        case Errc::not_found:
        case Errc::in_use:
        case Errc::io_failed:
        case Errc::hsm_missing:
        case Errc::hsm_failed:
        case Errc::pin_incorrect:
        case Errc::pin_locked:
        case Errc::unsupported:
            return kExitNoConnection;
        case Errc::corrupt:
        case Errc::newer_schema:
        case Errc::key_missing:
        case Errc::key_mismatch:
            return kExitIntegrity;
        case Errc::timed_out:
            return kExitTimeOut;
        case Errc::self_test_failed:
            return kExitErrorState;
        case Errc::already_exists:
        case Errc::permission:
        case Errc::storage_failed:
        case Errc::storage_full:
            break;
    }
    return kExitRefused;
}

}  // namespace sts6
