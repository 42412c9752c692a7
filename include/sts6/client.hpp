// SPDX-License-Identifier: Apache-2.0
// A blocking client for vending systems: one connection to a module, one command in flight.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sts6/ptvd.hpp"
#include "sts6/result.hpp"
#include "sts6/status.hpp"

namespace sts6 {

struct ClientOptions {
    /// For connecting, and for each exchange as a whole. Looking a host name up takes as long as the system
    /// takes; a numeric address needs no looking up.
    std::uint32_t timeout_ms = 5000;
};

/// A module's answer, its header and CRC checked.
struct Response {
    bool link_error = false;       ///< GL!ER came instead of the command's own answer
    std::optional<Status> status;  ///< none for a code that is not in the status table
    std::string code;              ///< the status as received, two characters
    std::string body;              ///< what follows the status
    std::string text;              ///< the whole message without CRC

    [[nodiscard]] bool ok() const noexcept { return !link_error && status == Status::successful; }

    /// The PTVD fields of the body, as views into it. malformed when it does not consist of fields.
    [[nodiscard]] Result<std::vector<PtvdField>> fields() const;
};

enum class FrameDirection : std::uint8_t { sent, received };

/// Not for concurrent use. A moved-from client may only be assigned to or destroyed.
class Client {
  public:
    /// `tcp:HOST:PORT` carries raw lines, `tcp-env:HOST:PORT` the envelope; an IPv6 address stands in
    /// brackets. invalid_argument for another URL or a time-out of 0, timed_out, else io_failed.
    static Result<Client> connect(std::string_view url, const ClientOptions& options = {});

    Client(Client&& other) noexcept;
    Client& operator=(Client&& other) noexcept;
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client();

    /// Sends a message, header and body ("SM?DI"), and waits for its answer. Sent once: a command sent again
    /// is a new command to the module, and whether to do that is the caller's decision.
    ///   invalid_argument  no request header, other characters than x20..x7E, or too long; nothing was sent
    ///   malformed         an answer with a wrong CRC, of another command, too long, or no message at all
    ///   timed_out, io_failed
    /// After any of the last three the connection is closed, so that a late answer cannot be taken for the
    /// next one's, and the next exchange connects again. It does so too when the module has closed the
    /// connection, or has sent what nobody asked for.
    Result<Response> exchange(std::string_view message);

    /// Shows every frame as it is on the wire, from within exchange(). What came of an answer that is not
    /// accepted is shown too. `show` must not throw.
    void on_frame(std::function<void(FrameDirection, std::string_view)> show);

  private:
    struct Impl;
    explicit Client(std::unique_ptr<Impl> impl) noexcept;

    std::unique_ptr<Impl> impl_;
};

}  // namespace sts6
