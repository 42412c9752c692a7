// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firmware/module/module.hpp"
#include "src/pkcs11/pkcs11_hsm.hpp"

namespace sts6 {

/// What a running daemon adds to the status of its module, as a JSON object. On the module thread.
[[nodiscard]] std::string daemon_status(Module& module, const p11::Pkcs11Hsm& hsm);

}  // namespace sts6
