// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace sts6::p11 {

/// What a token must keep to itself in a key agreement, the strictest last.
enum class Protection : std::uint8_t {
    any,           ///< nothing; and a token without key agreement will do, whose module loads no keys then
    z_in_token,    ///< the shared secrets
    kek_in_token,  ///< the shared secrets and the KEK
};

/// Which PKCS#11 token to use, and how. The PIN is never part of it.
struct TokenConfig {
    static constexpr unsigned kMostSessions = 64;

    std::filesystem::path module;  ///< the PKCS#11 library
    std::string token_label;       ///< at most 32 characters; selects the slot
    std::string init_args;         ///< pReserved of C_Initialize, which NSS needs; empty = none
    /// Exported as SOFTHSM2_CONF before C_Initialize when set: the environment changes, so no other thread
    /// may read it at that time.
    std::filesystem::path softhsm_conf;
    /// "sts6/<ModuleID>/": only objects whose label begins with it are ever touched, and in a SoftHSM of
    /// `softhsm_conf` and `sync_dir` those without label and ID. Ends in '/', so that no module's prefix
    /// begins another's.
    std::string object_prefix;
    unsigned sessions = 1;  ///< hsm.sessions: how many derivations may be under way at once, 1..kMostSessions
    /// Where the token keeps its files. Its file system is synced after a change, which a software token does
    /// not do itself; empty for a token that needs none.
    std::filesystem::path sync_dir;
    Protection min_protection = Protection::z_in_token;  ///< hsm.min_protection; below it open() refuses
};

}  // namespace sts6::p11
