// SPDX-License-Identifier: Apache-2.0
// Set-up of a token, by libp11. The daemon logs in without it: libp11 keeps the PIN in the ordinary heap,
// does not notice when a login is lost, and closes all sessions when it lets go of its slots.
#include "src/pkcs11/provision.hpp"

#include <algorithm>
#include <exception>
#include <span>
#include <string>

#include <libp11.h>
#include <openssl/err.h>
#include <spdlog/spdlog.h>

#include "src/pkcs11/module.hpp"
#include "src/pkcs11/sync.hpp"

namespace sts6::p11 {
namespace {

constexpr std::size_t kLabelOctets = 32;

/// libp11's list of slots, as they were when it was made.
class SlotList {
  public:
    explicit SlotList(PKCS11_CTX* context) : context_(context) {
        if (PKCS11_enumerate_slots(context_, &slots_, &count_) != 0) slots_ = nullptr;
    }
    SlotList(const SlotList&) = delete;
    SlotList& operator=(const SlotList&) = delete;
    ~SlotList() {
        if (slots_ != nullptr) PKCS11_release_all_slots(context_, slots_, count_);
    }

    [[nodiscard]] std::span<PKCS11_SLOT> slots() const noexcept {
        return {slots_, slots_ == nullptr ? 0 : count_};
    }
    /// Null when no token passes the test.
    template <class Test>
    [[nodiscard]] PKCS11_SLOT* find(Test test) const {
        const auto all = slots();
        const auto found = std::find_if(all.begin(), all.end(), [&test](const PKCS11_SLOT& slot) {
            return slot.token != nullptr && test(*slot.token);
        });
        return found == all.end() ? nullptr : &*found;
    }

  private:
    PKCS11_CTX* context_;
    PKCS11_SLOT* slots_ = nullptr;
    unsigned count_ = 0;
};

/// Takes the reason of libp11's last failure off OpenSSL's error queue.
Unexpected<Errc> failure(const char* step) {
    const unsigned long code = ERR_peek_last_error();
    const auto reason = static_cast<CK_RV>(ERR_GET_REASON(code));
    ERR_clear_error();
    spdlog::error("token initialisation fails at " + std::string(step) + ": " + describe(reason));
    const Errc errc = errc_of(reason);
    return Unexpected{errc};
}

Result<void> check_lengths(Module& module, CK_SLOT_ID slot, const Pin& so_pin, const Pin& user_pin) {
    const auto tokens = module.tokens();
    if (!tokens) return Unexpected{errc_of(tokens.error())};
    for (const TokenSlot& token : *tokens) {
        if (token.slot != slot) continue;
        const auto fits = [&token](const Pin& pin) {
            return pin.size() >= token.pin_least && pin.size() <= token.pin_most;
        };
        if (fits(so_pin) && fits(user_pin)) return {};
        spdlog::error("the token takes PINs of " + std::to_string(token.pin_least) + " to " +
                      std::to_string(token.pin_most) + " characters");
        return Unexpected{Errc::invalid_argument};
    }
    return Unexpected{Errc::hsm_missing};
}

Result<void> set_user_pin(PKCS11_SLOT& slot, const Pin& so_pin, const Pin& user_pin) {
    if (PKCS11_open_session(&slot, 1) != 0) return failure("opening a session");
    if (PKCS11_login(&slot, 1, so_pin.c_str()) != 0) return failure("the security officer's login");
    if (PKCS11_init_pin(slot.token, user_pin.c_str()) != 0) return failure("setting the user PIN");
    if (PKCS11_logout(&slot) != 0) return failure("logout");
    return {};
}

Result<void> initialise(Module& module, PKCS11_CTX* context, const TokenConfig& config, const Pin& so_pin,
                        const Pin& user_pin) {
    const SlotList before(context);
    const auto of_label = [&config](const PKCS11_TOKEN& token) {
        return token.initialized != 0 && token.label != nullptr && token.label == config.token_label;
    };
    if (before.find(of_label) != nullptr) {
        spdlog::error("a PKCS#11 token labelled '" + config.token_label + "' exists already");
        return Unexpected{Errc::already_exists};
    }
    PKCS11_SLOT* blank = before.find([](const PKCS11_TOKEN& token) { return token.initialized == 0; });
    if (blank == nullptr) {
        spdlog::error("PKCS#11 module " + config.module.string() +
                      " has no token that waits for initialisation");
        return Unexpected{Errc::hsm_missing};
    }
    if (const auto fit = check_lengths(module, PKCS11_get_slotid_from_slot(blank), so_pin, user_pin); !fit) {
        return fit;
    }
    // libp11 hands the label on as 32 octets whatever its length: unpadded, what lies behind it in memory
    // would become part of the token's label.
    std::string label = config.token_label;
    label.resize(kLabelOctets, ' ');
    if (PKCS11_init_token(blank->token, so_pin.c_str(), label.c_str()) != 0) {
        return failure("C_InitToken");
    }
    // libp11 sees the new label only in a new list; PKCS11_update_slots of 0.4.12 crashes.
    const SlotList after(context);
    PKCS11_SLOT* made = after.find(of_label);
    if (made == nullptr) {
        spdlog::error("the token labelled '" + config.token_label +
                      "' is not found after its initialisation");
        return Unexpected{Errc::hsm_failed};
    }
    return set_user_pin(*made, so_pin, user_pin);
}

}  // namespace

Result<void> init_token(const TokenConfig& config, const Pin& so_pin, const Pin& user_pin) {
    if (config.token_label.empty() || config.token_label.size() > kLabelOctets) {
        return Unexpected{Errc::invalid_argument};
    }
    try {
        const auto module = Module::acquire(config);
        if (!module) return Unexpected{module.error()};
        const auto context = (*module)->libp11();
        if (!context) return Unexpected{context.error()};
        const auto done = initialise(**module, *context, config, so_pin, user_pin);
        if (!done) return done;
        return sync_token_files(config.sync_dir);
    } catch (const std::exception& fault) {
        spdlog::error(std::string("token initialisation: ") + fault.what());
        return Unexpected{Errc::hsm_failed};
    }
}

}  // namespace sts6::p11
