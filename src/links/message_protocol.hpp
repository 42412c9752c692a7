// SPDX-License-Identifier: Apache-2.0
// Messages on a stream, as lines or in envelopes (docs/protocol.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "firmware/ports/exchange.hpp"
#include "src/links/link_protocol.hpp"
#include "src/links/link_services.hpp"
#include "sts6/commands.hpp"
#include "sts6/frame.hpp"

namespace sts6 {

/// It tells lines from envelopes by the first octets, cuts messages, answers the GL group and noise, and
/// remembers the last response for GL?RR.
class MessageProtocol final : public LinkProtocol {
  public:
    /// A serial line has no envelopes.
    enum class Form : std::uint8_t { lines, lines_or_envelopes };

    MessageProtocol(const LinkServices& services, LinkRole role, Form form = Form::lines_or_envelopes)
        : services_(services), role_(role) {
        if (form == Form::lines) decoder_.emplace<LineDecoder>();
    }

    [[nodiscard]] std::span<char> input_space() noexcept override { return input_.space(); }
    void received(std::size_t size) noexcept override { input_.received(size); }
    void silence() override;
    [[nodiscard]] LinkStep next(Exchange& exchange) override;
    [[nodiscard]] std::string_view release(const Exchange& exchange) noexcept override;
    [[nodiscard]] bool in_progress() const noexcept override { return in_progress_; }

  private:
    static constexpr std::size_t kHeadLength = frame::kHeaderLength + 2;  ///< header and status
    using Decoder = std::variant<std::monostate, LineDecoder, EnvelopeDecoder>;

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
    LinkInput input_;
    std::size_t response_size_ = 0;
    /// The last response as sent, for GL?RR.
    std::array<char, frame::kLongest + 1 + frame::kEnvelopeHeader> response_;
    /// An answer that is not remembered: it has no body.
    std::array<char, kHeadLength + frame::overhead(true)> notice_;
};

}  // namespace sts6
