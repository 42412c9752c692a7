// SPDX-License-Identifier: Apache-2.0
// Objects of a token: made, copied, found, destroyed. All of it under the module's management lock.
#pragma once

#include <vector>

#include "src/pkcs11/attributes.hpp"
#include "src/pkcs11/session.hpp"

namespace sts6::p11 {

/// Tries again without the optional attributes when the token refuses them all together.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> create_object(const Session& session, Attributes& attributes);

/// A session object with the key of `object`, as sensitive as that; it lives as long as `session`.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> copy_to_session(const Session& session, CK_OBJECT_HANDLE object);

[[nodiscard]] CK_RV destroy_object(const Session& session, CK_OBJECT_HANDLE object);

[[nodiscard]] CkResult<std::vector<CK_OBJECT_HANDLE>> find_objects(const Session& session,
                                                                   Attributes& attributes);

/// C_GetAttributeValue into the buffers that `attributes` names.
[[nodiscard]] CK_RV read_attributes(const Session& session, CK_OBJECT_HANDLE object,
                                    std::span<CK_ATTRIBUTE> attributes);

}  // namespace sts6::p11
