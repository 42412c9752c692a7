// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/session.hpp"

#include <utility>

namespace sts6::p11 {

CkResult<Session> Session::open(Module& module, CK_SLOT_ID slot, Access access) {
    const CK_FLAGS write = access == Access::read_write ? CKF_RW_SESSION : 0;
    const auto lock = module.management();
    // A call that fails may write something there all the same.
    CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
    const CK_RV rv = module.api().C_OpenSession(slot, CKF_SERIAL_SESSION | write, nullptr, nullptr, &handle);
    if (rv != CKR_OK) return Unexpected{rv};
    Session session;
    session.module_ = &module;
    session.handle_ = handle;
    session.slot_ = slot;
    session.access_ = access;
    session.generation_ = module.generation();
    return session;
}

Session::Session(Session&& other) noexcept
    : module_(other.module_),
      slot_(other.slot_),
      access_(other.access_),
      handle_(std::exchange(other.handle_, CK_INVALID_HANDLE)),
      generation_(other.generation_) {
}

Session& Session::operator=(Session&& other) noexcept {
    if (this == &other) return *this;
    close();
    module_ = other.module_;
    slot_ = other.slot_;
    access_ = other.access_;
    handle_ = std::exchange(other.handle_, CK_INVALID_HANDLE);
    generation_ = other.generation_;
    return *this;
}

void Session::forget_if_dead() noexcept {
    if (handle_ == CK_INVALID_HANDLE) return;
    if (generation_ != module_->generation() || !state()) handle_ = CK_INVALID_HANDLE;
}

void Session::close() noexcept {
    if (handle_ == CK_INVALID_HANDLE) return;
    const auto lock = module_->management();
    if (generation_ == module_->generation()) static_cast<void>(api().C_CloseSession(handle_));
    handle_ = CK_INVALID_HANDLE;
}

CK_RV Session::reopen() {
    auto fresh = open(*module_, slot_, access_);
    if (!fresh) {
        close();
        return fresh.error();
    }
    *this = std::move(*fresh);
    return CKR_OK;
}

CkResult<CK_STATE> Session::state() const {
    CK_SESSION_INFO info{};
    const CK_RV rv = api().C_GetSessionInfo(handle_, &info);
    if (rv != CKR_OK) return Unexpected{rv};
    return info.state;
}

}  // namespace sts6::p11
