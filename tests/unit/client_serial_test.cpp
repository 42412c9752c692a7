// SPDX-License-Identifier: Apache-2.0
// The client on a serial line, which is the far side of a pty.
#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#include "sts6/client.hpp"
#include "tests/support/fake_module.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6 {
namespace {

using namespace test;
namespace fs = std::filesystem;

const std::string kVend = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";
const std::string kNextVend = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EED~";

class Descriptor {
  public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

/// A module on a line with a stable name. A hang-up gives the name to a new line before the old one goes.
class SerialModule {
  public:
    FakeModule module;

    SerialModule() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        woken_ = Descriptor(ends[0]);
        wake_ = Descriptor(ends[1]);
        renew();
    }
    ~SerialModule() { stop(); }

    [[nodiscard]] fs::path path() const { return dir_.path() / "line"; }
    [[nodiscard]] std::string url() const { return "serial:" + path().string(); }
    /// What stands in the line's way before the module looks at it.
    void start() {
        thread_ = std::thread([this] { run(); });
    }
    void stop() {
        if (!thread_.joinable()) return;
        char woken = 'x';
        if (::write(wake_.get(), &woken, 1) != 1) std::abort();
        thread_.join();
        if (::read(woken_.get(), &woken, 1) != 1) std::abort();
    }
    /// From the test's thread, while the client waits for nothing.
    void send(std::string_view octets) const {
        if (::write(ours_.get(), octets.data(), octets.size()) < 0) throw std::runtime_error("write");
    }
    void renew() {
        Descriptor ours(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
        std::array<char, 128> name{};
        if (grantpt(ours.get()) != 0 || unlockpt(ours.get()) != 0 ||
            ptsname_r(ours.get(), name.data(), name.size()) != 0) {
            throw std::runtime_error("no pty");
        }
        // Held open, so that the line stays when a client goes.
        Descriptor theirs(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        const fs::path link = dir_.path() / "new";
        fs::create_symlink(name.data(), link);
        fs::rename(link, path());
        ours_ = std::move(ours);
        theirs_ = std::move(theirs);
    }

  private:
    void run() {
        std::string held;
        for (;;) {
            std::array<pollfd, 2> ready{{{woken_.get(), POLLIN, 0}, {ours_.get(), POLLIN, 0}}};
            if (::poll(ready.data(), ready.size(), -1) < 0 || ready[0].revents != 0) return;
            std::array<char, 256> part{};
            const ssize_t size = ::read(ours_.get(), part.data(), part.size());
            if (size <= 0) return;
            held.append(part.data(), static_cast<std::size_t>(size));
            while (held.find('\r') != std::string::npos) {
                const std::size_t end = held.find('\r');
                const auto reply = module.take(std::string_view(held).substr(0, end));
                held.erase(0, end + 1);
                if (!reply.octets.empty()) send(reply.octets);
                if (reply.hang_up) renew();
            }
        }
    }

    conform::TemporaryDirectory dir_;
    Descriptor woken_;
    Descriptor wake_;
    Descriptor ours_;
    Descriptor theirs_;
    std::thread thread_;
};

constexpr ClientOptions patient(Retry retry = Retry::repeat) {
    return {.timeout_ms = 30000, .answer_ms = 30000, .retry = retry};
}
constexpr ClientOptions brisk(Retry retry = Retry::repeat) {
    return {.timeout_ms = 30000, .answer_ms = 400, .retry = retry};
}

Client opened(SerialModule& line, const ClientOptions& options) {
    auto client = Client::connect(line.url(), options);
    REQUIRE(client);
    return *std::move(client);
}

std::string answer(Client& client, const std::string& message) {
    const auto response = client.exchange(message);
    INFO(message << ": " << (response ? "" : errc_name(response.error())));
    REQUIRE(response);
    return response->text;
}

Errc error(Client& client, const std::string& message) {
    const auto response = client.exchange(message);
    REQUIRE_FALSE(response);
    return response.error();
}

Errc open_error(const std::string& url, std::uint32_t timeout_ms = 30000) {
    const auto client = Client::connect(url, {.timeout_ms = timeout_ms});
    REQUIRE_FALSE(client);
    return client.error();
}

/// The headers of what was sent.
std::vector<std::string> headers(const FakeModule& module) {
    std::vector<std::string> out;
    for (const std::string& request : module.requests()) out.push_back(request.substr(0, 5));
    return out;
}

}  // namespace

TEST_CASE("client serial: a link begins with GL?RS and an echo, and then carries commands") {
    SerialModule line;
    line.start();
    {
        Client client = opened(line, patient(GENERATE(Retry::none, Retry::repeat, Retry::resend)));
        CHECK(answer(client, kVend) == token_answer(1));
        CHECK(answer(client, "SM?DI") == "SM!DI00PSOFTSM01~PSTS6-001~");
    }
    line.stop();
    CHECK(headers(line.module) == std::vector<std::string>{"GL?RS", "GL?EC", "SM?VC", "SM?DI"});
}

TEST_CASE("client serial: 8N1, raw, without handshake, at the rate of the URL") {
    struct Case {
        std::string suffix;
        speed_t speed;
    };
    const auto expected = GENERATE(Case{"", B9600}, Case{",300", B300}, Case{",115200", B115200});
    SerialModule line;
    line.start();
    auto client = Client::connect(line.url() + expected.suffix, patient());
    REQUIRE(client);
    const Descriptor tty(::open(line.path().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios settings{};
    REQUIRE(tcgetattr(tty.get(), &settings) == 0);
    CHECK(cfgetospeed(&settings) == expected.speed);
    CHECK(cfgetispeed(&settings) == expected.speed);
    CHECK((settings.c_cflag & (CSIZE | PARENB | CSTOPB | CRTSCTS)) == CS8);
    CHECK((settings.c_lflag & (ICANON | ECHO | ISIG)) == 0U);
    CHECK((settings.c_iflag & (ICRNL | INLCR | IGNCR | IXON | IXOFF | ISTRIP)) == 0U);
    CHECK((settings.c_oflag & OPOST) == 0U);
}

TEST_CASE("client serial: devices that cannot be opened") {
    const conform::TemporaryDirectory dir;
    CHECK(open_error("serial:" + (dir.path() / "none").string()) == Errc::io_failed);
    CHECK(open_error("serial:" + dir.path().string()) == Errc::io_failed);
    CHECK(open_error("serial:/dev/null") == Errc::io_failed);
    const SerialModule line;
    CHECK(open_error(line.url() + ",12345") == Errc::invalid_argument);
}

TEST_CASE("client serial: a device is one program's at a time") {
    SerialModule line;
    line.start();
    {
        const Client client = opened(line, patient());
        CHECK(open_error(line.url()) == Errc::in_use);
    }
    opened(line, patient());
    const Descriptor other(::open(line.path().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(flock(other.get(), LOCK_EX) == 0);
    CHECK(open_error(line.url()) == Errc::in_use);
}

TEST_CASE("client serial: nobody at the other end") {
    const SerialModule line;
    CHECK(open_error(line.url(), 300) == Errc::timed_out);
}

TEST_CASE("client serial: the beginning of a link is tried again") {
    const std::string header = GENERATE("GL?RS", "GL?EC");
    const Fault fault =
        GENERATE(Fault::lost_request, Fault::lost_answer, Fault::damaged_answer, Fault::late_answer);
    SerialModule line;
    line.module.faults[header] = {fault, fault};
    line.module.faults["SM?VC"] = {Fault::lost_request};
    line.start();
    {
        Client client = opened(line, brisk());
        CHECK(answer(client, kVend) == token_answer(1));
    }
    line.stop();
    CHECK(line.module.executed() == 1);
}

TEST_CASE("client serial: half a line of another client is in the module's way") {
    SerialModule line;
    {
        // Before the module looks: what another program has left in the line.
        const Descriptor other(::open(line.path().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        termios settings{};
        REQUIRE(tcgetattr(other.get(), &settings) == 0);
        cfmakeraw(&settings);
        REQUIRE(tcsetattr(other.get(), TCSANOW, &settings) == 0);
        REQUIRE(::write(other.get(), "SM?VCN1", 7) == 7);
    }
    line.start();
    // Answered GL!ER20, after which it need not wait.
    Client client = opened(line, patient());
    CHECK(answer(client, kVend) == token_answer(1));
}

TEST_CASE("client serial: another client's token in the module's memory is not taken for a new one") {
    SerialModule line;
    line.module.memory = token_answer(99);
    line.module.faults["SM?VC"] = {Fault::lost_request};
    line.start();
    {
        Client client = opened(line, brisk());
        CHECK(answer(client, kVend) == token_answer(1));
    }
    line.stop();
    CHECK(line.module.executed() == 1);
}

TEST_CASE("client serial: what was under way when the link begins is dropped") {
    const std::string header = GENERATE("GL?RS", "GL?EC");
    SerialModule line;
    line.module.faults[header] = {GENERATE(Fault::other_answers, Fault::babble, Fault::noise)};
    line.start();
    Client client = opened(line, patient());
    CHECK(answer(client, kVend) == token_answer(1));
}

TEST_CASE("client serial: a link does not begin with any other answer") {
    const std::string header = GENERATE("GL?RS", "GL?EC");
    SerialModule line;
    line.module.answers[header] =
        GENERATE(as<std::string>{}, token_answer(99), "GL!RS02", "GL!EC0000812345678", "GL!ER21", "GL!ER57");
    line.start();
    CHECK(open_error(line.url(), 300) == Errc::timed_out);
}

TEST_CASE("client serial: a module in its error state is heard") {
    SerialModule line;
    for (const char* header : {"GL?RS", "GL?EC", "GL?RR", "SM?VC"}) line.module.answers[header] = "GL!ER58";
    line.start();
    Client client = opened(line, patient());
    const auto response = client.exchange(kVend);
    REQUIRE(response);
    CHECK(response->link_error);
    CHECK(response->status == Status::app_error_state);
}

TEST_CASE("client serial: lost and damaged on the way") {
    const Fault fault = GENERATE(Fault::lost_request, Fault::lost_answer, Fault::damaged_request,
                                 Fault::damaged_answer, Fault::late_answer, Fault::noise, Fault::babble);
    SerialModule line;
    line.module.faults["SM?VC"] = {fault, Fault::none, fault};
    line.start();
    {
        Client client = opened(line, brisk());
        CHECK(answer(client, kVend) == token_answer(1));
        CHECK(answer(client, kNextVend) == token_answer(2));
        CHECK(answer(client, kVend) == token_answer(3));
    }
    line.stop();
    CHECK(line.module.executed() == 3);
}

TEST_CASE("client serial: an exchange after one that was tried again begins with GL?RS and an echo") {
    SerialModule line;
    line.module.faults["SM?VC"] = {Fault::damaged_answer};
    line.start();
    {
        Client client = opened(line, patient());
        CHECK(answer(client, kVend) == token_answer(1));
        CHECK(answer(client, kNextVend) == token_answer(2));
        CHECK(answer(client, kVend) == token_answer(3));
    }
    line.stop();
    CHECK(headers(line.module) ==
          std::vector<std::string>{"GL?RS", "GL?EC", "SM?VC", "GL?RR", "GL?RS", "GL?EC", "SM?VC", "SM?VC"});
}

TEST_CASE("client serial: answers to other commands are skipped") {
    SerialModule line;
    line.module.faults["SM?VC"] = {Fault::other_answers};
    line.start();
    {
        Client client = opened(line, patient(GENERATE(Retry::none, Retry::repeat, Retry::resend)));
        CHECK(answer(client, kVend) == token_answer(1));
    }
    line.stop();
    CHECK(line.module.count("SM?VC") == 1);
    CHECK(line.module.count("GL?RR") == 0);
}

TEST_CASE("client serial: noise between two exchanges") {
    const std::string noise = GENERATE(std::string("\xFF"), std::string("~\r"), line_of(token_answer(99)));
    SerialModule line;
    line.start();
    Client client = opened(line, patient(Retry::none));
    CHECK(answer(client, kVend) == token_answer(1));
    line.send(noise);
    CHECK(answer(client, kNextVend) == token_answer(2));
}

TEST_CASE("client serial: a module that was started anew does not show that nothing was executed") {
    SerialModule line;
    line.module.faults["SM?VC"] = {Fault::restart};
    line.start();
    {
        Client client = opened(line, brisk());
        CHECK(error(client, kVend) == Errc::timed_out);
        CHECK(answer(client, kNextVend) == token_answer(2));
    }
    line.stop();
    CHECK(line.module.count("SM?VC") == 2);
}

TEST_CASE("client serial: the line goes and comes back within an exchange") {
    const Fault fault = GENERATE(Fault::hang_up_before, Fault::hang_up_after);
    SerialModule line;
    line.module.faults["SM?VC"] = {fault, Fault::none, fault};
    line.start();
    {
        Client client = opened(line, brisk());
        CHECK(answer(client, kVend) == token_answer(1));
        CHECK(answer(client, kNextVend) == token_answer(2));
        CHECK(answer(client, kVend) == token_answer(3));
    }
    line.stop();
    CHECK(line.module.executed() == 3);
}

TEST_CASE("client serial: none does not open the line again within an exchange") {
    SerialModule line;
    line.module.faults["SM?VC"] = {Fault::hang_up_after};
    line.start();
    {
        Client client = opened(line, patient(Retry::none));
        CHECK(error(client, kVend) == Errc::io_failed);
        CHECK(answer(client, kNextVend) == token_answer(2));
    }
    line.stop();
    CHECK(line.module.count("SM?VC") == 2);
}

TEST_CASE("client serial: the line goes and comes back between two exchanges") {
    SerialModule line;
    line.start();
    Client client = opened(line, patient(Retry::none));
    CHECK(answer(client, kVend) == token_answer(1));
    line.stop();
    line.renew();
    line.start();
    CHECK(answer(client, kNextVend) == token_answer(2));
}

TEST_CASE("client serial: the line goes and stays away") {
    std::optional<SerialModule> line(std::in_place);
    line->start();
    Client client = opened(*line, patient());
    CHECK(answer(client, kVend) == token_answer(1));
    line.reset();
    CHECK(error(client, kVend) == Errc::io_failed);
    CHECK(error(client, "SM?DI") == Errc::io_failed);
}

TEST_CASE("client serial: resend sends the whole command again") {
    SerialModule line;
    line.module.faults["SM?VC"] = {Fault::damaged_answer, Fault::hang_up_after, Fault::damaged_request};
    line.start();
    {
        Client client = opened(line, patient(Retry::resend));
        CHECK(answer(client, kVend) == token_answer(3));
    }
    line.stop();
    CHECK(line.module.count("SM?VC") == 4);
    CHECK(line.module.count("GL?RR") == 0);
}

}  // namespace sts6
