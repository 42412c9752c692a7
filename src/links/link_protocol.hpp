// SPDX-License-Identifier: Apache-2.0
// The protocol of one link (docs/protocol.md) without input and output: octets in, commands and answers out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "firmware/ports/exchange.hpp"
#include "src/links/link_services.hpp"
#include "sts6/commands.hpp"
#include "sts6/frame.hpp"

namespace sts6 {

/// What a link does next.
struct LinkStep {
    enum class Kind : std::uint8_t {
        receive,  ///< nothing complete is there
        command,  ///< hand the exchange to the module; its answer goes to release()
        send,     ///< send `octets`
    };
    Kind kind = Kind::receive;
    std::string_view octets;  ///< valid until the next call of next() or release()
};

/// One link: it tells lines from envelopes by the first octets, cuts messages, answers the GL group and
/// noise, and remembers the last response for GL?RR. The caller has one command in progress at most, and
/// sends an answer completely before it asks for the next step.
class LinkProtocol {
  public:
    /// Octets received ahead of the command in progress; beyond these the caller stops reading.
    static constexpr std::size_t kInputSize = 8192;

    LinkProtocol(const LinkServices& services, LinkRole role) : services_(services), role_(role) {}

    /// Where to put octets received; empty while full. Stays valid until received(), whatever else is called.
    [[nodiscard]] std::span<char> input_space() noexcept;
    /// So many octets were put at the start of input_space().
    void received(std::size_t size) noexcept;
    /// Two seconds without an octet, or the end of input: drops what is not complete.
    void silence();

    /// The next thing to do with what was received; `receive` while a command is in progress. `exchange` gets
    /// the command; its message stays valid until release().
    [[nodiscard]] LinkStep next(Exchange& exchange);
    /// The octets to send for the command in progress, which ends; they stay valid until the next call of
    /// next().
    [[nodiscard]] std::string_view release(const Exchange& exchange) noexcept;

    [[nodiscard]] bool in_progress() const noexcept { return in_progress_; }

  private:
    static constexpr std::size_t kHeadLength = frame::kHeaderLength + 2;  ///< header and status
    using Decoder = std::variant<std::monostate, LineDecoder, EnvelopeDecoder>;

    [[nodiscard]] std::string_view held() const noexcept { return {input_.data() + begin_, end_ - begin_}; }
    [[nodiscard]] bool enveloped(const Answer& answer) const noexcept;
    void recognise();
    [[nodiscard]] std::size_t complete_size() const;
    [[nodiscard]] std::string_view answer_link_command(const CommandRow& row, Exchange& exchange);
    [[nodiscard]] std::string_view encode_notice(const Exchange& exchange) noexcept;
    [[nodiscard]] std::string_view encode_response(const Exchange& exchange) noexcept;

    const LinkServices& services_;
    LinkRole role_;
    bool in_progress_ = false;
    Decoder decoder_;  ///< none until the first octets have said which
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t space_ = 0;  ///< where the last input_space() began
    std::size_t response_size_ = 0;
    std::array<char, kInputSize> input_;
    /// The last response as sent, for GL?RR.
    std::array<char, frame::kLongest + 1 + frame::kEnvelopeHeader> response_;
    /// An answer that is not remembered: it has no body.
    std::array<char, kHeadLength + frame::overhead(true)> notice_;
};

}  // namespace sts6
