// SPDX-License-Identifier: Apache-2.0
// The TCP links over real sockets, with a thread in the module's place.
#include "src/links/listener.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <future>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/commands/link.hpp"
#include "src/links/command_queue.hpp"
#include "tests/support/link_bench.hpp"
#include "tests/support/raw_client.hpp"

namespace sts6 {

namespace {

using namespace test;
using Client = RawClient;

/// Runs a loop until a link has queued its command; null when none comes.
std::shared_ptr<PendingCommand> run_until_command(asio::io_context& loop, CommandQueue& queue) {
    auto taker = std::async(std::launch::async, [&queue] {
        std::vector<std::shared_ptr<PendingCommand>> batch;
        return queue.take(batch, 1) ? batch.front() : nullptr;
    });
    const auto end = SteadyClock::now() + kPatience;
    while (taker.wait_for(0s) != std::future_status::ready && SteadyClock::now() < end) loop.run_for(1ms);
    queue.close();
    return taker.get();
}

/// A bench and a listener.
class TestServer : public LinkBench {
  public:
    explicit TestServer(ListenerSettings settings = {}) {
        settings.endpoint = {asio::ip::address_v4::loopback(), 0};
        settings.role = LinkRole::full;
        auto opened = on_loop([&] { return Listener::open(loop(), settings, services()); });
        REQUIRE(opened);
        listener_.emplace(*std::move(opened));
    }
    ~TestServer() {
        end([this] { listener_.reset(); });
    }
    [[nodiscard]] std::size_t connections() {
        return on_loop([this] { return listener_->connections(); });
    }
    [[nodiscard]] tcp::endpoint endpoint() const { return listener_->endpoint(); }
    /// The end of the program's main loop: no more than what the links still have to do.
    void stop() {
        on_loop([this] {
            listener_->close();
            return 0;
        });
        release_loop();
    }
    void close_listener() { listener_->close(); }

  private:
    std::optional<Listener> listener_;
};

}  // namespace

TEST_CASE("tcp: lines and envelopes on the same port") {
    TestServer server;
    CHECK(server.endpoint().port() != 0);
    Client lines(server.endpoint());
    CHECK(lines.ask(kIdentify) == kIdentity);
    CHECK(lines.ask(kEcho) == kEchoed);
    CHECK(lines.ask("noise\r") == kDamaged);
    CHECK(lines.ask("GL?RR0E2E\r") == kEchoed);
    Client envelopes(server.endpoint());
    CHECK(envelopes.ask(framed("SM?DI", true)) == framed("SM!DI00PSOFTSM01~PSTS6-001~", true));
    // The remembered response is the connection's own, and ends with it.
    CHECK(Client(server.endpoint()).ask("GL?RR0E2E\r") == "GL!ER2166E5\r");
    CHECK_FALSE(server.late);
}

TEST_CASE("tcp: a command carries the role of its listener") {
    CommandQueue queue;
    LinkServices services{queue, &commands::answer_link_command, [] { return false; }};
    asio::io_context loop;
    auto listener = Listener::open(
        loop, {.endpoint = {asio::ip::address_v4::loopback(), 0}, .role = LinkRole::full}, services);
    REQUIRE(listener);
    Client client(listener->endpoint());
    client.send(kIdentify);
    const auto command = run_until_command(loop, queue);
    REQUIRE(command);
    CHECK(command->exchange.role == LinkRole::full);
    CHECK(command->exchange.message == "SM?DI");
    CHECK_FALSE(command->dropped);
}

TEST_CASE("tcp: every octet in a segment of its own") {
    TestServer server;
    Client client(server.endpoint());
    const std::string stream = kIdentify + "\n" + kEcho + "x\r" + kIdentify;
    for (const char& octet : stream) client.send({&octet, 1});
    CHECK(client.line() == kIdentity);
    CHECK(client.line() == kEchoed);
    CHECK(client.line() == kDamaged);
    CHECK(client.line() == kIdentity);
}

TEST_CASE("tcp: pipelined messages are answered in order, those of the link too") {
    TestServer server;
    Client client(server.endpoint());
    std::string requests;
    std::string expected;
    for (int i = 0; i < 500; ++i) {
        const std::string body = "N" + std::to_string(i) + "~";
        requests += framed("SM?GA" + body) + kEcho + framed("SM?CQ" + body) + "GL?RR0E2E\r";
        const std::string last = framed("SM!CQ00" + body);
        expected += framed("SM!GA00" + body) + kEchoed + last + last;
    }
    auto sender = std::async(std::launch::async, [&] { client.send(requests); });
    std::string got;
    while (got.size() < expected.size()) {
        const std::string line = client.line();
        if (line.empty()) break;
        got += line;
    }
    sender.get();
    CHECK(got == expected);
    CHECK(server.executed == 1000);
}

TEST_CASE("tcp: a link has one command in progress") {
    TestServer server;
    std::unique_lock hold(server.held);
    Client client(server.endpoint());
    client.send(kIdentify + kIdentify + kEcho);
    CHECK(eventually([&] { return server.taken == 1; }));
    Client other(server.endpoint());
    other.send(kIdentify);
    hold.unlock();
    CHECK(client.line() == kIdentity);
    CHECK(client.line() == kIdentity);
    CHECK(client.line() == kEchoed);
    CHECK(other.line() == kIdentity);
    CHECK(server.executed == 3);
}

TEST_CASE("tcp: a client that ends its output gets the answers of all that was complete") {
    TestServer server;
    Client client(server.endpoint());
    client.send(kIdentify + kEcho + kIdentify + "SM?D");
    client.end_output();
    CHECK(client.rest() == kIdentity + kEchoed + kIdentity);
    Client envelopes(server.endpoint());
    envelopes.send(framed("SM?DI", true) + framed("SM?DI", true).substr(0, 10));
    envelopes.end_output();
    CHECK(envelopes.rest() == framed("SM!DI00PSOFTSM01~PSTS6-001~", true));
    Client nothing(server.endpoint());
    nothing.end_output();
    CHECK(nothing.rest().empty());
    Client short_noise(server.endpoint());
    short_noise.send("\x01\r");
    short_noise.end_output();
    CHECK(short_noise.rest() == kDamaged);
    CHECK(eventually([&] { return server.connections() == 0; }));
    CHECK(server.executed == 3);
}

TEST_CASE("tcp: the output ends while the command is in progress") {
    TestServer server;
    std::unique_lock hold(server.held);
    Client client(server.endpoint());
    client.send(kIdentify + kEcho);
    CHECK(eventually([&] { return server.taken == 1; }));
    client.end_output();
    hold.unlock();
    CHECK(client.rest() == kIdentity + kEchoed);
}

TEST_CASE("tcp: a reset drops the command in progress and what waits behind it") {
    TestServer server;
    std::unique_lock hold(server.held);
    Client client(server.endpoint());
    client.send(kIdentify + kIdentify);
    CHECK(eventually([&] { return server.taken == 1; }));
    client.reset();
    CHECK(eventually([&] { return server.connections() == 0; }));
    hold.unlock();
    CHECK(eventually([&] { return server.dropped == 1; }));
    CHECK(Client(server.endpoint()).ask(kIdentify) == kIdentity);
    CHECK(server.executed == 1);
    CHECK(server.taken == 2);
}

TEST_CASE("tcp: an unfinished message is dropped after silence") {
    TestServer server({.limits = {.silence = 50ms}});
    Client client(server.endpoint());
    // The echo's answer says that the octets behind it are there as well.
    CHECK(client.ask(kEcho + "SM?D") == kEchoed);
    std::this_thread::sleep_for(100ms);  // the silence
    CHECK(client.ask(kIdentify) == kIdentity);
    CHECK(client.ask(kEcho + "SM?D") == kEchoed);
    std::this_thread::sleep_for(100ms);
    CHECK(client.ask("I9A51\r") == kDamaged);
}

TEST_CASE("tcp: a client that never reads is closed, and nothing grows meanwhile") {
    TestServer server({.limits = {.write_stall = 500ms}});
    Client client(server.endpoint());
    const int small = 4096;
    ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ::setsockopt(client.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    const std::string request = framed("SM?GA" + std::string(4000, 'x'));
    const auto end = SteadyClock::now() + kPatience;
    std::size_t sent = 0;
    bool closed = false;
    while (!closed && SteadyClock::now() < end) {
        const ssize_t size = ::send(client.fd(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size > 0) {
            // A part of a request joins the next one: noise, answered as well.
            sent += static_cast<std::size_t>(size);
        } else if (errno == EAGAIN) {
            CHECK(Client(server.endpoint()).ask(kIdentify) == kIdentity);
        } else {
            closed = true;
        }
    }
    CHECK(closed);
    CHECK(sent > request.size());
    CHECK(eventually([&] { return server.connections() == 0; }));
}

TEST_CASE("tcp: a slow reader is no stalled one") {
    TestServer server;
    Client client(server.endpoint());
    const int small = 65536;
    ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    const std::string body(4000, 'x');
    auto sender = std::async(std::launch::async, [&] {
        for (int i = 0; i < 1000; ++i) client.send(framed("SM?GA" + body));
    });
    // No answer is read until no further command is executed.
    std::size_t before = 0;
    CHECK(eventually([&] {
        std::this_thread::sleep_for(20ms);
        return std::exchange(before, server.executed.load()) == server.executed && before > 0;
    }));
    int right = 0;
    while (right < 1000 && client.line() == framed("SM!GA00" + body)) ++right;
    CHECK(right == 1000);
    sender.get();
}

TEST_CASE("tcp: 64 clients get their own answers") {
    TestServer server;
    std::vector<Client> clients;
    for (int i = 0; i < 64; ++i) clients.emplace_back(server.endpoint());
    for (int round = 0; round < 50; ++round) {
        const auto body = [round](std::size_t i) {
            return "N" + std::to_string(i) + "~N" + std::to_string(round) + "~";
        };
        for (std::size_t i = 0; i < clients.size(); ++i) clients[i].send(framed("SM?GA" + body(i)));
        for (std::size_t i = 0; i < clients.size(); ++i) {
            REQUIRE(clients[i].line() == framed("SM!GA00" + body(i)));
        }
    }
    CHECK(server.executed == 64 * 50);
    CHECK(server.connections() == 64);
}

TEST_CASE("tcp: a connection too many is closed at once") {
    TestServer server({.connections = 2});
    Client first(server.endpoint());
    std::optional<Client> second(server.endpoint());
    CHECK(first.ask(kIdentify) == kIdentity);
    CHECK(second->ask(kIdentify) == kIdentity);
    for (int i = 0; i < 3; ++i) CHECK(Client(server.endpoint()).ended());
    CHECK(server.connections() == 2);
    CHECK(first.ask(kIdentify) == kIdentity);
    second.reset();
    CHECK(eventually([&] { return server.connections() == 1; }));
    CHECK(Client(server.endpoint()).ask(kIdentify) == kIdentity);
}

TEST_CASE("tcp: the connection that is idle for the longest makes room") {
    TestServer server({.connections = 2, .unused_enough = 0ms, .idle_enough = 0ms});
    Client first(server.endpoint());
    CHECK(first.ask(kIdentify) == kIdentity);
    Client second(server.endpoint());
    CHECK(second.ask(kIdentify) == kIdentity);
    CHECK(first.ask(kIdentify) == kIdentity);
    Client third(server.endpoint());
    CHECK(third.ask(kIdentify) == kIdentity);
    CHECK(second.ended());
    CHECK(first.ask(kIdentify) == kIdentity);
    CHECK(server.connections() == 2);
}

TEST_CASE("tcp: a connection that has asked nothing makes room before one that has") {
    TestServer server({.connections = 2, .unused_enough = 0ms, .idle_enough = 0ms});
    Client old(server.endpoint());
    CHECK(old.ask(kIdentify) == kIdentity);
    Client silent(server.endpoint());
    CHECK(eventually([&] { return server.connections() == 2; }));
    CHECK(Client(server.endpoint()).ask(kIdentify) == kIdentity);
    CHECK(silent.ended());
    CHECK(old.ask(kIdentify) == kIdentity);
}

TEST_CASE("tcp: a connection with a command in progress makes no room") {
    TestServer server({.connections = 1, .unused_enough = 0ms, .idle_enough = 0ms});
    Client busy(server.endpoint());
    std::unique_lock hold(server.held);
    busy.send(kIdentify);
    CHECK(eventually([&] { return server.taken == 1; }));
    CHECK(Client(server.endpoint()).ended());
    hold.unlock();
    CHECK(busy.line() == kIdentity);
}

TEST_CASE("tcp: a connection without a request for too long is closed") {
    TestServer server({.limits = {.idle = 100ms}});
    SECTION("nothing at all") {
        CHECK(Client(server.endpoint()).ended());
    }
    SECTION("after its last request") {
        Client client(server.endpoint());
        CHECK(client.ask(kIdentify) == kIdentity);
        CHECK(client.ended());
    }
    SECTION("octets that come to no message") {
        Client loris(server.endpoint());
        const auto end = SteadyClock::now() + kPatience;
        bool closed = false;
        while (!closed && SteadyClock::now() < end) {
            try {
                loris.send("S");
            } catch (const std::runtime_error&) {
                closed = true;
            }
            std::this_thread::sleep_for(5ms);
        }
        CHECK(closed);
    }
    CHECK(eventually([&] { return server.connections() == 0; }));
}

TEST_CASE("tcp: a command that takes longer than the idle time is answered") {
    TestServer server({.limits = {.idle = 50ms}});
    Client client(server.endpoint());
    std::unique_lock hold(server.held);
    client.send(kIdentify);
    CHECK(eventually([&] { return server.taken == 1; }));
    std::this_thread::sleep_for(200ms);  // what is asserted is that this changes nothing
    hold.unlock();
    CHECK(client.line() == kIdentity);
}

TEST_CASE("tcp: more requests than a link may have wait, and none is lost") {
    constexpr int kRate = 20;
    TestServer server({.limits = {.requests_per_s = kRate}});
    Client client(server.endpoint());
    std::string requests;
    for (int i = 0; i < kRate + 5; ++i) requests += i % 2 == 0 ? kIdentify : kEcho;
    const auto begin = SteadyClock::now();
    client.send(requests);
    for (int i = 0; i < kRate + 5; ++i) CHECK(client.line() == (i % 2 == 0 ? kIdentity : kEchoed));
    // A second's worth at once, then one each 50 ms.
    CHECK(SteadyClock::now() - begin >= 5 * 50ms);
    // Another link is not concerned.
    CHECK(Client(server.endpoint()).ask(kIdentify) == kIdentity);
}

TEST_CASE("tcp: a link that has to wait can be closed") {
    TestServer server({.limits = {.requests_per_s = 1}});
    Client client(server.endpoint());
    client.send(kIdentify + kIdentify + kIdentify);
    CHECK(client.line() == kIdentity);
    client.reset();
    CHECK(eventually([&] { return server.connections() == 0; }));
    CHECK(server.executed <= 2);
}

TEST_CASE("tcp: accepting goes on when descriptors are free again") {
    TestServer server;
    Client client;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    Descriptor lowest_free(::dup(client.fd()));
    const auto none_left = static_cast<rlim_t>(lowest_free.value());
    lowest_free.reset();
    const rlimit exhausted{.rlim_cur = none_left, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &exhausted) == 0);
    const bool connected = client.connect(server.endpoint());
    // Two turns of the loop: in between it has looked at its sockets.
    const std::size_t accepted = server.connections() + server.connections();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(connected);
    CHECK(accepted == 0);
    CHECK(client.ask(kIdentify) == kIdentity);
}

TEST_CASE("tcp: a stop closes idle links, and lets the answer in progress out") {
    TestServer server;
    Client idle(server.endpoint());
    CHECK(idle.ask(kIdentify) == kIdentity);
    idle.send("SM?D");
    Client busy(server.endpoint());
    std::unique_lock hold(server.held);
    busy.send(kIdentify + kIdentify + kEcho);
    CHECK(eventually([&] { return server.taken == 2; }));
    const auto endpoint = server.endpoint();
    server.stop();
    CHECK(idle.ended());
    CHECK_FALSE(Client().connect(endpoint));
    CHECK_FALSE(server.loop_ended());
    hold.unlock();
    // What waited behind the command in progress is not begun.
    CHECK(busy.line() == kIdentity);
    CHECK(busy.ended());
    CHECK(eventually([&] { return server.loop_ended(); }));
    CHECK(server.executed == 2);
}

TEST_CASE("tcp: a stop with nothing connected, and another one") {
    TestServer server;
    server.on_loop([&server] {
        server.close_listener();
        return 0;
    });
    CHECK(server.connections() == 0);
    server.stop();
    CHECK(eventually([&] { return server.loop_ended(); }));
}

TEST_CASE("tcp: a listener that goes away drops its links") {
    CommandQueue queue;
    LinkServices services{queue, &commands::answer_link_command, [] { return false; }};
    asio::io_context loop;
    std::shared_ptr<PendingCommand> command;
    std::optional<Client> client;
    {
        auto listener = Listener::open(
            loop, {.endpoint = {asio::ip::address_v4::loopback(), 0}, .role = LinkRole::vend}, services);
        REQUIRE(listener);
        client.emplace(listener->endpoint());
        client->send(kIdentify);
        command = run_until_command(loop, queue);
        CHECK(listener->connections() == 1);
    }
    CHECK(client->ended());
    REQUIRE(command);
    CHECK(command->dropped);
    command->released();
    loop.restart();
    loop.run();  // nothing is left to wait for
    CHECK(loop.stopped());
}

TEST_CASE("tcp: an address that cannot be had") {
    TestServer server;
    asio::io_context loop;
    const auto again =
        Listener::open(loop, {.endpoint = server.endpoint(), .role = LinkRole::vend}, server.services());
    REQUIRE_FALSE(again);
    CHECK(again.error() == Errc::in_use);
    const tcp::endpoint not_ours(asio::ip::make_address("192.0.2.1"), 0);
    const auto foreign =
        Listener::open(loop, {.endpoint = not_ours, .role = LinkRole::vend}, server.services());
    REQUIRE_FALSE(foreign);
    CHECK(foreign.error() == Errc::io_failed);
    CHECK(Client(server.endpoint()).ask(kIdentify) == kIdentity);
}

namespace {

struct NumberedCommand final : PendingCommand {
    explicit NumberedCommand(int value) : number(value) {}
    void released() noexcept override {}
    int number;
};

std::vector<int> numbers(const std::vector<std::shared_ptr<PendingCommand>>& batch) {
    std::vector<int> found;
    for (const auto& command : batch) {
        found.push_back(static_cast<const NumberedCommand&>(*command).number);
    }
    return found;
}

}  // namespace

TEST_CASE("queue: what is queued comes in order, at most as much as asked for") {
    CommandQueue queue;
    std::vector<std::shared_ptr<PendingCommand>> batch;
    for (int i = 0; i < 5; ++i) queue.push(std::make_shared<NumberedCommand>(i));
    CHECK(queue.take(batch, 2));
    CHECK(numbers(batch) == std::vector{0, 1});
    queue.push(std::make_shared<NumberedCommand>(5));
    CHECK(queue.take(batch, 4));
    CHECK(numbers(batch) == std::vector{2, 3, 4, 5});
    queue.push(std::make_shared<NumberedCommand>(6));
    queue.close();
    queue.push(std::make_shared<NumberedCommand>(7));
    CHECK(queue.take(batch, 4));
    CHECK(numbers(batch) == std::vector{6});
    CHECK_FALSE(queue.take(batch, 4));
    CHECK(batch.empty());
    CHECK_FALSE(queue.take(batch, 4));
}

TEST_CASE("queue: several at once") {
    CommandQueue queue;
    std::vector<std::shared_ptr<PendingCommand>> several;
    queue.push(several);
    for (int i = 0; i < 3; ++i) several.push_back(std::make_shared<NumberedCommand>(i));
    queue.push(several);
    CHECK(several.empty());
    queue.push(std::make_shared<NumberedCommand>(3));
    std::vector<std::shared_ptr<PendingCommand>> batch;
    CHECK(queue.take(batch, 10));
    CHECK(numbers(batch) == std::vector{0, 1, 2, 3});
    queue.close();
    several.push_back(std::make_shared<NumberedCommand>(4));
    queue.push(several);
    CHECK(several.empty());
    CHECK_FALSE(queue.take(batch, 10));
}

TEST_CASE("queue: a waiting taker is woken by a command and by the end") {
    CommandQueue queue;
    std::atomic<int> seen = 0;
    std::thread taker([&] {
        std::vector<std::shared_ptr<PendingCommand>> batch;
        while (queue.take(batch, 3)) seen += static_cast<int>(batch.size());
    });
    std::array<std::thread, 4> pushers;
    for (std::thread& pusher : pushers) {
        pusher = std::thread([&] {
            for (int i = 0; i < 1000; ++i) queue.push(std::make_shared<NumberedCommand>(i));
        });
    }
    for (std::thread& pusher : pushers) pusher.join();
    CHECK(eventually([&] { return seen == 4000; }));
    queue.close();
    taker.join();
}

}  // namespace sts6
