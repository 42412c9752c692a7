// SPDX-License-Identifier: Apache-2.0
// The links that the configuration asks for: everything about them that can be checked before one is opened.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/daemon/config.hpp"
#include "src/daemon/failure.hpp"
#include "src/links/link.hpp"
#include "src/links/listener.hpp"
#include "src/links/serial_line.hpp"
#include "src/links/tls_server.hpp"
#include "src/links/virtual_card.hpp"

namespace sts6 {

struct LinkPlan {
    std::vector<ListenerSettings> listeners;
    std::shared_ptr<TlsServer> tls;  ///< of the listeners under TLS; null when there are none
    std::vector<VirtualCardSettings> cards;
    std::vector<std::string> ptys;
    std::vector<SerialSettings> serial_lines;
    LinkLimits limits;
};

/// Resolves hosts and reads the files of TLS. Refuses what is malformed or does not go together, and a link
/// in clear on an address that is not loopback, naming the key.
[[nodiscard]] Outcome<LinkPlan> plan_links(const Config& config);

}  // namespace sts6
