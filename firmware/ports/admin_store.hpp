// SPDX-License-Identifier: Apache-2.0
// The seam to what officers keep: themselves, and the KMCs that they have approved.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "firmware/ports/hsm.hpp"
#include "firmware/util/fixed_text.hpp"
#include "sts6/civil_time.hpp"
#include "sts6/result.hpp"

namespace sts6 {

/// Two of them approve what the module then trusts. Of the PIN there is a scrypt verifier.
struct Officer {
    FixedText<40> name;
    std::array<std::uint8_t, 16> salt{};
    std::array<std::uint8_t, 32> verifier{};
    std::uint8_t failures = 0;  ///< wrong PINs since the last right one
};

/// A KMC public key record that is trusted: the record, nothing less (docs/key-management.md 3.2).
struct KmcApproval {
    Sha384 digest{};  ///< of the record
    FixedText<128> kmcid;
    FixedText<1024> record;
    CivilTime approved{};  ///< module time
};

class AdminStore {
  public:
    AdminStore() = default;
    AdminStore(const AdminStore&) = delete;
    AdminStore& operator=(const AdminStore&) = delete;
    virtual ~AdminStore() = default;

    /// The officer with the first name behind `after`, or none; from "" on, it reads all of them.
    [[nodiscard]] virtual Result<std::optional<Officer>> load_next_officer(std::string_view after) = 0;
    /// The approval with the first KMCID behind `after`, or none.
    [[nodiscard]] virtual Result<std::optional<KmcApproval>> load_next_approval(std::string_view after) = 0;

    // Changes, durable with the module's next commit.

    [[nodiscard]] virtual Result<void> put_officer(const Officer& officer) = 0;
    [[nodiscard]] virtual Result<void> remove_officer(std::string_view name) = 0;
    [[nodiscard]] virtual Result<void> put_approval(const KmcApproval& approval) = 0;
    [[nodiscard]] virtual Result<void> remove_approval(const Sha384& digest) = 0;
    /// Records up to this one were exported. not_found: there is none; invalid_argument: it was already.
    [[nodiscard]] virtual Result<void> acknowledge_audit(std::uint64_t sequence) = 0;
};

}  // namespace sts6
