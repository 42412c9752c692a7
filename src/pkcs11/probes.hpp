// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "src/pkcs11/capabilities.hpp"
#include "src/pkcs11/quirks.hpp"
#include "src/pkcs11/session.hpp"

namespace sts6::p11 {

/// Known-answer tests with throw-away session objects, which are gone when it returns. A CKR only when the
/// token went away; what it merely refuses is a capability it lacks. `session` must be logged in.
[[nodiscard]] CkResult<Capabilities> probe_capabilities(Session& session, const Quirks& quirks);

}  // namespace sts6::p11
