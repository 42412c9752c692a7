// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/cryptoki.hpp"

#include <p11-kit/p11-kit.h>
#include <spdlog/fmt/fmt.h>

namespace sts6::p11 {

Fault fault_of(CK_RV rv) noexcept {
    switch (rv) {
        case CKR_OK:
            return Fault::none;
        case CKR_KEY_HANDLE_INVALID:
        case CKR_OBJECT_HANDLE_INVALID:
        // What SoftHSM answers for an object whose file is damaged, and other tokens for a passing trouble.
        case CKR_GENERAL_ERROR:
        case CKR_FUNCTION_FAILED:
            return Fault::object;
        case CKR_CRYPTOKI_NOT_INITIALIZED:
        case CKR_DEVICE_ERROR:
        case CKR_DEVICE_REMOVED:
        case CKR_SESSION_CLOSED:
        case CKR_SESSION_HANDLE_INVALID:
        case CKR_SLOT_ID_INVALID:
        case CKR_TOKEN_NOT_PRESENT:
        case CKR_TOKEN_NOT_RECOGNIZED:
        case CKR_USER_NOT_LOGGED_IN:
            return Fault::connection;
        default:
            return Fault::final;
    }
}

bool may_pass(CK_RV rv) noexcept {
    if (fault_of(rv) == Fault::connection) return false;
    switch (rv) {
        case CKR_OK:
        case CKR_ARGUMENTS_BAD:
        case CKR_ATTRIBUTE_READ_ONLY:
        case CKR_ATTRIBUTE_SENSITIVE:
        case CKR_ATTRIBUTE_TYPE_INVALID:
        case CKR_ATTRIBUTE_VALUE_INVALID:
        case CKR_BUFFER_TOO_SMALL:
        case CKR_FUNCTION_NOT_SUPPORTED:
        case CKR_KEY_FUNCTION_NOT_PERMITTED:
        case CKR_KEY_SIZE_RANGE:
        case CKR_KEY_TYPE_INCONSISTENT:
        case CKR_MECHANISM_INVALID:
        case CKR_MECHANISM_PARAM_INVALID:
        case CKR_TEMPLATE_INCOMPLETE:
        case CKR_TEMPLATE_INCONSISTENT:
            return false;
        default:
            return true;
    }
}

bool is_pin_refusal(CK_RV rv) noexcept {
    switch (rv) {
        case CKR_PIN_INCORRECT:
        case CKR_PIN_INVALID:
        case CKR_PIN_LEN_RANGE:
        case CKR_PIN_EXPIRED:
        case CKR_PIN_LOCKED:
        case CKR_USER_PIN_NOT_INITIALIZED:
            return true;
        default:
            return false;
    }
}

Errc errc_of(CK_RV rv) noexcept {
    switch (rv) {
        case CKR_PIN_INCORRECT:
        case CKR_PIN_INVALID:
        case CKR_PIN_LEN_RANGE:
            return Errc::pin_incorrect;
        case CKR_PIN_LOCKED:
        case CKR_PIN_EXPIRED:
            return Errc::pin_locked;
        case CKR_USER_PIN_NOT_INITIALIZED:
        case CKR_SLOT_ID_INVALID:
        case CKR_TOKEN_NOT_PRESENT:
        case CKR_TOKEN_NOT_RECOGNIZED:
            return Errc::hsm_missing;
        case CKR_MECHANISM_INVALID:
        case CKR_MECHANISM_PARAM_INVALID:
        case CKR_FUNCTION_NOT_SUPPORTED:
        case CKR_KEY_SIZE_RANGE:
            return Errc::unsupported;
        default:
            return Errc::hsm_failed;
    }
}

std::string describe(CK_RV rv) {
    const char* text = p11_kit_strerror(rv);
    return fmt::format("0x{:X} ({})", rv, text == nullptr ? "unknown" : text);
}

}  // namespace sts6::p11
