// SPDX-License-Identifier: Apache-2.0
// What the client does about lost, damaged and late answers on a connection.
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "sts6/client.hpp"
#include "tests/support/fake_module.hpp"
#include "tests/support/socket_server.hpp"

namespace sts6 {
namespace {

using namespace test;

using Requests = std::vector<std::string>;

const std::string kVend = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";
const std::string kNextVend = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EED~";
const std::string kIdentity = "SM!DI00PSOFTSM01~PSTS6-001~";

/// For faults that show at once: nothing is ever given up for want of time.
constexpr ClientOptions patient(Retry retry) {
    return {.timeout_ms = 30000, .answer_ms = 30000, .retry = retry};
}
/// For answers that never come.
constexpr ClientOptions brisk(Retry retry) {
    return {.timeout_ms = 30000, .answer_ms = 400, .retry = retry};
}

/// A module behind TCP, and one client of it.
class Bench {
  public:
    FakeModule module;

    ~Bench() { stop(); }
    void connect(const ClientOptions& options) {
        server_.emplace([this](auto& socket) {
            module.forget();
            serve_lines(module, socket);
        });
        auto client = Client::connect(server_->url("tcp"), options);
        REQUIRE(client);
        client_.emplace(*std::move(client));
    }
    Result<Response> ask(const std::string& message) { return client_->exchange(message); }
    std::string answer(const std::string& message) {
        const auto response = ask(message);
        INFO(message << ": " << (response ? "" : errc_name(response.error())));
        REQUIRE(response);
        return response->text;
    }
    Errc error(const std::string& message) {
        const auto response = ask(message);
        REQUIRE_FALSE(response);
        return response.error();
    }
    void stop() {
        if (server_) server_->stop();
    }

  private:
    std::optional<SocketServer> server_;
    std::optional<Client> client_;
};

}  // namespace

TEST_CASE("client retry: an exchange without a fault sends nothing of its own") {
    Bench bench;
    bench.connect(patient(GENERATE(Retry::none, Retry::repeat, Retry::resend)));
    CHECK(bench.answer(kVend) == token_answer(1));
    CHECK(bench.answer(kNextVend) == token_answer(2));
    bench.stop();
    CHECK(bench.module.requests() == Requests{kVend, kNextVend});
    CHECK(bench.module.connections() == 1);
}

TEST_CASE("client retry: a damaged answer is asked for by GL?RR") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::damaged_answer};
    bench.connect(patient(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    bench.stop();
    CHECK(bench.module.requests() == Requests{kVend, "GL?RR"});
    CHECK(bench.module.executed() == 1);
}

TEST_CASE("client retry: GL?RR is sent again while its answer is damaged") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::damaged_answer};
    bench.module.faults["GL?RR"] = {Fault::damaged_answer, Fault::damaged_request};
    bench.connect(patient(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    bench.stop();
    CHECK(bench.module.requests() == Requests{kVend, "GL?RR", "GL?RR", "GL?RR"});
    CHECK(bench.module.executed() == 1);
}

TEST_CASE("client retry: damage without end is malformed, and executed once") {
    const std::uint32_t retries = GENERATE(0U, 1U, 3U);
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::damaged_answer};
    bench.module.faults["GL?RR"] = std::deque<Fault>(10, Fault::damaged_answer);
    ClientOptions options = patient(Retry::repeat);
    options.retries = retries;
    bench.connect(options);
    CHECK(bench.error(kVend) == Errc::malformed);
    bench.stop();
    CHECK(bench.module.count("GL?RR") == retries);
    CHECK(bench.module.executed() == 1);
}

TEST_CASE("client retry: a lost answer is asked for by GL?RR") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::lost_answer, Fault::none, Fault::lost_answer};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    CHECK(bench.answer(kNextVend) == token_answer(2));
    CHECK(bench.answer(kVend) == token_answer(3));
    bench.stop();
    CHECK(bench.module.executed() == 3);
}

TEST_CASE("client retry: what did not arrive is sent again, when nothing is remembered") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::lost_request};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    bench.stop();
    CHECK(bench.module.executed() == 1);
    CHECK(bench.module.count("SM?VC") == 2);
}

TEST_CASE("client retry: an earlier token is never taken for a new one") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::none, Fault::lost_request};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    CHECK(bench.answer(kNextVend) == token_answer(2));
    bench.stop();
    CHECK(bench.module.executed() == 2);
    CHECK(bench.module.count("SM?VC") == 3);
}

TEST_CASE("client retry: nor when two GL?RR bring it, the second after the command was sent again") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::none, Fault::lost_request};
    bench.module.faults["GL?RR"] = {Fault::late_answer};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    CHECK(bench.answer(kNextVend) == token_answer(2));
    CHECK(bench.answer(kVend) == token_answer(3));
    bench.stop();
    CHECK(bench.module.executed() == 3);
}

TEST_CASE("client retry: a late answer and its copy by GL?RR are one answer") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::late_answer};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    // The copy must not be the answer to this one.
    CHECK(bench.answer(kNextVend) == token_answer(2));
    bench.stop();
    CHECK(bench.module.executed() == 2);
    CHECK(bench.module.connections() == 2);
}

TEST_CASE("client retry: GL!ER20 to a damaged command") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::damaged_request, Fault::none, Fault::damaged_request};
    bench.connect(patient(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    CHECK(bench.answer(kNextVend) == token_answer(2));
    bench.stop();
    CHECK(bench.module.executed() == 2);
    CHECK(bench.module.count("SM?VC") == 4);
}

TEST_CASE("client retry: GL!ER20 for noise in front of a command that was executed") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::noise, Fault::noise};
    bench.connect(patient(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    CHECK(bench.answer(kNextVend) == token_answer(2));
    bench.stop();
    CHECK(bench.module.executed() == 2);
}

TEST_CASE("client retry: GL!ER20 without end is no refusal of a command that changes something") {
    const std::string message =
        GENERATE(std::string(kVend), std::string("SM?KFPKMC.1~"), std::string("SM?ZZ"));
    Bench bench;
    bench.module.faults[message.substr(0, 5)] = std::deque<Fault>(10, Fault::damaged_request);
    bench.module.faults["GL?RR"] = std::deque<Fault>(10, Fault::damaged_request);
    ClientOptions options = patient(GENERATE(Retry::repeat, Retry::resend));
    options.retries = GENERATE(0U, 3U);
    bench.connect(options);
    CHECK(bench.error(message) == Errc::malformed);
    bench.stop();
    CHECK(bench.module.requests().size() == 1 + options.retries);
    CHECK(bench.module.executed() == 0);
}

TEST_CASE("client retry: a token whose answer is lost and GL?RR is always damaged is not refused") {
    const Fault fault = GENERATE(Fault::damaged_answer, Fault::lost_answer);
    Bench bench;
    bench.module.faults["SM?VC"] = {fault};
    bench.module.faults["GL?RR"] = std::deque<Fault>(10, Fault::damaged_request);
    bench.connect(fault == Fault::lost_answer ? brisk(Retry::repeat) : patient(Retry::repeat));
    CHECK(bench.error(kVend) == Errc::malformed);
    CHECK(bench.answer(kNextVend) == token_answer(2));
    bench.stop();
    CHECK(bench.module.count("SM?VC") == 2);
    CHECK(bench.module.executed() == 2);
}

TEST_CASE(
    "client retry: GL!ER20 without end is the answer to what changes nothing, and to what is sent once") {
    Bench bench;
    bench.module.faults["SM?DI"] = std::deque<Fault>(10, Fault::damaged_request);
    bench.module.faults["SM?VC"] = std::deque<Fault>(10, Fault::damaged_request);
    bench.module.faults["GL?RR"] = std::deque<Fault>(10, Fault::damaged_request);
    const Retry retry = GENERATE(Retry::none, Retry::repeat, Retry::resend);
    bench.connect(patient(retry));
    CHECK(bench.answer("SM?DI") == "GL!ER20");
    if (retry == Retry::none) CHECK(bench.answer(kVend) == "GL!ER20");
}

TEST_CASE("client retry: the same command again, whose answer would be the same, is not sent a third time") {
    const Fault fault = GENERATE(Fault::lost_answer, Fault::lost_request);
    Bench bench;
    bench.module.answers["SM?VC"] = token_answer(7);
    bench.module.faults["SM?VC"] = {Fault::none, fault};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(7));
    CHECK(bench.error(kVend) == Errc::timed_out);
    bench.stop();
    CHECK(bench.module.count("SM?VC") == 2);
}

TEST_CASE("client retry: an answer of 00 alone does not show whether the next such command was executed") {
    const Fault fault = GENERATE(Fault::lost_answer, Fault::lost_request);
    Bench bench;
    bench.module.answers["SM?KX"] = "SM!KX00";
    bench.module.faults["SM?KX"] = {Fault::none, fault};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer("SM?KXPKMC.1~") == "SM!KX00");
    CHECK(bench.error("SM?KXPKMC.2~") == Errc::timed_out);
    bench.stop();
    CHECK(bench.module.count("SM?KX") == 2);
}

TEST_CASE("client retry: the same answer, late and by GL?RR, is the command's own when it comes twice") {
    const Fault fault = GENERATE(Fault::none, Fault::lost_request, Fault::damaged_answer);
    Bench bench;
    bench.module.answers["SM?KX"] = "SM!KX00";
    bench.module.faults["SM?KX"] = {Fault::none, Fault::late_answer};
    bench.module.faults["GL?RR"] = {fault};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer("SM?KXPKMC.1~") == "SM!KX00");
    if (fault == Fault::none) {
        CHECK(bench.answer("SM?KXPKMC.2~") == "SM!KX00");
    } else {
        // Two of them may then be the answers to two GL?RR.
        CHECK(bench.error("SM?KXPKMC.2~") == Errc::timed_out);
    }
    bench.stop();
    CHECK(bench.module.count("SM?KX") == 2);
}

TEST_CASE("client retry: the answer to another command shows that the command was not executed") {
    Bench bench;
    bench.module.answers["SM?KX"] = "SM!KX00";
    bench.module.faults["SM?KX"] = {Fault::lost_request};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer("SM?DI") == kIdentity);
    CHECK(bench.answer("SM?KXPKMC.1~") == "SM!KX00");
    bench.stop();
    CHECK(bench.module.executed() == 1);
}

TEST_CASE("client retry: a refusal has no effect, and its command is sent again") {
    Bench bench;
    bench.module.answers["SM?VC"] = "SM!VC76";
    bench.module.faults["SM?VC"] = {Fault::none, Fault::lost_answer};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer(kVend) == "SM!VC76");
    CHECK(bench.answer(kVend) == "SM!VC76");
    bench.stop();
    CHECK(bench.module.count("SM?VC") == 3);
}

TEST_CASE("client retry: what changes nothing is sent again") {
    const Fault fault = GENERATE(Fault::lost_request, Fault::lost_answer, Fault::restart,
                                 Fault::hang_up_before, Fault::hang_up_after);
    const std::string message = GENERATE(std::string("SM?DI"), std::string("GL?EC00003abc"));
    Bench bench;
    bench.module.faults[message.substr(0, 5)] = {Fault::none, fault};
    bench.connect(brisk(Retry::repeat));
    const std::string expected = message == "SM?DI" ? kIdentity : "GL!EC00003abc";
    CHECK(bench.answer(message) == expected);
    CHECK(bench.answer(message) == expected);
}

TEST_CASE("client retry: GL!ER21 where there was an answer to remember shows nothing") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::none, Fault::restart};
    bench.connect(brisk(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    CHECK(bench.error(kNextVend) == Errc::timed_out);
    bench.stop();
    CHECK(bench.module.executed() == 2);
    CHECK(bench.module.count("SM?VC") == 2);
}

TEST_CASE("client retry: a command is not sent on another connection") {
    const Fault fault = GENERATE(Fault::hang_up_before, Fault::hang_up_after);
    const std::string message =
        GENERATE(std::string(kVend), std::string("SM?KFPKMC.1~"), std::string("SM?ZZ"));
    Bench bench;
    bench.module.faults[message.substr(0, 5)] = {fault};
    bench.connect(patient(GENERATE(Retry::none, Retry::repeat)));
    CHECK(bench.error(message) == Errc::io_failed);
    bench.stop();
    CHECK(bench.module.requests() == Requests{message});
    CHECK(bench.module.connections() == 1);
}

TEST_CASE("client retry: the connection ends while GL?RR is asked") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::damaged_answer};
    bench.module.faults["GL?RR"] = {Fault::hang_up_before};
    bench.connect(patient(Retry::repeat));
    CHECK(bench.error(kVend) == Errc::io_failed);
    CHECK(bench.answer(kNextVend) == token_answer(2));
    bench.stop();
    CHECK(bench.module.requests() == Requests{kVend, "GL?RR", kNextVend});
}

TEST_CASE("client retry: resend sends the whole command again, on another connection too") {
    const Fault fault =
        GENERATE(Fault::damaged_request, Fault::damaged_answer, Fault::hang_up_before, Fault::hang_up_after);
    Bench bench;
    bench.module.faults["SM?VC"] = {fault, fault, fault};
    bench.connect(patient(Retry::resend));
    const bool was_executed = fault == Fault::damaged_answer || fault == Fault::hang_up_after;
    CHECK(bench.answer(kVend) == token_answer(was_executed ? 4 : 1));
    bench.stop();
    CHECK(bench.module.requests() == Requests{kVend, kVend, kVend, kVend});
}

TEST_CASE("client retry: resend ends after three more") {
    struct Case {
        Fault fault;
        Errc error;
    };
    const auto expected =
        GENERATE(Case{Fault::lost_request, Errc::timed_out}, Case{Fault::damaged_answer, Errc::malformed},
                 Case{Fault::hang_up_after, Errc::io_failed});
    Bench bench;
    bench.module.faults["SM?VC"] = std::deque<Fault>(10, expected.fault);
    bench.connect({.timeout_ms = 2000, .answer_ms = 250, .retry = Retry::resend});
    CHECK(bench.error(kVend) == expected.error);
    bench.stop();
    CHECK(bench.module.requests() == Requests{kVend, kVend, kVend, kVend});
}

TEST_CASE("client retry: a late answer to a resent command is not the answer to the next") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::late_answer};
    bench.connect({.timeout_ms = 30000, .answer_ms = 1000, .retry = Retry::resend});
    CHECK(bench.answer(kVend) == token_answer(1));
    CHECK(bench.answer(kNextVend) == token_answer(3));
    bench.stop();
    CHECK(bench.module.requests() == Requests{kVend, kVend, kNextVend});
}

TEST_CASE("client retry: none sends once") {
    struct Case {
        Fault fault;
        Errc error;
    };
    const auto expected =
        GENERATE(Case{Fault::lost_request, Errc::timed_out}, Case{Fault::lost_answer, Errc::timed_out},
                 Case{Fault::damaged_answer, Errc::malformed}, Case{Fault::babble, Errc::malformed},
                 Case{Fault::hang_up_before, Errc::io_failed}, Case{Fault::hang_up_after, Errc::io_failed});
    const std::string message = GENERATE(std::string(kVend), std::string("SM?DI"));
    Bench bench;
    bench.module.faults[message.substr(0, 5)] = {expected.fault};
    // answer_ms is for tries: this one has all the time.
    bench.connect({.timeout_ms = 500, .answer_ms = 1, .retry = Retry::none});
    CHECK(bench.error(message) == expected.error);
    bench.stop();
    CHECK(bench.module.requests() == Requests{message});
}

TEST_CASE("client retry: the answer to another command is no answer, and nothing is sent again") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::other_answers};
    bench.connect(patient(GENERATE(Retry::none, Retry::repeat, Retry::resend)));
    CHECK(bench.error(kVend) == Errc::malformed);
    bench.stop();
    CHECK(bench.module.requests() == Requests{kVend});
}

TEST_CASE("client retry: an error state that GL?RR finds does not show that nothing was executed") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::damaged_answer};
    bench.module.faults["SM?DI"] = {Fault::damaged_answer};
    bench.module.answers = {{"GL?RR", "GL!ER58"}};
    bench.connect(patient(Retry::repeat));
    CHECK(bench.error(kVend) == Errc::timed_out);
    CHECK(bench.answer("SM?DI") == kIdentity);
    bench.stop();
    CHECK(bench.module.count("SM?VC") == 1);
}

TEST_CASE("client retry: link errors other than GL!ER20 are answers") {
    const std::string code = GENERATE("21", "57", "58", "99");
    Bench bench;
    bench.module.answers["SM?VC"] = "GL!ER" + code;
    bench.module.faults["SM?VC"] = {Fault::none, Fault::damaged_answer};
    bench.connect(patient(Retry::repeat));
    CHECK(bench.answer(kVend) == "GL!ER" + code);
    bench.stop();
    CHECK(bench.module.requests() == Requests{kVend});
}

TEST_CASE("client retry: the caller's own GL?RS empties the memory") {
    Bench bench;
    bench.module.faults["SM?VC"] = {Fault::none, Fault::damaged_request};
    bench.module.faults["GL?RS"] = {Fault::damaged_request};
    bench.connect(patient(Retry::repeat));
    CHECK(bench.answer(kVend) == token_answer(1));
    CHECK(bench.answer("GL?RS") == "GL!RS00");
    CHECK(bench.answer(kVend) == token_answer(2));
    bench.stop();
    CHECK(bench.module.executed() == 2);
}

TEST_CASE("client retry: enveloped, a damaged answer is asked for too") {
    const auto enveloped = [](const std::string& message) {
        std::string out(message.size() + frame::overhead(true), '\0');
        frame::encode(message, true, out);
        return out;
    };
    std::string damaged = enveloped(token_answer(1));
    damaged[damaged.size() - 2] ^= 1;
    std::string received;
    SocketServer server([&](auto& socket) {
        for (const std::string& answer : {damaged, enveloped(token_answer(1))}) {
            asio::error_code error;
            std::string request;
            asio::read_until(socket, asio::dynamic_buffer(request), '\r', error);
            received += request;
            asio::write(socket, asio::buffer(answer), error);
        }
    });
    {
        auto client = Client::connect(server.url("tcp-env"), patient(Retry::repeat));
        REQUIRE(client);
        const auto response = client->exchange(kVend);
        REQUIRE(response);
        CHECK(response->text == token_answer(1));
    }
    server.stop();
    CHECK(received == enveloped(kVend) + enveloped("GL?RR"));
}

TEST_CASE("client retry: times of 0 are refused") {
    CHECK(Client::connect("tcp:127.0.0.1:5100", {.timeout_ms = 0}).error() == Errc::invalid_argument);
    CHECK(Client::connect("tcp:127.0.0.1:5100", {.answer_ms = 0}).error() == Errc::invalid_argument);
}

}  // namespace sts6
