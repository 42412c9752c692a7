// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace sts6::test {

/// A connection to the admin socket that sends what it likes.
class AdminLink {
  public:
    explicit AdminLink(const std::filesystem::path& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        REQUIRE(socket_ >= 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        REQUIRE(path.string().size() < sizeof address.sun_path);
        path.string().copy(address.sun_path, sizeof address.sun_path - 1);
        const timeval patience{60, 0};
        REQUIRE(::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
        REQUIRE(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }
    AdminLink(const AdminLink&) = delete;
    AdminLink& operator=(const AdminLink&) = delete;
    ~AdminLink() { ::close(socket_); }

    /// False when the other side has closed before it had all.
    bool send(std::string_view octets) const {
        while (!octets.empty()) {
            const ssize_t sent = ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            octets.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    /// Without its end; none when the connection ended.
    std::optional<std::string> line() {
        for (;;) {
            const std::size_t end = received_.find('\n');
            if (end != std::string::npos) {
                std::string text = received_.substr(0, end);
                received_.erase(0, end + 1);
                return text;
            }
            std::array<char, 4096> buffer{};
            const ssize_t size = ::recv(socket_, buffer.data(), buffer.size(), 0);
            if (size <= 0) return std::nullopt;
            received_.append(buffer.data(), static_cast<std::size_t>(size));
        }
    }
    nlohmann::json ask(const std::string& request) {
        REQUIRE(send(request + "\n"));
        const auto answer = line();
        REQUIRE(answer);
        return nlohmann::json::parse(*answer);
    }

  private:
    int socket_;
    std::string received_;
};

}  // namespace sts6::test
