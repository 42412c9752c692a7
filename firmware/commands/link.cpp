// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/link.hpp"

#include <algorithm>
#include <optional>

namespace sts6::commands {

namespace {

constexpr std::size_t kTimeoutDigits = 2;
constexpr std::size_t kLengthDigits = 3;

std::optional<std::size_t> read_digits(std::string_view text) noexcept {
    std::size_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + static_cast<std::size_t>(c - '0');
    }
    return value;
}

void echo(std::string_view body, Answer& answer) noexcept {
    answer.set_status(Status::format_error);
    if (body.size() < kTimeoutDigits + kLengthDigits) return;
    const std::string_view counted = body.substr(kTimeoutDigits);
    const auto length = read_digits(counted.substr(0, kLengthDigits));
    if (!read_digits(body.substr(0, kTimeoutDigits)) || length != counted.size() - kLengthDigits) return;
    // An answer never holds anything but printable characters.
    if (!frame::is_text(counted)) return;
    answer.set_status(Status::successful);
    std::ranges::copy(counted, answer.body_buffer().begin());
    answer.set_body_size(counted.size());
}

}  // namespace

void answer_link_command(const CommandRow& row, Exchange& exchange) noexcept {
    const std::string_view body = exchange.message.substr(row.header.size());
    if (row.id == CommandId::echo) {
        echo(body, exchange.answer);
    } else {
        exchange.answer.set_status(body.empty() ? Status::successful : Status::format_error);
    }
}

}  // namespace sts6::commands
