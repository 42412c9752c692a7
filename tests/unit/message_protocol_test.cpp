// SPDX-License-Identifier: Apache-2.0
// The link rules of protocol 1, octet by octet. Frames with a written CRC are the page's worked ones.
#include "src/links/message_protocol.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "firmware/commands/link.hpp"

namespace sts6 {

namespace {

using namespace std::string_literals;
using Octets = std::vector<std::string>;

const std::string kIdentify = "SM?DI9A51\r";
const std::string kIdentity = "SM!DI00PSOFTSM01~PSTS6-001~8AB4\r";
const std::string kRepeat = "GL?RR0E2E\r";
const std::string kReset = "GL?RSCEEF\r";
const std::string kResetDone = "GL!RS00B271\r";
const std::string kEcho = "GL?EC00005123451F7F\r";
const std::string kEchoed = "GL!EC00005123450157\r";
const std::string kDamaged = "GL!ER20A624\r";
const std::string kUnknown = "GL!ER2166E5\r";
const std::string kErrorState = "GL!ER585027\r";

std::string framed(std::string_view message, bool enveloped = false) {
    std::string out(message.size() + frame::overhead(enveloped), '\0');
    frame::encode(message, enveloped, out);
    return out;
}

std::string envelope(const std::string& line) {
    const std::size_t length = 6 + line.size();
    return std::string{static_cast<char>(length >> 8U), static_cast<char>(length & 0xFFU)} +
           "\xED\xF1\x2B\x00\xFE\xED"s + line;
}

// A link with a module behind it that knows the answers of the page.
struct TestLink {
    explicit TestLink(bool gler_unframed = false)
        : services{queue, &commands::answer_link_command, [this] { return error_state; }, gler_unframed} {}

    void put(std::string_view octets) {
        const auto space = protocol.input_space();
        REQUIRE(octets.size() <= space.size());
        std::ranges::copy(octets, space.begin());
        protocol.received(octets.size());
    }
    // All steps until more octets are needed, or until a command when `hold` is set.
    Octets steps() {
        Octets sent;
        for (;;) {
            const LinkStep step = protocol.next(exchange);
            if (step.kind == LinkStep::Kind::receive) return sent;
            if (step.kind == LinkStep::Kind::send) {
                sent.emplace_back(step.octets);
                continue;
            }
            commands.emplace_back(exchange.message);
            if (hold) return sent;
            sent.push_back(execute());
        }
    }
    std::string execute() {
        const auto known =
            std::ranges::find(answers, exchange.message, [](const auto& pair) { return pair.first; });
        if (error_state) {
            exchange.answer.set_link_error(Status::app_error_state);
        } else if (known == answers.end()) {
            exchange.answer.set_link_error(Status::invalid_request_header);
        } else {
            exchange.answer.set_status(find_status(known->second.substr(0, 2))->status);
            const std::string body = known->second.substr(2);
            std::ranges::copy(body, exchange.answer.body_buffer().begin());
            exchange.answer.set_body_size(body.size());
        }
        return std::string(protocol.release(exchange));
    }
    Octets answers_to(std::string_view octets) {
        put(octets);
        return steps();
    }
    // The same, with every octet arriving alone.
    Octets answers_to_each(std::string_view octets) {
        Octets sent;
        for (const char& octet : octets) {
            for (std::string& answer : answers_to({&octet, 1})) sent.push_back(std::move(answer));
        }
        return sent;
    }

    CommandQueue queue;
    bool error_state = false;
    bool hold = false;
    std::vector<std::pair<std::string, std::string>> answers = {{"SM?DI", "00PSOFTSM01~PSTS6-001~"}};
    LinkServices services;
    MessageProtocol protocol{services, LinkRole::vend};
    Exchange exchange;
    Octets commands;
};

struct Worked {
    const char* request;
    const char* answer;  // status and body
    const char* response;
};

constexpr Worked kWorked[] = {
    {"SM?DI9A51\r", "00PSOFTSM01~PSTS6-001~", "SM!DI00PSOFTSM01~PSTS6-001~8AB4\r"},
    {"SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~DCC6\r",
     "00P32D98A5616345BE2E~P58625789986991357486~", "SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\r"},
    {"SM?VCN6~P600727000000000009~N1~N11~N2~N0~H0001~H01E0~8D86\r", "31", "SM!VC31A7E5\r"},
    {"SM?VCN1~P600727000000000009~N1~N11~N2~N4~H000001~H6D6F51~BB25\r", "41", "SM!VC4197E7\r"},
    {"SM?VCN1~P600727000000000009~N1~N11~N2~N4~H000001~H6D6F51~bb25\r", "76", "SM!VC76A5A6\r"},
    {"SM?VMN1~P600727000000000009~N1~N11~N2~N1~HFFFF~H522A0B~FE11\r",
     "00P0FB03E5B9962F5782~P18087553113701439362~", "SM!VM00P0FB03E5B9962F5782~P18087553113701439362~B75D\r"},
    {"SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~F1B7\r",
     "00N0~N4~P0357DBF341198EC87026BE76CBB15E21E03A373495B96D43D66107F184C6D6B59AFA~"
     "P03854447086453451911027917994362424611526711807032935397719019019128690902932218~",
     "SM!VK00N0~N4~P0357DBF341198EC87026BE76CBB15E21E03A373495B96D43D66107F184C6D6B59AFA~"
     "P03854447086453451911027917994362424611526711807032935397719019019128690902932218~94DE\r"},
    {"SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~7CD8\r", "00N0~N0~N0~H0001~H014EEC~",
     "SM!VT00N0~N0~N0~H0001~H014EEC~7636\r"},
};

}  // namespace

TEST_CASE("link: the worked frames") {
    for (const Worked& worked : kWorked) {
        INFO(worked.request);
        const std::string request = worked.request;
        const std::string message = request.substr(0, request.size() - 5);
        TestLink link;
        link.answers = {{message, worked.answer}};
        CHECK(link.answers_to(request) == Octets{worked.response});
        CHECK(link.commands == Octets{message});
        CHECK(link.exchange.role == LinkRole::vend);

        TestLink enveloped;
        enveloped.answers = link.answers;
        CHECK(enveloped.answers_to(envelope(request)) == Octets{envelope(worked.response)});
        CHECK(enveloped.commands == Octets{message});
    }
}

TEST_CASE("link: the GL group is answered without the module") {
    TestLink link;
    CHECK(link.answers_to(kEcho) == Octets{kEchoed});
    CHECK(link.answers_to(kRepeat) == Octets{kEchoed});
    CHECK(link.answers_to(kReset) == Octets{kResetDone});
    CHECK(link.answers_to(framed("GL?EC0000612345")) == Octets{framed("GL!EC02")});
    CHECK(link.answers_to(framed("GL?RSx")) == Octets{framed("GL!RS02")});
    CHECK(link.answers_to(framed("GL?RRx")) == Octets{framed("GL!RR02")});
    CHECK(link.commands.empty());
}

TEST_CASE("link: every header that it does not know is the module's business") {
    TestLink link;
    for (const std::string message : {"GL?XX", "SM?ZZ", "XX?YY", "SM!DI", "gl?ec00000", "sm?di", "GL!RR"}) {
        INFO(message);
        link.commands.clear();
        CHECK(link.answers_to(framed(message)) == Octets{kUnknown});
        CHECK(link.commands == Octets{message});
    }
}

TEST_CASE("link: the request's CRC in either case, the answer's in upper case") {
    TestLink link;
    CHECK(link.answers_to("SM?DI9a51\r") == Octets{kIdentity});
    CHECK(link.answers_to("GL?EC00005123451f7f\r") == Octets{kEchoed});
}

TEST_CASE("link: octets before a CR that are no message are one GL!ER20") {
    TestLink link;
    for (const std::string noise :
         {"SM?DI9A52\r", "SM?DI519A\r", "SM?DI\r", "SM?DI9A5\r", "x\r", "SM?DI 9A51\r", " SM?DI9A51\r",
          "SM?DI9A51 \r", "SM?DIB3G1\r", "SM?DIsm?di9A51\r", "0000\r"}) {
        INFO(noise);
        CHECK(link.answers_to(noise) == Octets{kDamaged});
    }
    CHECK(link.answers_to("\0\0\0\0\0\0\0\0\0\r"s) == Octets{kDamaged});
    std::string every_octet;
    for (int octet = 255; octet >= 0; --octet) {
        if (octet != '\r') every_octet += static_cast<char>(octet);
    }
    CHECK(link.answers_to(every_octet + "\r") == Octets{kDamaged});
    CHECK(link.answers_to("one\rtwo\r" + kIdentify) == Octets{kDamaged, kDamaged, kIdentity});
    CHECK(link.commands == Octets{"SM?DI"});
}

TEST_CASE("link: a lone CR and an LF after a CR say nothing, another LF is noise") {
    TestLink link;
    CHECK(link.answers_to("\r\r\n\r").empty());
    CHECK(link.answers_to(kIdentify + "\n" + kIdentify + "\n\r\n") == Octets{kIdentity, kIdentity});
    CHECK(link.answers_to("\n" + kIdentify) == Octets{kDamaged});
    CHECK(link.answers_to("SM?DI\n9A51\r") == Octets{kDamaged});
    CHECK(link.answers_to("SM?DI9A51\n\r") == Octets{kDamaged});
    TestLink starts_with_lf;
    CHECK(starts_with_lf.answers_to("\n" + kIdentify) == Octets{kDamaged});
    TestLink starts_with_crlf;
    CHECK(starts_with_crlf.answers_to("\r\n" + kIdentify) == Octets{kIdentity});
}

TEST_CASE("link: octets that arrive one at a time") {
    const std::string lines = "\r\n" + kIdentify + "\nnoise\r" + kEcho + kRepeat;
    CHECK(TestLink{}.answers_to_each(lines) == Octets{kIdentity, kDamaged, kEchoed, kEchoed});
    const std::string envelopes = envelope(kIdentify) + "noise" + envelope(kEcho) + envelope(kRepeat);
    CHECK(TestLink{}.answers_to_each(envelopes) ==
          Octets{envelope(kIdentity), envelope(kDamaged), envelope(kEchoed), envelope(kEchoed)});
}

TEST_CASE("link: 4096 characters are a message, 4097 are dropped to their CR") {
    const auto message_of = [](std::size_t size) { return "SM?XX" + std::string(size - 9, 'x'); };
    TestLink link;
    CHECK(link.answers_to(framed(message_of(4096))) == Octets{kUnknown});
    CHECK(link.commands == Octets{message_of(4096)});
    CHECK(link.answers_to(framed(message_of(4097)) + kIdentify) == Octets{kDamaged, kIdentity});
    for (int i = 0; i < 10; ++i) CHECK(link.answers_to(std::string(5000, 'x')).empty());
    CHECK(link.answers_to(kIdentify + kIdentify) == Octets{kDamaged, kIdentity});

    TestLink enveloped;
    CHECK(enveloped.answers_to(framed(message_of(4096), true)) == Octets{envelope(kUnknown)});
    CHECK(enveloped.answers_to(framed(message_of(4097), true)) == Octets{envelope(kDamaged)});
    // L = 4110, the largest that is an envelope's.
    CHECK(enveloped.answers_to(framed(message_of(4103), true)) == Octets{envelope(kDamaged)});
    CHECK(enveloped.answers_to(envelope(kIdentify)) == Octets{envelope(kIdentity)});
    CHECK(enveloped.commands.size() == 2);
}

TEST_CASE("link: the longest answer") {
    TestLink link;
    const std::string body(Answer::kMaxBody, 'x');
    link.answers = {{"SM?DI", "00" + body}};
    CHECK(link.answers_to(kIdentify) == Octets{framed("SM!DI00" + body)});
    CHECK(link.answers_to(kRepeat) == Octets{framed("SM!DI00" + body)});
    TestLink enveloped;
    enveloped.answers = link.answers;
    CHECK(enveloped.answers_to(envelope(kIdentify)) == Octets{envelope(framed("SM!DI00" + body))});
    CHECK(enveloped.answers_to(envelope(kRepeat)) == Octets{envelope(framed("SM!DI00" + body))});
}

TEST_CASE("link: what follows a command waits for it, in order") {
    TestLink link;
    link.hold = true;
    link.answers.emplace_back("SM?QD", "00D20140301130000~N0~");
    CHECK(link.answers_to(kIdentify + kEcho + "noise\r" + framed("SM?QD") + kRepeat).empty());
    CHECK(link.protocol.in_progress());
    CHECK(link.answers_to(kRepeat).empty());
    CHECK(link.exchange.message == "SM?DI");
    CHECK(link.execute() == kIdentity);
    CHECK(link.steps() == Octets{kEchoed, kDamaged});
    CHECK(link.protocol.in_progress());
    CHECK(link.execute() == framed("SM!QD00D20140301130000~N0~"));
    CHECK(link.steps() == Octets{framed("SM!QD00D20140301130000~N0~"), framed("SM!QD00D20140301130000~N0~")});
    CHECK_FALSE(link.protocol.in_progress());
}

TEST_CASE("link: what it holds ahead of a command is bounded") {
    TestLink link;
    link.hold = true;
    CHECK(link.answers_to(kIdentify).empty());
    std::size_t held = 0;
    while (!link.protocol.input_space().empty()) {
        const std::size_t part = std::min<std::size_t>(7, link.protocol.input_space().size());
        link.put(std::string(part, held == 0 ? '\r' : 'x'));
        held += part;
        REQUIRE(held <= LinkInput::kSize);
    }
    CHECK(held == LinkInput::kSize);
    CHECK(link.exchange.message == "SM?DI");
    CHECK(link.execute() == kIdentity);
    CHECK(link.steps().empty());
    CHECK(link.answers_to("\r" + kIdentify) == Octets{kDamaged});
    CHECK(link.execute() == kIdentity);
}

TEST_CASE("link: octets may arrive after the place for them was asked for") {
    TestLink link;
    link.put(kIdentify + kIdentify + "SM?");
    link.hold = true;
    CHECK(link.steps().empty());
    const auto space = link.protocol.input_space();
    CHECK(link.execute() == kIdentity);
    CHECK(link.steps().empty());
    link.protocol.silence();  // drops "SM?"
    std::ranges::copy(kEcho, space.begin());
    link.protocol.received(kEcho.size());
    CHECK(link.execute() == kIdentity);
    CHECK(link.steps() == Octets{kEchoed});
}

TEST_CASE("link: silence drops a partial line and only that") {
    TestLink link;
    link.protocol.silence();
    CHECK(link.answers_to("SM?D").empty());
    link.protocol.silence();
    CHECK(link.answers_to(kIdentify) == Octets{kIdentity});
    CHECK(link.answers_to("SM?D").empty());
    link.protocol.silence();
    CHECK(link.answers_to("I9A51\r") == Octets{kDamaged});
    CHECK(link.answers_to(std::string(5000, 'x')).empty());
    link.protocol.silence();
    CHECK(link.answers_to(kIdentify) == Octets{kIdentity});
    link.protocol.silence();
    CHECK(link.answers_to("\n" + kIdentify) == Octets{kIdentity});
    link.protocol.silence();
    CHECK(link.answers_to(kRepeat) == Octets{kIdentity});
}

TEST_CASE("link: silence behind a command in progress") {
    TestLink link;
    link.hold = true;
    CHECK(link.answers_to(kIdentify + kEcho + "SM?D").empty());
    link.protocol.silence();
    CHECK(link.answers_to("SM?D").empty());
    link.protocol.silence();
    CHECK(link.exchange.message == "SM?DI");
    CHECK(link.answers_to(kRepeat).empty());
    CHECK(link.execute() == kIdentity);
    CHECK(link.steps() == Octets{kEchoed, kEchoed});

    TestLink enveloped;
    enveloped.hold = true;
    CHECK(enveloped.answers_to(envelope(kIdentify) + envelope(kEcho).substr(0, 9)).empty());
    enveloped.protocol.silence();
    CHECK(enveloped.answers_to(envelope(kEcho)).empty());
    CHECK(enveloped.execute() == envelope(kIdentity));
    CHECK(enveloped.steps() == Octets{envelope(kEchoed)});
}

TEST_CASE("link: silence before the kind of the connection is known") {
    // The start of an envelope that never came: the next one counts.
    TestLink enveloped;
    CHECK(enveloped.answers_to(envelope(kIdentify).substr(0, 5)).empty());
    enveloped.protocol.silence();
    CHECK(enveloped.answers_to(envelope(kIdentify)) == Octets{envelope(kIdentity)});
    // Lines so short that they could have been the start of an envelope.
    for (const std::string start : {"\r", "\r\r", "\r\n"}) {
        TestLink link;
        CHECK(link.answers_to(start).empty());
        link.protocol.silence();
        CHECK(link.answers_to("\r\n" + kIdentify) == Octets{kIdentity});
    }
    TestLink noise;
    CHECK(noise.answers_to("\x01\r").empty());
    noise.protocol.silence();
    CHECK(noise.steps() == Octets{kDamaged});
    CHECK(noise.answers_to(kIdentify) == Octets{kIdentity});
}

TEST_CASE("link: an envelope is recognised by its length and magic, all else is lines") {
    const std::string good = envelope(kIdentify);
    CHECK(good == "\x00\x10\xED\xF1\x2B\x00\xFE\xED\x53\x4D\x3F\x44\x49\x39\x41\x35\x31\x0D"s);
    for (std::size_t bit = 2 * 8; bit < 8 * 8; ++bit) {
        INFO("bit " << bit);
        std::string off = good;
        off[bit / 8] = static_cast<char>(static_cast<unsigned char>(off[bit / 8]) ^ (1U << bit % 8));
        // The CR that ends the noise may be the octet that was changed.
        TestLink link;
        const Octets answers = link.answers_to(off);
        CHECK(std::ranges::all_of(answers, [](const std::string& answer) { return answer == kDamaged; }));
        CHECK(answers.size() == static_cast<std::size_t>(std::ranges::count(off, '\r')));
        CHECK(link.answers_to(kIdentify) == Octets{kIdentity});
    }
    for (const std::string& length : {"\x00\x00"s, "\x00\x06"s, "\x10\x0F"s, "\x10\xFF"s, "\xFF\xFF"s}) {
        TestLink link;
        CHECK(link.answers_to(length + good.substr(2)) == Octets{kDamaged});
        CHECK(link.answers_to(kIdentify) == Octets{kIdentity});
    }
    // The first octets decide once.
    TestLink lines;
    CHECK(lines.answers_to(kIdentify + good + kIdentify) == Octets{kIdentity, kDamaged, kIdentity});
    TestLink envelopes;
    CHECK(envelopes.answers_to(good + kIdentify + good) ==
          Octets{envelope(kIdentity), envelope(kDamaged), envelope(kIdentity)});
}

TEST_CASE("link: envelopes joined, damaged and followed by noise") {
    const std::string good = envelope(kIdentify);
    const std::string answer = envelope(kIdentity);
    const std::string damaged = envelope(kDamaged);
    TestLink link;
    CHECK(link.answers_to(good + envelope(kEcho)) == Octets{answer, envelope(kEchoed)});
    CHECK(link.answers_to(envelope("SM?DI9A52\r")) == Octets{damaged});
    CHECK(link.answers_to(envelope("SM?DI9A52\r") + envelope("SM?DI9A52\r")) == Octets{damaged, damaged});
    CHECK(link.answers_to(envelope("SM?DI9A51\n")) == Octets{damaged});
    CHECK(link.answers_to(envelope("SM?DI9A51")) == Octets{damaged});
    CHECK(link.answers_to(envelope("\r")) == Octets{damaged});
    CHECK(link.answers_to(envelope(kIdentify + kIdentify)) == Octets{damaged});
    CHECK(link.answers_to(good + std::string(3000, 'x') + good) == Octets{answer, damaged, answer});
    CHECK(link.answers_to(good + "\0\x10\xED\xF1\x2B\x00\xFE"s + good) == Octets{answer, damaged, answer});
    // The kind of the connection is known, so a length that is no envelope's is noise.
    for (const std::string& length : {"\x00\x06"s, "\x10\x0F"s}) {
        CHECK(link.answers_to(length + good.substr(2) + good) == Octets{damaged, answer});
    }
    CHECK(link.answers_to(good) == Octets{answer});
    // Too short: what is left over belongs to the same damage. Too long: it ends in the next envelope.
    std::string wrong_length = good;
    wrong_length[1] = 0x0F;
    CHECK(link.answers_to(wrong_length + good) == Octets{damaged, answer});
    wrong_length[1] = 0x11;
    CHECK(link.answers_to(wrong_length).empty());
    CHECK(link.answers_to(good + good) == Octets{damaged, answer});
    wrong_length[1] = 0x20;
    CHECK(link.answers_to(wrong_length).empty());
    link.protocol.silence();
    CHECK(link.answers_to(good) == Octets{answer});
}

TEST_CASE("link: CRs and LFs between envelopes say nothing") {
    const std::string good = envelope(kIdentify);
    const std::string answer = envelope(kIdentity);
    TestLink link;
    CHECK(link.answers_to(good + "\n" + good + "\r\n\r" + good) == Octets{answer, answer, answer});
    CHECK(link.answers_to("\n\n" + good) == Octets{envelope(kDamaged), answer});
}

TEST_CASE("link: GL!ER without an envelope, when so configured") {
    TestLink link(true);
    CHECK(link.answers_to(envelope(kIdentify)) == Octets{envelope(kIdentity)});
    CHECK(link.answers_to(envelope("SM?DI9A52\r")) == Octets{kDamaged});
    CHECK(link.answers_to(framed("SM?ZZ", true)) == Octets{kUnknown});
    CHECK(link.answers_to(envelope(kRepeat)) == Octets{kUnknown});
    CHECK(link.answers_to(envelope(kReset)) == Octets{envelope(kResetDone)});
    CHECK(link.answers_to(envelope(kRepeat)) == Octets{kUnknown});
}

TEST_CASE("GL?RR: nothing to repeat") {
    TestLink link;
    CHECK(link.answers_to(kRepeat) == Octets{kUnknown});
    // Nor was that answer remembered.
    CHECK(link.answers_to(kReset + kRepeat) == Octets{kResetDone, kUnknown});
    CHECK(link.answers_to("noise\r" + kRepeat) == Octets{kDamaged, kUnknown});
    CHECK(link.commands.empty());
}

TEST_CASE("GL?RR: repeats the last response and executes nothing") {
    TestLink link;
    CHECK(link.answers_to(kIdentify) == Octets{kIdentity});
    CHECK(link.answers_to(kRepeat + kRepeat) == Octets{kIdentity, kIdentity});
    CHECK(link.answers_to(kEcho + kRepeat) == Octets{kEchoed, kEchoed});
    CHECK(link.answers_to(framed("GL?EC0000612345") + kRepeat) ==
          Octets{framed("GL!EC02"), framed("GL!EC02")});
    CHECK(link.answers_to(framed("SM?ZZ") + kRepeat) == Octets{kUnknown, kUnknown});
    CHECK(link.commands == Octets{"SM?DI", "SM?ZZ"});
}

TEST_CASE("GL?RR: is not disturbed by GL!ER20 and by answers to GL?RR") {
    TestLink link;
    CHECK(link.answers_to(kIdentify + "noise\r" + kRepeat) == Octets{kIdentity, kDamaged, kIdentity});
    CHECK(link.answers_to("GL?RR0E2F\r" + kRepeat) == Octets{kDamaged, kIdentity});
    CHECK(link.answers_to(framed("GL?RRx") + kRepeat) == Octets{framed("GL!RR02"), kIdentity});
}

TEST_CASE("GL?RS: forgets, unless it is refused") {
    TestLink link;
    CHECK(link.answers_to(kIdentify + framed("GL?RSx") + kRepeat) ==
          Octets{kIdentity, framed("GL!RS02"), kIdentity});
    CHECK(link.answers_to(kReset + kRepeat) == Octets{kResetDone, kUnknown});
    CHECK(link.answers_to(kIdentify + kRepeat) == Octets{kIdentity, kIdentity});
}

TEST_CASE("GL?RR: a response counts when it is released, not before") {
    TestLink link;
    CHECK(link.answers_to(kEcho) == Octets{kEchoed});
    link.hold = true;
    CHECK(link.answers_to(kIdentify).empty());
    link.exchange.answer.set_status(Status::successful);  // computed, not released
    CHECK(link.answers_to(kRepeat).empty());
    CHECK(link.execute() == kIdentity);
    CHECK(link.steps() == Octets{kIdentity});
}

TEST_CASE("link: in the error state every valid message is answered GL!ER58") {
    TestLink link;
    CHECK(link.answers_to(kIdentify) == Octets{kIdentity});
    link.error_state = true;
    CHECK(link.answers_to(kRepeat + kReset + framed("GL?RRx")) ==
          Octets{kErrorState, kErrorState, kErrorState});
    CHECK(link.answers_to(kEcho + kIdentify) == Octets{kErrorState, kErrorState});
    CHECK(link.answers_to("noise\r\r") == Octets{kDamaged});
    CHECK(link.commands == Octets{"SM?DI", "SM?DI"});
}

TEST_CASE("link: an answer of the tampered state") {
    TestLink link;
    link.hold = true;
    CHECK(link.answers_to(kIdentify).empty());
    link.exchange.answer.set_link_error(Status::tampered_state);
    CHECK(link.protocol.release(link.exchange) == "GL!ER575467\r");
    CHECK(link.answers_to(kRepeat) == Octets{"GL!ER575467\r"});
}

TEST_CASE("link: a command starts afresh, whatever the one before was") {
    TestLink link;
    link.hold = true;
    link.exchange.expired = true;
    link.exchange.role = LinkRole::full;
    CHECK(link.answers_to(kIdentify).empty());
    CHECK_FALSE(link.exchange.expired);
    CHECK(link.exchange.role == LinkRole::vend);
}

}  // namespace sts6
