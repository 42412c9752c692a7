// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "src/pkcs11/pin.hpp"
#include "src/pkcs11/session.hpp"

namespace sts6::p11 {

/// The login to one token: the session that makes, finds and copies objects, and that can be made anew.
class Connection {
  public:
    /// Presents the PIN once at most; not at all when the token says that it is locked or never set, or when
    /// this process is logged in already (login is per process and token).
    [[nodiscard]] static Result<Connection> open(std::shared_ptr<Module> module,
                                                 const std::string& token_label, const Pin& pin);

    [[nodiscard]] Module& module() const noexcept { return *module_; }
    [[nodiscard]] const TokenSlot& token() const noexcept { return token_; }
    [[nodiscard]] Session& session() noexcept { return session_; }

    /// A new session in the place of the old, whose objects go with it, logged in again where that is needed.
    /// A PIN that is refused bars every later attempt, for a real token locks after a few.
    [[nodiscard]] Result<void> reconnect();
    [[nodiscard]] bool is_barred() const noexcept { return barred_; }
    /// The last attempt ended in a login whose failure names neither the PIN nor the device.
    [[nodiscard]] bool login_failed_unclearly() const noexcept { return login_failed_unclearly_; }

  private:
    Connection(std::shared_ptr<Module> module, TokenSlot token, Pin pin)
        : module_(std::move(module)), token_(std::move(token)), pin_(std::move(pin)) {}

    [[nodiscard]] CkResult<Session> open_session();
    [[nodiscard]] Result<void> find_again();
    [[nodiscard]] Result<void> log_in(const Session& session);

    std::shared_ptr<Module> module_;
    TokenSlot token_;
    Pin pin_;
    Session session_;
    bool barred_ = false;
    bool login_failed_unclearly_ = false;
};

}  // namespace sts6::p11
