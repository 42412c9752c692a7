// SPDX-License-Identifier: Apache-2.0
// The seam between a link and the module: one command on its way in, one answer on its way out.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "sts6/commands.hpp"
#include "sts6/frame.hpp"
#include "sts6/status.hpp"

namespace sts6 {

/// What a link sends back. A link error is sent instead of the command's own answer (GL!ER).
class Answer {
  public:
    /// Header, status and CRC leave this many characters of a message for the body.
    static constexpr std::size_t kMaxBody = frame::kLongest - frame::kHeaderLength - 2 - frame::kCrcLength;

    void set_link_error(Status status) noexcept { set(status, true); }
    void set_status(Status status) noexcept { set(status, false); }

    [[nodiscard]] Status status() const noexcept { return status_; }
    [[nodiscard]] bool is_link_error() const noexcept { return link_error_; }
    [[nodiscard]] std::string_view body() const noexcept { return {body_.data(), body_size_}; }

    /// Where a body is written; set_body_size() then says how much of it counts.
    [[nodiscard]] std::span<char> body_buffer() noexcept { return body_; }
    void set_body_size(std::size_t size) noexcept { body_size_ = size; }

  private:
    void set(Status status, bool link_error) noexcept {
        status_ = status;
        link_error_ = link_error;
        body_size_ = 0;
    }

    Status status_ = Status::device_failure;
    bool link_error_ = false;
    std::size_t body_size_ = 0;
    std::array<char, kMaxBody> body_;
};

struct Exchange {
    std::string_view message;  ///< header and body, CRC checked and removed; owned by the link
    LinkRole role = LinkRole::vend;
    bool expired = false;  ///< waited too long: answered 01, unexecuted
    Answer answer;
};

}  // namespace sts6
