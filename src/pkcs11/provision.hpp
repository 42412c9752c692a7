// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "src/pkcs11/pin.hpp"
#include "src/pkcs11/token_config.hpp"
#include "sts6/result.hpp"

namespace sts6::p11 {

/// Initialises the first blank token under `config.token_label` and sets its user PIN. Durable when it
/// returns.
///
/// Nothing has changed on already_exists (a token of that label is there), hsm_missing (no blank token) and
/// invalid_argument (label, or a PIN of a length that the token refuses). pin_incorrect: the token asks for
/// the security officer's PIN that it was delivered with. It closes every session that this process has with
/// any token of the module, so it belongs before them.
[[nodiscard]] Result<void> init_token(const TokenConfig& config, const Pin& so_pin, const Pin& user_pin);

}  // namespace sts6::p11
