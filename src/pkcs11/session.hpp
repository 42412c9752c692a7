// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "src/pkcs11/module.hpp"

namespace sts6::p11 {

enum class Access : std::uint8_t { read_only, read_write };

/// An open session, closed when it goes. The module must outlive it.
class Session {
  public:
    Session() = default;
    [[nodiscard]] static CkResult<Session> open(Module& module, CK_SLOT_ID slot, Access access);

    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    Session(Session&& other) noexcept;
    Session& operator=(Session&& other) noexcept;
    ~Session() { close(); }

    [[nodiscard]] Module& module() const noexcept { return *module_; }
    [[nodiscard]] const CK_FUNCTION_LIST& api() const noexcept { return module_->api(); }
    [[nodiscard]] CK_SESSION_HANDLE handle() const noexcept { return handle_; }

    /// Forgets the session when the token no longer knows it: its number may be given to somebody else, so it
    /// must not be closed then.
    void forget_if_dead() noexcept;
    void close() noexcept;
    /// Ends whatever operation is under way, by a new session in the place of this one. When there is none to
    /// be had, this one is closed all the same.
    [[nodiscard]] CK_RV reopen();

    /// CKS_...
    [[nodiscard]] CkResult<CK_STATE> state() const;

  private:
    Module* module_ = nullptr;
    CK_SLOT_ID slot_ = 0;
    Access access_ = Access::read_only;
    CK_SESSION_HANDLE handle_ = CK_INVALID_HANDLE;  ///< invalid when there is no open session
    std::uint64_t generation_ = 0;
};

}  // namespace sts6::p11
