// SPDX-License-Identifier: Apache-2.0
// The virtual card over real sockets, with a thread in the module's place and the test as vpcd.
#include "src/links/virtual_card.hpp"

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/support/apdu.hpp"
#include "tests/support/link_bench.hpp"
#include "tests/support/raw_client.hpp"

namespace sts6 {

namespace {

using namespace test;
using namespace std::string_literals;

const std::string kSelect = length_framed("\x00\xA4\x04\x00\x06"s + std::string(kApplication));
const std::string kIdentifyApdu = length_framed("\x80\x20\x00\x00\x00"s);
const std::string kGetAtr = length_framed("\x04");
const std::string kDone = "\x90\x00"s;
const std::string kIdentityAnswer = "PSOFTSM01~PSTS6-001~" + kDone;

bool is_readable(int descriptor) {
    pollfd ready{.fd = descriptor, .events = POLLIN, .revents = 0};
    const auto patience_ms = std::chrono::milliseconds(kPatience).count();
    return ::poll(&ready, 1, static_cast<int>(patience_ms)) == 1;
}

/// vpcd's end of a card that has come.
class Slot {
  public:
    explicit Slot(int descriptor) : socket_(descriptor) {
        if (descriptor < 0) throw std::runtime_error("no card has come");
    }
    void send(std::string_view octets) {
        if (::send(socket_.value(), octets.data(), octets.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(octets.size())) {
            throw std::runtime_error("cannot send");
        }
    }
    /// The next answer without its length; empty when the card has gone.
    std::string answer() {
        std::string got;
        while (got.size() < 2 || got.size() < 2 + length_of(got)) {
            char octet = 0;
            if (!is_readable(socket_.value())) throw std::runtime_error("no answer");
            if (::recv(socket_.value(), &octet, 1, 0) != 1) return "";
            got += octet;
        }
        return got.substr(2);
    }
    std::string ask(std::string_view octets) {
        send(octets);
        return answer();
    }

  private:
    static std::size_t length_of(std::string_view start) {
        return static_cast<std::size_t>(static_cast<unsigned char>(start[0])) << 8U |
               static_cast<unsigned char>(start[1]);
    }

    Descriptor socket_;
};

/// Where a card may come, at a port that it keeps.
class Reader {
  public:
    Reader() { open(); }
    void open() {
        socket_.emplace(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int on = 1;
        ::setsockopt(socket_->value(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (::bind(socket_->value(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 ||
            ::listen(socket_->value(), 0) != 0) {
            throw std::runtime_error("no reader");
        }
        auto size = static_cast<socklen_t>(endpoint.capacity());
        ::getsockname(socket_->value(), endpoint.data(), &size);
    }
    void close() { socket_.reset(); }
    Slot card() {
        if (!is_readable(socket_->value())) throw std::runtime_error("no card comes");
        return Slot(::accept4(socket_->value(), nullptr, nullptr, SOCK_CLOEXEC));
    }

    asio::ip::tcp::endpoint endpoint{asio::ip::address_v4::loopback(), 0};

  private:
    std::optional<Descriptor> socket_;
};

class CardBench : public LinkBench {
  public:
    explicit CardBench(const asio::ip::tcp::endpoint& reader) {
        const VirtualCardSettings settings{.reader = reader, .role = LinkRole::full, .retry = 5ms};
        on_loop([&] { card_.emplace(loop(), settings, services()); });
    }
    ~CardBench() {
        end([this] { card_.reset(); });
    }
    void close() {
        on_loop([this] { card_->close(); });
        release_loop();
    }

  private:
    std::optional<VirtualCard> card_;
};

}  // namespace

TEST_CASE("virtual card: it goes to its reader and answers there") {
    Reader reader;
    CardBench bench(reader.endpoint);
    Slot slot = reader.card();
    CHECK(slot.ask(kGetAtr) == kAtr);
    CHECK(slot.ask(kIdentifyApdu) == "\x69\x85"s);
    CHECK(slot.ask(kSelect) == kDone);
    CHECK(slot.ask(kIdentifyApdu) == kIdentityAnswer);
    CHECK(bench.full_role == 1);
    // As vpcd does it: control octets and APDUs one behind the other, and in pieces.
    const std::string all = length_framed("\x02") + kGetAtr + kSelect + kIdentifyApdu;
    for (const char& octet : all) slot.send({&octet, 1});
    CHECK(slot.answer() == kAtr);
    CHECK(slot.answer() == kDone);
    CHECK(slot.answer() == kIdentityAnswer);
}

TEST_CASE("virtual card: it waits for a reader that is not there, and finds it") {
    Reader reader;
    reader.close();
    CardBench bench(reader.endpoint);
    bench.on_loop([] {});  // the first try is under way
    reader.open();
    CHECK(reader.card().ask(kGetAtr) == kAtr);
}

TEST_CASE("virtual card: it comes back, without what the last reader has selected") {
    Reader reader;
    CardBench bench(reader.endpoint);
    for (int i = 0; i < 20; ++i) {
        Slot slot = reader.card();
        CHECK(slot.ask(kIdentifyApdu) == "\x69\x85"s);
        CHECK(slot.ask(kSelect) == kDone);
        CHECK(slot.ask(kIdentifyApdu) == kIdentityAnswer);
    }
    SECTION("also to a reader that was away") {
        reader.close();
        reader.open();
        CHECK(reader.card().ask(kSelect) == kDone);
    }
    SECTION("also from half a frame") {
        reader.card().send("\x00\x05\x80"s);
        CHECK(reader.card().ask(kSelect) == kDone);
    }
}

TEST_CASE("virtual card: a reader that goes during a command") {
    Reader reader;
    CardBench bench(reader.endpoint);
    std::unique_lock held(bench.held);
    {
        Slot slot = reader.card();
        CHECK(slot.ask(kSelect) == kDone);
        slot.send(kIdentifyApdu);
        CHECK(eventually([&bench] { return bench.taken == 1; }));
    }
    // The card is busy until its command is done. The next reader gets nothing of that answer.
    held.unlock();
    Slot next = reader.card();
    CHECK(next.ask(kGetAtr) == kAtr);
    CHECK(next.ask(kSelect) == kDone);
    CHECK(next.ask(length_framed("\x00\xC0\x00\x00"s)) == "\x69\x85"s);
    CHECK(next.ask(kIdentifyApdu) == kIdentityAnswer);
}

TEST_CASE("virtual card: close() lets the answer in progress leave and comes no more") {
    Reader reader;
    CardBench bench(reader.endpoint);
    Slot slot = reader.card();
    CHECK(slot.ask(kSelect) == kDone);
    SECTION("with a command in progress") {
        std::unique_lock held(bench.held);
        slot.send(kIdentifyApdu + kIdentifyApdu);
        CHECK(eventually([&bench] { return bench.taken == 1; }));
        bench.close();
        held.unlock();
        CHECK(slot.answer() == kIdentityAnswer);
        CHECK(slot.answer().empty());
    }
    SECTION("at rest") {
        bench.close();
        CHECK(slot.answer().empty());
    }
    CHECK(eventually([&bench] { return bench.loop_ended(); }));
}

TEST_CASE("virtual card: close() ends the search for a reader") {
    Reader reader;
    reader.close();
    CardBench bench(reader.endpoint);
    bench.close();
    CHECK(eventually([&bench] { return bench.loop_ended(); }));
}

}  // namespace sts6
