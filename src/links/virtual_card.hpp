// SPDX-License-Identifier: Apache-2.0
// The module as the card in the virtual reader of vsmartcard's vpcd: pcscd and its clients find it there.
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include "src/links/link.hpp"
#include "src/links/link_services.hpp"
#include "sts6/commands.hpp"

namespace sts6 {

struct VirtualCardSettings {
    asio::ip::tcp::endpoint reader;  ///< where vpcd listens
    LinkRole role = LinkRole::vend;
    LinkLimits limits{};
    std::chrono::milliseconds retry{1000};  ///< between two tries to reach the reader
};

/// Goes to the reader, and again whenever it has lost it: pcscd may be started later, and anew. Everything
/// happens on the thread that runs the loop; the loop and the services must outlive the card.
class VirtualCard {
  public:
    VirtualCard(asio::io_context& loop, const VirtualCardSettings& settings, const LinkServices& services);
    VirtualCard(VirtualCard&&) noexcept = default;
    VirtualCard& operator=(VirtualCard&&) = delete;
    /// Drops the link.
    ~VirtualCard();

    /// Takes no further command, and ends when the answer of the one in progress has left.
    void close();

  private:
    class Host;

    std::shared_ptr<Host> host_;
};

}  // namespace sts6
