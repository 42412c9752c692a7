// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/conform/child_process.hpp"

namespace sts6::test {

/// The end of systemd's notifications that a service manager has. While it lives, NOTIFY_SOCKET names it to
/// this process and to those it starts.
class NotifySocket {
  public:
    NotifySocket() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = (place_.path() / "notify").string();
        if (path.size() >= sizeof address.sun_path) throw std::runtime_error("a long path");
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        descriptor_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (descriptor_ < 0 ||
            bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            throw std::system_error(errno, std::generic_category(), path);
        }
        setenv("NOTIFY_SOCKET", path.c_str(), 1);
    }
    NotifySocket(const NotifySocket&) = delete;
    NotifySocket& operator=(const NotifySocket&) = delete;
    ~NotifySocket() {
        unsetenv("NOTIFY_SOCKET");
        close(descriptor_);
    }

    /// The next notification; empty when none comes in time.
    std::string next(std::chrono::milliseconds timeout) {
        pollfd ready{.fd = descriptor_, .events = POLLIN, .revents = 0};
        if (poll(&ready, 1, static_cast<int>(timeout.count())) <= 0) return {};
        std::array<char, 4096> text{};
        const ssize_t size = recv(descriptor_, text.data(), text.size(), 0);
        if (size < 0) throw std::system_error(errno, std::generic_category(), "recv");
        return {text.data(), static_cast<std::size_t>(size)};
    }

  private:
    conform::TemporaryDirectory place_;
    int descriptor_ = -1;
};

}  // namespace sts6::test
