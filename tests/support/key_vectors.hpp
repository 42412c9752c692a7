// SPDX-License-Identifier: Apache-2.0
// Published and computed cases of key agreement and key load, read from their files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sts6::test {

using Octets = std::vector<std::uint8_t>;

/// tests/data/vectors/key-management-profile-1.json.
struct Profile1Vectors {
    struct Record {
        Octets vending_key;
        Octets nonce;
        Octets associated_data;
        Octets sealed;
        Octets kcv;
    };
    Octets static_secret;     ///< the module's
    Octets ephemeral_secret;  ///< the module's
    Octets static_point;
    Octets ephemeral_point;
    Octets peer;
    Octets other_info;
    Octets mac_key;
    Octets kek;
    Octets mac_data;
    Octets mac_tag;
    std::vector<Record> records;
};
Profile1Vectors profile1_vectors();

/// Of Project Wycheproof, whose files are no part of this project: in the directory that STS6_WYCHEPROOF
/// names, or in ../shared/vectors/wycheproof beside the source. Empty where they are not.
struct CcmCase {
    std::string name;
    Octets key;
    Octets nonce;
    Octets associated_data;
    Octets payload;
    Octets sealed;
    bool valid = false;
};
/// AES-192-CCM with a nonce of 12 octets and a tag of 16.
std::vector<CcmCase> wycheproof_ccm();

struct EcdhCase {
    std::string name;
    Octets peer;
    Octets secret;
    Octets shared;
    bool valid = false;
    bool doubling = false;  ///< one of the very many for one kind of fault
};
/// P-384, points as SEC 1 writes them.
std::vector<EcdhCase> wycheproof_ecdh();

}  // namespace sts6::test
