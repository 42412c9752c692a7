// SPDX-License-Identifier: Apache-2.0
// A link whose reads, commands and silences end when the input says so.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firmware/ports/exchange.hpp"
#include "src/links/link_protocol.hpp"
#include "sts6/commands.hpp"
#include "tests/fuzz/harness.hpp"

namespace sts6::fuzz {

/// The module behind a link, and the other side of it.
class Ends {
  public:
    Ends() = default;
    Ends(const Ends&) = delete;
    Ends& operator=(const Ends&) = delete;
    virtual ~Ends() = default;
    virtual void take_command(std::string_view message) = 0;
    virtual void answer(std::string_view message, Exchange& exchange) = 0;
    virtual void take_octets(std::string_view octets) = 0;
};

struct DriverSettings {
    LinkRole role = LinkRole::vend;
    std::uint32_t pieces = 0;
    bool silences = false;          ///< now and then the line is silent while the link waits
    bool silences_anytime = false;  ///< also while it does not
};

class Driver {
  public:
    Driver(LinkProtocol& protocol, Ends& ends, const DriverSettings& settings, std::string_view stream)
        : protocol_(protocol),
          ends_(ends),
          settings_(settings),
          stream_(stream),
          rest_(stream),
          choices_(settings.pieces) {}

    void run() {
        for (;;) {
            start_read();
            if (choices_.below(2) == 0) finish_read();
            if (settings_.silences_anytime && choices_.below(8) == 0) protocol_.silence();
            if (protocol_.in_progress()) {
                require(exchange_.message == command_, "a message stays until its answer is released");
                if (choices_.below(3) == 0 || rest_.empty() || !reading_) release();
            }
            const bool in_progress = protocol_.in_progress();
            const LinkStep step = protocol_.next(exchange_);
            require(!in_progress || step.kind == LinkStep::Kind::receive, "one command at a time");
            if (step.kind == LinkStep::Kind::send) ends_.take_octets(step.octets);
            if (step.kind == LinkStep::Kind::command) take_command();
            if (step.kind != LinkStep::Kind::receive || protocol_.in_progress()) continue;
            if (settings_.silences && choices_.below(4) == 0) {
                silences_.push_back(stream_.size() - rest_.size());
                protocol_.silence();
                continue;
            }
            if (rest_.empty()) return;
            start_read();
            require(reading_.has_value(), "a link that waits for octets has room for them");
        }
    }

    /// How many octets had come when the line was silent.
    [[nodiscard]] const std::vector<std::size_t>& silences() const { return silences_; }

  private:
    void start_read() {
        if (reading_) return;
        const auto space = protocol_.input_space();
        require(space.size() <= LinkInput::kSize, "the input buffer has its size");
        if (!space.empty()) reading_ = space;
    }
    void finish_read() {
        if (!reading_ || rest_.empty()) return;
        const std::size_t most = choices_.below(4) == 0 ? 1 + choices_.below(5000) : 1 + choices_.below(20);
        const std::size_t size = std::min({most, reading_->size(), rest_.size()});
        std::copy_n(rest_.begin(), size, reading_->begin());
        rest_.remove_prefix(size);
        protocol_.received(size);
        reading_.reset();
    }
    void take_command() {
        require(protocol_.in_progress(), "a command is in progress");
        require(exchange_.role == settings_.role && !exchange_.expired, "a command's role is its link's");
        command_ = exchange_.message;
        ends_.take_command(command_);
    }
    void release() {
        ends_.answer(command_, exchange_);
        exchange_.expired = true;  // of this command, not of the next one
        ends_.take_octets(protocol_.release(exchange_));
    }

    LinkProtocol& protocol_;
    Ends& ends_;
    const DriverSettings settings_;
    std::string_view stream_;
    std::string_view rest_;
    Sequence choices_;
    Exchange exchange_;
    std::string command_;
    std::optional<std::span<char>> reading_;
    std::vector<std::size_t> silences_;
};

}  // namespace sts6::fuzz
