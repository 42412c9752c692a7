// SPDX-License-Identifier: Apache-2.0
// The client against a scripted module: what it accepts as the answer, and what it never takes for one.
#include "sts6/client.hpp"

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <asio.hpp>
#include <catch2/catch.hpp>

#include "sts6/frame.hpp"

namespace sts6 {
namespace {

using asio::ip::tcp;
using namespace std::string_literals;
using namespace std::string_view_literals;

// Worked examples of the protocol page.
constexpr std::string_view kIdentify = "SM?DI9A51\r";
constexpr std::string_view kIdentity = "SM!DI00PSOFTSM01~PSTS6-001~8AB4\r";
constexpr std::string_view kEnvelopedIdentify = "\x00\x10\xED\xF1\x2B\x00\xFE\xEDSM?DI9A51\r"sv;

std::string framed(std::string_view message, bool enveloped = false) {
    std::string out(message.size() + frame::overhead(enveloped), '\0');
    frame::encode(message, enveloped, out);
    return out;
}

/// One accepted connection, in the server's thread. Every wait ends after a while, so that a failing test
/// ends.
class Peer {
  public:
    Peer(asio::io_context& loop, tcp::socket socket) : loop_(loop), socket_(std::move(socket)) {
        socket_.set_option(tcp::no_delay(true));
    }
    /// What came up to the next CR, or to the end of the connection.
    std::string read() {
        std::string octets;
        run([&](auto done) { asio::async_read_until(socket_, asio::dynamic_buffer(octets), '\r', done); });
        return octets;
    }
    void send(std::string_view octets) {
        run([&](auto done) { asio::async_write(socket_, asio::buffer(octets), done); });
    }
    void send_bytewise(std::string_view octets) {
        for (const char& octet : octets) send({&octet, 1});
    }
    /// True when the client has closed the connection and sent nothing before.
    bool closed_by_client() {
        char octet = 0;
        asio::error_code error;
        run([&](const asio::error_code& result, std::size_t) { error = result; },
            [&](auto done) { asio::async_read(socket_, asio::buffer(&octet, 1), done); });
        return error == asio::error::eof || error == asio::error::connection_reset;
    }

  private:
    template <class Start>
    void run(Start start) {
        run([](const asio::error_code&, std::size_t) {}, start);
    }
    template <class Done, class Start>
    void run(Done done, Start start) {
        start(done);
        loop_.restart();
        loop_.run_for(std::chrono::seconds(20));
        if (loop_.stopped()) return;
        asio::error_code ignored;
        socket_.close(ignored);
        loop_.run();
    }

    asio::io_context& loop_;
    tcp::socket socket_;
};

/// Plays one script per connection, one after the other, and is then gone.
class ScriptedModule {
  public:
    using Script = std::function<void(Peer&)>;

    explicit ScriptedModule(std::vector<Script> scripts, const char* address = "127.0.0.1")
        : acceptor_(loop_, {asio::ip::make_address(address), 0}),
          port_(acceptor_.local_endpoint().port()),
          thread_([this, scripts = std::move(scripts)] { play(scripts); }) {}
    ScriptedModule(const ScriptedModule&) = delete;
    ScriptedModule& operator=(const ScriptedModule&) = delete;
    ~ScriptedModule() { finish(); }

    [[nodiscard]] std::string url(const std::string& scheme = "tcp",
                                  const std::string& host = "127.0.0.1") const {
        return scheme + ":" + host + ":" + std::to_string(port_);
    }
    /// Waits for the end of the scripts; the number that were played.
    std::size_t finish() {
        if (thread_.joinable()) thread_.join();
        return played_;
    }

  private:
    void play(const std::vector<Script>& scripts) {
        for (const Script& script : scripts) {
            tcp::socket socket(loop_);
            bool accepted = false;
            acceptor_.async_accept(socket, [&](const asio::error_code& error) { accepted = !error; });
            loop_.restart();
            loop_.run_for(std::chrono::seconds(20));
            if (!accepted) break;
            Peer peer(loop_, std::move(socket));
            script(peer);
            ++played_;
        }
        asio::error_code ignored;
        acceptor_.close(ignored);
        loop_.restart();
        loop_.run();
    }

    asio::io_context loop_;
    tcp::acceptor acceptor_;
    std::uint16_t port_;
    std::size_t played_ = 0;
    std::thread thread_;
};

ScriptedModule::Script answers(std::string octets) {
    return [octets = std::move(octets)](Peer& peer) {
        peer.read();
        peer.send(octets);
        peer.closed_by_client();
    };
}

Client connected(const std::string& url, std::uint32_t timeout_ms = 20000) {
    auto client = Client::connect(url, {.timeout_ms = timeout_ms, .retry = Retry::none});
    REQUIRE(client);
    return *std::move(client);
}

Errc exchange_error(Client& client, std::string_view message = "SM?DI") {
    const auto response = client.exchange(message);
    REQUIRE_FALSE(response);
    return response.error();
}

void check_identity(const Result<Response>& response, std::string_view module_id = "SOFTSM01") {
    REQUIRE(response);
    CHECK(response->ok());
    const auto fields = response->fields();
    REQUIRE(fields);
    REQUIRE(fields->size() == 2);
    CHECK((*fields)[0].type == 'P');
    CHECK((*fields)[0].value == module_id);
}

/// The error of an exchange of SM?DI that gets these octets. The module then waits for the client's close.
Errc error_of_answer(const std::string& octets, const std::string& scheme = "tcp") {
    bool closed = false;
    ScriptedModule module({[&](Peer& peer) {
        peer.read();
        peer.send(octets);
        closed = peer.closed_by_client();
    }});
    Errc error{};
    {
        Client client = connected(module.url(scheme));
        error = exchange_error(client);
        CHECK(module.finish() == 1);
        CHECK(closed);  // although the client lives
    }
    return error;
}

}  // namespace

TEST_CASE("the client reads an answer on raw lines") {
    std::string request;
    ScriptedModule module({[&](Peer& peer) {
        request = peer.read();
        peer.send(kIdentity);
        peer.closed_by_client();
    }});
    {
        Client client = connected(module.url());
        const auto response = client.exchange("SM?DI");
        REQUIRE(response);
        CHECK(response->ok());
        CHECK_FALSE(response->link_error);
        CHECK(response->status == Status::successful);
        CHECK(response->code == "00");
        CHECK(response->body == "PSOFTSM01~PSTS6-001~");
        CHECK(response->text == "SM!DI00PSOFTSM01~PSTS6-001~");
        check_identity(response);
    }
    module.finish();
    CHECK(request == kIdentify);
}

TEST_CASE("the client reads an answer in an envelope") {
    std::string request;
    ScriptedModule module({[&](Peer& peer) {
        request = peer.read();
        peer.send(framed("SM!DI00PSOFTSM01~PSTS6-001~", true));
        peer.closed_by_client();
    }});
    { check_identity(connected(module.url("tcp-env")).exchange("SM?DI")); }
    module.finish();
    CHECK(request == kEnvelopedIdentify);
}

TEST_CASE("an answer may come octet by octet") {
    const std::string scheme = GENERATE("tcp"s, "tcp-env"s);
    const bool enveloped = scheme == "tcp-env";
    ScriptedModule module({[enveloped](Peer& peer) {
        peer.read();
        peer.send_bytewise(framed("SM!DI00PSOFTSM01~PSTS6-001~", enveloped));
        peer.closed_by_client();
    }});
    check_identity(connected(module.url(scheme)).exchange("SM?DI"));
}

TEST_CASE("one connection carries many exchanges") {
    ScriptedModule module({[](Peer& peer) {
        for (int i = 0; i < 3; ++i) {
            peer.read();
            peer.send(framed("SM!DI00PMODULE" + std::to_string(i) + "~P~"));
        }
        peer.closed_by_client();
    }});
    {
        Client first = connected(module.url());
        check_identity(first.exchange("SM?DI"), "MODULE0");
        Client client = std::move(first);
        check_identity(client.exchange("SM?DI"), "MODULE1");
        check_identity(client.exchange("SM?DI"), "MODULE2");
    }
    CHECK(module.finish() == 1);
}

TEST_CASE("the longest answer is read") {
    const std::string message = "SM!DI00P" + std::string(4096 - 4 - 9, 'x') + "~";
    REQUIRE(message.size() + 4 == 4096);
    for (const bool enveloped : {false, true}) {
        ScriptedModule module({answers(framed(message, enveloped))});
        const auto response = connected(module.url(enveloped ? "tcp-env" : "tcp")).exchange("SM?DI");
        REQUIRE(response);
        CHECK(response->text == message);
    }
}

TEST_CASE("the statuses of an answer") {
    struct Case {
        std::string octets;
        bool link_error;
        std::optional<Status> status;
        std::string code;
        std::string body;
    };
    const auto expected = GENERATE(values<Case>({
        {"SM!VC4197E7\r", false, Status::key_expired_error, "41", ""},
        {"SM!VC31A7E5\r", false, Status::insufficient_credit_balance, "31", ""},
        {"SM!VC76A5A6\r", false, Status::invalid_pan_error, "76", ""},
        {"GL!ER20A624\r", true, Status::checksum_error, "20", ""},
        {"GL!ER2166E5\r", true, Status::invalid_request_header, "21", ""},
        {"GL!ER575467\r", true, Status::tampered_state, "57", ""},
        {"GL!ER585027\r", true, Status::app_error_state, "58", ""},
        {"GL!ER20a624\r", true, Status::checksum_error, "20", ""},
        {framed("SM!VCEEPnot approved~"), false, Status::sts_extended_error, "EE", "Pnot approved~"},
        {framed("SM!VC99"), false, std::nullopt, "99", ""},
        {framed("SM!VCZ!"), false, std::nullopt, "Z!", ""},
        {framed("GL!ER99"), true, std::nullopt, "99", ""},
    }));
    INFO(expected.octets);
    ScriptedModule module({answers(expected.octets)});
    const auto response = connected(module.url()).exchange("SM?VCN1~");
    REQUIRE(response);
    CHECK_FALSE(response->ok());
    CHECK(response->link_error == expected.link_error);
    CHECK(response->status == expected.status);
    CHECK(response->code == expected.code);
    CHECK(response->body == expected.body);
}

TEST_CASE("a link error in the place of an enveloped answer, in an envelope or bare") {
    const std::string octets = GENERATE("GL!ER20A624\r"s, framed("GL!ER20", true));
    const bool bytewise = GENERATE(false, true);
    ScriptedModule module({[&](Peer& peer) {
        peer.read();
        bytewise ? peer.send_bytewise(octets) : peer.send(octets);
        peer.closed_by_client();
    }});
    const auto response = connected(module.url("tcp-env")).exchange("SM?DI");
    REQUIRE(response);
    CHECK(response->link_error);
    CHECK(response->status == Status::checksum_error);
}

TEST_CASE("the fields of a response") {
    Response response;
    response.body = "N0~H0001~P~";
    const auto fields = response.fields();
    REQUIRE(fields);
    REQUIRE(fields->size() == 3);
    CHECK((*fields)[0].type == 'N');
    CHECK((*fields)[1].value == "0001");
    CHECK((*fields)[2].type == 'P');
    CHECK((*fields)[2].value.empty());
    response.body = "";
    CHECK(response.fields()->empty());
    for (const char* body : {"N0", "N0~x", "~", "N0~~", "00005123450"}) {
        INFO(body);
        response.body = body;
        CHECK(response.fields().error() == Errc::malformed);
    }
}

TEST_CASE("octets that are no answer to the request are malformed and close the connection") {
    const std::string longest(4096, 'x');
    const std::vector<std::string> answers = {
        "SM!DI00PSOFTSM01~PSTS6-001~8AB5\r",                // CRC
        "SM!DI00PSOFTSM02~PSTS6-001~8AB4\r",                // body
        "SM!DI00PSOFTSM01~PSTS6-001~\r",                    // no CRC
        "SM!DI00PSOFTSM01~PSTS6-001~8AG4\r",                // no hexadecimal digits
        "\nSM!DI00PSOFTSM01~PSTS6-001~8AB4\r",              // an octet before it
        "noise\r" + std::string(kIdentity),                 // a line before it
        "noise" + std::string(kIdentity),                   // part of a line before it
        framed("SM!VC00PSOFTSM01~PSTS6-001~"),              // another command's
        framed("GL!DI00"),                                  // another group's
        std::string(kIdentify),                             // the request itself
        framed("sm!di00"),                                  // another case
        framed("SM!DI"),                                    // no status
        framed("SM!DI0"),                                   // half a status
        framed("GL!ER"),                                    // a link error without its code
        framed("GL!ER20PSOFTSM01~"),                        // a link error with a body
        framed("SM!DI00Pa\tb~"),                            // control character
        framed("SM!DI00Pa\x1B[2J~"),                        // one that a terminal obeys
        framed("SM!DI00Pa\xC3\xA9~"),                       // no 7-bit character
        framed("SM!DI00P" + std::string(4096, 'x') + "~"),  // longer than a message may be
        longest + longest,                                  // without end
        framed("SM!DI00PSOFTSM01~PSTS6-001~", true),        // an envelope on raw lines
    };
    for (const std::string& octets : answers) {
        INFO(octets.substr(0, 60));
        CHECK(error_of_answer(octets) == Errc::malformed);
    }
}

TEST_CASE("octets that are no enveloped answer are malformed and close the connection") {
    const std::string good = framed("SM!DI00PSOFTSM01~PSTS6-001~", true);
    const auto with = [&good](std::size_t at, char octet) {
        std::string out = good;
        out[at] = octet;
        return out;
    };
    const std::vector<std::string> answers = {
        std::string(kIdentity),       // bare, and no link error
        "GL!ES20A624\r",              // nearly a link error
        "GL!ER20A625\r",              // a bare link error with a wrong CRC
        with(2, '\xEC'),              // magic
        with(7, '\xEE'),              // magic
        with(1, '\x05'),              // a length below its least
        with(0, '\x20'),              // a length above its most
        with(1, '\x10'),              // too short a length
        with(9, 'X'),                 // CRC
        with(good.size() - 1, '\n'),  // no CR at its end
        "x" + good,                   // an octet before it
        framed("SM!VC00PSOFTSM01~PSTS6-001~", true),
    };
    for (const std::string& octets : answers) {
        INFO(octets.substr(0, 60));
        CHECK(error_of_answer(octets, "tcp-env") == Errc::malformed);
    }
}

TEST_CASE("a module that closes the connection before its answer is whole") {
    const std::string part = GENERATE(""s, "S"s, "SM!DI00PSOFTSM01~PSTS6-001~8AB4"s);
    ScriptedModule module({[&part](Peer& peer) {
        peer.read();
        peer.send(part);
    }});
    Client client = connected(module.url());
    CHECK(exchange_error(client) == Errc::io_failed);
}

TEST_CASE("silence, or an answer that does not end, is timed out and closes the connection") {
    const std::string scheme = GENERATE("tcp"s, "tcp-env"s);
    const std::string part = GENERATE(""s, "\0"s);
    bool closed = false;
    ScriptedModule module({[&](Peer& peer) {
        peer.read();
        peer.send(part);
        closed = peer.closed_by_client();
    }});
    Client client = connected(module.url(scheme), 300);
    CHECK(exchange_error(client) == Errc::timed_out);
    CHECK(module.finish() == 1);
    CHECK(closed);
}

TEST_CASE("the late answer to a request that timed out is never the answer to the next") {
    ScriptedModule module({
        [](Peer& peer) {
            peer.read();
            peer.closed_by_client();
            peer.send(framed("SM!DI00PLATE~P~"));
        },
        answers(framed("SM!DI00PINTIME~P~")),
    });
    {
        Client client = connected(module.url(), 1000);
        CHECK(exchange_error(client) == Errc::timed_out);
        check_identity(client.exchange("SM?DI"), "INTIME");
    }
    CHECK(module.finish() == 2);
}

TEST_CASE("a request is sent once, whatever becomes of its answer") {
    std::vector<std::string> requests;
    const auto record_then = [&requests](std::string octets) {
        return [&requests, octets = std::move(octets)](Peer& peer) {
            requests.push_back(peer.read());
            peer.send(octets);
            if (!octets.empty()) peer.closed_by_client();
        };
    };
    ScriptedModule module(
        {record_then("SM!VC00P1~P2~0000\r"), record_then(""), record_then(framed("SM!DI00P~P~"))});
    {
        Client client = connected(module.url());
        CHECK(exchange_error(client, "SM?VCN1~") == Errc::malformed);
        CHECK(exchange_error(client, "SM?VCN2~") == Errc::io_failed);
        CHECK(client.exchange("SM?DI"));
    }
    CHECK(module.finish() == 3);
    CHECK(requests == std::vector{framed("SM?VCN1~"), framed("SM?VCN2~"), framed("SM?DI")});
}

TEST_CASE("what follows an answer is not the next one's") {
    // The same answer twice, in one piece: the second would pass every check of the next exchange.
    const std::string twice = framed("SM!DI00PFIRST~P~") + framed("SM!DI00PFIRST~P~");
    ScriptedModule module({answers(twice), answers(framed("SM!DI00PSECOND~P~"))});
    {
        Client client = connected(module.url());
        check_identity(client.exchange("SM?DI"), "FIRST");
        check_identity(client.exchange("SM?DI"), "SECOND");
    }
    CHECK(module.finish() == 2);
}

TEST_CASE("what a module sends before a request is not its answer") {
    std::atomic<bool> sent = false;
    ScriptedModule module({
        [&sent](Peer& peer) {
            peer.send(framed("SM!DI00PUNASKED~P~"));
            sent = true;
            sent.notify_one();
            peer.closed_by_client();
        },
        answers(framed("SM!DI00PASKED~P~")),
    });
    {
        Client client = connected(module.url());
        sent.wait(false);
        check_identity(client.exchange("SM?DI"), "ASKED");
    }
    CHECK(module.finish() == 2);
}

TEST_CASE("a connection that the module has closed between two exchanges is made again") {
    ScriptedModule module({
        [](Peer& peer) {
            peer.read();
            peer.send(framed("SM!DI00PFIRST~P~"));
        },
        answers(framed("SM!DI00PSECOND~P~")),
    });
    Client client = connected(module.url());
    std::size_t exchanges = 0;
    check_identity(client.exchange("SM?DI"), "FIRST");
    // The close may still be on its way; a request that meets it fails, and is not sent again.
    Result<Response> second = Unexpected{Errc::io_failed};
    for (; !second && exchanges < 2; ++exchanges) second = client.exchange("SM?DI");
    check_identity(second, "SECOND");
}

TEST_CASE("messages that are no request are refused and not sent") {
    std::string received;
    ScriptedModule module({[&received](Peer& peer) { received = peer.read(); }});
    {
        Client client = connected(module.url());
        for (const std::string& message :
             {""s, "SM?D"s, "SM!DI"s, "SMDI?"s, "SM?DI\r"s, "SM?DI\n"s, "SM?\tI"s, "SM?DI\0"s, "SM?DI\x7F"s,
              "SM?DI\xE9"s, "SM?DI" + std::string(4088, 'x')}) {
            INFO(message.substr(0, 20));
            CHECK(exchange_error(client, message) == Errc::invalid_argument);
        }
    }
    module.finish();
    CHECK(received.empty());
}

TEST_CASE("the longest request is sent") {
    const std::string message = "SM?DI" + std::string(4087, 'x');
    std::string received;
    ScriptedModule module({[&received](Peer& peer) {
        received = peer.read();
        peer.send(framed("SM!DI60"));
        peer.closed_by_client();
    }});
    CHECK(connected(module.url()).exchange(message));
    module.finish();
    CHECK(received == framed(message));
    CHECK(received.size() == 4096 + 1);
}

TEST_CASE("frames are shown as they are on the wire, refused ones too") {
    using Frames = std::vector<std::pair<FrameDirection, std::string>>;
    const auto shown = [](const std::string& octets, const std::string& scheme) {
        ScriptedModule module({[&octets](Peer& peer) {
            peer.read();
            peer.send(octets);
        }});
        Frames frames;
        Client client = connected(module.url(scheme));
        client.on_frame([&](auto direction, auto frame) { frames.emplace_back(direction, frame); });
        static_cast<void>(client.exchange("SM?DI").has_value());
        return frames;
    };
    const std::pair request{FrameDirection::sent, std::string(kIdentify)};
    const auto received = [](std::string_view octets) {
        return std::pair{FrameDirection::received, std::string(octets)};
    };
    CHECK(shown(std::string(kIdentity), "tcp") == Frames{request, received(kIdentity)});
    CHECK(shown("SM!DI00FFFF\r", "tcp") == Frames{request, received("SM!DI00FFFF\r")});
    CHECK(shown("SM!D", "tcp") == Frames{request, received("SM!D")});
    CHECK(shown("", "tcp") == Frames{request});
    const std::string answer = framed("SM!DI60", true);
    CHECK(shown(answer, "tcp-env") ==
          Frames{{FrameDirection::sent, std::string(kEnvelopedIdentify)}, received(answer)});
}

TEST_CASE("URLs that name no module are refused") {
    for (const std::string& url : {
             ""s,
             "tcp"s,
             "tcp:"s,
             "tcp::"s,
             "tcp::5100"s,
             "tcp:localhost"s,
             "tcp:localhost:"s,
             "tcp:localhost:0"s,
             "tcp:localhost:65536"s,
             "tcp:localhost:4294972396"s,
             "tcp:localhost:-1"s,
             "tcp:localhost:+5100"s,
             "tcp:localhost:05100"s,
             "tcp:localhost:5100 "s,
             "tcp:localhost: 5100"s,
             "tcp:localhost:5100/"s,
             "tcp:localhost:0x13EC"s,
             "tcp:localhost:http"s,
             "tcp:localhost:5100:1"s,
             "tcp:/localhost:5100"s,
             "tcp://localhost:5100"s,
             "tcp:user@localhost:5100"s,
             "tcp: localhost:5100"s,
             "tcp:local host:5100"s,
             "tcp:local\0host:5100"s,
             "tcp:local\nhost:5100"s,
             "tcp:h\xC3\xB6st:5100"s,
             "tcp:::1:5100"s,
             "tcp:[::1]"s,
             "tcp:[::1]:"s,
             "tcp:[::1:5100"s,
             "tcp:::1]:5100"s,
             "tcp:[]:5100"s,
             "tcp:[::1]5100"s,
             "tcp:[::1]x:5100"s,
             "tcp:[127.0.0.1]:5100"s,
             "tcp:[localhost]:5100"s,
             "tcp:[::g]:5100"s,
             "TCP:localhost:5100"s,
             " tcp:localhost:5100"s,
             "tcpx:localhost:5100"s,
             "tcp-env"s,
             "tcp-env:localhost"s,
             "tcp-env::5100"s,
             "tcp-envlocalhost:5100"s,
             "tcp_env:localhost:5100"s,
             "http:localhost:5100"s,
             "localhost:5100"s,
             "127.0.0.1:5100"s,
             ":localhost:5100"s,
             "tcp:" + std::string(254, 'a') + ":5100",
         }) {
        INFO(url);
        const auto client = Client::connect(url);
        REQUIRE_FALSE(client);
        CHECK(client.error() == Errc::invalid_argument);
    }
    CHECK(Client::connect("tcp:127.0.0.1:5100", {.timeout_ms = 0}).error() == Errc::invalid_argument);
}

TEST_CASE("a host may be an address of either kind, or a name") {
    {
        ScriptedModule module({answers(std::string(kIdentity))});
        check_identity(connected(module.url("tcp", "localhost")).exchange("SM?DI"));
    }
    asio::io_context loop;
    tcp::acceptor probe(loop);
    asio::error_code error;
    probe.open(tcp::v6(), error);
    if (!error) probe.bind({asio::ip::address_v6::loopback(), 0}, error);
    if (error) return;  // a host without IPv6
    ScriptedModule module({answers(std::string(kIdentity))}, "::1");
    check_identity(connected(module.url("tcp", "[::1]")).exchange("SM?DI"));
}

TEST_CASE("a module that is not there") {
    asio::io_context loop;
    std::uint16_t port = 0;
    {
        // Bound and never listening, then free: nobody answers here.
        tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
        port = acceptor.local_endpoint().port();
    }
    const auto refused = Client::connect("tcp:127.0.0.1:" + std::to_string(port));
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == Errc::io_failed);
    const auto unknown = Client::connect("tcp:no..host:5100");
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error() == Errc::io_failed);
}

TEST_CASE("a module that does not take the connection in time") {
    asio::io_context loop;
    tcp::acceptor acceptor(loop, tcp::v4());
    acceptor.bind({asio::ip::address_v4::loopback(), 0});
    acceptor.listen(0);
    // Nobody accepts: once the queue is full the system leaves a connection attempt without an answer.
    std::vector<tcp::socket> queue;
    for (int i = 0; i < 8; ++i) {
        queue.emplace_back(loop, tcp::v4());
        queue.back().async_connect(acceptor.local_endpoint(), [](const asio::error_code&) {});
    }
    const auto client = Client::connect("tcp:127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()),
                                        {.timeout_ms = 300});
    REQUIRE_FALSE(client);
    CHECK(client.error() == Errc::timed_out);
}

TEST_CASE("a module that went away is io_failed until it is back") {
    std::string url;
    std::optional<Client> client;
    {
        ScriptedModule module({[](Peer& peer) {
            peer.read();
            peer.send(kIdentity);
        }});
        url = module.url();
        client.emplace(connected(url));
        check_identity(client->exchange("SM?DI"));
    }
    for (int i = 0; i < 3; ++i) CHECK(exchange_error(*client) == Errc::io_failed);
}

}  // namespace sts6
