// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firmware/ports/hsm.hpp"
#include "firmware/ports/store.hpp"
#include "src/daemon/failure.hpp"

namespace sts6 {

/// What a manufacturer does with SM?MI and SM?MF, for a demo or lab module: the same commands, through the
/// module itself. Nobody has the secret half of its instruction key. Gives the SM public key record.
Outcome<std::string> manufacture_module(Hsm& hsm, Store& store, Profile profile,
                                        const std::string& module_id);

}  // namespace sts6
