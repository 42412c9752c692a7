// SPDX-License-Identifier: Apache-2.0
// The client over APDUs: what it sends of a message, and what it makes of status words.
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/read.hpp>
#include <catch2/catch.hpp>

#include "sts6/client.hpp"
#include "tests/support/socket_server.hpp"

namespace sts6 {
namespace {

using namespace test;
using namespace std::string_view_literals;

const std::string kSelect("\x00\xA4\x04\x00\x06\xF0\x53\x54\x53\x36\x01", 11);
const std::string kDone("\x90\x00", 2);
const std::string kVend = "SM?VCN1~";

std::string octets(std::string_view text) {
    return std::string(text);
}

std::string framed(const std::string& apdu) {
    return {std::string{static_cast<char>(apdu.size() >> 8U), static_cast<char>(apdu.size() & 0xFFU)} + apdu};
}

/// Reads frames and answers each with the next of its octets, which are sent as they are. An empty answer is
/// silence; at the first frame that has none the connection ends.
class Card {
  public:
    /// One list for each connection.
    explicit Card(std::vector<std::vector<std::string>> answers)
        : answers_(std::move(answers)), server_([this](auto& socket) { serve(socket); }) {}

    [[nodiscard]] std::string url() const { return server_.url("apdu"); }
    const std::vector<std::string>& received() {
        server_.stop();
        return received_;
    }
    std::size_t connections() {
        server_.stop();
        return connections_;
    }

  private:
    void serve(asio::ip::tcp::socket& socket) {
        if (connections_ == answers_.size()) return;
        for (const std::string& answer : answers_[connections_++]) {
            if (!read(socket)) return;
            asio::error_code error;
            asio::write(socket, asio::buffer(answer), error);
        }
        read(socket);
    }
    bool read(asio::ip::tcp::socket& socket) {
        asio::error_code error;
        std::array<unsigned char, 2> size{};
        asio::read(socket, asio::buffer(size), error);
        if (error) return false;
        std::string apdu(static_cast<std::size_t>(size[0] << 8U | size[1]), '\0');
        asio::read(socket, asio::buffer(apdu), error);
        if (!error) received_.push_back(apdu);
        return !error;
    }

    std::vector<std::vector<std::string>> answers_;
    std::vector<std::string> received_;
    std::size_t connections_ = 0;
    SocketServer server_;
};

ClientOptions patient(Retry retry = Retry::repeat) {
    return {.timeout_ms = 30000, .answer_ms = 30000, .retry = retry};
}

Client connected(const Card& card, const ClientOptions& options = patient()) {
    auto client = Client::connect(card.url(), options);
    REQUIRE(client);
    return *std::move(client);
}

/// The exchange of `message`, which is answered by these APDUs.
Result<Response> answered(const std::vector<std::string>& apdus, const std::string& message = kVend) {
    std::vector<std::string> frames = {framed(kDone)};
    for (const std::string& apdu : apdus) frames.push_back(framed(apdu));
    const Card card({frames});
    return connected(card).exchange(message);
}

}  // namespace

TEST_CASE("client apdu: SELECT, then commands out of the table") {
    struct Case {
        std::string message;
        std::string apdu;
    };
    const std::vector<Case> cases = {
        {"SM?DI", octets("\x80\x20\x00\x00\x00"sv)},
        {"SM?MF", octets("\x80\x52\x00\x00\x00"sv)},
        {"SM?GAN1~", octets("\x80\x26\x00\x00\x03N1~\x00"sv)},
        {"SM?VCN1~P6~", octets("\x80\x10\x00\x00\x06N1~P6~\x00"sv)},
        {"SM?VK" + std::string(255, 'x'), octets("\x80\x14\x00\x00\xFF"sv) + std::string(255, 'x') + '\0'},
        {"SM?KC" + std::string(256, 'x'),
         octets("\x80\x30\x00\x00\x00\x01\x00"sv) + std::string(256, 'x') + octets("\x00\x00"sv)},
        {"SM?KL" + std::string(4087, 'x'),
         octets("\x80\x34\x00\x00\x00\x0F\xF7"sv) + std::string(4087, 'x') + octets("\x00\x00"sv)},
    };
    std::vector<std::string> expected = {kSelect};
    std::vector<std::string> answers = {framed(kDone)};
    for (const Case& each : cases) {
        expected.push_back(each.apdu);
        answers.push_back(framed(kDone));
    }
    Card card({answers});
    {
        Client client = connected(card);
        for (const Case& each : cases) {
            const auto response = client.exchange(each.message);
            REQUIRE(response);
            CHECK(response->ok());
            CHECK(response->text == each.message.substr(0, 2) + "!" + each.message.substr(3, 2) + "00");
        }
    }
    CHECK(card.received() == expected);
}

TEST_CASE("client apdu: the answer as a line would have it") {
    struct Case {
        std::string apdu;
        std::string text;
        std::optional<Status> status;
        bool link_error;
    };
    const auto expected = GENERATE(values<Case>({
        {"P1~" + kDone, "SM!VC00P1~", Status::successful, false},
        {"\x66\x76", "SM!VC76", Status::invalid_pan_error, false},
        {"\x66\x31", "SM!VC31", Status::insufficient_credit_balance, false},
        {"\x66\x01", "SM!VC01", Status::device_failure, false},
        {"\x66\x99", "SM!VC99", std::nullopt, false},
        {"not approved\x66\xEE", "SM!VCEEPnot approved~", Status::sts_extended_error, false},
        {"\x66\xEE", "SM!VCEEP~", Status::sts_extended_error, false},
        {"\x66\x57", "GL!ER57", Status::tampered_state, true},
        {"\x66\x58", "GL!ER58", Status::app_error_state, true},
        {std::string("\x6D\x00", 2), "GL!ER21", Status::invalid_request_header, true},
    }));
    INFO(expected.text);
    const auto response = answered({expected.apdu});
    REQUIRE(response);
    CHECK(response->text == expected.text);
    CHECK(response->status == expected.status);
    CHECK(response->link_error == expected.link_error);
    CHECK(response->code == expected.text.substr(5, 2));
    CHECK(response->body == expected.text.substr(7));
}

TEST_CASE("client apdu: an answer in parts") {
    const std::string part(250, 'x');
    Card card({{framed(kDone), framed(part + octets("\x61\x00"sv)), framed(part + octets("\x61\x07"sv)),
                framed("P1234~" + kDone)}});
    {
        Client client = connected(card);
        const auto response = client.exchange(kVend);
        REQUIRE(response);
        CHECK(response->text == "SM!VC00" + part + part + "P1234~");
    }
    const std::vector<std::string> received = card.received();
    REQUIRE(received.size() == 4);
    CHECK(received[2] == octets("\x80\xC0\x00\x00\x00"sv));
    CHECK(received[3] == octets("\x80\xC0\x00\x00\x07"sv));
}

TEST_CASE("client apdu: a long extended error comes in parts too") {
    const auto response = answered({"not " + octets("\x61\x08"sv), "approved" + octets("\x66\xEE"sv)});
    REQUIRE(response);
    CHECK(response->text == "SM!VCEEPnot approved~");
}

TEST_CASE("client apdu: what is no answer") {
    const std::string most(4096, 'x');
    for (const std::vector<std::string>& apdus : std::vector<std::vector<std::string>>{
             {""},                                                        // no status word
             {"\x90"},                                                    // half of one
             {octets("\x90\x01"sv)},                                      // none of the binding's
             {octets("\x67\x00"sv)},                                      // a wrong length, of what was right
             {octets("\x69\x85"sv)},                                      // not selected
             {octets("\x6E\x00"sv)},                                      // unknown class
             {octets("\x6A\x82"sv)},                                      // SELECT's
             {octets("\x6D\x01"sv)},                                      // nearly an unknown instruction
             {"P1~" + octets("\x6D\x00"sv)},                              // with data
             {octets("\x66\x00"sv)},                                      // 00 is 9000
             {octets("\x66\x5A"sv)},                                      // no decimal digits
             {octets("\x66\xA5"sv)},                                      //
             {octets("\x66\xE0"sv)},                                      //
             {"P1~" + octets("\x66\x76"sv)},                              // a refusal with data
             {"P\x01~" + kDone},                                          // no printable character
             {"P\xC3\xA9~" + kDone},                                      //
             {"\x1B[2J" + octets("\x66\xEE"sv)},                          // one that a terminal obeys
             {octets("\x61\x08"sv)},                                      // more, but nothing so far
             {"P" + octets("\x61\x08"sv), "\x90"},                        // a chain that breaks
             {"P" + octets("\x61\x08"sv), octets("\x61\x08"sv)},          // or stands still
             {most + octets("\x61\x08"sv), most + octets("\x61\x08"sv)},  // or does not end
         }) {
        INFO(apdus.front().substr(0, 20));
        const auto response = answered(apdus);
        REQUIRE_FALSE(response);
        CHECK(response.error() == Errc::malformed);
    }
}

TEST_CASE("client apdu: messages without an APDU form are refused and not sent") {
    Card card({{framed(kDone), framed(kDone)}});
    {
        Client client = connected(card);
        for (const char* message : {"GL?EC00003abc", "GL?RR", "GL?RS", "SM?ZZ", "SM?ML", "SM?MG", "SM?MK",
                                    "XX?VC", "SM!VC", "SM?V"}) {
            INFO(message);
            const auto response = client.exchange(message);
            REQUIRE_FALSE(response);
            CHECK(response.error() == Errc::invalid_argument);
        }
    }
    CHECK(card.received() == std::vector{kSelect});
}

TEST_CASE("client apdu: who refuses SELECT is no module") {
    for (const std::string& answer : {octets("\x6A\x82"sv), octets("\x69\x85"sv), octets("\x61\x05"sv),
                                      "x" + kDone, octets("\x90"sv), octets("\x66\x58"sv)}) {
        const Card card({{framed(answer)}});
        const auto client = Client::connect(card.url(), patient());
        REQUIRE_FALSE(client);
        CHECK(client.error() == Errc::malformed);
    }
}

TEST_CASE("client apdu: SELECT without an answer") {
    Card silent({std::vector<std::string>(2)});
    const auto late = Client::connect(silent.url(), {.timeout_ms = 300});
    REQUIRE_FALSE(late);
    CHECK(late.error() == Errc::timed_out);
    Card gone({std::vector<std::string>()});
    const auto closed = Client::connect(gone.url(), patient());
    REQUIRE_FALSE(closed);
    CHECK(closed.error() == Errc::io_failed);
}

TEST_CASE("client apdu: a frame that does not end") {
    const std::string frame = GENERATE(std::string("\x00", 1), std::string("\x00\x05P1~\x90", 6));
    const Card card({{framed(kDone), frame}});
    Client client = connected(card, {.timeout_ms = 300});
    const auto response = client.exchange(kVend);
    REQUIRE_FALSE(response);
    CHECK(response.error() == Errc::timed_out);
}

TEST_CASE("client apdu: what nobody asked for is not the next answer") {
    Card card({{framed(kDone), framed("P1~" + kDone) + framed("P99~" + kDone)},
               {framed(kDone), framed("P2~" + kDone)}});
    {
        Client client = connected(card);
        CHECK(client.exchange(kVend)->text == "SM!VC00P1~");
        CHECK(client.exchange(kVend)->text == "SM!VC00P2~");
    }
    CHECK(card.connections() == 2);
}

TEST_CASE("client apdu: only what changes nothing is sent again") {
    struct Case {
        std::string message;
        Retry retry;
        bool again;
    };
    const auto expected =
        GENERATE(Case{"SM?DI", Retry::repeat, true}, Case{"SM?DI", Retry::none, false},
                 Case{"SM?DI", Retry::resend, true}, Case{"SM?VCN1~", Retry::repeat, false},
                 Case{"SM?VCN1~", Retry::none, false}, Case{"SM?VCN1~", Retry::resend, true});
    const bool silence = GENERATE(false, true);
    INFO(expected.message << " " << static_cast<int>(expected.retry) << " " << silence);
    std::vector<std::string> first = {framed(kDone)};
    if (silence) first.resize(3);
    Card card({first, {framed(kDone), framed(kDone)}});
    {
        Client client = connected(
            card, {.timeout_ms = expected.again ? 30000U : 1000U, .answer_ms = 250, .retry = expected.retry});
        const auto response = client.exchange(expected.message);
        CHECK(response.has_value() == expected.again);
        if (!response) CHECK(response.error() == (silence ? Errc::timed_out : Errc::io_failed));
    }
    CHECK(card.connections() == (expected.again ? 2 : 1));
}

TEST_CASE("client apdu: frames are shown without their length") {
    using Frames = std::vector<std::pair<FrameDirection, std::string>>;
    const Card card({{framed(kDone), framed("P1~" + kDone)}});
    Client client = connected(card);
    Frames frames;
    client.on_frame([&](auto direction, auto frame) { frames.emplace_back(direction, frame); });
    REQUIRE(client.exchange("SM?DI"));
    CHECK(frames == Frames{{FrameDirection::sent, octets("\x80\x20\x00\x00\x00"sv)},
                           {FrameDirection::received, "P1~" + kDone}});
}

}  // namespace sts6
