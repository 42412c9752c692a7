// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <utility>

#include <asio/serial_port.hpp>
#include <asio/write.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#include "src/client/stream.hpp"
#include "src/client/waiter.hpp"

namespace sts6::client {

namespace {

/// 8N1 without handshake, every octet as it is. Closing leaves the modem lines alone: some modules are reset
/// by them.
bool make_raw(int device) {
    termios settings{};
    if (tcgetattr(device, &settings) != 0) return false;
    cfmakeraw(&settings);
    settings.c_iflag |= IGNPAR;
    settings.c_iflag &= ~static_cast<tcflag_t>(IXOFF | IXANY);
    settings.c_cflag &= ~static_cast<tcflag_t>(CSTOPB | CRTSCTS | HUPCL);
    settings.c_cflag |= CS8 | CREAD | CLOCAL;
    return tcsetattr(device, TCSANOW, &settings) == 0;
}

class SerialStream final : public Stream {
  public:
    explicit SerialStream(const Url& url) : url_(url), port_(waiter_.loop()) {}

    Result<void> open(Deadline) override {
        close();
        const int device = ::open(url_.path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (device < 0) return Unexpected{Errc::io_failed};
        asio::error_code error;
        port_.assign(device, error);
        if (error) {
            ::close(device);
            return Unexpected{Errc::io_failed};
        }
        // Before anything is set: another program may be in the midst of an exchange.
        if (flock(device, LOCK_EX | LOCK_NB) != 0)
            return failed(errno == EWOULDBLOCK ? Errc::in_use : Errc::io_failed);
        if (!make_raw(device)) return failed(Errc::io_failed);
        port_.set_option(asio::serial_port::baud_rate(url_.baud), error);
        if (error) return failed(Errc::invalid_argument);
        tcflush(device, TCIOFLUSH);
        return {};
    }

    Result<void> write(Deadline deadline, std::string_view octets) override {
        const auto written = waiter_.await(
            deadline,
            [&](auto done) { asio::async_write(port_, asio::buffer(octets.data(), octets.size()), done); },
            [&] { cancel(); });
        if (!written) return Unexpected{written.error()};
        return {};
    }

    Result<std::size_t> read(Deadline deadline, std::span<char> into) override {
        return waiter_.await(
            deadline, [&](auto done) { port_.async_read_some(asio::buffer(into.data(), into.size()), done); },
            [&] { cancel(); });
    }

    bool quiet() override {
        if (!port_.is_open()) return false;
        pollfd state{.fd = port_.native_handle(), .events = POLLIN, .revents = 0};
        return poll(&state, 1, 0) == 0;
    }

    [[nodiscard]] bool is_open() const override { return port_.is_open(); }

    void close() noexcept override {
        asio::error_code ignored;
        port_.close(ignored);
    }

  private:
    Result<void> failed(Errc error) noexcept {
        close();
        return Unexpected{error};
    }
    void cancel() noexcept {
        asio::error_code ignored;
        port_.cancel(ignored);
    }

    Url url_;
    Waiter waiter_;
    asio::serial_port port_;
};

}  // namespace

std::unique_ptr<Stream> make_serial_stream(const Url& url) {
    return std::make_unique<SerialStream>(url);
}

}  // namespace sts6::client
