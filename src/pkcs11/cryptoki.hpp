// SPDX-License-Identifier: Apache-2.0
// Cryptoki as this room uses it: the types, what a CKR means for us, and its words for the log.
#pragma once

#include <cstdint>
#include <string>

#include <p11-kit/pkcs11.h>

#include "sts6/result.hpp"

namespace sts6::p11 {

/// A value or a CKR other than CKR_OK. The room's own currency; at its border a CKR becomes an Errc.
template <class T>
using CkResult = Result<T, CK_RV>;

/// What a failed call says about what we hold.
enum class Fault : std::uint8_t {
    none,
    object,      ///< a handle may be stale, or the token has trouble with this one object
    connection,  ///< session, login or device are gone: every other call would fail too
    final,       ///< asking again changes nothing
};

[[nodiscard]] Fault fault_of(CK_RV rv) noexcept;

/// True when finding sessions, login and objects again may cure the failure.
[[nodiscard]] inline bool is_curable(CK_RV rv) noexcept {
    const Fault fault = fault_of(rv);
    return fault == Fault::object || fault == Fault::connection;
}

/// True when the same call may well succeed the next time: the answer says nothing of what was asked, and
/// nothing of the connection.
[[nodiscard]] bool may_pass(CK_RV rv) noexcept;

/// The PIN itself was refused: presenting it again would only bring the lock nearer.
[[nodiscard]] bool is_pin_refusal(CK_RV rv) noexcept;

[[nodiscard]] Errc errc_of(CK_RV rv) noexcept;

/// "0xA0 (The password or PIN is incorrect)".
[[nodiscard]] std::string describe(CK_RV rv);

}  // namespace sts6::p11
