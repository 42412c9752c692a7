// SPDX-License-Identifier: Apache-2.0
#include "src/store/sqlite_store.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "src/store/schema.hpp"
#include "src/store/sqlite.hpp"

namespace sts6 {

using store::Database;
using store::Run;
using store::Statement;

struct SqliteStore::Impl {
    Database database;
    Statement select_module;
    Statement update_module;
    Statement select_next_register;
    Statement insert_register;
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

/// In the order of kUpdateModule and kInsertModule.
void bind_state(Run& run, const ModuleState& state) {
    run.bind(static_cast<std::int64_t>(state.phase));
    run.bind(state.module_id.view());
    run.bind(state.hardware_id.view());
    // A count above the largest integer turns negative, which the table refuses.
    run.bind(static_cast<std::int64_t>(state.tokens_issued));
    run.bind(std::int64_t{state.time_mark.time_since_epoch().count()});
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
    state.tokens_issued = static_cast<std::uint64_t>(row.integer(0, kMaxInteger));
    state.time_mark = read_time(row);
    return state;
}

/// In the order of kInsertRegister.
void bind_register(Run& run, const RegisterRow& row) {
    const KeyAttributes& key = row.attributes;
    run.bind(std::int64_t{row.number});
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

/// In the order of kSelectNextRegister.
RegisterRow read_register(Run& row) {
    RegisterRow out;
    KeyAttributes& key = out.attributes;
    out.number = static_cast<std::uint16_t>(row.integer(1, store::kMaxRegister));
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
    // Migrations of older versions start here; there is none before the first.
    if (*version != store::kSchemaVersion) return damaged("the file has no schema version");

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

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::filesystem::path& path) {
    auto database = Database::open(path);
    if (!database) return Unexpected{database.error()};
    if (const auto verified = verify(*database); !verified) return Unexpected{verified.error()};

    const auto journal = database->query_text("PRAGMA journal_mode = WAL");
    if (!journal) return Unexpected{journal.error()};
    if (*journal != "wal") {
        spdlog::error("store: no write-ahead log on this file system");
        return Unexpected{Errc::storage_failed};
    }

    auto select_module = Statement::prepare(*database, store::kSelectModule);
    if (!select_module) return Unexpected{select_module.error()};
    auto update_module = Statement::prepare(*database, store::kUpdateModule);
    if (!update_module) return Unexpected{update_module.error()};
    auto select_next_register = Statement::prepare(*database, store::kSelectNextRegister);
    if (!select_next_register) return Unexpected{select_next_register.error()};
    auto insert_register = Statement::prepare(*database, store::kInsertRegister);
    if (!insert_register) return Unexpected{insert_register.error()};
    auto impl = std::make_unique<Impl>(Impl{*std::move(database), *std::move(select_module),
                                            *std::move(update_module), *std::move(select_next_register),
                                            *std::move(insert_register)});
    return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(impl)));
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
    // The first call also meets a number below 1, which is damage.
    run.bind(after == 0 ? std::numeric_limits<std::int64_t>::min() : std::int64_t{after});
    const int code = run.step();
    if (code == SQLITE_DONE) return std::optional<RegisterRow>{};
    if (code != SQLITE_ROW) return impl_->database.failure(code, "load a register");
    const RegisterRow row = read_register(run);
    if (run.damaged()) return damaged("a register's row has a value out of its range");
    return std::optional(row);
}

Result<void> SqliteStore::commit(const ModuleState& state) {
    // A file that was deleted or replaced takes commits, and nobody will ever read them.
    int moved = 0;
    sqlite3_file_control(impl_->database.handle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved != 0) {
        spdlog::error("store: commit: the database was deleted or replaced by another file");
        return Unexpected{Errc::storage_failed};
    }
    {
        Run run(impl_->update_module);
        bind_state(run, state);
        if (const int code = run.step(); code != SQLITE_DONE) return impl_->database.failure(code, "commit");
        if (sqlite3_changes(impl_->database.handle()) == 1) return {};
    }
    // No row to update: it is missing, or another profile's.
    if (const auto stored = load_state(); !stored) return Unexpected{stored.error()};
    spdlog::error("store: commit: the profile never changes");
    return Unexpected{Errc::invalid_argument};
}

Result<void> SqliteStore::add_register(const RegisterRow& row) {
    Run run(impl_->insert_register);
    bind_register(run, row);
    if (const int code = run.step(); code != SQLITE_DONE)
        return impl_->database.failure(code, "add a register");
    return {};
}

}  // namespace sts6
