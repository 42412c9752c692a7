// SPDX-License-Identifier: Apache-2.0
#include "src/store/sqlite_store.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <limits>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "src/store/audit_log.hpp"
#include "src/store/schema.hpp"
#include "src/store/sqlite.hpp"

namespace sts6 {

using store::AuditLog;
using store::Database;
using store::Run;
using store::Statement;

struct SqliteStore::Impl {
    Database database;
    Statement select_module;
    Statement update_module;
    Statement select_next_register;
    Statement insert_register;
    Statement update_counters;
    Statement remove_register;
    Statement select_slot;
    Statement insert_slot;
    Statement remove_slot;
    Statement select_next_staged;
    Statement insert_staged;
    Statement remove_all_staged;
    Statement select_approval;
    Statement select_next_officer;
    Statement insert_officer;
    Statement remove_officer;
    Statement select_next_approval;
    Statement insert_approval;
    Statement remove_approval;
    Statement remove_all_approvals;
    Statement begin;
    Statement commit;
    AuditLog audit;

    [[nodiscard]] static Result<std::unique_ptr<Impl>> prepare(Database database, const AuditLimits& limits);

    /// Runs one statement of the next commit's transaction, which the first of them begins. What fails takes
    /// the transaction with it.
    template <class Bind>
    [[nodiscard]] Result<void> change(const Statement& statement, Bind bind) {
        const bool first = sqlite3_get_autocommit(database.handle()) != 0;
        if (const auto begun = first ? execute(begin) : Result<void>{}; !begun) return begun;
        Run run(statement);
        bind(run);
        if (const int code = run.step(); code != SQLITE_DONE) return undo(code);
        return {};
    }
    [[nodiscard]] Result<void> execute(const Statement& statement) {
        Run run(statement);
        if (const int code = run.step(); code != SQLITE_DONE) return undo(code);
        return {};
    }
    [[nodiscard]] Unexpected<Errc> undo(int code) {
        const auto failed = database.failure(code, "commit");
        roll_back();
        return failed;
    }
    /// Drops the changes since the last commit, if there are any.
    void roll_back() {
        audit.revert();
        if (sqlite3_get_autocommit(database.handle()) == 0)
            sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
};

namespace {

constexpr std::int64_t kMaxInteger = std::numeric_limits<std::int64_t>::max();

Unexpected<Errc> damaged(std::string_view what) {
    spdlog::error("store: " + std::string(what));
    return Unexpected{Errc::corrupt};
}

Unexpected<Errc> system_failure(int error, std::string_view doing) {
    spdlog::error("store: " + std::string(doing) + ": " + std::generic_category().message(error));
    return Unexpected{store::errc_of_errno(error)};
}

CivilTime read_time(Run& row) {
    return CivilTime{std::chrono::seconds{row.integer(store::kFirstSecond, store::kLastSecond)}};
}

/// So many that they are no news, and with meter numbers, which belong in no log.
constexpr bool is_vend(AuditEvent event) noexcept {
    return event == AuditEvent::credit_vended || event == AuditEvent::management_vended ||
           event == AuditEvent::key_change_vended;
}

/// In the order of kUpdateModule and kInsertModule.
void bind_state(Run& run, const ModuleState& state) {
    run.bind(static_cast<std::int64_t>(state.phase));
    run.bind(state.module_id.view());
    run.bind(state.hardware_id.view());
    run.bind(state.smid.view());
    run.bind(state.smid_firmware.view());
    run.bind(state.agreement_key.id);
    run.bind(state.agreement_key.point);
    run.bind(state.instruction_key);
    // A count above the largest integer turns negative, which the table refuses.
    run.bind(static_cast<std::int64_t>(state.tokens_issued));
    run.bind(std::int64_t{state.time_mark.time_since_epoch().count()});
    run.bind(std::int64_t{state.running});
    run.bind(std::int64_t{state.tampered});
    run.bind(static_cast<std::int64_t>(state.profile));
}

/// In the order of kSelectModule.
ModuleState read_state(Run& row) {
    ModuleState state;
    row.integer(1, 1);  // id
    state.profile = static_cast<Profile>(row.integer(1, 3));
    state.phase = static_cast<Phase>(row.integer(1, 2));
    row.text(state.module_id);
    row.text(state.hardware_id);
    row.text(state.smid);
    row.text(state.smid_firmware);
    row.octets(state.agreement_key.id);
    row.octets(state.agreement_key.point);
    row.octets(state.instruction_key);
    state.tokens_issued = static_cast<std::uint64_t>(row.integer(0, kMaxInteger));
    state.time_mark = read_time(row);
    state.running = row.integer(0, 1) == 1;
    state.tampered = row.integer(0, 1) == 1;
    return state;
}

/// The key columns of kInsertRegister and kInsertStaged.
void bind_key(Run& run, const RegisterRow& row) {
    const KeyAttributes& key = row.attributes;
    run.bind(std::int64_t{row.number});
    run.bind(std::int64_t{row.slot});
    run.bind(row.key);
    run.bind(row.wrapped_key);
    run.bind(row.kcv);
    run.bind(std::int64_t{key.sgc});
    run.bind(std::int64_t{key.krn});
    run.bind(static_cast<std::int64_t>(key.ktc));
    run.bind(static_cast<std::int64_t>(key.dkg));
    run.bind(std::int64_t{base_year(key.base_date)});
    run.bind(std::int64_t{key.ken});
    run.bind(std::int64_t{key.cluster});
    run.bind(std::int64_t{key.sbm});
    for (const CivilTime time : {key.active_from, key.expiry, key.issue_until}) {
        run.bind(std::int64_t{time.time_since_epoch().count()});
    }
    run.bind(key.clm_bits);
    run.bind(key.ulm_units);
    run.bind(key.sgn.view());
}

/// The key columns of kSelectNextRegister and kSelectNextStaged.
RegisterRow read_key(Run& row) {
    RegisterRow out;
    KeyAttributes& key = out.attributes;
    out.number = static_cast<std::uint16_t>(row.integer(1, store::kMaxRegister));
    out.slot = static_cast<std::uint8_t>(row.integer(1, store::kMaxSlot));
    row.octets(out.key);
    row.optional_octets(out.wrapped_key);
    row.octets(out.kcv);
    key.sgc = static_cast<std::uint32_t>(row.integer(0, store::kMaxSgc));
    key.krn = static_cast<std::uint8_t>(row.integer(1, 9));
    key.ktc = static_cast<KeyType>(row.integer(1, 3));
    key.dkg = static_cast<Dkga>(row.integer(2, 4));
    row.expect(key.dkg == Dkga::dkga02 || key.dkg == Dkga::dkga04);
    row.expect(out.wrapped_key.has_value() == (key.dkg == Dkga::dkga02));
    const auto base_date = base_date_of_year(static_cast<int>(row.integer(1993, 2035)));
    if (row.expect(base_date.has_value())) key.base_date = *base_date;
    key.ken = static_cast<std::uint8_t>(row.integer(0, 255));
    key.cluster = static_cast<std::uint32_t>(row.integer(0, std::numeric_limits<std::uint32_t>::max()));
    key.sbm = static_cast<std::uint16_t>(row.integer(0, std::numeric_limits<std::uint16_t>::max()));
    key.active_from = read_time(row);
    key.expiry = read_time(row);
    key.issue_until = read_time(row);
    key.clm_bits = row.optional_integer(store::kMaxClmBits);
    key.ulm_units = row.optional_integer(store::kMaxUlmUnits);
    row.text(key.sgn);
    return out;
}

/// The first call also meets a number below 1, which is damage.
void bind_after(Run& run, std::uint16_t after) {
    run.bind(after == 0 ? std::numeric_limits<std::int64_t>::min() : std::int64_t{after});
}

/// In the order of kInsertSlot.
void bind_slot(Run& run, const Slot& slot) {
    const LoadSession& session = slot.session;
    run.bind(std::int64_t{slot.number});
    run.bind(slot.kmc_operator.view());
    run.bind(slot.kmc_name.view());
    run.bind(slot.kmcid.view());
    run.bind(std::int64_t{slot.active});
    run.bind(slot.last_loaded);
    run.bind(std::int64_t{slot.last_removed});
    run.bind(static_cast<std::int64_t>(session.state));
    run.bind(session.kmcid.view());
    run.bind(session.kmc_record);
    run.bind(session.kmc_key);
    run.bind(std::int64_t{session.requested.time_since_epoch().count()});
    run.bind(session.ephemeral.id);
    run.bind(session.ephemeral.point);
    run.bind(std::int64_t{session.failures});
    run.bind(session.kek);
    run.bind(session.mac_tag);
    run.bind(session.response);
}

/// In the order of kSelectSlot.
Slot read_slot(Run& row) {
    Slot slot;
    LoadSession& session = slot.session;
    slot.number = static_cast<std::uint8_t>(row.integer(1, store::kMaxSlot));
    row.text(slot.kmc_operator);
    row.text(slot.kmc_name);
    row.expect(!slot.kmc_operator.empty() && !slot.kmc_name.empty());
    row.text(slot.kmcid);
    slot.active = row.integer(0, 1) == 1;
    slot.last_loaded = row.optional_integer(store::kMaxRegister);
    slot.last_removed = static_cast<std::uint32_t>(row.integer(0, store::kMaxRegister));
    session.state = static_cast<LoadSession::State>(row.integer(0, 2));
    row.text(session.kmcid);
    row.octets(session.kmc_record);
    row.octets(session.kmc_key);
    session.requested = read_time(row);
    row.octets(session.ephemeral.id);
    row.octets(session.ephemeral.point);
    session.failures = static_cast<std::uint8_t>(row.integer(0, 5));
    row.octets(session.kek);
    row.octets(session.mac_tag);
    row.octets(session.response);
    return slot;
}

/// Whether the file is this product's, of a version it knows, and whole.
Result<void> verify(Database& database) {
    const auto application = database.query_integer("PRAGMA application_id");
    if (!application) return Unexpected{application.error()};
    if (*application != store::kApplicationId) return damaged("the file is not a database of this product");

    const auto version = database.query_integer("PRAGMA user_version");
    if (!version) return Unexpected{version.error()};
    if (*version > store::kSchemaVersion) {
        spdlog::error("store: schema version " + std::to_string(*version) + " is newer than " +
                      std::to_string(store::kSchemaVersion));
        return Unexpected{Errc::newer_schema};
    }
    // Migrations of older versions start here; there is none before the first that was released.
    if (*version != store::kSchemaVersion) {
        return damaged("schema version " + std::to_string(*version) +
                       " was never released: set the module up anew");
    }

    auto integrity = database.query_text("PRAGMA integrity_check(1)");
    if (!integrity) return Unexpected{integrity.error()};
    if (*integrity == "ok") return {};
    std::replace(integrity->begin(), integrity->end(), '\n', ' ');
    return damaged(*integrity);
}

/// A file beside the one to be made, removed when it goes out of scope.
class Scratch {
  public:
    explicit Scratch(const std::filesystem::path& path) : name_(path.string() + ".XXXXXX") {
        const int descriptor = mkstemp(name_.data());  // mode 0600
        error_ = descriptor < 0 ? errno : 0;
        if (descriptor >= 0) close(descriptor);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        if (error_ == 0) unlink(name_.c_str());
    }
    [[nodiscard]] int error() const noexcept { return error_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

  private:
    std::string name_;
    int error_ = 0;
};

/// Fills an empty file in one transaction.
Result<void> fill(const std::string& name, const ModuleState& initial) {
    auto database = Database::open(name);
    if (!database) return Unexpected{database.error()};
    // A failure discards the file, so that its rollback journal need not be one.
    const std::string begin = "PRAGMA journal_mode = MEMORY; BEGIN; PRAGMA application_id = " +
                              std::to_string(store::kApplicationId) +
                              "; PRAGMA user_version = " + std::to_string(store::kSchemaVersion);
    for (const char* sql : {begin.c_str(), store::kCreateSchema}) {
        if (const auto done = database->execute(sql); !done) return done;
    }
    {
        const auto insert = Statement::prepare(*database, store::kInsertModule);
        if (!insert) return Unexpected{insert.error()};
        Run run(*insert);
        bind_state(run, initial);
        if (const int code = run.step(); code != SQLITE_DONE) return database->failure(code, "create");
    }
    return database->execute("COMMIT");
}

Result<void> sync_directory(const std::filesystem::path& path) {
    const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    const int descriptor = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return system_failure(errno, "open the directory");
    const int error = fsync(descriptor) == 0 ? 0 : errno;
    close(descriptor);
    if (error != 0) return system_failure(error, "synchronise the directory");
    return {};
}

}  // namespace

SqliteStore::SqliteStore(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {
}
SqliteStore::~SqliteStore() = default;

Result<std::unique_ptr<SqliteStore::Impl>> SqliteStore::Impl::prepare(Database database,
                                                                      const AuditLimits& limits) {
    auto audit = AuditLog::open(database, limits);
    if (!audit) return Unexpected{audit.error()};
    std::vector<Statement> prepared;
    // In the order of the members.
    for (const char* sql : {store::kSelectModule,       store::kUpdateModule,
                            store::kSelectNextRegister, store::kInsertRegister,
                            store::kUpdateCounters,     store::kRemoveRegister,
                            store::kSelectSlot,         store::kInsertSlot,
                            store::kRemoveSlot,         store::kSelectNextStaged,
                            store::kInsertStaged,       store::kRemoveAllStaged,
                            store::kSelectApproval,     store::kSelectNextOfficer,
                            store::kInsertOfficer,      store::kRemoveOfficer,
                            store::kSelectNextApproval, store::kInsertApproval,
                            store::kRemoveApproval,     store::kRemoveAllApprovals,
                            "BEGIN IMMEDIATE",          "COMMIT"}) {
        auto statement = Statement::prepare(database, sql);
        if (!statement) return Unexpected{statement.error()};
        prepared.push_back(std::move(*statement));
    }
    auto next = std::make_move_iterator(prepared.begin());
    return std::unique_ptr<Impl>(new Impl{std::move(database),
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          *next++,
                                          std::move(*audit)});
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::create(const std::filesystem::path& path,
                                                         const ModuleState& initial) {
    if (!path.has_filename()) return Unexpected{Errc::invalid_argument};
    // SQLite would replay the journal of another file of that name into the new one.
    for (const char* suffix : {"-wal", "-journal"}) {
        std::error_code ignored;
        const auto left_behind = std::filesystem::symlink_status(path.string() + suffix, ignored);
        if (std::filesystem::exists(left_behind)) return system_failure(EEXIST, "create");
    }
    {
        const Scratch scratch(path);
        if (scratch.error() != 0) return system_failure(scratch.error(), "create");
        if (const auto filled = fill(scratch.name(), initial); !filled) return Unexpected{filled.error()};
        // Unlike a rename, a link never replaces what is there.
        if (link(scratch.name().c_str(), path.c_str()) != 0) return system_failure(errno, "create");
    }
    if (const auto synced = sync_directory(path); !synced) return Unexpected{synced.error()};
    return open(path);
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::filesystem::path& path,
                                                       const AuditLimits& limits) {
    auto database = Database::open(path);
    if (!database) return Unexpected{database.error()};
    if (const auto verified = verify(*database); !verified) return Unexpected{verified.error()};

    const auto journal = database->query_text("PRAGMA journal_mode = WAL");
    if (!journal) return Unexpected{journal.error()};
    if (*journal != "wal") {
        spdlog::error("store: no write-ahead log on this file system");
        return Unexpected{Errc::storage_failed};
    }

    auto impl = Impl::prepare(std::move(*database), limits);
    if (!impl) return Unexpected{impl.error()};
    return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(*impl)));
}

Result<ModuleState> SqliteStore::load_state() {
    Run run(impl_->select_module);
    int code = run.step();
    if (code == SQLITE_DONE) return damaged("the module's row is missing");
    if (code != SQLITE_ROW) return impl_->database.failure(code, "load the module's row");
    const ModuleState state = read_state(run);
    if (run.damaged()) return damaged("the module's row has a value out of its range");
    code = run.step();
    if (code == SQLITE_ROW) return damaged("the module has two rows");
    if (code != SQLITE_DONE) return impl_->database.failure(code, "load the module's row");
    return state;
}

Result<std::optional<RegisterRow>> SqliteStore::load_next_register(std::uint16_t after) {
    Run run(impl_->select_next_register);
    bind_after(run, after);
    const int code = run.step();
    if (code == SQLITE_DONE) return std::optional<RegisterRow>{};
    if (code != SQLITE_ROW) return impl_->database.failure(code, "load a register");
    RegisterRow row = read_key(run);
    row.units_left = run.optional_count(store::kMaxUnitsLeft);
    row.currency_left = run.optional_count(store::kMaxCurrencyLeft);
    if (run.damaged()) return damaged("a register's row has a value out of its range");
    return std::optional(row);
}

Result<std::optional<StagedKey>> SqliteStore::load_next_staged(std::uint16_t after) {
    Run run(impl_->select_next_staged);
    bind_after(run, after);
    const int code = run.step();
    if (code == SQLITE_DONE) return std::optional<StagedKey>{};
    if (code != SQLITE_ROW) return impl_->database.failure(code, "load a staged key");
    StagedKey key;
    key.row = read_key(run);
    run.octets(key.nonce);
    run.octets(key.record);
    if (run.damaged()) return damaged("a staged key's row has a value out of its range");
    return std::optional(key);
}

Result<std::optional<Slot>> SqliteStore::load_slot(std::uint8_t number) {
    Run run(impl_->select_slot);
    run.bind(std::int64_t{number});
    const int code = run.step();
    if (code == SQLITE_DONE) return std::optional<Slot>{};
    if (code != SQLITE_ROW) return impl_->database.failure(code, "load a slot");
    const Slot slot = read_slot(run);
    if (run.damaged()) return damaged("a slot's row has a value out of its range");
    return std::optional(slot);
}

Result<bool> SqliteStore::is_approved(const Sha384& kmc_record) {
    Run run(impl_->select_approval);
    run.bind(kmc_record);
    const int code = run.step();
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return impl_->database.failure(code, "look an approval up");
    return code == SQLITE_ROW;
}

Result<void> SqliteStore::put_register(const RegisterRow& row) {
    if (const auto removed = remove_register(row.number); !removed) return removed;
    return impl_->change(impl_->insert_register, [&row](Run& run) {
        bind_key(run, row);
        run.bind(row.units_left);
        run.bind(row.currency_left);
    });
}

Result<void> SqliteStore::remove_register(std::uint16_t number) {
    return impl_->change(impl_->remove_register, [number](Run& run) { run.bind(std::int64_t{number}); });
}

Result<void> SqliteStore::put_counters(const RegisterRow& row) {
    const auto done = impl_->change(impl_->update_counters, [&row](Run& run) {
        run.bind(row.units_left);
        run.bind(row.currency_left);
        run.bind(std::int64_t{row.number});
    });
    if (!done || sqlite3_changes(impl_->database.handle()) == 1) return done;
    impl_->roll_back();
    return damaged("a register in use is not stored");
}

Result<void> SqliteStore::put_slot(const Slot& slot) {
    if (const auto removed = remove_slot(slot.number); !removed) return removed;
    return impl_->change(impl_->insert_slot, [&slot](Run& run) { bind_slot(run, slot); });
}

Result<void> SqliteStore::remove_slot(std::uint8_t number) {
    return impl_->change(impl_->remove_slot, [number](Run& run) { run.bind(std::int64_t{number}); });
}

Result<void> SqliteStore::put_staged(const StagedKey& key) {
    return impl_->change(impl_->insert_staged, [&key](Run& run) {
        bind_key(run, key.row);
        run.bind(key.nonce);
        run.bind(key.record);
    });
}

Result<void> SqliteStore::remove_all_staged() {
    return impl_->change(impl_->remove_all_staged, [](Run&) {});
}

Result<void> SqliteStore::remove_all_approvals() {
    return impl_->change(impl_->remove_all_approvals, [](Run&) {});
}

Result<std::optional<Officer>> SqliteStore::load_next_officer(std::string_view after) {
    Run run(impl_->select_next_officer);
    run.bind(after);
    const int code = run.step();
    if (code == SQLITE_DONE) return std::optional<Officer>{};
    if (code != SQLITE_ROW) return impl_->database.failure(code, "load an officer");
    Officer officer;
    run.text(officer.name);
    run.octets(officer.salt);
    run.octets(officer.verifier);
    officer.failures = static_cast<std::uint8_t>(run.integer(0, 255));
    if (run.damaged()) return damaged("an officer's row has a value out of its range");
    return std::optional(officer);
}

Result<std::optional<KmcApproval>> SqliteStore::load_next_approval(std::string_view after) {
    Run run(impl_->select_next_approval);
    run.bind(after);
    const int code = run.step();
    if (code == SQLITE_DONE) return std::optional<KmcApproval>{};
    if (code != SQLITE_ROW) return impl_->database.failure(code, "load an approval");
    KmcApproval approval;
    run.octets(approval.digest);
    run.text(approval.kmcid);
    run.text(approval.record);
    approval.approved = read_time(run);
    if (run.damaged()) return damaged("an approval's row has a value out of its range");
    return std::optional(approval);
}

Result<void> SqliteStore::put_officer(const Officer& officer) {
    if (const auto removed = remove_officer(officer.name.view()); !removed) return removed;
    return impl_->change(impl_->insert_officer, [&officer](Run& run) {
        run.bind(officer.name.view());
        run.bind(officer.salt);
        run.bind(officer.verifier);
        run.bind(std::int64_t{officer.failures});
    });
}

Result<void> SqliteStore::remove_officer(std::string_view name) {
    return impl_->change(impl_->remove_officer, [name](Run& run) { run.bind(name); });
}

Result<void> SqliteStore::put_approval(const KmcApproval& approval) {
    if (const auto removed = remove_approval(approval.digest); !removed) return removed;
    return impl_->change(impl_->insert_approval, [&approval](Run& run) {
        run.bind(approval.digest);
        run.bind(approval.kmcid.view());
        run.bind(approval.record.view());
        run.bind(std::int64_t{approval.approved.time_since_epoch().count()});
    });
}

Result<void> SqliteStore::remove_approval(const Sha384& digest) {
    return impl_->change(impl_->remove_approval, [&digest](Run& run) { run.bind(digest); });
}

AuditHead SqliteStore::audit_head() noexcept {
    return impl_->audit.head();
}

Result<AuditRecord> SqliteStore::load_audit(std::uint64_t sequence) {
    return impl_->audit.load(sequence);
}

std::uint64_t SqliteStore::audit_room() noexcept {
    return impl_->audit.room();
}

Result<void> SqliteStore::acknowledge_audit(std::uint64_t sequence) {
    return impl_->audit.acknowledge(
        sequence, [this](const Statement& statement, auto bind) { return impl_->change(statement, bind); });
}

Result<void> SqliteStore::commit(const ModuleState& state, std::span<const AuditEntry> audit) {
    // A file that was deleted or replaced takes commits, and nobody will ever read them.
    int moved = 0;
    sqlite3_file_control(impl_->database.handle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved != 0) {
        impl_->roll_back();
        spdlog::error("store: commit: the database was deleted or replaced by another file");
        return Unexpected{Errc::storage_failed};
    }
    const auto append = [this](const Statement& statement, auto bind) {
        return impl_->change(statement, bind);
    };
    if (const auto done = impl_->audit.append(audit, append); !done) {
        impl_->roll_back();
        return done;
    }
    const bool changes = sqlite3_get_autocommit(impl_->database.handle()) == 0;
    {
        Run run(impl_->update_module);
        bind_state(run, state);
        if (const int code = run.step(); code != SQLITE_DONE) return impl_->undo(code);
    }
    if (sqlite3_changes(impl_->database.handle()) != 1) {
        impl_->roll_back();
        // No row to update: it is missing, or another profile's.
        if (const auto stored = load_state(); !stored) return Unexpected{stored.error()};
        spdlog::error("store: commit: the profile never changes");
        return Unexpected{Errc::invalid_argument};
    }
    if (changes) {
        if (const auto done = impl_->execute(impl_->commit); !done) return done;
    }
    impl_->database.settled();
    impl_->audit.settle();
    for (const AuditEntry& entry : audit) {
        if (is_vend(entry.event)) continue;
        spdlog::info("audit: " + std::string(audit_event_text(entry.event)) + ": " +
                     std::string(entry.text()));
    }
    return {};
}

}  // namespace sts6
