// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "src/client/channel.hpp"
#include "sts6/client.hpp"

namespace sts6::client {

/// Exchanges over a channel, tried again as ClientOptions::retry says. The rules, and why, are at
/// Client::exchange.
class Link {
  public:
    /// `serial`: what the module remembers outlives the opening, and a line has noise.
    Link(std::unique_ptr<Channel> channel, bool serial, const ClientOptions& options);

    Result<void> connect();
    /// `message` must be one that the channel carries.
    Result<Response> exchange(std::string_view message);
    void close() noexcept;
    [[nodiscard]] Channel& channel() noexcept { return *channel_; }

  private:
    enum class Outcome : std::uint8_t {
        answered,   ///< accepted
        lost,       ///< silence, or damage on either way
        gone,       ///< the connection ended
        untouched,  ///< GL?RR has shown that the command was not executed
        uncertain,  ///< GL?RR has not shown whether it was, and will not
        refused,    ///< what came is no answer, and asking again would not help
    };
    /// What is under way since the link was in step.
    struct Pending {
        bool repeat = false;        ///< GL?RR was sent last, not the command
        std::uint32_t repeats = 0;  ///< GL?RR that were sent
        std::uint32_t copies = 0;   ///< answers that came and show nothing: the last answer's octets
    };
    struct Attempt {
        Outcome outcome;
        Result<Response> result;  ///< what the exchange ends in when nothing more is tried
    };

    [[nodiscard]] Deadline patience(Deadline deadline) const;
    Result<void> get_in_step(Deadline deadline);
    Result<void> synchronise(Deadline deadline);
    Result<std::string> agree(Deadline deadline, std::string_view request, std::string_view answer);
    Result<Response> run(std::string_view message, Deadline deadline);
    [[nodiscard]] Result<Response> given_up(std::string_view message, Result<Response> result) const;
    Attempt attempt(std::string_view message, Pending& pending, Deadline deadline, Deadline until);
    [[nodiscard]] std::optional<Attempt> judge(std::string_view message, Pending& pending,
                                               const std::string& text) const;
    [[nodiscard]] bool shows_untouched(std::string_view message) const;
    Result<void> recover(const Attempt& attempt, std::string_view message, Pending& pending,
                         Deadline deadline);
    void remember(std::string_view message, const Response& response);

    std::unique_ptr<Channel> channel_;
    bool serial_;
    bool asks_again_;   ///< by GL?RR
    bool resends_all_;  ///< also what changes the module
    bool sends_once_;
    std::uint32_t retries_;
    std::chrono::milliseconds timeout_;
    std::chrono::milliseconds patience_;
    bool in_step_ = false;  ///< nothing that was asked is still under way
    /// The answer that GL?RR would bring, and what it was the answer to; none when nothing is remembered.
    std::optional<std::string> last_answer_;
    std::string last_message_;
};

}  // namespace sts6::client
