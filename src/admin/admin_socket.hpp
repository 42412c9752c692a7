// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "sts6/result.hpp"

namespace sts6::admin {

/// A Unix socket on a thread of its own: one line in, one line out. Only the owner of the file may connect.
class AdminSocket {
  public:
    static constexpr std::size_t kLongestRequest = 65536;

    using Answer = std::function<std::string(std::string_view)>;

    /// A socket that nobody listens on is replaced; already_exists: something else is in its place.
    [[nodiscard]] static Result<AdminSocket> open(const std::filesystem::path& path, Answer answer);

    AdminSocket(AdminSocket&&) noexcept;
    AdminSocket& operator=(AdminSocket&&) = delete;
    AdminSocket(const AdminSocket&) = delete;
    AdminSocket& operator=(const AdminSocket&) = delete;
    /// Takes the socket away; a request in progress is finished first.
    ~AdminSocket();

  private:
    struct Impl;
    explicit AdminSocket(std::unique_ptr<Impl> impl) noexcept;

    std::unique_ptr<Impl> impl_;
};

}  // namespace sts6::admin
