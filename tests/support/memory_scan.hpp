// SPDX-License-Identifier: Apache-2.0
// Looking for octets in the writable memory of a process, as an attacker of the same machine would.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace sts6::test {

struct MemoryHit {
    std::size_t pattern = 0;  ///< index into the patterns
    std::uint64_t address = 0;
    std::string mapping;  ///< its line of /proc/PID/maps
};

struct MemoryScan {
    std::vector<MemoryHit> hits;
    std::size_t octets = 0;  ///< how many were looked at
};

/// None when the process's memory cannot be read at all (another user, or a hardened process and not root).
/// Mappings above 256 MiB are a sanitizer's shadow, and passed over.
std::optional<MemoryScan> scan_memory(pid_t process, const std::vector<std::string>& patterns);

}  // namespace sts6::test
