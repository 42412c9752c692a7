// SPDX-License-Identifier: Apache-2.0
// Objects of a token: made, copied, found, destroyed. All of it under the module's management lock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "firmware/ports/hsm.hpp"
#include "src/pkcs11/attributes.hpp"
#include "src/pkcs11/session.hpp"

namespace sts6::p11 {

enum class Lifetime : std::uint8_t { session, token };

/// "<prefix><kind><KeyId in hexadecimal>".
[[nodiscard]] std::string object_label(std::string_view prefix, std::string_view kind, const KeyId& id);

/// Tries again without the optional attributes when the token refuses them all together.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> create_object(const Session& session, Attributes& attributes);

/// A key that the token makes; otherwise like create_object().
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> generate_key(const Session& session, CK_MECHANISM_TYPE type,
                                                      Attributes& attributes);

/// A session object with the key of `object`, as sensitive as that; it lives as long as `session`.
[[nodiscard]] CkResult<CK_OBJECT_HANDLE> copy_to_session(const Session& session, CK_OBJECT_HANDLE object);

[[nodiscard]] CK_RV destroy_object(const Session& session, CK_OBJECT_HANDLE object);

[[nodiscard]] CkResult<std::vector<CK_OBJECT_HANDLE>> find_objects(const Session& session,
                                                                   Attributes& attributes);

/// C_GetAttributeValue into the buffers that `attributes` names; once more after a failure that may pass, for
/// a key must not seem to be missing because of it.
[[nodiscard]] CK_RV read_attributes(const Session& session, CK_OBJECT_HANDLE object,
                                    std::span<CK_ATTRIBUTE> attributes);

}  // namespace sts6::p11
