// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace sts6 {

/// Sends the program's log to standard error.
void log_to_stderr();

/// For a process that will hold PINs and keys: no core files, no debugger of the same user, files for the
/// owner only, and a locked heap for secrets. Called once, before anything secret is read.
void harden_process();

/// Raises the limit on open files to `wanted`, or as far as the system lets it, and returns what it is then.
std::size_t allow_open_files(std::size_t wanted);

}  // namespace sts6
