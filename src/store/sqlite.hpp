// SPDX-License-Identifier: Apache-2.0
// SQLite's C interface as owning types, and its result codes as Errc.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "firmware/util/fixed_text.hpp"
#include "sts6/ptvd.hpp"
#include "sts6/result.hpp"

namespace sts6::store {

/// What an error number of the operating system means to a caller.
Errc errc_of_errno(int error) noexcept;

/// An open file, locked for this connection from its first read on.
class Database {
  public:
    /// The file must exist; an empty one is an empty database. Nothing is read or written yet.
    static Result<Database> open(const std::filesystem::path& path);

    /// Logs what failed and translates the code. A disk without room is told of once, until settled().
    [[nodiscard]] Unexpected<Errc> failure(int code, std::string_view doing) const;
    /// A commit has worked.
    void settled() const;

    [[nodiscard]] Result<void> execute(const char* sql);
    /// The first column of the first row.
    [[nodiscard]] Result<std::int64_t> query_integer(const char* sql);
    [[nodiscard]] Result<std::string> query_text(const char* sql);

    [[nodiscard]] sqlite3* handle() const noexcept { return handle_.get(); }

  private:
    struct Close {
        void operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }
    };
    struct Room {
        bool lacking = false;           ///< and the log says so
        bool write_back_waits = false;  ///< the last commit is in the write-ahead log, which wants room
    };
    explicit Database(sqlite3* handle) : room_(std::make_unique<Room>()), handle_(handle) {}
    [[nodiscard]] Result<void> configure();
    static int write_back_when_due(void* room, sqlite3* handle, const char* name, int pages);

    std::unique_ptr<Room> room_;  ///< SQLite has its address
    std::unique_ptr<sqlite3, Close> handle_;
};

/// A prepared statement, kept for many runs.
class Statement {
  public:
    /// The tables that it names are missing: corrupt.
    static Result<Statement> prepare(const Database& database, const char* sql);

    [[nodiscard]] sqlite3_stmt* handle() const noexcept { return handle_.get(); }

  private:
    struct Finalize {
        void operator()(sqlite3_stmt* handle) const noexcept { sqlite3_finalize(handle); }
    };
    explicit Statement(sqlite3_stmt* handle) noexcept : handle_(handle) {}

    std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

/// One run of a statement. Values are bound and read in order. What is bound must outlive the run, whose end
/// resets the statement: left open it would hold its transaction open too.
class Run {
  public:
    explicit Run(const Statement& statement) noexcept : handle_(statement.handle()) {}
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run() {
        sqlite3_reset(handle_);
        sqlite3_clear_bindings(handle_);
    }

    void bind(std::int64_t value) noexcept { note(sqlite3_bind_int64(handle_, ++bound_, value)); }
    void bind(std::optional<std::uint32_t> value) noexcept {
        if (value) return bind(std::int64_t{*value});
        note(sqlite3_bind_null(handle_, ++bound_));
    }
    void bind(std::optional<std::uint64_t> value) noexcept {
        // A count above the largest integer turns negative, which the table refuses.
        if (value) return bind(static_cast<std::int64_t>(*value));
        note(sqlite3_bind_null(handle_, ++bound_));
    }
    void bind(std::string_view text) noexcept {
        // GLOB ends at a NUL: the table would take what no read accepts.
        if (text.find('\0') != std::string_view::npos) note(SQLITE_CONSTRAINT);
        note(sqlite3_bind_text(handle_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_STATIC));
    }
    void bind(std::span<const std::uint8_t> octets) noexcept {
        note(sqlite3_bind_blob(handle_, ++bound_, octets.data(), static_cast<int>(octets.size()),
                               SQLITE_STATIC));
    }
    template <std::size_t N>
    void bind(const std::optional<std::array<std::uint8_t, N>>& octets) noexcept {
        if (octets) return bind(std::span<const std::uint8_t>(*octets));
        note(sqlite3_bind_null(handle_, ++bound_));
    }

    /// SQLITE_ROW, SQLITE_DONE, or the first error of binding or running.
    int step() noexcept {
        column_ = 0;
        if (code_ != SQLITE_OK) return code_;
        const int code = sqlite3_step(handle_);
        // For a failed checkpoint this is all that a step says; the reset has the code.
        return code == SQLITE_ERROR ? sqlite3_reset(handle_) : code;
    }

    // The columns of a row. A value of another type or out of its range makes the row damaged().
    std::int64_t integer(std::int64_t min, std::int64_t max) noexcept {
        const int column = column_++;
        const std::int64_t value = sqlite3_column_int64(handle_, column);
        if (expect(sqlite3_column_type(handle_, column) == SQLITE_INTEGER && value >= min && value <= max)) {
            return value;
        }
        return min;
    }
    std::optional<std::uint32_t> optional_integer(std::int64_t max) noexcept {
        if (sqlite3_column_type(handle_, column_) != SQLITE_NULL) {
            return static_cast<std::uint32_t>(integer(0, max));
        }
        ++column_;
        return std::nullopt;
    }
    std::optional<std::uint64_t> optional_count(std::int64_t max) noexcept {
        if (sqlite3_column_type(handle_, column_) != SQLITE_NULL) {
            return static_cast<std::uint64_t>(integer(0, max));
        }
        ++column_;
        return std::nullopt;
    }
    template <std::size_t N>
    void text(FixedText<N>& out) noexcept {
        const int column = column_++;
        if (!expect(sqlite3_column_type(handle_, column) == SQLITE_TEXT)) return;
        const auto* chars = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
        if (!expect(chars != nullptr)) return;
        const std::string_view value(chars, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)));
        expect(ptvd::is_printable(value) && out.assign(value));
    }
    template <std::size_t N>
    void octets(std::array<std::uint8_t, N>& out) noexcept {
        const int column = column_++;
        const auto* value = static_cast<const std::uint8_t*>(sqlite3_column_blob(handle_, column));
        if (!expect(sqlite3_column_type(handle_, column) == SQLITE_BLOB && value != nullptr &&
                    sqlite3_column_bytes(handle_, column) == static_cast<int>(N))) {
            return;
        }
        std::copy_n(value, N, out.begin());
    }
    template <std::size_t N>
    void optional_octets(std::optional<std::array<std::uint8_t, N>>& out) noexcept {
        if (sqlite3_column_type(handle_, column_) != SQLITE_NULL) return octets(out.emplace());
        ++column_;
        out.reset();
    }
    /// Adds a condition of its own to the row's.
    bool expect(bool condition) noexcept {
        damaged_ = damaged_ || !condition;
        return condition;
    }
    [[nodiscard]] bool damaged() const noexcept { return damaged_; }

  private:
    void note(int code) noexcept {
        if (code_ == SQLITE_OK) code_ = code;
    }

    sqlite3_stmt* handle_;
    int code_ = SQLITE_OK;
    int bound_ = 0;
    int column_ = 0;
    bool damaged_ = false;
};

}  // namespace sts6::store
