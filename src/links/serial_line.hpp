// SPDX-License-Identifier: Apache-2.0
// Links over serial lines: a device, or a pty that stands for one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <asio/io_context.hpp>

#include "src/links/link.hpp"
#include "src/links/link_services.hpp"
#include "sts6/result.hpp"

namespace sts6 {

struct SerialSettings {
    enum class Parity : std::uint8_t { none, even, odd };
    enum class Handshake : std::uint8_t { none, rts_cts, xon_xoff };

    std::string device;
    std::uint32_t baud = 9600;
    std::uint32_t data_bits = 8;  ///< 7 or 8
    Parity parity = Parity::none;
    std::uint32_t stop_bits = 1;  ///< 1 or 2
    Handshake handshake = Handshake::none;
    LinkLimits limits{};
    std::chrono::milliseconds reopen{250};  ///< between two tries to open a device that was unplugged
};

/// One serial line, whose link has the role `full`: who can use it is at the module. The link remembers its
/// last response until GL?RS, also while the device is unplugged. Everything happens on the thread that runs
/// the loop; the loop and the services must outlive the line.
class SerialLine {
  public:
    /// Opens the device for this process alone (flock). in_use; not_found; permission; invalid_argument: a
    /// rate or form that the device does not have, or no serial device; io_failed. The log has the reason.
    [[nodiscard]] static Result<SerialLine> open(asio::io_context& loop, const SerialSettings& settings,
                                                 const LinkServices& services);

    /// Makes a pty and the symbolic link `path` to the side that a client opens, as a device of any rate. A
    /// client may come and go. A link to another pty is replaced, anything else at that place refused
    /// (in_use).
    [[nodiscard]] static Result<SerialLine> open_pty(asio::io_context& loop, const std::string& path,
                                                     const LinkLimits& limits, const LinkServices& services);

    SerialLine(SerialLine&&) noexcept = default;
    SerialLine& operator=(SerialLine&&) = delete;
    /// Drops the link.
    ~SerialLine();

    /// Takes no further command, and ends when the answer of the one in progress has left.
    void close();

  private:
    class Host;

    explicit SerialLine(std::shared_ptr<Host> host) : host_(std::move(host)) {}

    std::shared_ptr<Host> host_;
};

}  // namespace sts6
