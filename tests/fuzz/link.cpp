// SPDX-License-Identifier: Apache-2.0
// Any octets in any pieces through the link protocol, against a reader that sees the whole stream at once.
//
// Input: flags, two octets that decide the pieces, then what the other side sends.
#include "firmware/commands/link.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/links/link_protocol.hpp"
#include "tests/fuzz/answer.hpp"

namespace sts6::fuzz {
namespace {

struct Setup {
    bool gler_unframed = false;
    bool error_state = false;
    bool silences = false;  ///< now and then the line is silent: what is unfinished is dropped
    std::uint32_t pieces = 0;
};

/// What a stream holds: a message, or octets that are none.
using Event = std::optional<std::string_view>;

unsigned octet_at(std::string_view text, std::size_t at) {
    return static_cast<unsigned char>(text[at]);
}

/// Whether up to eight octets are an envelope's first ones.
bool can_start_envelope(std::string_view start) {
    if (start.size() > 2 && !kMagic.starts_with(start.substr(2))) return false;
    if (start.size() == 1) return octet_at(start, 0) <= 4110 / 256;
    const unsigned length = octet_at(start, 0) * 256 + octet_at(start, 1);
    return length >= 7 && length <= 4110;
}

std::vector<Event> events_of_lines(std::string_view stream) {
    std::vector<Event> events;
    for (bool first = true;; first = false) {
        const std::size_t end = stream.find('\r');
        if (end == std::string_view::npos) return events;
        std::string_view line = stream.substr(0, end);
        stream.remove_prefix(end + 1);
        if (!first && line.starts_with('\n')) line.remove_prefix(1);
        if (!line.empty()) events.push_back(message_of(line));
    }
}

std::vector<Event> events_of_envelopes(std::string_view stream) {
    std::vector<Event> events;
    bool damage_known = false;
    bool after_cr = false;
    while (!stream.empty()) {
        const std::string_view start = stream.substr(0, 8);
        if (!can_start_envelope(start)) {
            const char dropped = stream.front();
            const bool ignored = dropped == '\r' || (dropped == '\n' && after_cr);
            if (!ignored && !std::exchange(damage_known, true)) events.push_back(std::nullopt);
            after_cr = dropped == '\r';
            stream.remove_prefix(1);
            continue;
        }
        if (start.size() < 8) break;
        const std::size_t whole = octet_at(start, 0) * 256 + octet_at(start, 1) + 2;
        if (stream.size() < whole) break;
        std::string_view line = stream.substr(8, whole - 8);
        stream.remove_prefix(whole);
        after_cr = line.back() == '\r';
        line.remove_suffix(1);
        events.push_back(after_cr ? message_of(line) : std::nullopt);
        damage_known = !events.back();
    }
    return events;
}

struct Reply {
    std::string status_and_body;
    bool is_link_error = false;
};

/// What the module behind the link answers: anything that it could, up to the longest body.
Reply reply_of_module(std::string_view message, const Setup& setup) {
    if (setup.error_state) return {"58", true};
    const unsigned choice = crc_of(message);
    const auto code = status_code(kStatusTable[choice % kStatusTable.size()].status);
    const std::string status(code.data(), code.size());
    if (choice % 5 == 0) return {status, true};
    const std::size_t most = choice % 64 == 0 ? Answer::kMaxBody : 40;
    return {status + std::string(choice % (most + 1), 'x')};
}

/// GL?EC as docs/protocol.md has it.
Reply reply_of_echo(std::string_view body) {
    const bool digits = body.size() >= 5 && std::all_of(body.begin(), body.begin() + 5,
                                                        [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || !is_printable(body)) return {"02"};
    const std::size_t length =
        (octet_at(body, 2) - '0') * 100 + (octet_at(body, 3) - '0') * 10 + (octet_at(body, 4) - '0');
    if (length != body.size() - 5) return {"02"};
    return {"00" + std::string(body.substr(2))};
}

/// Every octet that a link sends for a stream.
class Model {
  public:
    Model(const Setup& setup, std::string_view stream) : setup_(setup) {
        const std::string_view start = stream.substr(0, 8);
        if (stream.empty() || (start.size() < 8 && can_start_envelope(start))) return;
        enveloped_ = can_start_envelope(start);
        for (const Event& event : enveloped_ ? events_of_envelopes(stream) : events_of_lines(stream)) {
            if (event) commands_.emplace_back(*event);
            answer(event);
        }
    }
    [[nodiscard]] const std::string& sent() const { return sent_; }
    [[nodiscard]] bool enveloped() const { return enveloped_; }
    [[nodiscard]] const std::vector<std::string_view>& messages() const { return commands_; }

  private:
    void answer(const Event& event) {
        if (!event) {
            send(octets_of("", {"20", true}));
            return;
        }
        const std::string_view body = event->substr(5);
        const bool repeat = event->starts_with("GL?RR");
        if (!repeat && !event->starts_with("GL?RS")) {
            const bool echo = event->starts_with("GL?EC") && !setup_.error_state;
            last_ = octets_of(*event, echo ? reply_of_echo(body) : reply_of_module(*event, setup_));
            send(last_);
        } else if (setup_.error_state) {
            send(octets_of(*event, {"58", true}));
        } else if (!body.empty()) {
            send(octets_of(*event, {"02"}));
        } else if (repeat) {
            send(last_.empty() ? octets_of(*event, {"21", true}) : last_);
        } else {
            last_.clear();
            send(octets_of(*event, {"00"}));
        }
    }
    [[nodiscard]] std::string octets_of(std::string_view message, const Reply& reply) const {
        std::string text = reply.is_link_error ? "GL!ER" : std::string(message.substr(0, 5));
        text[2] = '!';
        const std::string line = line_of(text + reply.status_and_body);
        const bool bare = !enveloped_ || (reply.is_link_error && setup_.gler_unframed);
        return bare ? line : envelope_of(line);
    }
    void send(const std::string& octets) { sent_ += octets; }

    const Setup& setup_;
    bool enveloped_ = false;
    std::vector<std::string_view> commands_;
    std::string last_;
    std::string sent_;
};

/// A link whose reads, commands and silences end when the input says so.
class Driver {
  public:
    Driver(const Setup& setup, std::string_view stream, bool enveloped)
        : setup_(setup), enveloped_(enveloped), unseen_(stream), rest_(stream), choices_(setup.pieces) {}

    std::string run() {
        for (;;) {
            start_read();
            if (choices_.below(2) == 0) finish_read();
            if (setup_.silences && choices_.below(8) == 0) protocol_.silence();
            if (protocol_.in_progress()) {
                require(exchange_.message == command_, "a message stays until its answer is released");
                if (choices_.below(3) == 0 || rest_.empty() || !reading_) release();
            }
            const bool in_progress = protocol_.in_progress();
            const LinkStep step = protocol_.next(exchange_);
            require(!in_progress || step.kind == LinkStep::Kind::receive, "one command at a time");
            if (step.kind == LinkStep::Kind::send) send(step.octets);
            if (step.kind == LinkStep::Kind::command) take_command();
            if (step.kind != LinkStep::Kind::receive || protocol_.in_progress()) continue;
            if (rest_.empty()) return std::move(sent_);
            start_read();
            require(reading_.has_value(), "a link that waits for octets has room for them");
        }
    }

  private:
    void start_read() {
        if (reading_) return;
        const auto space = protocol_.input_space();
        require(space.size() <= LinkProtocol::kInputSize, "the input buffer has its size");
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
        command_ = exchange_.message;
        // Whatever happened before it: no command without its own CRC, in the octets behind the last one.
        for (;;) {
            const std::size_t at = unseen_.find(command_);
            require(at != std::string_view::npos, "a command came with its CRC");
            const std::string_view line = unseen_.substr(at, command_.size() + 4);
            unseen_.remove_prefix(at + 1);
            if (message_of(line) == command_ && unseen_.substr(line.size() - 1).starts_with('\r')) break;
        }
        require(exchange_.role == LinkRole::vend && !exchange_.expired, "a command's role is its link's");
    }
    void release() {
        const Reply reply = reply_of_module(command_, setup_);
        const Status status = find_status(reply.status_and_body.substr(0, 2))->status;
        Answer& answer = exchange_.answer;
        reply.is_link_error ? answer.set_link_error(status) : answer.set_status(status);
        const std::string_view body = std::string_view(reply.status_and_body).substr(2);
        std::ranges::copy(body, answer.body_buffer().begin());
        answer.set_body_size(body.size());
        send(protocol_.release(exchange_));
    }
    void send(std::string_view octets) {
        const bool bare = octets.starts_with("GL!ER");
        require(!bare || !enveloped_ || setup_.gler_unframed, "answers are enveloped as the requests are");
        read_answer(octets, enveloped_ && !bare);
        sent_ += octets;
    }

    // The link never uses the queue: it is for those that move its octets.
    CommandQueue queue_;
    const Setup& setup_;
    bool enveloped_;
    LinkServices services_{queue_, &commands::answer_link_command, [this] { return setup_.error_state; },
                           setup_.gler_unframed};
    LinkProtocol protocol_{services_, LinkRole::vend};
    Exchange exchange_;
    std::string command_;
    std::string_view unseen_;  ///< from the last command on
    std::string_view rest_;
    Sequence choices_;
    std::optional<std::span<char>> reading_;
    std::string sent_;
};

/// What is accepted is encoded again to the same, either way.
void check_encoding(std::string_view message) {
    for (const bool enveloped : {false, true}) {
        std::string octets(message.size() + frame::overhead(enveloped), '\0');
        require(frame::encode(message, enveloped, octets) == octets.size(), "encode() fills what it needs");
        const std::string line = line_of(message);
        require(octets == (enveloped ? envelope_of(line) : line), "encode() writes the message");
    }
}

}  // namespace
}  // namespace sts6::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sts6::fuzz;
    Choices choices(data, size);
    const unsigned flags = choices.octet();
    Setup setup{
        .gler_unframed = (flags & 1U) != 0, .error_state = (flags & 2U) != 0, .silences = (flags & 4U) != 0};
    setup.pieces = choices.octet() * 256U;
    setup.pieces += choices.octet();

    const Model model(setup, choices.rest());
    for (const std::string_view message : model.messages()) check_encoding(message);
    const std::string sent = Driver(setup, choices.rest(), model.enveloped()).run();
    require(setup.silences || sent == model.sent(), "a link sends what the page says");
    return 0;
}
