// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "sts6/result.hpp"

namespace sts6::p11 {

/// Makes durable what a software token has written, which such a token does not do itself: syncs the file
/// system of `directory`. Nothing to do for an empty path. storage_failed is final: what was written may be
/// lost.
[[nodiscard]] Result<void> sync_token_files(const std::filesystem::path& directory);

}  // namespace sts6::p11
