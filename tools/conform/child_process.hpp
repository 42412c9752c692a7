// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace sts6::conform {

/// A program that this one started. It is killed when the object goes.
class ChildProcess {
  public:
    /// arguments[0] is the program's path. Standard error is appended to `log`. Throws std::system_error when
    /// it cannot be started.
    ChildProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log);
    ChildProcess(ChildProcess&& other) noexcept;
    ChildProcess& operator=(ChildProcess&&) = delete;
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;
    ~ChildProcess();

    /// One line of its standard output, without the line end; empty when the output ended or the time is up.
    std::string read_line(std::chrono::milliseconds timeout);

    /// Sends SIGTERM if `terminate`, then waits; the exit code, or 128 + the signal that ended it.
    int wait(bool terminate = false);

    void kill();

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  private:
    pid_t pid_ = -1;
    int output_ = -1;
    std::string unread_;
};

/// A directory that goes with the object.
class TemporaryDirectory {
  public:
    TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory();
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace sts6::conform
