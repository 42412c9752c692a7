// SPDX-License-Identifier: Apache-2.0
#include "src/store/sqlite.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

namespace sts6::store {

namespace {

/// The WAL is written back into the database when it has this many pages.
constexpr int kCheckpointPages = 1000;

Errc errc_of_constraint(int code) noexcept {
    switch (code) {
        case SQLITE_CONSTRAINT_PRIMARYKEY:
        case SQLITE_CONSTRAINT_ROWID:
        case SQLITE_CONSTRAINT_UNIQUE:
            return Errc::already_exists;
        default:
            return Errc::invalid_argument;
    }
}

Errc errc_of(sqlite3* handle, int code) noexcept {
    switch (code & 0xFF) {
        case SQLITE_FULL:
            return Errc::storage_full;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return Errc::in_use;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return Errc::corrupt;
        case SQLITE_PERM:
        case SQLITE_READONLY:
            return Errc::permission;
        case SQLITE_CONSTRAINT:
            return errc_of_constraint(code);
        case SQLITE_CANTOPEN:
            return errc_of_errno(sqlite3_system_errno(handle));
        default:
            return Errc::storage_failed;
    }
}

}  // namespace

Errc errc_of_errno(int error) noexcept {
    switch (error) {
        case ENOENT:
        case ENOTDIR:
            return Errc::not_found;
        case EEXIST:
            return Errc::already_exists;
        case EACCES:
        case EPERM:
        case EROFS:
            return Errc::permission;
        case ENOSPC:
        case EDQUOT:
            return Errc::storage_full;
        default:
            return Errc::storage_failed;
    }
}

Result<Database> Database::open(const std::filesystem::path& path) {
    // An absolute name is never one of SQLite's own, such as ":memory:".
    std::error_code error;
    const auto absolute = path.empty() ? path : std::filesystem::absolute(path, error);
    if (error || absolute.empty()) return Unexpected{Errc::invalid_argument};

    sqlite3* handle = nullptr;
    const int code =
        sqlite3_open_v2(absolute.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    // SQLite returns a handle to read the error from also when it failed.
    Database database(handle);
    if (code != SQLITE_OK) return database.failure(code, "open");
    // SQLite falls back to read-only when the file cannot be written.
    if (sqlite3_db_readonly(handle, "main") != 0) return database.failure(SQLITE_READONLY, "open");
    if (const auto configured = database.configure(); !configured) return Unexpected{configured.error()};
    return database;
}

Result<void> Database::configure() {
    sqlite3_extended_result_codes(handle(), 1);
    sqlite3_wal_hook(handle(), write_back_when_due, room_.get());
    // The schema in the file is data: it runs no code.
    for (const auto& [option, value] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                                        {SQLITE_DBCONFIG_ENABLE_VIEW, 0}}) {
        const int code = sqlite3_db_config(handle(), option, value, nullptr);
        if (code != SQLITE_OK) return failure(code, "configure");
    }
    return execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON");
}

/// Like SQLite's own automatic checkpoint, except that a failure is not kept quiet: the commit that met it
/// returns the error. Lack of room is none: the commit is durable in the log, and a later one writes it back.
int Database::write_back_when_due(void* room, sqlite3* handle, const char* name, int pages) {
    if (pages < kCheckpointPages) return SQLITE_OK;
    const int code = sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    auto& state = *static_cast<Room*>(room);
    state.write_back_waits = (code & 0xFF) == SQLITE_FULL;
    if (!state.write_back_waits) return code;
    if (!state.lacking) spdlog::error("store: the disk is full: the write-ahead log is not written back");
    state.lacking = true;
    return SQLITE_OK;
}

void Database::settled() const {
    if (!room_->lacking || room_->write_back_waits) return;
    room_->lacking = false;
    spdlog::info("store: the disk has room again");
}

Unexpected<Errc> Database::failure(int code, std::string_view doing) const {
    const Errc errc = errc_of(handle(), code);
    const bool lacking = std::exchange(room_->lacking, room_->lacking || errc == Errc::storage_full);
    if (lacking && errc == Errc::storage_full) return Unexpected{errc};
    const bool refused = errc == Errc::already_exists || errc == Errc::invalid_argument;
    const char* text =
        sqlite3_errcode(handle()) == SQLITE_OK ? sqlite3_errstr(code) : sqlite3_errmsg(handle());
    spdlog::log(refused ? spdlog::level::warn : spdlog::level::err,
                "store: " + std::string(doing) + ": " + text + " (SQLite " + std::to_string(code) + ")");
    return Unexpected{errc};
}

Result<void> Database::execute(const char* sql) {
    const int code = sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return failure(code, "execute");
    return {};
}

Result<std::int64_t> Database::query_integer(const char* sql) {
    const auto statement = Statement::prepare(*this, sql);
    if (!statement) return Unexpected{statement.error()};
    Run run(*statement);
    const int code = run.step();
    if (code != SQLITE_ROW) return failure(code, sql);
    return sqlite3_column_int64(statement->handle(), 0);
}

Result<std::string> Database::query_text(const char* sql) {
    const auto statement = Statement::prepare(*this, sql);
    if (!statement) return Unexpected{statement.error()};
    Run run(*statement);
    const int code = run.step();
    if (code != SQLITE_ROW) return failure(code, sql);
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement->handle(), 0));
    return std::string(text == nullptr ? "" : text);
}

Result<Statement> Statement::prepare(const Database& database, const char* sql) {
    sqlite3_stmt* handle = nullptr;
    const int code =
        sqlite3_prepare_v3(database.handle(), sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
    if (code == SQLITE_OK) return Statement(handle);
    const auto failure = database.failure(code, "prepare");
    // Our statements are right; what they do not find is missing from the file.
    return code == SQLITE_ERROR ? Unexpected{Errc::corrupt} : failure;
}

}  // namespace sts6::store
