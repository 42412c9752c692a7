// SPDX-License-Identifier: Apache-2.0
// The connection to a running module, with its refusals turned into errors.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sts6/client.hpp"
#include "tools/sts6ctl/ctl_error.hpp"

namespace sts6::ctl {

/// Attribute cards, "ACT...;BDT...", value by tag.
using Cards = std::map<std::string, std::string>;

class ModuleLink {
  public:
    /// `raw` shows every frame on stderr: text, or APDUs in hexadecimal.
    ModuleLink(const std::string& url, const ClientOptions& options, bool raw);

    /// The answer as it came.
    Response send(std::string_view message);

    /// The values of the answer's fields, type letters checked against `types`. Throws CtlError when the
    /// module refuses.
    std::vector<std::string> call(std::string_view message, std::string_view types);

    /// The attribute cards of a register's key (SM?GA).
    Cards key_cards(std::uint32_t register_number);

  private:
    Client client_;
};

/// "41 key_expired_error: the TID is beyond ..." for a person.
std::string status_in_words(std::string_view code);

/// The values of an answer's fields, whose type letters must be `types`.
std::vector<std::string> field_values(const Response& response, std::string_view types);

Cards split_cards(std::string_view text);

/// Throws CtlError unless the answer's status is 00.
void throw_if_refused(const Response& response);

}  // namespace sts6::ctl
