// SPDX-License-Identifier: Apache-2.0
// Serial lines over real ttys: a pty as the daemon makes it, and the far side of another as a device.
#include "src/links/serial_line.hpp"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#include "tests/support/link_bench.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6 {

namespace {

using namespace test;
namespace fs = std::filesystem;

/// One end of a line.
class Tty {
  public:
    explicit Tty(int descriptor) : descriptor_(descriptor) {
        if (descriptor < 0) throw std::runtime_error("cannot open the line");
    }
    explicit Tty(const fs::path& path) : Tty(::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)) {}
    Tty(Tty&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    Tty& operator=(Tty&&) = delete;
    ~Tty() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    void send(std::string_view octets) const {
        if (::write(descriptor_, octets.data(), octets.size()) != static_cast<ssize_t>(octets.size())) {
            throw std::runtime_error("cannot send");
        }
    }
    [[nodiscard]] std::string line() const {
        std::string got;
        while (got.empty() || got.back() != '\r') {
            pollfd ready{.fd = descriptor_, .events = POLLIN, .revents = 0};
            if (::poll(&ready, 1, 20000) != 1) throw std::runtime_error("no answer");
            char octet = 0;
            if (::read(descriptor_, &octet, 1) != 1) throw std::runtime_error("the line is gone");
            got += octet;
        }
        return got;
    }
    [[nodiscard]] std::string ask(std::string_view request) const {
        send(request);
        return line();
    }
    /// Nothing more has come when the answer to an echo does.
    [[nodiscard]] bool quiet() const { return ask(kEcho) == kEchoed; }
    [[nodiscard]] int fd() const { return descriptor_; }

  private:
    int descriptor_;
};

/// A cable: our end of a pty, and the name of the other, which is the module's device.
struct Cable {
    Cable() : ours(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
        std::array<char, 128> path{};
        REQUIRE(grantpt(ours.fd()) == 0);
        REQUIRE(unlockpt(ours.fd()) == 0);
        REQUIRE(ptsname_r(ours.fd(), path.data(), path.size()) == 0);
        name = path.data();
        // A new pty echoes until it is opened and set.
        termios settings{};
        REQUIRE(tcgetattr(ours.fd(), &settings) == 0);
        cfmakeraw(&settings);
        REQUIRE(tcsetattr(ours.fd(), TCSANOW, &settings) == 0);
    }
    Tty ours;
    std::string name;
};

/// Sends a request until something comes back: what was sent before the device was opened is lost.
bool answered(const Tty& line, std::string_view request) {
    return eventually([&] {
        line.send(request);
        pollfd ready{.fd = line.fd(), .events = POLLIN, .revents = 0};
        return ::poll(&ready, 1, 50) == 1;
    });
}

class Lines : public LinkBench {
  public:
    ~Lines() {
        end([this] { line_.reset(); });
    }
    Result<void> open(const SerialSettings& settings) {
        return keep(on_loop([&] { return SerialLine::open(loop(), settings, services()); }));
    }
    Result<void> open_pty(const fs::path& path, const LinkLimits& limits = {}) {
        return keep(on_loop([&] { return SerialLine::open_pty(loop(), path, limits, services()); }));
    }
    void close() {
        on_loop([this] {
            line_->close();
            return 0;
        });
        release_loop();
    }
    void drop() {
        on_loop([this] {
            line_.reset();
            return 0;
        });
    }

  private:
    Result<void> keep(Result<SerialLine> opened) {
        if (!opened) return Unexpected{opened.error()};
        line_.emplace(*std::move(opened));
        return {};
    }
    std::optional<SerialLine> line_;
};

const std::string kRepeat = "GL?RR0E2E\r";
const std::string kReset = "GL?RSCEEF\r";
const std::string kResetDone = "GL!RS00B271\r";
const std::string kNothing = "GL!ER2166E5\r";

}  // namespace

TEST_CASE("pty: lines under a stable name, whoever comes and goes") {
    const conform::TemporaryDirectory dir;
    const fs::path path = dir.path() / "module";
    Lines lines;
    REQUIRE(lines.open_pty(path));
    CHECK(fs::is_symlink(path));
    {
        const Tty first(path);
        CHECK(first.ask(kIdentify) == kIdentity);
        CHECK(first.ask("noise\r") == kDamaged);
        first.send("SM?D");  // and leaves
    }
    // What it left unfinished is part of the next one's first line, which is damaged: as on a wire.
    const Tty second(path);
    CHECK(second.ask(kIdentify) == kDamaged);
    CHECK(second.ask(kIdentify) == kIdentity);
    CHECK(lines.full_role == lines.executed);
    lines.drop();
    CHECK_FALSE(fs::is_symlink(path));
}

TEST_CASE("pty: the line is raw") {
    const conform::TemporaryDirectory dir;
    Lines lines;
    REQUIRE(lines.open_pty(dir.path() / "module"));
    const Tty client(dir.path() / "module");
    termios settings{};
    REQUIRE(tcgetattr(client.fd(), &settings) == 0);
    CHECK((settings.c_lflag & (ICANON | ECHO | ISIG)) == 0U);
    CHECK((settings.c_iflag & (ICRNL | INLCR | IXON)) == 0U);
    CHECK((settings.c_oflag & OPOST) == 0U);
    CHECK((settings.c_cflag & CSIZE) == CS8);
}

TEST_CASE("pty: an envelope on a serial line is noise") {
    const conform::TemporaryDirectory dir;
    Lines lines;
    REQUIRE(lines.open_pty(dir.path() / "module"));
    const Tty client(dir.path() / "module");
    CHECK(client.ask(framed("SM?DI", true)) == kDamaged);
    CHECK(client.ask(kIdentify) == kIdentity);
}

TEST_CASE("pty: the last response is remembered until GL?RS, for the next client too") {
    const conform::TemporaryDirectory dir;
    Lines lines;
    REQUIRE(lines.open_pty(dir.path() / "module"));
    CHECK(Tty(dir.path() / "module").ask(kRepeat) == kNothing);
    CHECK(Tty(dir.path() / "module").ask(kIdentify) == kIdentity);
    const Tty next(dir.path() / "module");
    CHECK(next.ask(kRepeat) == kIdentity);
    CHECK(next.ask(kReset) == kResetDone);
    CHECK(next.ask(kRepeat) == kNothing);
}

TEST_CASE("pty: an unfinished line is dropped after silence") {
    const conform::TemporaryDirectory dir;
    Lines lines;
    REQUIRE(lines.open_pty(dir.path() / "module", {.silence = 50ms}));
    const Tty client(dir.path() / "module");
    CHECK(client.ask(kIdentify) == kIdentity);
    client.send("SM?D");
    std::this_thread::sleep_for(200ms);  // the silence itself
    CHECK(client.ask(kIdentify) == kIdentity);
}

TEST_CASE("pty: a client that reads nothing stops nobody for good") {
    const conform::TemporaryDirectory dir;
    Lines lines;
    REQUIRE(lines.open_pty(dir.path() / "module", {.write_stall = 100ms}));
    {
        const Tty deaf(dir.path() / "module");
        for (int i = 0; i < 400; ++i) {
            pollfd ready{.fd = deaf.fd(), .events = POLLOUT, .revents = 0};
            if (::poll(&ready, 1, 1000) != 1) break;
            deaf.send(kIdentify);
        }
    }
    const Tty next(dir.path() / "module");
    CHECK(eventually([&] {
        tcflush(next.fd(), TCIFLUSH);
        next.send(kEcho);
        pollfd ready{.fd = next.fd(), .events = POLLIN, .revents = 0};
        if (::poll(&ready, 1, 100) != 1) return false;
        return next.line() == kEchoed;
    }));
}

TEST_CASE("pty: what stands at its place") {
    const conform::TemporaryDirectory dir;
    const fs::path path = dir.path() / "module";
    Lines lines;
    SECTION("a link that a killed process left is replaced") {
        fs::create_symlink("/dev/pts/999999", path);
        REQUIRE(lines.open_pty(path));
        CHECK(Tty(path).ask(kIdentify) == kIdentity);
    }
    SECTION("a file stays") {
        std::ofstream(path) << "mine";
        CHECK(lines.open_pty(path).error() == Errc::in_use);
        CHECK(fs::file_size(path) == 4);
    }
    SECTION("a directory stays") {
        fs::create_directory(path);
        CHECK(lines.open_pty(path).error() == Errc::in_use);
        CHECK(fs::is_directory(path));
    }
    SECTION("a link to something else stays") {
        fs::create_symlink("/etc/passwd", path);
        CHECK(lines.open_pty(path).error() == Errc::in_use);
        CHECK(fs::read_symlink(path) == "/etc/passwd");
    }
    SECTION("its directory is missing") {
        CHECK(lines.open_pty(dir.path() / "no" / "module").error() == Errc::not_found);
    }
    SECTION("a name left behind whose pty is this line's own now") {
        std::optional<Lines> first(std::in_place);
        REQUIRE(first->open_pty(path));
        const fs::path target = fs::read_symlink(path);
        first.reset();
        fs::create_symlink(target, path);
        REQUIRE(lines.open_pty(path));
        CHECK(Tty(path).ask(kIdentify) == kIdentity);
    }
    SECTION("a line that another one serves stays") {
        Lines first;
        REQUIRE(first.open_pty(path));
        CHECK(lines.open_pty(path).error() == Errc::in_use);
        CHECK(Tty(path).ask(kIdentify) == kIdentity);
        first.drop();
        REQUIRE(lines.open_pty(path));
        CHECK(Tty(path).ask(kIdentify) == kIdentity);
    }
    SECTION("somebody replaced the link: theirs stays") {
        REQUIRE(lines.open_pty(path));
        fs::remove(path);
        fs::create_symlink("/dev/pts/999999", path);
        lines.drop();
        CHECK(fs::is_symlink(path));
    }
}

TEST_CASE("serial: lines on a device") {
    const Cable cable;
    Lines lines;
    REQUIRE(lines.open({.device = cable.name}));
    CHECK(cable.ours.ask(kIdentify) == kIdentity);
    CHECK(cable.ours.ask(kIdentify + "\n" + kEcho) == kIdentity);
    CHECK(cable.ours.line() == kEchoed);
    CHECK(cable.ours.ask("\x01\x02~~~\r") == kDamaged);
    CHECK(cable.ours.ask(std::string(5000, 'x') + "\r") == kDamaged);
    cable.ours.send("\r\r\n\r");
    CHECK(cable.ours.quiet());
    CHECK(cable.ours.ask(kRepeat) == kEchoed);
    CHECK(lines.full_role == lines.executed);
}

TEST_CASE("serial: every octet alone, and requests in one piece") {
    const Cable cable;
    Lines lines;
    REQUIRE(lines.open({.device = cable.name}));
    for (const char& octet : kIdentify) cable.ours.send({&octet, 1});
    CHECK(cable.ours.line() == kIdentity);
    cable.ours.send(kIdentify + kIdentify + kEcho);
    CHECK(cable.ours.line() == kIdentity);
    CHECK(cable.ours.line() == kIdentity);
    CHECK(cable.ours.line() == kEchoed);
}

TEST_CASE("serial: the form of the line is what is configured") {
    using Parity = SerialSettings::Parity;
    using Handshake = SerialSettings::Handshake;
    const Cable cable;
    Lines lines;
    SerialSettings settings{.device = cable.name};
    tcflag_t flags = CS8;
    speed_t speed = B9600;
    tcflag_t flow = 0;
    SECTION("9600 8N1, no handshake, when nothing is said") {
    }
    SECTION("another rate") {
        settings.baud = 115200;
        speed = B115200;
    }
    SECTION("two stop bits") {
        settings.stop_bits = 2;
        flags |= CSTOPB;
    }
    SECTION("RTS/CTS") {
        settings.handshake = Handshake::rts_cts;
        flags |= CRTSCTS;
    }
    SECTION("XON/XOFF") {
        settings.handshake = Handshake::xon_xoff;
        flow = IXON | IXOFF;
    }
    SECTION("odd parity") {
        settings.parity = Parity::odd;
        flags |= PARODD;  // PARENB and CS7 a pty does not take
    }
    REQUIRE(lines.open(settings));
    const Tty device(::open(cable.name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios now{};
    REQUIRE(tcgetattr(device.fd(), &now) == 0);
    CHECK((now.c_cflag & (CSIZE | CSTOPB | CRTSCTS | PARODD)) == flags);
    CHECK((now.c_iflag & (IXON | IXOFF)) == flow);
    CHECK(cfgetispeed(&now) == speed);
    CHECK(cfgetospeed(&now) == speed);
    CHECK(cable.ours.ask(kIdentify) == kIdentity);
}

TEST_CASE("serial: a device that cannot be had") {
    const conform::TemporaryDirectory dir;
    const Cable cable;
    Lines lines;
    SECTION("there is none") {
        CHECK(lines.open({.device = dir.path() / "none"}).error() == Errc::not_found);
    }
    SECTION("a file") {
        std::ofstream(dir.path() / "file") << "x";
        CHECK(lines.open({.device = dir.path() / "file"}).error() == Errc::invalid_argument);
    }
    SECTION("a directory") {
        CHECK(lines.open({.device = dir.path()}).error() == Errc::invalid_argument);
    }
    SECTION("a rate that nothing has") {
        CHECK(lines.open({.device = cable.name, .baud = 12345}).error() == Errc::invalid_argument);
    }
    SECTION("another process has it, and its form stays") {
        const Tty other{fs::path(cable.name)};
        termios form{};
        REQUIRE(tcgetattr(other.fd(), &form) == 0);
        REQUIRE(cfsetspeed(&form, B115200) == 0);
        REQUIRE(tcsetattr(other.fd(), TCSANOW, &form) == 0);
        REQUIRE(flock(other.fd(), LOCK_EX | LOCK_NB) == 0);
        CHECK(lines.open({.device = cable.name}).error() == Errc::in_use);
        REQUIRE(tcgetattr(other.fd(), &form) == 0);
        CHECK(cfgetispeed(&form) == B115200);
    }
}

TEST_CASE("serial: unplugged and plugged in again") {
    const conform::TemporaryDirectory dir;
    const fs::path device = dir.path() / "ttyUSB0";
    std::optional<Cable> cable(std::in_place);
    fs::create_symlink(cable->name, device);
    Lines lines;
    REQUIRE(lines.open({.device = device, .reopen = 10ms}));
    CHECK(cable->ours.ask(kIdentify) == kIdentity);
    std::unique_lock hold(lines.held);
    const bool in_progress = GENERATE(false, true);
    if (in_progress) {
        // The answer to this is lost with the cable.
        cable->ours.send(framed("SM?VCN1~"));
        CHECK(eventually([&] { return lines.taken == 2; }));
    } else {
        cable->ours.send("SM?D");  // half a line
    }
    fs::remove(device);
    cable.reset();
    hold.unlock();
    if (in_progress) CHECK(eventually([&] { return lines.executed == 2; }));

    cable.emplace();
    fs::create_symlink(cable->name, device);
    const std::string last = in_progress ? framed("SM!VC00N1~") : kIdentity;
    CHECK(answered(cable->ours, kRepeat));
    CHECK(cable->ours.line() == last);
}

TEST_CASE("serial: a device that goes away while nothing is there to answer, again and again") {
    const conform::TemporaryDirectory dir;
    const fs::path device = dir.path() / "ttyUSB0";
    std::optional<Cable> cable(std::in_place);
    fs::create_symlink(cable->name, device);
    Lines lines;
    REQUIRE(lines.open({.device = device, .reopen = 5ms}));
    for (int i = 0; i < 5; ++i) {
        fs::remove(device);
        cable.reset();
        cable.emplace();
        fs::create_symlink(cable->name, device);
        CHECK(answered(cable->ours, kIdentify));
        CHECK(cable->ours.line() == kIdentity);
    }
}

TEST_CASE("serial: a stop lets the answer in progress out, also when the device is gone") {
    std::optional<Cable> cable(std::in_place);
    Lines lines;
    REQUIRE(lines.open({.device = cable->name}));
    std::unique_lock hold(lines.held);
    cable->ours.send(kIdentify);
    CHECK(eventually([&] { return lines.taken == 1; }));
    const bool gone = GENERATE(false, true);
    if (gone) cable.reset();
    lines.close();
    hold.unlock();
    if (!gone) CHECK(cable->ours.line() == kIdentity);
    CHECK(eventually([&] { return lines.loop_ended(); }));
}

}  // namespace sts6
