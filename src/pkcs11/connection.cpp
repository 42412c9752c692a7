// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/connection.hpp"

#include <csignal>
#include <utility>

#include <spdlog/spdlog.h>

namespace sts6::p11 {
namespace {

/// While it lives, no signal but SIGKILL ends the process on this thread.
class SignalsHeld {
  public:
    SignalsHeld() noexcept {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before_);
    }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;
    ~SignalsHeld() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_{};
};

Result<void> check_pin_state(const TokenSlot& token) {
    if ((token.flags & CKF_USER_PIN_INITIALIZED) == 0) {
        spdlog::error("PKCS#11 token '" + token.label + "' has no user PIN: its set-up is not finished");
        return Unexpected{Errc::hsm_missing};
    }
    if ((token.flags & CKF_USER_PIN_LOCKED) != 0) {
        spdlog::error("the user PIN of PKCS#11 token '" + token.label + "' is locked");
        return Unexpected{Errc::pin_locked};
    }
    if ((token.flags & CKF_USER_PIN_FINAL_TRY) != 0) {
        spdlog::warn("PKCS#11 token '" + token.label + "' allows one more try before it locks its PIN");
    }
    return {};
}

}  // namespace

Result<Connection> Connection::open(std::shared_ptr<Module> module, const std::string& token_label,
                                    const Pin& pin) {
    const auto token = find_token(*module, token_label);
    if (!token) return Unexpected{token.error()};
    if (const auto usable = check_pin_state(*token); !usable) return Unexpected{usable.error()};
    Connection connection(std::move(module), *token, pin.clone());
    auto session = connection.open_session();
    if (!session) {
        spdlog::error("PKCS#11 token '" + token_label + "' opens no session: " + describe(session.error()));
        return Unexpected{errc_of(session.error())};
    }
    if (const auto login = connection.log_in(*session); !login) return Unexpected{login.error()};
    connection.session_ = std::move(*session);
    return connection;
}

CkResult<Session> Connection::open_session() {
    return Session::open(*module_, token_.slot, Access::read_write);
}

Result<void> Connection::log_in(const Session& session) {
    const auto state = session.state();
    if (!state) return Unexpected{errc_of(state.error())};
    if (*state == CKS_RW_USER_FUNCTIONS) return {};
    CK_RV rv = CKR_OK;
    {
        const auto lock = module_->management();
        // SoftHSM empties its token file at each login and writes it anew: a process that ends in between
        // takes every key with it.
        const SignalsHeld held;
        // Cryptoki does not say const; the PIN is read only.
        auto* text = reinterpret_cast<CK_UTF8CHAR*>(const_cast<char*>(pin_.c_str()));
        rv = session.api().C_Login(session.handle(), CKU_USER, text, pin_.size());
    }
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) return {};
    barred_ = is_pin_refusal(rv);
    login_failed_unclearly_ = !barred_ && fault_of(rv) != Fault::connection;
    module_->complain("login to PKCS#11 token '" + token_.label + "' failed: " + describe(rv) +
                      (barred_ ? "; the PIN is not presented again" : ""));
    return Unexpected{errc_of(rv)};
}

Result<void> Connection::reconnect() {
    if (barred_) return Unexpected{Errc::pin_incorrect};
    login_failed_unclearly_ = false;
    session_.forget_if_dead();
    auto session = open_session();
    if (!session) {
        if (session.error() == CKR_CRYPTOKI_NOT_INITIALIZED && module_->reinitialise() != CKR_OK) {
            return Unexpected{Errc::hsm_failed};
        }
        if (const auto found = find_again(); !found) return Unexpected{found.error()};
        session = open_session();
    }
    if (!session) {
        module_->complain("PKCS#11 token '" + token_.label +
                          "' opens no session: " + describe(session.error()));
        return Unexpected{errc_of(session.error())};
    }
    if (const auto login = log_in(*session); !login) return Unexpected{login.error()};
    session_ = std::move(*session);
    return {};
}

Result<void> Connection::find_again() {
    auto token = find_token(*module_, token_.label);
    if (!token) return Unexpected{token.error()};
    if (token->serial != token_.serial || token->model != token_.model) {
        module_->complain("the PKCS#11 token labelled '" + token_.label + "' is another one now: serial " +
                          token->serial + " instead of " + token_.serial);
        return Unexpected{Errc::hsm_missing};
    }
    token_ = std::move(*token);
    return {};
}

}  // namespace sts6::p11
