// SPDX-License-Identifier: Apache-2.0
// SoftHSM empties a token's own file (token.object) at each login and writes it anew: a process that is
// killed in between leaves a token without label, PINs and key to its keys. A copy beside the store brings it
// back.
#pragma once

#include <filesystem>

#include "sts6/result.hpp"

namespace sts6::p11 {

/// Puts the copy of every token in `store` (directories.tokendir) in place of a token file that is shorter.
/// Called before the library looks at the store. storage_failed when a copy is needed and cannot be put in
/// place.
[[nodiscard]] Result<void> restore_token_files(const std::filesystem::path& store);

/// Copies every token file of `store` that differs from its copy to `store`.kept, durably. Called after a
/// login.
[[nodiscard]] Result<void> keep_token_files(const std::filesystem::path& store);

}  // namespace sts6::p11
