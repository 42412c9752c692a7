// SPDX-License-Identifier: Apache-2.0
// A key management centre for labs and tests: its key, the security modules it knows, the vending keys it
// holds and the answers it gave. Everything refused throws KmcError and leaves the KMC as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firmware/keyload/file.hpp"
#include "firmware/util/vending_key.hpp"
#include "tools/kmc/crypto.hpp"

namespace sts6::kmc {

using KeyName = std::pair<std::uint32_t, std::uint8_t>;  ///< SGC, KRN

struct VendingKey {
    KeyAttributes attributes;  ///< issue_until is each response's own
    Kcv kcv{};
    Secret<20> value;  ///< the first vending_key_octets(dkg) of it
    std::optional<std::uint32_t> refresh_days;
    std::vector<std::string> modules;  ///< "manufacturer:ModuleID" each; empty = every security module

    [[nodiscard]] Octets octets() const noexcept {
        return Octets(value.octets()).first(vending_key_octets(attributes.dkg));
    }
};

/// A response, kept so that the same request gets the same file.
struct Answer {
    Sha384Digest request{};        ///< over the request record
    Sha384Digest ephemeral_key{};  ///< over its point: the KEK is this point's, whatever else the record says
    std::string file;
};

struct Kmc {
    std::string record;  ///< PKKMC
    KeyPair key;
    std::map<std::string, std::string> modules;  ///< "manufacturer:ModuleID" to its PKSM record
    std::map<KeyName, VendingKey> keys;
    std::vector<Answer> answers;
};

/// The only record of a file, which must be of that type. A damaged file is kExitIntegrity.
[[nodiscard]] std::string only_record(std::string_view file, std::string_view type);

/// Where it comes from is not the KMC's affair: random_octets, or what a test needs.
using RandomSource = std::function<void(std::span<std::uint8_t>)>;

struct NewKmc {
    std::string operator_name;
    std::string name;
    CivilTime created{};
    std::optional<CivilTime> active_from;  ///< none = `created`
    std::optional<CivilTime> expiry;       ///< none = ten years after it becomes active
};
[[nodiscard]] Kmc make_kmc(const NewKmc& wanted);
/// With a key pair that exists.
[[nodiscard]] Kmc make_kmc(const NewKmc& wanted, KeyPair key);

enum class SmChange : std::uint8_t { none, added, replaced };
struct AddedSm {
    std::string smid;
    SmChange change = SmChange::none;
};
/// `file` holds one PKSM record. Another record of a module that is known needs `replace`.
AddedSm add_sm(Kmc& kmc, std::string_view file, bool replace);

/// Adds a key and gives its KCV. `key` has its value, or none of its own: then a random one is made. Its kcv
/// is computed, and its modules may be named by their ModuleIDs alone.
Kcv add_key(Kmc& kmc, VendingKey key, bool has_value);

/// The key is in no response from now on.
void revoke(Kmc& kmc, KeyName name);

struct Response {
    std::string file;
    std::string smid;
    std::size_t keys = 0;
    bool repeated = false;         ///< the request was answered before
    std::vector<KeyName> expired;  ///< keys that were left out
};
/// Answers the request in `file`. The same request gets the same file, whatever has changed since.
Response respond(Kmc& kmc, std::string_view file, CivilTime now, const RandomSource& random);

/// Ten years on; the 28th of a February that has no 29th.
[[nodiscard]] CivilTime ten_years_after(CivilTime time);

}  // namespace sts6::kmc
