// SPDX-License-Identifier: Apache-2.0
// The audit log in the database: a chain of records, bounded.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "firmware/ports/audit.hpp"
#include "src/store/sqlite.hpp"

namespace sts6::store {

/// The hash of a record that follows one of hash `before` (docs/formats.md, The audit log).
[[nodiscard]] Sha256 chain_hash(const Sha256& before, const AuditRecord& record);

class AuditLog {
  public:
    /// Reads the head and checks the newest records: the rest is for `sts6ctl audit verify`. corrupt when
    /// they are not one chain.
    [[nodiscard]] static Result<AuditLog> open(Database& database, const AuditLimits& limits);

    /// As of the last commit.
    [[nodiscard]] const AuditHead& head() const noexcept { return head_; }
    [[nodiscard]] std::uint64_t room() const noexcept;
    /// not_found: it is not kept.
    [[nodiscard]] Result<AuditRecord> load(std::uint64_t sequence) const;

    // Parts of the next commit. `change(statement, bind)` runs a statement of its transaction.

    template <class Change>
    [[nodiscard]] Result<void> append(std::span<const AuditEntry> entries, Change change) {
        for (const AuditEntry& entry : entries) {
            const AuditRecord record = next(entry);
            const auto done = change(insert_, [&record](Run& run) { bind_record(run, record); });
            if (!done) return done;
            next_.last = record.sequence;
            next_.hash = record.hash;
        }
        return drop_oldest(change);
    }
    /// not_found: there is no such record; invalid_argument: it was acknowledged already.
    template <class Change>
    [[nodiscard]] Result<void> acknowledge(std::uint64_t sequence, Change change) {
        if (sequence > head_.last) return Unexpected{Errc::not_found};
        if (sequence <= head_.acknowledged) return Unexpected{Errc::invalid_argument};
        next_.acknowledged = sequence;
        return put_head(change);
    }
    void settle() noexcept { head_ = next_; }
    void revert() noexcept { next_ = head_; }

  private:
    AuditLog(Statement insert, Statement select, Statement remove_before, Statement update_head,
             const AuditLimits& limits)
        : insert_(std::move(insert)),
          select_(std::move(select)),
          remove_before_(std::move(remove_before)),
          update_head_(std::move(update_head)),
          limits_(limits) {}

    [[nodiscard]] Result<void> read_head(Database& database);
    [[nodiscard]] Result<void> check_newest() const;
    [[nodiscard]] AuditRecord next(const AuditEntry& entry) const;
    static void bind_record(Run& run, const AuditRecord& record);
    /// The first record that stays when the log must get shorter; next_.first when it need not.
    [[nodiscard]] std::uint64_t first_to_keep() const noexcept;

    template <class Change>
    [[nodiscard]] Result<void> drop_oldest(Change change) {
        const std::uint64_t first = first_to_keep();
        if (first == next_.first) return {};
        const auto last_dropped = read(first - 1);
        if (!last_dropped) return Unexpected{last_dropped.error()};
        next_.base = last_dropped->hash;
        next_.first = first;
        const auto removed =
            change(remove_before_, [first](Run& run) { run.bind(static_cast<std::int64_t>(first)); });
        return removed ? put_head(change) : removed;
    }
    template <class Change>
    [[nodiscard]] Result<void> put_head(Change change) {
        return change(update_head_, [this](Run& run) {
            run.bind(static_cast<std::int64_t>(next_.first));
            run.bind(static_cast<std::int64_t>(next_.acknowledged));
            run.bind(next_.base);
        });
    }
    [[nodiscard]] Result<AuditRecord> read(std::uint64_t sequence) const;

    Statement insert_;
    Statement select_;
    Statement remove_before_;
    Statement update_head_;
    AuditLimits limits_;
    AuditHead head_;
    AuditHead next_;
};

}  // namespace sts6::store
