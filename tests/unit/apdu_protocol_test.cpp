// SPDX-License-Identifier: Apache-2.0
// The APDU binding octet by octet, against ISO 7816-4 and the protocol page.
#include "src/links/apdu_protocol.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "firmware/ports/exchange.hpp"
#include "src/links/link_protocol.hpp"
#include "sts6/commands.hpp"
#include "sts6/status.hpp"
#include "tests/support/apdu.hpp"

namespace sts6 {

namespace {

using namespace std::string_literals;
using test::length_framed;
using test::two_octets;
using Form = ApduProtocol::Form;
using Octets = std::vector<std::string>;

std::string sw(std::size_t status_word) {
    return two_octets(status_word);
}

const std::string kDone = sw(0x9000);
const std::string kWrongLength = sw(0x6700);
const std::string kSelect = "\x00\xA4\x04\x00\x06"s + std::string(test::kApplication);
const std::string kIdentify = "\x80\x20\x00\x00"s;
const std::string kGetResponse = "\x00\xC0\x00\x00"s;

std::string short_of(std::size_t number) {
    return std::string(1, static_cast<char>(number & 0xFFU));
}
/// Lc and data, short or extended.
std::string short_data(std::string_view data) {
    return short_of(data.size()).append(data);
}
std::string long_data(std::string_view data) {
    return "\0"s + two_octets(data.size()).append(data);
}
std::string header(unsigned cla, unsigned ins, unsigned p1 = 0, unsigned p2 = 0) {
    return short_of(cla) + short_of(ins) + short_of(p1) + short_of(p2);
}

// A link with a module behind it that answers what it is told to.
struct TestCard {
    explicit TestCard(Form form = Form::stream, LinkRole role = LinkRole::vend) : protocol(role, form) {}

    void put(std::string_view octets) {
        const auto space = protocol.input_space();
        REQUIRE(octets.size() <= space.size());
        std::ranges::copy(octets, space.begin());
        protocol.received(octets.size());
    }
    // All steps until more octets are needed, or until a command when `hold` is set. Answers without length.
    Octets steps() {
        Octets sent;
        for (;;) {
            const LinkStep step = protocol.next(exchange);
            if (step.kind == LinkStep::Kind::receive) return sent;
            if (step.kind == LinkStep::Kind::send) {
                sent.push_back(unframed(step.octets));
                continue;
            }
            commands.emplace_back(exchange.message);
            if (hold) return sent;
            sent.push_back(execute());
        }
    }
    std::string execute() {
        if (link_error) {
            exchange.answer.set_link_error(status);
        } else {
            exchange.answer.set_status(status);
            std::ranges::copy(body, exchange.answer.body_buffer().begin());
            exchange.answer.set_body_size(body.size());
        }
        return unframed(protocol.release(exchange));
    }
    static std::string unframed(std::string_view octets) {
        REQUIRE(octets.size() >= 4);
        CHECK(octets.substr(0, 2) == two_octets(octets.size() - 2));
        return std::string(octets.substr(2));
    }
    Octets answers_to(std::string_view octets) {
        put(octets);
        return steps();
    }
    std::string ask(std::string_view apdu) {
        Octets sent = answers_to(length_framed(apdu));
        REQUIRE(sent.size() == 1);
        return sent[0];
    }
    void select() { REQUIRE(ask(kSelect) == kDone); }
    // What the module got for the APDU, or nothing when it got nothing.
    Octets commands_of(std::string_view apdu) {
        commands.clear();
        answer = ask(apdu);
        return std::exchange(commands, {});
    }

    bool hold = false;
    Status status = Status::successful;
    bool link_error = false;
    std::string body;
    ApduProtocol protocol;
    Exchange exchange;
    Octets commands;
    std::string answer;
};

struct SelectedCard : TestCard {
    explicit SelectedCard(Form form = Form::stream, LinkRole role = LinkRole::vend) : TestCard(form, role) {
        select();
    }
};

}  // namespace

TEST_CASE("apdu: SELECT by the whole name, whichever way its lengths are coded") {
    const std::string name(test::kApplication);
    for (const std::string& rest : {short_data(name), short_data(name) + "\0"s, short_data(name) + "\x10",
                                    long_data(name), long_data(name) + "\0\0"s}) {
        TestCard card;
        CHECK(card.ask(header(0x00, 0xA4, 4, 0) + rest) == kDone);
        CHECK(card.ask(kIdentify) == kDone);
        // Twice is no error.
        CHECK(card.ask(header(0x00, 0xA4, 4, 0) + rest) == kDone);
        CHECK(card.ask(kIdentify) == kDone);
    }
}

TEST_CASE("apdu: SELECT of anything else is refused and selects nothing") {
    const auto select = [](std::string_view name) { return header(0x00, 0xA4, 4, 0) + short_data(name); };
    const std::string name(test::kApplication);
    struct Refused {
        std::string apdu;
        unsigned status_word;
    };
    std::vector<Refused> refused = {
        {select(name + "\x01"), 0x6A82},
        {select(name + "\0"s), 0x6A82},
        {select("\xA0\x00\x00\x00\x03"s), 0x6A82},
        {select(std::string(255, '\xF0')), 0x6A82},
        {header(0x00, 0xA4, 4, 0), 0x6700},
        {header(0x00, 0xA4, 4, 0) + "\0"s, 0x6700},
        {header(0x00, 0xA4, 4, 0) + "\x06", 0x6700},
        {header(0x00, 0xA4, 4, 0) + "\0\0\0"s, 0x6700},
        {kSelect + "\0\0"s, 0x6700},
        {kSelect.substr(0, kSelect.size() - 1), 0x6700},
        {header(0x80, 0xA4, 4, 0) + short_data(name), 0x6985},
        {header(0x01, 0xA4, 4, 0) + short_data(name), 0x6E00},
        {header(0x0C, 0xA4, 4, 0) + short_data(name), 0x6E00},
    };
    // Parts of the name, and the name with one octet changed.
    for (std::size_t size = 1; size < name.size(); ++size) {
        refused.push_back({select(name.substr(0, size)), 0x6A82});
        std::string other = name;
        other[size] = static_cast<char>(other[size] ^ 1);
        refused.push_back({select(other), 0x6A82});
    }
    for (const auto& [apdu, status_word] : refused) {
        TestCard card;
        CHECK(card.ask(apdu) == sw(status_word));
        CHECK(card.ask(kIdentify) == sw(0x6985));
        // And one that fails leaves the selection as it was; A4 is no instruction of the module's.
        card.select();
        CHECK(card.ask(apdu) == sw(status_word == 0x6985 ? 0x6D00 : status_word));
        CHECK(card.ask(kIdentify) == kDone);
    }
}

TEST_CASE("apdu: SELECT with other parameters than P1 04 and P2 00 is refused") {
    TestCard card;
    for (unsigned p1 = 0; p1 < 256; ++p1) {
        for (unsigned p2 = 0; p2 < 256; ++p2) {
            if (p1 == 4 && p2 == 0) continue;
            const std::string apdu = header(0x00, 0xA4, p1, p2) + short_data(test::kApplication);
            if (card.ask(apdu) != sw(0x6A86)) FAIL_CHECK(p1 << " " << p2);
        }
    }
    CHECK(card.ask(kIdentify) == sw(0x6985));
}

TEST_CASE("apdu: before SELECT nothing but SELECT, whatever the instruction") {
    TestCard card;
    for (unsigned ins = 0; ins < 256; ++ins) {
        INFO(ins);
        CHECK(card.ask(header(0x80, ins)) == sw(0x6985));
        if (ins != 0xA4) CHECK(card.ask(header(0x00, ins)) == sw(0x6985));
        CHECK(card.ask(header(0x90, ins)) == sw(0x6E00));
    }
    CHECK(card.commands.empty());
}

TEST_CASE("apdu: every instruction of the module's class") {
    SelectedCard card;
    std::size_t known = 0;
    for (unsigned ins = 0; ins < 256; ++ins) {
        INFO(ins);
        const std::string_view name = test::header_of(ins);
        const Octets commands = card.commands_of(header(0x80, ins) + short_data("N1~"));
        if (!name.empty()) {
            ++known;
            CHECK(card.answer == kDone);
            CHECK(commands == Octets{std::string(name) + "N1~"});
        } else {
            CHECK(card.answer == (ins == 0xC0 ? kWrongLength : sw(0x6D00)));
            CHECK(commands.empty());
        }
    }
    CHECK(known == 18);
}

TEST_CASE("apdu: every class") {
    SelectedCard card;
    for (unsigned cla = 0; cla < 256; ++cla) {
        INFO(cla);
        const Octets commands = card.commands_of(header(cla, 0x20));
        CHECK(card.answer == (cla == 0x80 ? kDone : sw(0x6E00)));
        CHECK(commands == (cla == 0x80 ? Octets{"SM?DI"} : Octets{}));
        if (cla != 0x00 && cla != 0x80) CHECK(card.ask(header(cla, 0xC0)) == sw(0x6E00));
    }
    for (unsigned ins = 0; ins < 256; ++ins) {
        INFO(ins);
        if (ins == 0xA4) continue;
        CHECK(card.ask(header(0x00, ins)) == sw(ins == 0xC0 ? 0x6985 : 0x6E00));
    }
}

TEST_CASE("apdu: P1 and P2 are 00") {
    SelectedCard card;
    for (unsigned parameter = 1; parameter < 256; ++parameter) {
        INFO(parameter);
        for (const unsigned ins : {0x10U, 0x20U, 0xC0U}) {
            CHECK(card.ask(header(0x80, ins, parameter, 0)) == sw(0x6A86));
            CHECK(card.ask(header(0x80, ins, 0, parameter)) == sw(0x6A86));
        }
        CHECK(card.ask(header(0x00, 0xC0, parameter, parameter)) == sw(0x6A86));
        // What it is comes before how it is called.
        CHECK(card.ask(header(0x80, 0x21, parameter, 0)) == sw(0x6D00));
    }
    CHECK(card.commands.empty());
}

TEST_CASE("apdu: the seven forms of ISO 7816-4, and every length that makes none of them") {
    SelectedCard card;
    const auto check = [&card](const std::string& rest, bool good, std::string_view data) {
        INFO("after the header " << rest.size() << " octets, of which data " << data.size());
        const Octets commands = card.commands_of(header(0x80, 0x10) + rest);
        CHECK(card.answer == (good ? kDone : kWrongLength));
        CHECK(commands == (good ? Octets{"SM?VC" + std::string(data)} : Octets{}));
    };
    // For each length of data, everything from the bare header to three octets too many.
    for (const std::size_t size : {1U, 2U, 3U, 4U, 5U, 6U, 127U, 128U, 254U, 255U}) {
        const std::string data(size, 'd');
        const std::string whole = short_data(data) + "\x07\x07\x07"s;
        for (std::size_t taken = 0; taken <= whole.size(); ++taken) {
            const bool without_data = taken <= 1;  // cases 1 and 2S
            const bool good = without_data || taken == 1 + size || taken == 2 + size;
            check(whole.substr(0, taken), good, without_data ? "" : data);
        }
    }
    for (const std::size_t size : {1U, 2U, 3U, 255U, 256U, 257U, 4085U}) {
        const std::string data(size, 'd');
        const std::string whole = long_data(data) + "\0\x07\x07\x07"s;
        for (std::size_t taken = 0; taken <= whole.size(); ++taken) {
            const bool without_data = taken <= 1 || taken == 3;  // cases 1, 2S (Le 00) and 2E
            const bool good = without_data || taken == 3 + size || taken == 5 + size;
            check(whole.substr(0, taken), good, without_data ? "" : data);
        }
    }
    // An extended Lc that says that there are no data.
    for (const std::size_t size : {4U, 5U, 6U, 300U}) check(std::string(size, '\0'), false, "");
}

TEST_CASE("apdu: every wrong Lc") {
    SelectedCard card;
    for (const std::size_t size : {2U, 3U, 50U, 255U}) {
        const std::string data(size, 'd');
        for (std::size_t lc = 1; lc < 256; ++lc) {
            if (lc == size || lc + 1 == size) continue;  // right, or with an Le
            INFO(size << " octets, Lc " << lc);
            CHECK(card.ask(header(0x80, 0x10) + short_of(lc) + data) == kWrongLength);
        }
    }
    const std::string data(300, 'd');
    for (std::size_t lc = 0; lc < 0x10000; ++lc) {
        if (lc == data.size() || lc + 2 == data.size()) continue;
        const std::string apdu = header(0x80, 0x10) + "\0"s + two_octets(lc) + data;
        if (card.ask(apdu) != kWrongLength) FAIL_CHECK("extended Lc " << lc);
    }
    CHECK(card.commands.empty());
}

TEST_CASE("apdu: less than a header is a wrong length, selected or not") {
    const Form form = GENERATE(Form::stream, Form::virtual_card);
    TestCard card(form);
    for (int selected = 0; selected < 2; ++selected) {
        for (const std::size_t size : {0U, 2U, 3U})
            CHECK(card.ask(kIdentify.substr(0, size)) == kWrongLength);
        if (form == Form::stream) CHECK(card.ask("\x80") == kWrongLength);
        card.select();
    }
}

TEST_CASE("apdu: the longest command, and one octet more") {
    SelectedCard card;
    constexpr std::size_t kLongest = 4096 - 4 - 5;  // without header and CRC, of which an APDU has none
    const std::string most(kLongest, 'd');
    for (const std::string& le : {""s, "\0\0"s}) {
        CHECK(card.commands_of(header(0x80, 0x30) + long_data(most) + le) == Octets{"SM?KC" + most});
        CHECK(card.commands_of(header(0x80, 0x30) + long_data(most + "d") + le).empty());
        CHECK(card.answer == kWrongLength);
    }
    CHECK(card.ask(header(0x80, 0x30) + long_data(most + "dd")) == kWrongLength);
    CHECK(card.ask(kIdentify) == kDone);
}

TEST_CASE("apdu: a frame that is too long is passed over and answered, and the next one is read") {
    SelectedCard card(GENERATE(Form::stream, Form::virtual_card));
    for (const std::size_t size : {4097U, 8192U, 65535U}) {
        INFO(size);
        Octets sent = card.answers_to(two_octets(size));
        // What passes for frames inside.
        const std::string inside = length_framed(kIdentify);
        for (std::size_t left = size; left > 0;) {
            CHECK(sent.empty());
            const std::size_t part = std::min(left, inside.size());
            sent = card.answers_to(inside.substr(0, part));
            left -= part;
        }
        CHECK(sent == Octets{kWrongLength});
        CHECK(card.commands.empty());
        CHECK(card.commands_of(kIdentify) == Octets{"SM?DI"});
    }
    // One that ends in the middle of what is received.
    CHECK(card.answers_to(two_octets(5000) + std::string(5000, 'x') + length_framed(kIdentify)) ==
          Octets{kWrongLength, kDone});
    CHECK(card.answers_to(two_octets(4096) + std::string(4096, '\x80')) == Octets{sw(0x6D00)});
}

TEST_CASE("apdu: as much of an answer as Le has room for, and 61 for the rest") {
    SelectedCard card;
    struct Case {
        std::size_t size;
        std::string le;
        std::size_t sent;
        unsigned status_word;
    };
    const std::vector<Case> cases = {
        {0, "", 0, 0x9000},
        {0, "\x01", 0, 0x9000},
        {0, "\0"s, 0, 0x9000},
        {0, "\0\0\0"s, 0, 0x9000},
        {1, "\x01", 1, 0x9000},
        {2, "\x01", 1, 0x6101},
        {1, "\x02", 1, 0x9000},
        {255, "\xFF", 255, 0x9000},
        {256, "\xFF", 255, 0x6101},
        {256, "\0"s, 256, 0x9000},
        {257, "\0"s, 256, 0x6101},
        {257, "\x01", 1, 0x6100},
        {256, "\x01", 1, 0x61FF},
        {258, "\x01", 1, 0x6100},
        {511, "\0"s, 256, 0x61FF},
        {512, "\0"s, 256, 0x6100},
        {513, "\0"s, 256, 0x6100},
        {256, "\0\x01\0"s, 256, 0x9000},
        {257, "\0\x01\0"s, 256, 0x6101},
        {257, "\0\x01\x01"s, 257, 0x9000},
        {4085, "\0\x0F\xF5"s, 4085, 0x9000},
        {4085, "\0\x0F\xF4"s, 4084, 0x6101},
        {4085, "\0\0\0"s, 4085, 0x9000},
        {4085, "", 4085, 0x9000},
        {4085, "\0"s, 256, 0x6100},
    };
    for (const auto& [size, le, sent, status_word] : cases) {
        INFO(size << " octets, sent " << sent);
        card.body = std::string(size, 'a');
        CHECK(card.ask(kIdentify + le) == card.body.substr(0, sent) + sw(status_word));
        // The same behind data.
        Octets behind_data;
        if (le.size() != 3) behind_data.push_back(short_data("N1~") + le);
        if (le.size() != 1) behind_data.push_back(long_data("N1~") + (le.empty() ? le : le.substr(1)));
        for (const std::string& rest : behind_data) {
            CHECK(card.ask(header(0x80, 0x26) + rest) == card.body.substr(0, sent) + sw(status_word));
        }
    }
}

TEST_CASE("apdu: GET RESPONSE gets the rest, in either class, and then there is nothing to get") {
    SelectedCard card;
    for (int i = 0; i < 1000; ++i) card.body += static_cast<char>('a' + i % 26);
    for (const unsigned cla : {0x00U, 0x80U}) {
        const auto get = [&card, cla](const std::string& le) { return card.ask(header(cla, 0xC0) + le); };
        CHECK(get("") == sw(0x6985));
        CHECK(card.ask(kIdentify + "\0"s) == card.body.substr(0, 256) + sw(0x6100));
        CHECK(get("\x10") == card.body.substr(256, 16) + sw(0x6100));
        CHECK(get("\0"s) == card.body.substr(272, 256) + sw(0x6100));
        CHECK(get("\0\0\xD8"s) == card.body.substr(528, 216) + sw(0x6100));
        CHECK(get("\x01") == card.body.substr(744, 1) + sw(0x61FF));
        CHECK(get("\xFF") == card.body.substr(745, 255) + kDone);
        CHECK(get("\0"s) == sw(0x6985));
        // All of the rest.
        for (const std::string& le : {""s, "\0\0\0"s}) {
            CHECK(card.ask(kIdentify + "\0"s) == card.body.substr(0, 256) + sw(0x6100));
            CHECK(get(le) == card.body.substr(256) + kDone);
            CHECK(get(le) == sw(0x6985));
        }
        // Octet by octet.
        CHECK(card.ask(kIdentify + "\x01") == "a" + sw(0x6100));
        std::string got = "a";
        while (got.size() < card.body.size()) {
            const std::string answer = get("\x01");
            REQUIRE(answer.size() == 3);
            got += answer[0];
            const std::size_t left = card.body.size() - got.size();
            REQUIRE(answer.substr(1) == sw(left == 0 ? 0x9000 : left < 256 ? 0x6100 + left : 0x6100));
        }
        CHECK(got == card.body);
    }
    CHECK(card.commands.size() == 8);
}

TEST_CASE("apdu: the rest of an answer is the last command's or nobody's") {
    const Form form = GENERATE(Form::stream, Form::virtual_card);
    SelectedCard card(form);
    const auto begin = [&card] {
        card.body = "secret";
        CHECK(card.ask(kIdentify + "\x01") == "s" + sw(0x6105));
    };
    SECTION("another command takes its place, also one that is refused by the module") {
        begin();
        card.body = "";
        card.status = GENERATE(Status::successful, Status::invalid_pan_error);
        card.ask(header(0x80, 0x10) + short_data("N1~"));
        CHECK(card.ask(kGetResponse) == sw(0x6985));
    }
    SECTION("so does one that gets nothing but a link error") {
        begin();
        card.link_error = true;
        card.status = GENERATE(Status::invalid_request_header, Status::app_error_state);
        card.ask(header(0x80, 0x40));
        CHECK(card.ask(kGetResponse) == sw(0x6985));
    }
    SECTION("SELECT drops it, also one that fails") {
        begin();
        const bool right = GENERATE(true, false);
        CHECK(card.ask(right ? kSelect : kSelect + "\0\0"s) == (right ? kDone : kWrongLength));
        CHECK(card.ask(kGetResponse) == sw(0x6985));
    }
    SECTION("an APDU that is no command leaves it") {
        begin();
        for (const std::string& apdu :
             {header(0x80, 0x21), header(0x90, 0x20), header(0x00, 0x20), header(0x80, 0x20, 1, 0),
              header(0x80, 0x10) + "\x02N", ""s, header(0x00, 0xC0) + short_data("x"),
              header(0x80, 0x30) + long_data(std::string(4088, 'd')), header(0x80, 0xC0, 0, 1)}) {
            CHECK(card.ask(apdu).size() == 2);
        }
        CHECK(card.ask(kGetResponse) == "ecret" + kDone);
    }
    SECTION("power off, power on and reset drop it") {
        if (form == Form::stream) return;
        const std::string control = GENERATE("\x00"s, "\x01"s, "\x02"s);
        begin();
        CHECK(card.answers_to(length_framed(control)).empty());
        CHECK(card.ask(kGetResponse) == sw(0x6985));
        card.select();
        CHECK(card.ask(kGetResponse) == sw(0x6985));
    }
}

TEST_CASE("apdu: GET RESPONSE has no data") {
    SelectedCard card;
    card.body = "ab";
    CHECK(card.ask(kIdentify + "\x01") == "a" + sw(0x6101));
    for (const std::string& rest : {short_data("x"), short_data("x") + "\0"s, long_data("x"),
                                    long_data("x") + "\0\0"s, "\x05"s + "x", "\0\0"s}) {
        CHECK(card.ask(kGetResponse + rest) == kWrongLength);
    }
    CHECK(card.ask(kGetResponse) == "b" + kDone);
}

TEST_CASE("apdu: a status becomes 66 and its two digits") {
    SelectedCard card;
    for (const StatusRow& row : kStatusTable) {
        INFO(row.name);
        const auto digits = status_code(row.status);
        const std::string code(digits.data(), digits.size());
        card.status = row.status;
        const std::string expected =
            row.status == Status::successful ? kDone : sw(0x6600 + std::stoul(code, nullptr, 16));
        CHECK(card.ask(kIdentify + "\0"s) == expected);
    }
    // Some of them written out.
    const std::pair<Status, unsigned> some[] = {
        {Status::device_failure, 0x6601},     {Status::register_empty, 0x6622},
        {Status::ptvd_encoding, 0x6662},      {Status::invalid_pan_error, 0x6676},
        {Status::attribute_error, 0x6694},    {Status::insufficient_credit_balance, 0x6631},
        {Status::sts_extended_error, 0x66EE},
    };
    for (const auto& [status, status_word] : some) {
        card.status = status;
        CHECK(card.ask(kIdentify) == sw(status_word));
    }
}

TEST_CASE("apdu: link errors") {
    SelectedCard card;
    card.link_error = true;
    const std::pair<Status, unsigned> errors[] = {
        {Status::invalid_request_header, 0x6D00},
        {Status::tampered_state, 0x6657},
        {Status::app_error_state, 0x6658},
    };
    for (const auto& [status, status_word] : errors) {
        card.status = status;
        CHECK(card.ask(kIdentify) == sw(status_word));
        CHECK(card.ask(kIdentify + "\x01") == sw(status_word));
        CHECK(card.ask(kGetResponse) == sw(0x6985));
    }
}

TEST_CASE("apdu: an extended error has its text as data") {
    SelectedCard card;
    card.status = Status::sts_extended_error;
    card.body = "PKMC public key invalid~";
    CHECK(card.ask(kIdentify + "\0"s) == "KMC public key invalid" + sw(0x66EE));
    CHECK(card.ask(kIdentify + "\x03") == "KMC" + sw(0x6113));
    CHECK(card.ask(kGetResponse + "\x13") == " public key invalid" + sw(0x66EE));
    CHECK(card.ask(kGetResponse) == sw(0x6985));
    card.body = "P~";
    CHECK(card.ask(kIdentify) == sw(0x66EE));
    card.body = "";
    CHECK(card.ask(kIdentify) == sw(0x66EE));
}

TEST_CASE("apdu: what follows a command waits for it, in order") {
    SelectedCard card;
    card.hold = true;
    card.body = "abc";
    const std::string get_one = kGetResponse + "\x01";
    CHECK(card.answers_to(length_framed(kIdentify + "\x01") + length_framed(get_one) + length_framed("\x80") +
                          length_framed(header(0x80, 0x24)) + length_framed(get_one))
              .empty());
    CHECK(card.protocol.in_progress());
    CHECK(card.steps().empty());
    CHECK(card.answers_to(length_framed(header(0x90, 0x20))).empty());
    CHECK(card.exchange.message == "SM?DI");
    CHECK(card.execute() == "a" + sw(0x6102));
    CHECK_FALSE(card.protocol.in_progress());
    CHECK(card.steps() == Octets{"b" + sw(0x6101), kWrongLength});
    CHECK(card.protocol.in_progress());
    CHECK(card.exchange.message == "SM?QD");
    card.body = "";
    CHECK(card.execute() == kDone);
    CHECK(card.steps() == Octets{sw(0x6985), sw(0x6E00)});
    CHECK(card.commands == Octets{"SM?DI", "SM?QD"});
}

TEST_CASE("apdu: octets that arrive one at a time") {
    const Form form = GENERATE(Form::stream, Form::virtual_card);
    TestCard card(form);
    card.body = "abc";
    const std::string stream = length_framed(kSelect) + length_framed(kIdentify + "\x02") +
                               length_framed(kGetResponse) + two_octets(5000) + std::string(5000, '\0') +
                               length_framed("") + length_framed("\x04") + length_framed(kIdentify);
    Octets sent;
    for (const char& octet : stream) {
        for (std::string& answer : card.answers_to({&octet, 1})) sent.push_back(std::move(answer));
        card.protocol.silence();  // says nothing: a frame goes on where it stopped
    }
    const std::string last_but_one = form == Form::stream ? kWrongLength : std::string(test::kAtr);
    CHECK(sent == Octets{kDone, "ab" + sw(0x6101), "c" + kDone, kWrongLength, kWrongLength, last_but_one,
                         "abc" + kDone});
}

TEST_CASE("apdu: what a link holds ahead of a command is bounded") {
    SelectedCard card;
    card.hold = true;
    CHECK(card.answers_to(length_framed(kIdentify)).empty());
    const std::string frame = length_framed(header(0x80, 0x24));
    std::string ahead;
    while (ahead.size() < 2 * LinkInput::kSize) ahead += frame;
    std::size_t held = 0;
    while (!card.protocol.input_space().empty()) {
        const std::size_t part = std::min<std::size_t>(7, card.protocol.input_space().size());
        card.put(ahead.substr(held, part));
        held += part;
        REQUIRE(held <= LinkInput::kSize);
    }
    CHECK(held == LinkInput::kSize);
    card.hold = false;
    CHECK(card.execute() == kDone);
    CHECK(card.steps().size() == held / frame.size());
    CHECK(card.answers_to(ahead.substr(held, frame.size() - held % frame.size())).size() == 1);
}

TEST_CASE("apdu: octets that are no characters go to the module as they are") {
    SelectedCard card;
    std::string every_octet;
    for (int octet = 0; octet < 256; ++octet) every_octet += static_cast<char>(octet);
    CHECK(card.commands_of(header(0x80, 0x30) + long_data(every_octet)) == Octets{"SM?KC" + every_octet});
    CHECK(card.commands_of(header(0x80, 0x30) + short_data("~\r\n\0P"s)) == Octets{"SM?KC~\r\n\0P"s});
}

TEST_CASE("apdu: a command has its link's role") {
    for (const LinkRole role : {LinkRole::vend, LinkRole::full}) {
        SelectedCard card(Form::stream, role);
        card.exchange.role = role == LinkRole::full ? LinkRole::vend : LinkRole::full;
        card.exchange.expired = true;
        CHECK(card.ask(kIdentify) == kDone);
        CHECK(card.exchange.role == role);
        CHECK_FALSE(card.exchange.expired);
    }
}

TEST_CASE("apdu: a virtual card's ATR") {
    TestCard card(Form::virtual_card);
    const Octets sent = card.answers_to(length_framed("\x04"));
    CHECK(sent == Octets{std::string(test::kAtr)});
    REQUIRE(sent[0].size() == 14);
    const auto octet = [&sent](std::size_t at) {
        return static_cast<unsigned>(static_cast<unsigned char>(sent[0][at]));
    };
    // ISO 7816-3, 8.2.
    CHECK(octet(0) == 0x3B);               // TS: direct convention
    CHECK(octet(1) >> 4U == 0x8);          // T0: of the interface octets TD1 only,
    CHECK((octet(1) & 0xFU) == 14U - 4U);  //     and so many historical octets before TCK
    CHECK(octet(2) == 0x01);               // TD1: T=1, nothing more
    unsigned check = 0;
    for (std::size_t i = 1; i < 14; ++i) check ^= octet(i);
    CHECK(check == 0);  // TCK, which T=1 wants
    // ISO 7816-4, 8.1.1: compact TLV objects, with no status behind them.
    CHECK(octet(3) == 0x80);
    CHECK(octet(4) == 0x54);  // issuer's data of four octets
    CHECK(sent[0].substr(5, 4) == "STS6");
    CHECK(octet(9) == 0x73);   // capabilities in three
    CHECK(octet(10) == 0x80);  // selection by the full name only
    CHECK(octet(12) == 0x40);  // extended Lc and Le, no chaining, one channel
}

TEST_CASE("apdu: a virtual card's power") {
    SelectedCard card(Form::virtual_card);
    CHECK(card.ask(kIdentify) == kDone);
    for (const std::string& control : {"\x00"s, "\x01"s, "\x02"s}) {
        CHECK(card.answers_to(length_framed(control)).empty());
        CHECK(card.ask(kIdentify) == sw(0x6985));
        card.select();
    }
    SECTION("asking for the ATR changes nothing") {
        CHECK(card.answers_to(length_framed("\x04")).size() == 1);
        CHECK(card.ask(kIdentify) == kDone);
    }
    SECTION("every other octet says nothing") {
        for (unsigned control = 0; control < 256; ++control) {
            if (control <= 2 || control == 4) continue;
            INFO(control);
            CHECK(card.answers_to(length_framed(short_of(control))).empty());
        }
        CHECK(card.ask(kIdentify) == kDone);
    }
    SECTION("behind a command in progress it waits") {
        card.hold = true;
        card.body = "abc";
        CHECK(card.answers_to(length_framed(kIdentify + "\x01") + length_framed("\x02") +
                              length_framed("\x04") + length_framed(kGetResponse))
                  .empty());
        CHECK(card.execute() == "a" + sw(0x6102));
        CHECK(card.steps() == Octets{std::string(test::kAtr), sw(0x6985)});
    }
}

TEST_CASE("apdu: on a stream there are no control octets") {
    SelectedCard card;
    for (unsigned octet = 0; octet < 256; ++octet) {
        INFO(octet);
        CHECK(card.ask(short_of(octet)) == kWrongLength);
    }
    CHECK(card.ask(kIdentify) == kDone);
}

}  // namespace sts6
