// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "src/daemon/config.hpp"
#include "src/daemon/failure.hpp"
#include "src/pkcs11/pkcs11_hsm.hpp"

namespace sts6 {

/// The configured PKCS#11 token, for the objects of one module.
[[nodiscard]] p11::TokenConfig token_config(const Config& config, std::string_view module_id);

/// Reads the PIN file, logs in and finds the module's keys.
[[nodiscard]] Outcome<std::unique_ptr<p11::Pkcs11Hsm>> open_hsm(const Config& config,
                                                                std::string_view module_id);

/// Which token it is, for the log and for status.
[[nodiscard]] std::string token_in_words(const p11::Pkcs11Hsm& hsm);

}  // namespace sts6
