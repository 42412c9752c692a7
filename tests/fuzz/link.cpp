// SPDX-License-Identifier: Apache-2.0
// Any octets in any pieces through the link protocol, against a second reader of docs/protocol.md.
//
// Input: flags, two octets that decide the pieces, then what the other side sends.
#include "firmware/commands/link.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/links/message_protocol.hpp"
#include "tests/fuzz/answer.hpp"
#include "tests/fuzz/driver.hpp"

namespace sts6::fuzz {
namespace {

struct Setup {
    bool gler_unframed = false;
    bool error_state = false;
    bool silences = false;          ///< now and then the line is silent: what is unfinished is dropped
    bool silences_anytime = false;  ///< not only while the link waits; what it then sends is not foreseen
    std::uint32_t pieces = 0;
};

/// What a stream holds: a message, or octets that are none.
using Event = std::optional<std::string>;

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

/// Reads a stream with everything that has come in view.
class Reader {
  public:
    /// Appends what `octets` complete.
    void take(std::string_view octets, std::vector<Event>& events) {
        rest_ += octets;
        if (!enveloped_) recognise();
        std::string_view rest = rest_;
        if (enveloped_) *enveloped_ ? read_envelopes(rest, events) : read_lines(rest, events);
        rest_.erase(0, rest_.size() - rest.size());
    }
    void silence(std::vector<Event>& events) {
        if (!enveloped_) {
            // Two octets that end a line are a line, others the start of an envelope that will not come.
            if (rest_.ends_with('\r') || rest_ == "\r\n") {
                enveloped_ = false;
                take("", events);
            } else {
                rest_.clear();
            }
            return;
        }
        after_cr_ = after_cr_ && (rest_.empty() || *enveloped_);
        damage_known_ = false;
        rest_.clear();
    }
    [[nodiscard]] bool enveloped() const { return enveloped_.value_or(false); }

  private:
    void recognise() {
        const std::string_view start = std::string_view(rest_).substr(0, 8);
        if (start.empty() || (start.size() < 8 && can_start_envelope(start))) return;
        enveloped_ = can_start_envelope(start);
    }
    void read_lines(std::string_view& rest, std::vector<Event>& events) {
        for (;;) {
            const std::size_t end = rest.find('\r');
            if (end == std::string_view::npos) return;
            std::string_view line = rest.substr(0, end);
            rest.remove_prefix(end + 1);
            if (after_cr_ && line.starts_with('\n')) line.remove_prefix(1);
            after_cr_ = true;
            if (!line.empty()) events.push_back(event_of(line));
        }
    }
    void read_envelopes(std::string_view& rest, std::vector<Event>& events) {
        while (!rest.empty()) {
            const std::string_view start = rest.substr(0, 8);
            if (!can_start_envelope(start)) {
                const char dropped = rest.front();
                const bool ignored = dropped == '\r' || (dropped == '\n' && after_cr_);
                if (!ignored && !std::exchange(damage_known_, true)) events.emplace_back();
                after_cr_ = dropped == '\r';
                rest.remove_prefix(1);
                continue;
            }
            if (start.size() < 8) return;
            damage_known_ = false;
            const std::size_t whole = octet_at(start, 0) * 256 + octet_at(start, 1) + 2;
            if (rest.size() < whole) return;
            std::string_view line = rest.substr(8, whole - 8);
            rest.remove_prefix(whole);
            after_cr_ = line.back() == '\r';
            line.remove_suffix(1);
            events.push_back(after_cr_ ? event_of(line) : Event());
            damage_known_ = !events.back();
        }
    }
    static Event event_of(std::string_view line) {
        const auto message = message_of(line);
        return message ? Event(*message) : Event();
    }

    std::optional<bool> enveloped_;
    std::string rest_;
    bool after_cr_ = false;
    bool damage_known_ = false;
};

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

/// Every octet that a link sends for a stream that is silent at some places.
class Model {
  public:
    Model(const Setup& setup, std::string_view stream, const std::vector<std::size_t>& silences)
        : setup_(setup) {
        std::size_t taken = 0;
        for (const std::size_t place : silences) {
            reader_.take(stream.substr(taken, place - taken), events_);
            reader_.silence(events_);
            taken = place;
        }
        reader_.take(stream.substr(taken), events_);
        for (const Event& event : events_) answer(event);
    }
    [[nodiscard]] const std::string& sent() const { return sent_; }
    [[nodiscard]] const std::vector<Event>& events() const { return events_; }

  private:
    void answer(const Event& event) {
        if (!event) {
            send(octets_of("", {"20", true}));
            return;
        }
        const std::string_view body = std::string_view(*event).substr(5);
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
        const bool bare = !reader_.enveloped() || (reply.is_link_error && setup_.gler_unframed);
        return bare ? line : envelope_of(line);
    }
    void send(const std::string& octets) { sent_ += octets; }

    const Setup& setup_;
    Reader reader_;
    std::vector<Event> events_;
    std::string last_;
    std::string sent_;
};

class LinkEnds : public Ends {
  public:
    LinkEnds(const Setup& setup, std::string_view stream) : setup_(setup), unseen_(stream) {}

    void take_command(std::string_view message) override {
        // Whatever happened before it: no command without its own CRC, in the octets behind the last one.
        for (;;) {
            const std::size_t at = unseen_.find(message);
            require(at != std::string_view::npos, "a command came with its CRC");
            const std::string_view line = unseen_.substr(at, message.size() + 4);
            unseen_.remove_prefix(at + 1);
            if (message_of(line) == message && unseen_.substr(line.size() - 1).starts_with('\r')) break;
        }
    }
    void answer(std::string_view message, Exchange& exchange) override {
        const Reply reply = reply_of_module(message, setup_);
        const Status status = find_status(reply.status_and_body.substr(0, 2))->status;
        Answer& answer = exchange.answer;
        reply.is_link_error ? answer.set_link_error(status) : answer.set_status(status);
        const std::string_view body = std::string_view(reply.status_and_body).substr(2);
        std::ranges::copy(body, answer.body_buffer().begin());
        answer.set_body_size(body.size());
    }
    void take_octets(std::string_view octets) override {
        require(!octets.empty(), "an answer is sent");
        const bool enveloped = octets.front() < ' ';  // as no message begins
        if (!setup_.gler_unframed || !octets.starts_with("GL!ER")) {
            require(enveloped_.value_or(enveloped) == enveloped, "answers are enveloped or none is");
            enveloped_ = enveloped;
        }
        read_answer(octets, enveloped);
        sent_ += octets;
    }

    [[nodiscard]] const std::string& sent() const { return sent_; }

  private:
    const Setup& setup_;
    std::string_view unseen_;  ///< from the last command on
    std::optional<bool> enveloped_;
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
    Setup setup{.gler_unframed = (flags & 1U) != 0,
                .error_state = (flags & 2U) != 0,
                .silences = (flags & 4U) != 0,
                .silences_anytime = (flags & 8U) != 0};
    setup.pieces = choices.octet() * 256U;
    setup.pieces += choices.octet();

    // The link never uses the queue: it is for those that move its octets.
    sts6::CommandQueue queue;
    const sts6::LinkServices services{queue, &sts6::commands::answer_link_command,
                                      [&setup] { return setup.error_state; }, setup.gler_unframed};
    sts6::MessageProtocol protocol(services, sts6::LinkRole::vend);
    LinkEnds ends(setup, choices.rest());
    Driver driver(
        protocol, ends,
        {.pieces = setup.pieces, .silences = setup.silences, .silences_anytime = setup.silences_anytime},
        choices.rest());
    driver.run();
    const Model model(setup, choices.rest(), driver.silences());
    for (const auto& message : model.events()) {
        if (message) check_encoding(*message);
    }
    require(setup.silences_anytime || ends.sent() == model.sent(), "a link sends what the page says");
    return 0;
}
