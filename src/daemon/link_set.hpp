// SPDX-License-Identifier: Apache-2.0
// Every link of the daemon.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <asio/io_context.hpp>

#include "src/daemon/failure.hpp"
#include "src/daemon/link_plan.hpp"
#include "src/links/link_services.hpp"
#include "src/links/listener.hpp"
#include "src/links/serial_line.hpp"
#include "src/links/tls_server.hpp"
#include "src/links/virtual_card.hpp"

namespace sts6 {

/// Everything happens on the loop's thread, as in the links.
class LinkSet {
  public:
    /// Opens all that is planned, or says what cannot be opened. Loop and services must outlive the set.
    [[nodiscard]] Outcome<void> open(asio::io_context& loop, const LinkPlan& plan,
                                     const LinkServices& services);

    /// " tcp=HOST:PORT pty=PATH": each link under its option's name, ports resolved.
    [[nodiscard]] const std::string& ready_text() const noexcept { return ready_text_; }

    /// Reads the files of TLS again, for the connections to come; when they cannot be used, those read before
    /// stay.
    void reload_certificates();

    /// No further connection and no further command; links end when their last answer has left.
    void close();
    /// All links end.
    void drop();

  private:
    [[nodiscard]] Outcome<void> open_listeners(asio::io_context& loop, const LinkPlan& plan,
                                               const LinkServices& services);
    [[nodiscard]] Outcome<void> open_lines(asio::io_context& loop, const LinkPlan& plan,
                                           const LinkServices& services);
    void add_ready(std::string_view key, std::string_view value);

    std::shared_ptr<TlsServer> tls_;
    std::vector<Listener> listeners_;
    std::vector<VirtualCard> cards_;
    std::vector<SerialLine> lines_;
    std::string ready_text_;
};

}  // namespace sts6
