// SPDX-License-Identifier: Apache-2.0
// Running the project's programs, and looking at a process from outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "tests/support/test_token.hpp"

namespace sts6::test {

/// The pack of published vectors whose three registers a lab module gets in these tests.
std::filesystem::path vector_pack();

struct Finished {
    int code = 0;        ///< -1: a daemon that got ready, and was killed
    std::string output;  ///< standard output
    std::string log;     ///< standard error
};

/// What makes `sts6ctl setup` use that token; its PIN file is written beside it.
std::vector<std::string> setup_options(const TestToken& token);

/// Runs "sts6d" or "sts6ctl" to its end.
Finished run_program(const char* name, const std::vector<std::string>& arguments);

std::string file_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, std::string_view text);

/// The count in a state directory that no daemon uses.
std::uint64_t tokens_issued(const std::filesystem::path& dir);

/// Polls until it holds, a minute at most.
bool eventually(const std::function<bool()>& holds);

/// Keeps what AddressSanitizer holds back of freed memory small, in the programs started from here on.
void bound_sanitizer_memory();

std::size_t resident_kib(pid_t process);
/// 0 where they cannot be seen: a hardened process shows them to root only.
std::size_t open_descriptors(pid_t process);

}  // namespace sts6::test
