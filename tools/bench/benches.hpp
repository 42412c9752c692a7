// SPDX-License-Identifier: Apache-2.0
// Each prints its figures, every one with what it is compared with in the same run.
#pragma once

#include <filesystem>

namespace sts6::bench {

/// The token engine, its key derived for every token, against its own kernels; EA07 against a table version.
void bench_engine();

/// Tokens through SoftHSM against the raw C_SignInit + C_Sign rate of the same object and sessions.
void bench_hsm();

/// Tokens of a daemon whose HSM takes 2 ms for a signature: 64 clients against one. `pack` holds the lab
/// module's keys.
void bench_slow_hsm(const std::filesystem::path& pack);

/// SM?DI over TCP against an echo server on the same kind of loop. `pack` holds the lab module's keys.
void bench_tcp(const std::filesystem::path& pack);

/// Durable credit tokens over TCP against fdatasync and echo, one client and 64. `pack` holds the lab
/// module's keys.
void bench_vend(const std::filesystem::path& pack);

/// Think time of a credit token on a pty, and the p99 of a good client while others are hostile.
void bench_links(const std::filesystem::path& pack);

}  // namespace sts6::bench
