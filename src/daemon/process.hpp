// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace sts6 {

/// Sends the program's log to standard error.
void log_to_stderr();

/// For a process that will hold PINs and keys: no core files, no debugger of the same user, files for the
/// owner only, and a locked heap for secrets. Called once, before anything secret is read.
void harden_process();

}  // namespace sts6
