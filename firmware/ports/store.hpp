// SPDX-License-Identifier: Apache-2.0
// The seam to durable state.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "firmware/ports/audit.hpp"
#include "firmware/ports/hsm.hpp"
#include "firmware/util/vending_key.hpp"
#include "sts6/civil_time.hpp"
#include "sts6/commands.hpp"
#include "sts6/result.hpp"

namespace sts6 {

/// A vending key register that holds a key. Its identity is (slot, SGC, KRN).
struct RegisterRow {
    std::uint16_t number = 0;  ///< 1..4096
    std::uint8_t slot = 0;     ///< 1..4, of the KMC that the key is from
    KeyId key{};
    std::optional<WrappedKey> wrapped_key;  ///< of a DKG 02 key, and of no other
    Kcv kcv{};
    KeyAttributes attributes;
    std::optional<std::uint64_t> units_left;     ///< in tenths of a unit; none = unlimited
    std::optional<std::uint64_t> currency_left;  ///< in 0.00001 of the currency unit; none = unlimited
};

/// A key that was loaded and waits for the end of its load, in the register that it will have.
struct StagedKey {
    RegisterRow row;
    std::array<std::uint8_t, 12> nonce{};
    Sha384 record{};  ///< of the KEY record, whose repeat is answered as it was
};

/// Between a load request and the end of its load (docs/key-management.md 3.6).
struct LoadSession {
    enum class State : std::uint8_t { none, pending, loading };

    State state = State::none;
    FixedText<128> kmcid;       ///< complete
    Sha384 kmc_record{};        ///< of the PKKMC record that the request was made with
    EcPoint kmc_key{};          ///< Q_s,V
    CivilTime requested{};      ///< module time of the request
    EcKey ephemeral;            ///< while pending
    std::uint8_t failures = 0;  ///< of the key confirmation
    KeyId kek{};                ///< while loading, as what follows
    std::array<std::uint8_t, 24> mac_tag{};
    Sha384 response{};  ///< of the response record, whose repeat is answered as it was
};

/// A KMC's place in the module: its operator and its name are its identity.
struct Slot {
    std::uint8_t number = 0;  ///< 1..4
    FixedText<40> kmc_operator;
    FixedText<40> kmc_name;
    FixedText<128> kmcid;  ///< of the last response that was accepted; empty before the first
    bool active = false;   ///< a load has finished
    LoadSession session;
    /// What the KF that ended the last load answered, until the next KC: its repeat gets it again.
    std::optional<std::uint32_t> last_loaded;
    std::uint32_t last_removed = 0;
};

/// What a module was set up as; it never changes afterwards. Lab: fixed RND, no TID window, test keys.
enum class Profile : std::uint8_t { production = 1, demo = 2, lab = 3 };

/// The module's own row: what every commit writes.
struct ModuleState {
    Profile profile = Profile::production;
    Phase phase = Phase::manufacturing;
    FixedText<40> module_id;
    FixedText<40> hardware_id;
    FixedText<128> smid;              ///< empty until initialised
    FixedText<40> smid_firmware;      ///< FirmwareID at that time: the SM public key record does not change
    EcKey agreement_key;              ///< the static pair that the SMID names
    EcPoint instruction_key{};        ///< verifies signed instructions
    std::uint64_t tokens_issued = 0;  ///< VC, VM and VK sets since initialisation
    CivilTime time_mark{};            ///< highest module time that was committed
    bool running = false;             ///< started and not stopped; found true at a start, it was killed
    bool tampered = false;            ///< latched until the module is zeroised
};

class Store {
  public:
    Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    virtual ~Store() = default;

    [[nodiscard]] virtual Result<ModuleState> load_state() = 0;

    /// The register with the lowest number above `after`, or none: called from 0 on, it reads all of them.
    [[nodiscard]] virtual Result<std::optional<RegisterRow>> load_next_register(std::uint16_t after) = 0;

    /// None for a slot that is free.
    [[nodiscard]] virtual Result<std::optional<Slot>> load_slot(std::uint8_t number) = 0;

    /// The staged key of the register with the lowest number above `after`, or none.
    [[nodiscard]] virtual Result<std::optional<StagedKey>> load_next_staged(std::uint16_t after) = 0;

    /// Whether two officers have approved the PKKMC record of this digest.
    [[nodiscard]] virtual Result<bool> is_approved(const Sha384& kmc_record) = 0;

    [[nodiscard]] virtual AuditHead audit_head() noexcept = 0;

    /// A record from audit_head().first to .last; not_found outside.
    [[nodiscard]] virtual Result<AuditRecord> load_audit(std::uint64_t sequence) = 0;

    /// How many more entries can be recorded before unacknowledged ones would be lost; the largest number
    /// when the oldest may be dropped.
    [[nodiscard]] virtual std::uint64_t audit_room() noexcept = 0;

    // Changes. They become durable with the next commit(), together; a failure here is as final as one there.

    [[nodiscard]] virtual Result<void> put_register(const RegisterRow& row) = 0;
    [[nodiscard]] virtual Result<void> remove_register(std::uint16_t number) = 0;
    /// The counters of a register that is stored; nothing else of it changes.
    [[nodiscard]] virtual Result<void> put_counters(const RegisterRow& row) = 0;
    [[nodiscard]] virtual Result<void> put_slot(const Slot& slot) = 0;
    [[nodiscard]] virtual Result<void> remove_slot(std::uint8_t number) = 0;
    [[nodiscard]] virtual Result<void> put_staged(const StagedKey& key) = 0;
    [[nodiscard]] virtual Result<void> remove_all_staged() = 0;
    [[nodiscard]] virtual Result<void> remove_all_approvals() = 0;

    /// Makes the state and all changes since the last commit durable in one transaction, before it returns,
    /// with the audit of them. storage_full: nothing of it was written, what the store holds is what it held
    /// at the last commit, and a later commit may succeed. Any other failure is final: the caller latches its
    /// error state and does not try again.
    [[nodiscard]] virtual Result<void> commit(const ModuleState& state,
                                              std::span<const AuditEntry> audit) = 0;
};

}  // namespace sts6
