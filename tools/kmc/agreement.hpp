// SPDX-License-Identifier: Apache-2.0
// What the KMC computes of public profile 1 (docs/key-management.md 3.4), as party V.
#pragma once

#include <string>
#include <string_view>

#include "firmware/keyload/profile1.hpp"
#include "tools/kmc/crypto.hpp"

namespace sts6::kmc {

struct SessionKeys {
    Secret<keyload::profile1::kMacKeyOctets> mac_key;
    Secret<keyload::profile1::kKekOctets> kek;
};

[[nodiscard]] SessionKeys derive_keys(const Secret<kScalarOctets>& ze, const Secret<kScalarOctets>& zs,
                                      const keyload::profile1::Parties& parties);

/// The key confirmation of a response with this body.
[[nodiscard]] keyload::MacTag confirmation(const SessionKeys& keys, const keyload::profile1::Parties& parties,
                                           std::string_view body);

/// A KEY record under the KEK, tied to the response with that MacTag.
[[nodiscard]] std::string key_record(const SessionKeys& keys, const keyload::MacTag& mac_tag,
                                     const keyload::Nonce& nonce, std::string_view cards, Octets value);

}  // namespace sts6::kmc
