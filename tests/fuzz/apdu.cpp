// SPDX-License-Identifier: Apache-2.0
// Any octets in any pieces through the APDU binding, against a second reader of docs/protocol.md.
//
// Input: flags, two octets that decide the pieces, then what the other side sends.
#include "tests/support/apdu.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "firmware/ports/exchange.hpp"
#include "src/links/apdu_protocol.hpp"
#include "sts6/commands.hpp"
#include "sts6/status.hpp"
#include "tests/fuzz/driver.hpp"
#include "tests/fuzz/harness.hpp"

namespace sts6::fuzz {
namespace {

using test::length_framed;
using test::two_octets;

struct Setup {
    bool virtual_card = false;
    bool error_state = false;
    LinkRole role = LinkRole::vend;
    std::uint32_t pieces = 0;
};

std::size_t octet_at(std::string_view text, std::size_t at) {
    return static_cast<unsigned char>(text[at]);
}

std::size_t number_at(std::string_view text, std::size_t at) {
    return octet_at(text, at) * 256 + octet_at(text, at + 1);
}

struct Reply {
    Status status = Status::successful;
    bool is_link_error = false;
    std::string body{};
};

/// What the module behind the link answers: anything that it could, up to the longest body, often about as
/// long as a short Le can say.
Reply reply_of_module(std::string_view message, const Setup& setup) {
    if (setup.error_state) return {.status = Status::app_error_state, .is_link_error = true};
    std::uint32_t choice = 2166136261U;
    for (const char c : message) choice = (choice ^ static_cast<unsigned char>(c)) * 16777619U;
    Sequence choices(choice);
    const auto fails = choices.below(4) == 0;
    if (fails && choices.below(3) == 0) {
        constexpr std::array kErrors = {Status::invalid_request_header, Status::tampered_state};
        return {.status = kErrors[choices.below(kErrors.size())], .is_link_error = true};
    }
    if (fails) {
        const Status status = kStatusTable[choices.below(kStatusTable.size())].status;
        if (status != Status::sts_extended_error) return {.status = status};
        return {.status = status, .body = "P" + std::string(choices.below(300), 't') + "~"};
    }
    constexpr std::array<std::uint32_t, 3> kAbout = {0, 250, 506};
    const std::size_t about =
        choices.below(16) == 0 ? Answer::kMaxBody - 11 : kAbout[choices.below(kAbout.size())];
    std::string body(about + choices.below(12), 'x');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i * 7 % 26);
    return {.body = body};
}

/// The part of an APDU behind its header, by the seven forms of ISO 7816-4, 5.1.
struct Form {
    std::string_view data;
    std::size_t le;
};

std::optional<Form> form_of(std::string_view apdu) {
    const std::size_t n = apdu.size();
    constexpr std::size_t kAll = 65536;
    const auto least = [](std::size_t value, std::size_t zero) { return value == 0 ? zero : value; };
    if (n == 4) return Form{"", kAll};                           // 1
    if (n == 5) return Form{"", least(octet_at(apdu, 4), 256)};  // 2S
    if (const std::size_t lc = octet_at(apdu, 4); lc > 0) {
        if (n == 5 + lc) return Form{apdu.substr(5), kAll};                                   // 3S
        if (n == 6 + lc) return Form{apdu.substr(5, lc), least(octet_at(apdu, n - 1), 256)};  // 4S
        return std::nullopt;
    }
    if (n == 7) return Form{"", least(number_at(apdu, 5), kAll)};  // 2E
    if (n < 7) return std::nullopt;
    const std::size_t lc = number_at(apdu, 5);
    if (lc > 0 && n == 7 + lc) return Form{apdu.substr(7), kAll};                                     // 3E
    if (lc > 0 && n == 9 + lc) return Form{apdu.substr(7, lc), least(number_at(apdu, n - 2), kAll)};  // 4E
    return std::nullopt;
}

/// Every octet that a link sends for a stream, and every message that the module gets.
class Model {
  public:
    Model(const Setup& setup, std::string_view stream) : setup_(setup) {
        while (stream.size() >= 2) {
            const std::size_t length = number_at(stream, 0);
            if (stream.size() < 2 + length) break;
            take(stream.substr(2, length));
            stream.remove_prefix(2 + length);
        }
    }
    [[nodiscard]] const std::string& sent() const { return sent_; }
    [[nodiscard]] const std::vector<std::string>& commands() const { return commands_; }

  private:
    void take(std::string_view frame) {
        if (setup_.virtual_card && frame.size() == 1) {
            control(octet_at(frame, 0));
        } else {
            apdu(frame);
        }
    }
    void control(std::size_t octet) {
        if (octet == 4) sent_ += length_framed(test::kAtr);
        if (octet > 2) return;
        selected_ = false;
        rest_.clear();
    }
    void apdu(std::string_view apdu) {
        if (apdu.size() < 4 || apdu.size() > 4096) return send(0x6700);
        const std::size_t cla = octet_at(apdu, 0);
        const auto ins = static_cast<unsigned>(octet_at(apdu, 1));
        if (cla == 0x00 && ins == 0xA4) return select(apdu);
        if (cla != 0x00 && cla != 0x80) return send(0x6E00);
        if (!selected_) return send(0x6985);
        if (ins == 0xC0) return get_response(apdu);
        if (cla != 0x80) return send(0x6E00);
        const std::string_view header = test::header_of(ins);
        if (header.empty()) return send(0x6D00);
        const auto form = form_of(apdu);
        if (number_at(apdu, 2) != 0) return send(0x6A86);
        if (!form || form->data.size() > 4096 - 9) return send(0x6700);
        commands_.push_back(std::string(header).append(form->data));
        command(form->le);
    }
    void select(std::string_view apdu) {
        rest_.clear();
        if (number_at(apdu, 2) != 0x0400) return send(0x6A86);
        const auto form = form_of(apdu);
        if (!form || form->data.empty()) return send(0x6700);
        if (form->data != test::kApplication) return send(0x6A82);
        selected_ = true;
        send(0x9000);
    }
    void get_response(std::string_view apdu) {
        if (number_at(apdu, 2) != 0) return send(0x6A86);
        const auto form = form_of(apdu);
        if (!form || !form->data.empty()) return send(0x6700);
        if (rest_.empty()) return send(0x6985);
        respond(form->le);
    }
    void command(std::size_t le) {
        const Reply reply = reply_of_module(commands_.back(), setup_);
        rest_ = reply.body;
        const auto code = static_cast<unsigned>(reply.status);
        status_word_ = reply.status == Status::successful ? 0x9000U : 0x6600U + code;
        if (reply.is_link_error && code == 0x21) status_word_ = 0x6D00;
        if (reply.status == Status::sts_extended_error) rest_ = rest_.substr(1, rest_.size() - 2);
        respond(le);
    }
    void respond(std::size_t le) {
        const std::string now = rest_.substr(0, le);
        rest_.erase(0, now.size());
        unsigned status_word = status_word_;
        if (!rest_.empty())
            status_word = rest_.size() > 255 ? 0x6100U : 0x6100U + static_cast<unsigned>(rest_.size());
        sent_ += length_framed(now + two_octets(status_word));
    }
    void send(unsigned status_word) { sent_ += length_framed(two_octets(status_word)); }

    const Setup& setup_;
    bool selected_ = false;
    std::string rest_;
    unsigned status_word_ = 0;
    std::vector<std::string> commands_;
    std::string sent_;
};

class ApduEnds : public Ends {
  public:
    explicit ApduEnds(const Setup& setup) : setup_(setup) {}

    void take_command(std::string_view message) override {
        require(message.size() + 4 <= 4096, "a command is no longer than a message may be");
        commands_.emplace_back(message);
    }
    void answer(std::string_view message, Exchange& exchange) override {
        const Reply reply = reply_of_module(message, setup_);
        Answer& answer = exchange.answer;
        reply.is_link_error ? answer.set_link_error(reply.status) : answer.set_status(reply.status);
        std::ranges::copy(reply.body, answer.body_buffer().begin());
        answer.set_body_size(reply.body.size());
    }
    void take_octets(std::string_view octets) override {
        require(octets.size() >= 4, "an answer has a length and a status word");
        sent_ += octets;
    }

    [[nodiscard]] const std::string& sent() const { return sent_; }
    [[nodiscard]] const std::vector<std::string>& commands() const { return commands_; }

  private:
    const Setup& setup_;
    std::vector<std::string> commands_;
    std::string sent_;
};

}  // namespace
}  // namespace sts6::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sts6::fuzz;
    Choices choices(data, size);
    const unsigned flags = choices.octet();
    Setup setup{.virtual_card = (flags & 1U) != 0,
                .error_state = (flags & 2U) != 0,
                .role = (flags & 4U) != 0 ? sts6::LinkRole::full : sts6::LinkRole::vend};
    setup.pieces = choices.octet() * 256U;
    setup.pieces += choices.octet();

    sts6::ApduProtocol protocol(setup.role, setup.virtual_card ? sts6::ApduProtocol::Form::virtual_card
                                                               : sts6::ApduProtocol::Form::stream);
    ApduEnds ends(setup);
    // Silence drops nothing here.
    Driver(protocol, ends, {.role = setup.role, .pieces = setup.pieces, .silences_anytime = true},
           choices.rest())
        .run();
    const Model model(setup, choices.rest());
    require(ends.commands() == model.commands(), "the module gets what the page says");
    require(ends.sent() == model.sent(), "a link sends what the page says");
    return 0;
}
