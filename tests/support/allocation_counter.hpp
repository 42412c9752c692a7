// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace sts6::test {

/// How often operator new was called in this program so far. A program that calls this gets counting
/// replacements of every operator new and delete.
std::size_t allocation_count() noexcept;

}  // namespace sts6::test
