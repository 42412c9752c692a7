// SPDX-License-Identifier: Apache-2.0
// What is spoken on a link, without input and output: octets in, commands and answers out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "firmware/ports/exchange.hpp"

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

/// The octets of a stream that nobody has used yet, in fixed memory.
class LinkInput {
  public:
    /// Octets received ahead of the command in progress; beyond these a link stops reading.
    static constexpr std::size_t kSize = 8192;

    /// Where to put octets received; empty while full. Stays valid until received(), whatever else is called.
    [[nodiscard]] std::span<char> space() noexcept;
    /// So many octets were put at the start of space().
    void received(std::size_t size) noexcept;

    [[nodiscard]] std::string_view held() const noexcept { return {octets_.data() + begin_, end_ - begin_}; }
    void drop_front(std::size_t size) noexcept { begin_ += size; }
    void keep_front(std::size_t size) noexcept { end_ = begin_ + size; }

  private:
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t space_ = 0;  ///< where the last space() began
    std::array<char, kSize> octets_;
};

/// The protocol of one link. The caller has one command in progress at most, and sends an answer completely
/// before it asks for the next step.
class LinkProtocol {
  public:
    LinkProtocol() = default;
    LinkProtocol(const LinkProtocol&) = delete;
    LinkProtocol& operator=(const LinkProtocol&) = delete;
    virtual ~LinkProtocol() = default;

    /// As LinkInput::space() and LinkInput::received().
    [[nodiscard]] virtual std::span<char> input_space() noexcept = 0;
    virtual void received(std::size_t size) noexcept = 0;
    /// Two seconds without an octet, or the end of input: drops what is not complete.
    virtual void silence() = 0;

    /// The next thing to do with what was received; `receive` while a command is in progress. `exchange` gets
    /// the command; its message stays valid until release().
    [[nodiscard]] virtual LinkStep next(Exchange& exchange) = 0;
    /// The octets to send for the command in progress, which ends; they stay valid until the next call of
    /// next().
    [[nodiscard]] virtual std::string_view release(const Exchange& exchange) noexcept = 0;

    [[nodiscard]] virtual bool in_progress() const noexcept = 0;
};

}  // namespace sts6
