// SPDX-License-Identifier: Apache-2.0
// Commands as ISO 7816-4 APDUs (docs/protocol.md, APDUs). [P]: the standard has no such form.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "firmware/ports/exchange.hpp"
#include "src/links/link_protocol.hpp"
#include "sts6/commands.hpp"
#include "sts6/frame.hpp"

namespace sts6 {

/// APDUs on a stream, each behind its length in two octets, the high one first.
class ApduProtocol final : public LinkProtocol {
  public:
    /// A virtual card also gets vpcd's messages of one octet: power off, power on, reset, and a request for
    /// the ATR.
    enum class Form : std::uint8_t { stream, virtual_card };

    explicit ApduProtocol(LinkRole role, Form form = Form::stream) : role_(role), form_(form) {}

    [[nodiscard]] std::span<char> input_space() noexcept override { return input_.space(); }
    void received(std::size_t size) noexcept override { input_.received(size); }
    /// Nothing to drop: inside a frame nothing shows where the next one would begin.
    void silence() override {}
    [[nodiscard]] LinkStep next(Exchange& exchange) override;
    [[nodiscard]] std::string_view release(const Exchange& exchange) noexcept override;
    [[nodiscard]] bool in_progress() const noexcept override { return in_progress_; }

  private:
    static constexpr std::size_t kLengthSize = 2;
    static constexpr std::size_t kHeaderSize = 4;  ///< CLA INS P1 P2
    static constexpr std::size_t kLongestBody = frame::kLongest - frame::kCrcLength - frame::kHeaderLength;
    /// Extended Lc and Le around the longest body.
    static constexpr std::size_t kLongestApdu = kHeaderSize + 3 + kLongestBody + 2;

    /// What follows the header of a command APDU.
    struct Body {
        std::string_view data;
        std::size_t expected = 0;  ///< octets of response data that the host takes at once
    };

    [[nodiscard]] static std::optional<Body> read_body(std::string_view rest) noexcept;
    [[nodiscard]] std::optional<std::string_view> next_frame() noexcept;
    [[nodiscard]] LinkStep control(std::string_view frame) noexcept;
    [[nodiscard]] LinkStep apdu(std::string_view apdu, Exchange& exchange);
    [[nodiscard]] LinkStep select(std::string_view apdu);
    [[nodiscard]] LinkStep command(const CommandRow& row, const Body& body, Exchange& exchange);
    [[nodiscard]] LinkStep refuse(unsigned status_word) noexcept;
    void power_cycle() noexcept;
    [[nodiscard]] std::string_view respond(std::size_t expected) noexcept;
    [[nodiscard]] std::string_view encode(std::string_view data, unsigned status_word) noexcept;

    LinkRole role_;
    Form form_;
    bool in_progress_ = false;
    bool selected_ = false;
    LinkInput input_;
    std::size_t skipped_ = 0;   ///< octets to come of a frame that is too long
    std::size_t expected_ = 0;  ///< of the command in progress
    std::array<char, frame::kLongest> message_;
    /// Response data that has not left yet, and the status word behind its last octet.
    std::string_view rest_;
    unsigned status_word_ = 0;
    std::array<char, Answer::kMaxBody> data_;
    std::array<char, kLengthSize + Answer::kMaxBody + 2> response_;
};

}  // namespace sts6
