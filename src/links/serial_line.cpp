// SPDX-License-Identifier: Apache-2.0
#include "src/links/serial_line.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>

#include <asio/error.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/serial_port.hpp>
#include <asio/steady_timer.hpp>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "src/links/command_inlet.hpp"
#include "src/links/message_protocol.hpp"
#include "src/links/stream_link.hpp"

namespace sts6 {

namespace fs = std::filesystem;

namespace {

std::error_code last_error() noexcept {
    return {errno, std::system_category()};
}

Errc errc_of(const std::error_code& error) noexcept {
    switch (error.value()) {
        case ENOENT:
            return Errc::not_found;
        case EACCES:
        case EPERM:
            return Errc::permission;
        case EAGAIN:  // flock
        case EEXIST:
        case EBUSY:
            return Errc::in_use;
        case EINVAL:
        case ENOTTY:
        case EISDIR:
            return Errc::invalid_argument;
        default:
            return Errc::io_failed;
    }
}

void set_form(asio::serial_port& port, const SerialSettings& settings, std::error_code& error) {
    using Port = asio::serial_port_base;
    using Parity = SerialSettings::Parity;
    using Handshake = SerialSettings::Handshake;
    const auto parity = settings.parity == Parity::none   ? Port::parity::none
                        : settings.parity == Parity::even ? Port::parity::even
                                                          : Port::parity::odd;
    const auto flow = settings.handshake == Handshake::none      ? Port::flow_control::none
                      : settings.handshake == Handshake::rts_cts ? Port::flow_control::hardware
                                                                 : Port::flow_control::software;
    const auto set = [&](const auto& option) {
        if (!error) port.set_option(option, error);
    };
    set(Port::baud_rate(settings.baud));
    set(Port::character_size(settings.data_bits));
    set(Port::parity(parity));
    set(Port::stop_bits(settings.stop_bits == 2 ? Port::stop_bits::two : Port::stop_bits::one));
    set(Port::flow_control(flow));
}

// An answer of 300 octets at 9600 baud.
constexpr std::chrono::milliseconds kLastAnswer{300};

/// Closes without the wait for octets that the line does not take, which the system gives half a minute.
void close_device(asio::serial_port& port, std::chrono::milliseconds drain) noexcept {
    const auto unsent = [&port] {
        int octets = 0;
        return ioctl(port.native_handle(), TIOCOUTQ, &octets) == 0 && octets > 0;
    };
    const auto end = std::chrono::steady_clock::now() + drain;
    while (port.is_open() && unsent()) {
        if (std::chrono::steady_clock::now() >= end) {
            tcflush(port.native_handle(), TCOFLUSH);
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::error_code ignored;
    port.close(ignored);
}

/// Opens the device, raw, for this process alone. Nothing is set on one that another process uses.
void open_device(asio::serial_port& port, const SerialSettings& settings, std::error_code& error) {
    const int device = ::open(settings.device.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (device < 0) {
        error = last_error();
        return;
    }
    termios form{};
    if (flock(device, LOCK_EX | LOCK_NB) != 0 || tcgetattr(device, &form) != 0) {
        error = last_error();
        ::close(device);
        return;
    }
    cfmakeraw(&form);
    form.c_iflag |= IGNPAR;
    form.c_cflag |= CREAD | CLOCAL;
    if (tcsetattr(device, TCSANOW, &form) != 0) error = last_error();
    if (!error) port.assign(device, error);
    if (error) {
        ::close(device);
        return;
    }
    set_form(port, settings, error);
    // What came before nobody was there to hear.
    if (!error) tcflush(device, TCIOFLUSH);
    if (error) close_device(port, {});
}

/// The side of a pty that is the module's, and the other, which is held too: so that its settings stay and no
/// client's leaving looks like a device unplugged.
struct Pty {
    asio::posix::stream_descriptor ours;
    asio::posix::stream_descriptor theirs;
    std::string name;  ///< of theirs
};

/// A mark on the client's side of a pty that lasts as long as the line. Not flock(): that is the clients'.
struct flock line_mark() {
    struct flock mark {};
    mark.l_type = F_WRLCK;
    mark.l_whence = SEEK_SET;
    return mark;
}

std::optional<Pty> make_pty(asio::io_context& loop) {
    Pty pty{asio::posix::stream_descriptor(loop), asio::posix::stream_descriptor(loop), ""};
    const int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ours < 0) return std::nullopt;
    std::error_code error;
    pty.ours.assign(ours, error);
    if (error) {
        ::close(ours);
        errno = error.value();
        return std::nullopt;
    }
    std::array<char, 128> name{};
    if (grantpt(ours) != 0 || unlockpt(ours) != 0 || ptsname_r(ours, name.data(), name.size()) != 0) {
        return std::nullopt;
    }
    pty.name = name.data();
    const int theirs = ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (theirs < 0) return std::nullopt;
    pty.theirs.assign(theirs, error);
    if (error) {
        ::close(theirs);
        errno = error.value();
        return std::nullopt;
    }
    termios settings{};
    if (tcgetattr(theirs, &settings) != 0) return std::nullopt;
    cfmakeraw(&settings);
    if (tcsetattr(theirs, TCSANOW, &settings) != 0) return std::nullopt;
    struct flock mark = line_mark();
    if (fcntl(theirs, F_OFD_SETLK, &mark) != 0) return std::nullopt;
    pty.ours.non_blocking(true, error);
    if (error) {
        errno = error.value();
        return std::nullopt;
    }
    return pty;
}

bool is_pty_link(const fs::path& path) {
    std::error_code error;
    const fs::path target = fs::read_symlink(path, error);
    return !error && target.string().starts_with("/dev/pts/");
}

/// Whether `path` is the name of a line that somebody else serves. A killed process leaves the name of a pty
/// whose number the next one may get.
bool is_served(const fs::path& path, const std::string& ours) {
    std::error_code error;
    if (fs::read_symlink(path, error) == ours) return false;
    const int descriptor = ::open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return false;
    struct flock mark = line_mark();
    const bool marked = fcntl(descriptor, F_OFD_GETLK, &mark) == 0 && mark.l_type != F_UNLCK;
    ::close(descriptor);
    return marked;
}

/// In one step, so that `path` is always somebody's line.
void make_link(const std::string& target, const fs::path& path, std::error_code& error) {
    if (fs::symlink_status(path, error).type() != fs::file_type::not_found &&
        (!is_pty_link(path) || is_served(path, target))) {
        error = std::make_error_code(std::errc::file_exists);
        return;
    }
    const fs::path made = path.string() + "." + std::to_string(getpid());
    fs::create_symlink(target, made, error);
    if (!error) fs::rename(made, path, error);
    if (error) {
        std::error_code ignored;
        fs::remove(made, ignored);
    }
}

}  // namespace

class SerialLine::Host : public LinkHost, public std::enable_shared_from_this<Host> {
  public:
    Host(asio::io_context& loop, std::string name, const LinkLimits& limits, const LinkServices& services)
        : name_(std::move(name)),
          limits_(limits),
          inlet_(std::make_shared<CommandInlet>(loop, services.queue)) {
        limits_.idle = {};  // nobody else waits for the line
    }

    void serve(std::shared_ptr<Link> link) {
        link_ = std::move(link);
        link_->start();
    }
    /// The symbolic link `path` is removed when the line ends.
    void own(fs::path path, std::string target) {
        path_ = std::move(path);
        target_ = std::move(target);
    }
    void close() {
        inlet_->hand_over();
        if (link_) link_->finish();
    }
    void drop() {
        inlet_->discard();
        if (link_) link_->close();
        std::error_code ignored;
        // Another process may have put its own there.
        if (!path_.empty() && fs::read_symlink(path_, ignored) == target_) fs::remove(path_, ignored);
    }

    void submit(std::shared_ptr<PendingCommand> command) override { inlet_->submit(std::move(command)); }
    void forget(const std::shared_ptr<Link>& /*link*/) override { link_.reset(); }
    [[nodiscard]] const LinkLimits& limits() const noexcept override { return limits_; }
    [[nodiscard]] std::string_view name() const noexcept override { return name_; }

  private:
    std::string name_;
    LinkLimits limits_;
    std::shared_ptr<CommandInlet> inlet_;
    std::shared_ptr<Link> link_;
    fs::path path_;
    std::string target_;
};

namespace {

std::unique_ptr<LinkProtocol> lines(const LinkServices& services) {
    return std::make_unique<MessageProtocol>(services, LinkRole::full, MessageProtocol::Form::lines);
}

/// A line whose device may go away and come back.
class DeviceLink final : public StreamLink<asio::serial_port> {
  public:
    DeviceLink(asio::serial_port port, std::shared_ptr<LinkHost> host, const SerialSettings& settings,
               const LinkServices& services)
        : StreamLink(std::move(port), std::move(host)),
          settings_(settings),
          reopen_timer_(stream_.get_executor()) {
        speak(lines(services));
    }

  private:
    // While the device is away an answer goes nowhere; it is remembered for GL?RR.
    std::size_t write_now(std::string_view octets, std::error_code& /*error*/) override {
        return away_ ? octets.size() : 0;
    }
    // At a stop: the last answer may still be on its way through the device.
    void close_stream() noexcept override {
        close_device(stream_, kLastAnswer);
        reopen_timer_.cancel();
    }
    void broken() override {
        if (std::exchange(away_, true)) return;  // what was under way on the old stream ends here too
        spdlog::warn("serial: " + settings_.device + " is gone: waiting for it");
        close_device(stream_, {});
        give_up();
        reopen_later();
    }
    void reopen_later() {
        reopen_timer_.expires_after(settings_.reopen);
        reopen_timer_.async_wait([self = shared_from_this(), this](const std::error_code& error) {
            if (error || closed()) return;
            std::error_code opened;
            open_device(stream_, settings_, opened);
            if (opened) {
                reopen_later();
                return;
            }
            spdlog::info("serial: " + settings_.device + " is back");
            away_ = false;
            resume();
        });
    }

    SerialSettings settings_;
    asio::steady_timer reopen_timer_;
    bool away_ = false;
};

class PtyLink final : public StreamLink<asio::posix::stream_descriptor> {
  public:
    PtyLink(Pty pty, std::shared_ptr<LinkHost> host, const LinkServices& services)
        : StreamLink(std::move(pty.ours), std::move(host)), theirs_(std::move(pty.theirs)) {
        speak(lines(services));
    }

  private:
    std::size_t write_now(std::string_view octets, std::error_code& error) override {
        return write_what_fits(octets, error);
    }
    // Nobody reads: what waits is of no use to the next client, and the answer that is stuck behind it goes
    // on.
    void stalled() override { tcflush(theirs_.native_handle(), TCIFLUSH); }

    asio::posix::stream_descriptor theirs_;
};

}  // namespace

Result<SerialLine> SerialLine::open(asio::io_context& loop, const SerialSettings& settings,
                                    const LinkServices& services) {
    asio::serial_port port(loop);
    std::error_code error;
    open_device(port, settings, error);
    if (error) {
        spdlog::error("serial: " + settings.device + ": " + error.message());
        return Unexpected{errc_of(error)};
    }
    auto host = std::make_shared<Host>(loop, "serial", settings.limits, services);
    host->serve(std::make_shared<DeviceLink>(std::move(port), host, settings, services));
    return SerialLine(std::move(host));
}

Result<SerialLine> SerialLine::open_pty(asio::io_context& loop, const std::string& path,
                                        const LinkLimits& limits, const LinkServices& services) {
    auto pty = make_pty(loop);
    std::error_code error;
    if (pty) {
        make_link(pty->name, path, error);
    } else {
        error = last_error();
    }
    if (error) {
        spdlog::error("pty: " + path + ": " + error.message());
        return Unexpected{errc_of(error)};
    }
    auto host = std::make_shared<Host>(loop, "pty", limits, services);
    host->own(path, pty->name);
    host->serve(std::make_shared<PtyLink>(*std::move(pty), host, services));
    return SerialLine(std::move(host));
}

SerialLine::~SerialLine() {
    if (host_) host_->drop();
}

void SerialLine::close() {
    host_->close();
}

}  // namespace sts6
