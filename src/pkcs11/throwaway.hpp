// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "src/pkcs11/objects.hpp"

namespace sts6::p11 {

/// A session object, or the reason why there is none; destroyed when it goes.
class Throwaway {
  public:
    Throwaway(const Session& session, const CkResult<CK_OBJECT_HANDLE>& object)
        : session_(session),
          object_(object ? *object : CK_INVALID_HANDLE),
          rv_(object ? CKR_OK : object.error()) {}
    Throwaway(const Throwaway&) = delete;
    Throwaway& operator=(const Throwaway&) = delete;
    ~Throwaway() {
        if (rv_ == CKR_OK) static_cast<void>(destroy_object(session_, object_));
    }
    [[nodiscard]] CK_RV rv() const noexcept { return rv_; }
    [[nodiscard]] CK_OBJECT_HANDLE handle() const noexcept { return object_; }

  private:
    const Session& session_;
    CK_OBJECT_HANDLE object_;
    CK_RV rv_;
};

}  // namespace sts6::p11
