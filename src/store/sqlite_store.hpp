// SPDX-License-Identifier: Apache-2.0
// The Store port over one SQLite file.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "firmware/ports/admin_store.hpp"
#include "firmware/ports/store.hpp"

namespace sts6 {

/// The module's durable state: its own row and its registers, in WAL mode with `synchronous=FULL`. The file
/// is locked for one store as long as that lives. Details of an error go to the log, what it means to the
/// caller.
///
/// Not for concurrent calls. Errors that any call can have: storage_full, storage_failed, permission (the
/// file cannot be written) and corrupt. A call that failed is not repeated inside, and has changed nothing;
/// a change or a commit that failed has also undone the changes since the last commit.
class SqliteStore final : public Store, public AdminStore {
  public:
    /// Makes the file, mode 0600, with `initial` in it and no register, complete and durable or not at all.
    /// already_exists when something of that name, or a journal left behind by such a file, is there;
    /// not_found when the directory is missing; invalid_argument when `initial` is out of its ranges.
    static Result<std::unique_ptr<SqliteStore>> create(const std::filesystem::path& path,
                                                       const ModuleState& initial);

    /// Opens what create() made, after a check of the whole file. not_found; in_use by another store; corrupt
    /// when it is damaged or another program's; newer_schema when a later version of this product wrote it.
    static Result<std::unique_ptr<SqliteStore>> open(const std::filesystem::path& path,
                                                     const AuditLimits& limits = {});

    SqliteStore(const SqliteStore&) = delete;
    SqliteStore& operator=(const SqliteStore&) = delete;
    ~SqliteStore() override;

    /// A value outside its range is corrupt: nothing is guessed.
    [[nodiscard]] Result<ModuleState> load_state() override;
    [[nodiscard]] Result<std::optional<RegisterRow>> load_next_register(std::uint16_t after) override;

    [[nodiscard]] Result<std::optional<Slot>> load_slot(std::uint8_t number) override;
    [[nodiscard]] Result<std::optional<StagedKey>> load_next_staged(std::uint16_t after) override;
    [[nodiscard]] Result<bool> is_approved(const Sha384& kmc_record) override;

    // already_exists: the identity (slot, SGC, KRN), the key object, a nonce or a record is another row's;
    // invalid_argument: a value is out of its range. After a failure nothing since the last commit is kept.
    [[nodiscard]] Result<void> put_register(const RegisterRow& row) override;
    [[nodiscard]] Result<void> remove_register(std::uint16_t number) override;
    [[nodiscard]] Result<void> put_counters(const RegisterRow& row) override;
    [[nodiscard]] Result<void> put_slot(const Slot& slot) override;
    [[nodiscard]] Result<void> remove_slot(std::uint8_t number) override;
    [[nodiscard]] Result<void> put_staged(const StagedKey& key) override;
    [[nodiscard]] Result<void> remove_all_staged() override;
    [[nodiscard]] Result<void> remove_all_approvals() override;

    [[nodiscard]] Result<std::optional<Officer>> load_next_officer(std::string_view after) override;
    [[nodiscard]] Result<std::optional<KmcApproval>> load_next_approval(std::string_view after) override;
    [[nodiscard]] Result<void> put_officer(const Officer& officer) override;
    [[nodiscard]] Result<void> remove_officer(std::string_view name) override;
    [[nodiscard]] Result<void> put_approval(const KmcApproval& approval) override;
    [[nodiscard]] Result<void> remove_approval(const Sha384& digest) override;

    /// A record that does not fit the chain is corrupt.
    [[nodiscard]] Result<AuditRecord> load_audit(std::uint64_t sequence) override;
    [[nodiscard]] AuditHead audit_head() noexcept override;
    [[nodiscard]] std::uint64_t audit_room() noexcept override;
    [[nodiscard]] Result<void> acknowledge_audit(std::uint64_t sequence) override;

    /// One synchronisation of the file. invalid_argument when a value is out of its range, or the profile is
    /// not the one that the store was made with. The audit of all but vending goes to the log too.
    [[nodiscard]] Result<void> commit(const ModuleState& state, std::span<const AuditEntry> audit) override;

  private:
    struct Impl;
    explicit SqliteStore(std::unique_ptr<Impl> impl) noexcept;

    std::unique_ptr<Impl> impl_;
};

}  // namespace sts6
