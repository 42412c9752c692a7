// SPDX-License-Identifier: Apache-2.0
// strace as the hand that kills a process at its n-th system call, or fails that call.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

#include "tools/conform/child_process.hpp"

namespace sts6::crash {

/// The n-th call of a thread to a system call.
struct Point {
    std::string call;
    std::size_t number = 0;
};

/// What strace does when a thread comes to a point: "signal=KILL" or "error=ENOSPC". With `onwards` it does
/// it at every later call too.
struct Injection {
    Point point;
    std::string what;
    bool onwards = false;
};

/// The words for strace's command line: calls to be traced, and the injection if any.
std::vector<std::string> strace_words(const std::vector<std::string>& calls,
                                      const std::filesystem::path& log);
std::vector<std::string> strace_words(const Injection& injection, const std::filesystem::path& log);

/// True, and said on the test's behalf, when this user may not trace a process that is not dumpable.
bool cannot_trace();

/// Attached to every thread of a running process but its first, as long as it lives.
class Strace {
  public:
    /// Returns when strace has them all; throws std::runtime_error when it cannot.
    Strace(pid_t process, std::vector<std::string> words);
    /// Lets the process go on without it.
    void detach();

  private:
    conform::ChildProcess process_;
};

/// Every call in a log of one process, thread by thread: of `thread` alone, or of all when that is 0. Each
/// thread's calls are numbered for themselves, so that the busiest one's are the points.
std::vector<Point> points_of(const std::filesystem::path& log, pid_t thread = 0);

/// `most` of them at even distances; all of them when most is 0.
std::vector<Point> some_of(const std::vector<Point>& points, std::size_t most);

}  // namespace sts6::crash
