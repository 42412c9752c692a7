// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "src/pkcs11/key_agreement.hpp"

namespace sts6::p11 {

/// A computed value other than the known one.
inline constexpr CK_RV kWrongAnswer = CKR_VENDOR_DEFINED | 1UL;

/// What came of each step; of a step that was not reached, why.
struct AgreementOutcome {
    CK_RV key_pairs = CKR_FUNCTION_NOT_SUPPORTED;
    CK_RV agreement = CKR_FUNCTION_NOT_SUPPORTED;
    CK_RV ccm = CKR_FUNCTION_NOT_SUPPORTED;

    /// Of the first step that failed.
    [[nodiscard]] CK_RV first_failure() const noexcept {
        return key_pairs != CKR_OK ? key_pairs : agreement != CKR_OK ? agreement : ccm;
    }
};

/// A whole key agreement between the token and OpenSSL, which knows one side's secret key, and a message that
/// OpenSSL has sealed under the KEK. Session objects only, which are gone when it returns.
[[nodiscard]] AgreementOutcome probe_agreement(Session& session, KeyAgreement how);

}  // namespace sts6::p11
