// SPDX-License-Identifier: Apache-2.0
// The SQLite store: what it keeps, what it refuses, and what a failing disk leaves behind.
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <sqlite3.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp is POSIX
#include <sys/stat.h>
#include <unistd.h>

#include "src/store/sqlite_store.hpp"

namespace sts6 {
namespace {

namespace fs = std::filesystem;

class TempDir {
  public:
    TempDir() {
        std::string name = (fs::temp_directory_path() / "sts6-store-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path_ = name;
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    [[nodiscard]] fs::path operator/(const char* name) const { return path_ / name; }
    [[nodiscard]] std::size_t entries() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
    }

  private:
    fs::path path_;
};

/// Runs SQL outside the store. Constraints can be switched off, as no constraint stops an editor of the file.
int edit(const fs::path& path, const std::string& sql, bool check_constraints = true) {
    sqlite3* handle = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &handle) == SQLITE_OK);
    if (!check_constraints)
        sqlite3_exec(handle, "PRAGMA ignore_check_constraints = ON", nullptr, nullptr, nullptr);
    const int code = sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr);
    sqlite3_close(handle);
    return code & 0xFF;
}

/// Replaces a table by one with the same rows and no constraint.
void drop_constraints(const fs::path& path, const std::string& table) {
    REQUIRE(edit(path, "CREATE TABLE loose AS SELECT * FROM " + table + "; DROP TABLE " + table +
                           "; ALTER TABLE loose RENAME TO " + table) == SQLITE_OK);
}

std::string contents(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::string& octets) {
    std::ofstream(path, std::ios::binary) << octets;
}

ModuleState sample_state() {
    ModuleState state;
    state.profile = Profile::demo;
    state.phase = Phase::operational;
    REQUIRE(state.module_id.assign("PSOFTSM01"));
    REQUIRE(state.hardware_id.assign("HW 1"));
    state.tokens_issued = 41;
    state.time_mark = civil_time(2014, 3, 1, 13, 0, 7);
    return state;
}

RegisterRow sample_register(std::uint16_t number = 7) {
    RegisterRow row;
    row.number = number;
    row.key = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0xFE, 0xFF};
    row.wrapped_key = WrappedKey{0x00, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0x80, 0xFF};
    row.kcv = {0x00, 0xD8, 0x19};
    row.attributes.sgc = 112233;
    row.attributes.krn = 2;
    row.attributes.ktc = KeyType::dctk;
    row.attributes.dkg = Dkga::dkga02;
    row.attributes.base_date = BaseDate::y2014;
    row.attributes.ken = 200;
    row.attributes.cluster = 3;
    row.attributes.sbm = 0x0001;
    row.attributes.active_from = civil_time(2016, 4, 25, 11, 43, 21);
    row.attributes.expiry = civil_time(2017, 5, 6, 21, 59, 59);
    row.attributes.issue_until = civil_time(2016, 9, 3, 10, 26, 58);
    row.attributes.clm_bits = 0x44FA0000;
    row.attributes.ulm_units = 1000;
    REQUIRE(row.attributes.sgn.assign("SURELOAD KMC TEST VUDK 1"));
    return row;
}

void check_equal(const ModuleState& a, const ModuleState& b) {
    CHECK(a.profile == b.profile);
    CHECK(a.phase == b.phase);
    CHECK(a.module_id == b.module_id);
    CHECK(a.hardware_id == b.hardware_id);
    CHECK(a.tokens_issued == b.tokens_issued);
    CHECK(a.time_mark == b.time_mark);
}

void check_equal(const RegisterRow& a, const RegisterRow& b) {
    CHECK(a.number == b.number);
    CHECK(a.key == b.key);
    CHECK(a.wrapped_key == b.wrapped_key);
    CHECK(a.kcv == b.kcv);
    CHECK(a.attributes.sgc == b.attributes.sgc);
    CHECK(a.attributes.krn == b.attributes.krn);
    CHECK(a.attributes.ktc == b.attributes.ktc);
    CHECK(a.attributes.dkg == b.attributes.dkg);
    CHECK(a.attributes.base_date == b.attributes.base_date);
    CHECK(a.attributes.ken == b.attributes.ken);
    CHECK(a.attributes.cluster == b.attributes.cluster);
    CHECK(a.attributes.sbm == b.attributes.sbm);
    CHECK(a.attributes.active_from == b.attributes.active_from);
    CHECK(a.attributes.expiry == b.attributes.expiry);
    CHECK(a.attributes.issue_until == b.attributes.issue_until);
    CHECK(a.attributes.clm_bits == b.attributes.clm_bits);
    CHECK(a.attributes.ulm_units == b.attributes.ulm_units);
    CHECK(a.attributes.sgn == b.attributes.sgn);
}

std::unique_ptr<SqliteStore> created(const fs::path& path, const ModuleState& state = sample_state()) {
    auto store = SqliteStore::create(path, state);
    REQUIRE(store);
    return *std::move(store);
}

std::unique_ptr<SqliteStore> opened(const fs::path& path) {
    auto store = SqliteStore::open(path);
    REQUIRE(store);
    return *std::move(store);
}

Errc open_error(const fs::path& path) {
    const auto store = SqliteStore::open(path);
    REQUIRE_FALSE(store);
    return store.error();
}

ModuleState loaded(SqliteStore& store) {
    const auto state = store.load_state();
    REQUIRE(state);
    return *state;
}

/// The number of the register after `after`, 0 when there is none.
std::uint16_t next_number(SqliteStore& store, std::uint16_t after) {
    const auto row = store.load_next_register(after);
    REQUIRE(row);
    return *row ? (*row)->number : std::uint16_t{0};
}

// A file system that fails on demand: SQLite's own, with the n-th write or synchronisation from now failing.
struct Faults {
    int writes = 0;
    int syncs = 0;
    int fail_write = 0;  ///< 1 = the next one; 0 = none
    int fail_sync = 0;
    int code = SQLITE_OK;
};
Faults faults;

struct FaultFile {
    sqlite3_file base;
    sqlite3_file* real;
};

sqlite3_file* real(sqlite3_file* file) {
    return reinterpret_cast<FaultFile*>(file)->real;
}

const sqlite3_io_methods kFaultMethods = {
    1,
    [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); },
    [](sqlite3_file* f, void* out, int size, sqlite3_int64 at) {
        return real(f)->pMethods->xRead(real(f), out, size, at);
    },
    [](sqlite3_file* f, const void* in, int size, sqlite3_int64 at) {
        ++faults.writes;
        if (faults.fail_write > 0 && --faults.fail_write == 0) return faults.code;
        return real(f)->pMethods->xWrite(real(f), in, size, at);
    },
    [](sqlite3_file* f, sqlite3_int64 size) { return real(f)->pMethods->xTruncate(real(f), size); },
    [](sqlite3_file* f, int flags) {
        ++faults.syncs;
        if (faults.fail_sync > 0 && --faults.fail_sync == 0) return faults.code;
        return real(f)->pMethods->xSync(real(f), flags);
    },
    [](sqlite3_file* f, sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); },
    [](sqlite3_file* f, int lock) { return real(f)->pMethods->xLock(real(f), lock); },
    [](sqlite3_file* f, int lock) { return real(f)->pMethods->xUnlock(real(f), lock); },
    [](sqlite3_file* f, int* out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); },
    [](sqlite3_file* f, int op, void* arg) { return real(f)->pMethods->xFileControl(real(f), op, arg); },
    [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
    [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); },
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};

class FaultFileSystem {
  public:
    FaultFileSystem() : vfs_(*sqlite3_vfs_find(nullptr)) {
        under_ = sqlite3_vfs_find(nullptr);
        faults = {};
        vfs_.zName = "sts6-faults";
        vfs_.szOsFile += static_cast<int>(sizeof(FaultFile));
        vfs_.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
            auto* wrapped = reinterpret_cast<FaultFile*>(file);
            wrapped->real = reinterpret_cast<sqlite3_file*>(wrapped + 1);
            const int code = under_->xOpen(under_, name, wrapped->real, flags, out);
            wrapped->base.pMethods = code == SQLITE_OK ? &kFaultMethods : nullptr;
            return code;
        };
        sqlite3_vfs_register(&vfs_, 1);
    }
    FaultFileSystem(const FaultFileSystem&) = delete;
    FaultFileSystem& operator=(const FaultFileSystem&) = delete;
    ~FaultFileSystem() {
        sqlite3_vfs_unregister(&vfs_);
        sqlite3_vfs_register(under_, 1);
    }

  private:
    static inline sqlite3_vfs* under_ = nullptr;
    sqlite3_vfs vfs_;
};

}  // namespace

TEST_CASE("a new store holds the initial state and no register") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    check_equal(loaded(*store), sample_state());
    CHECK(next_number(*store, 0) == 0);
}

TEST_CASE("the state survives reopening, at its extremes too") {
    const TempDir dir;
    ModuleState low;
    low.profile = Profile::demo;
    low.time_mark = civil_time(0, 1, 1);
    ModuleState high = sample_state();
    REQUIRE(high.module_id.assign(std::string(40, '}')));
    REQUIRE(high.hardware_id.assign(std::string(40, ' ')));
    high.tokens_issued = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    high.time_mark = civil_time(9999, 12, 31, 23, 59, 59);
    for (const ModuleState& state : {low, high, sample_state()}) {
        const auto path = dir / "state.db";
        const bool exists = fs::exists(path);
        REQUIRE((exists ? opened(path) : created(path))->commit(state));
        check_equal(loaded(*opened(path)), state);
    }
}

TEST_CASE("a register survives reopening with every field") {
    const TempDir dir;
    RegisterRow low;
    low.number = 1;
    low.attributes.ktc = KeyType::ddtk;
    low.attributes.ken = 0;
    low.attributes.sbm = 0;
    for (CivilTime* time :
         {&low.attributes.active_from, &low.attributes.expiry, &low.attributes.issue_until}) {
        *time = civil_time(0, 1, 1);
    }
    low.attributes.clm_bits = 0;
    low.attributes.ulm_units = 0;

    RegisterRow high = sample_register(4096);
    high.key.fill(0xFF);
    high.kcv.fill(0xFF);
    high.wrapped_key->fill(0xFF);
    high.attributes.sgc = 999999;
    high.attributes.krn = 9;
    high.attributes.base_date = BaseDate::y2035;
    high.attributes.ken = 255;
    high.attributes.cluster = 0xFFFFFFFF;
    high.attributes.sbm = 0xFFFF;
    high.attributes.expiry = civil_time(9999, 12, 31, 23, 59, 59);
    high.attributes.clm_bits = 0x551184E7;  // 9999999827968, the last float32 up to 10^13
    high.attributes.ulm_units = 999999998;
    REQUIRE(high.attributes.sgn.assign(std::string(40, 'Z')));

    RegisterRow unlimited = sample_register(8);
    unlimited.key[0] = 1;
    unlimited.attributes.krn = 3;
    unlimited.attributes.ktc = KeyType::dutk;
    unlimited.attributes.dkg = Dkga::dkga04;
    unlimited.wrapped_key.reset();
    unlimited.attributes.clm_bits.reset();
    unlimited.attributes.ulm_units.reset();
    REQUIRE(unlimited.attributes.sgn.assign(""));

    const std::vector<RegisterRow> rows = {low, sample_register(), unlimited, high};
    {
        const auto store = created(dir / "state.db");
        for (auto row = rows.rbegin(); row != rows.rend(); ++row) REQUIRE(store->add_register(*row));
    }
    const auto store = opened(dir / "state.db");
    std::uint16_t after = 0;
    for (const RegisterRow& expected : rows) {
        const auto row = store->load_next_register(after);
        REQUIRE(row);
        REQUIRE(row->has_value());
        check_equal(**row, expected);
        after = expected.number;
    }
    CHECK(next_number(*store, after) == 0);
    CHECK(next_number(*store, 65535) == 0);
    CHECK(next_number(*store, 6) == 7);
}

TEST_CASE("the files of a store are for their owner alone") {
    const TempDir dir;
    const mode_t old_mask = umask(0);
    const auto store = created(dir / "state.db");
    REQUIRE(store->commit(sample_state()));
    umask(old_mask);
    for (const char* name : {"state.db", "state.db-wal"}) {
        INFO(name);
        REQUIRE(fs::exists(dir / name));
        CHECK(fs::status(dir / name).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
    }
    CHECK(dir.entries() == 2);
}

TEST_CASE("create never touches what is there") {
    const TempDir dir;
    for (const char* present : {"state.db", "state.db-wal", "state.db-journal"}) {
        INFO(present);
        write_file(dir / present, "mine");
        const auto store = SqliteStore::create(dir / "state.db", sample_state());
        REQUIRE_FALSE(store);
        CHECK(store.error() == Errc::already_exists);
        CHECK(contents(dir / present) == "mine");
        CHECK(dir.entries() == 1);
        fs::remove(dir / present);
    }
    fs::create_symlink("nowhere", dir / "state.db");
    CHECK(SqliteStore::create(dir / "state.db", sample_state()).error() == Errc::already_exists);
    fs::remove(dir / "state.db");
    fs::create_directory(dir / "state.db");
    CHECK(SqliteStore::create(dir / "state.db", sample_state()).error() == Errc::already_exists);
    CHECK(dir.entries() == 1);
}

TEST_CASE("create leaves the store of another alone") {
    const TempDir dir;
    REQUIRE(created(dir / "state.db")->add_register(sample_register()));
    ModuleState other = sample_state();
    other.tokens_issued = 0;
    CHECK(SqliteStore::create(dir / "state.db", other).error() == Errc::already_exists);
    const auto store = opened(dir / "state.db");
    check_equal(loaded(*store), sample_state());
    CHECK(next_number(*store, 0) == 7);
}

TEST_CASE("create refuses a state out of its ranges and a directory that is missing, and leaves no file") {
    const TempDir dir;
    ModuleState state = sample_state();
    state.phase = static_cast<Phase>(3);
    CHECK(SqliteStore::create(dir / "state.db", state).error() == Errc::invalid_argument);
    state = sample_state();
    state.profile = static_cast<Profile>(0);
    CHECK(SqliteStore::create(dir / "state.db", state).error() == Errc::invalid_argument);
    CHECK(SqliteStore::create(dir / "no/state.db", sample_state()).error() == Errc::not_found);
    CHECK(SqliteStore::create(dir / "", sample_state()).error() == Errc::invalid_argument);
    CHECK(SqliteStore::create("", sample_state()).error() == Errc::invalid_argument);
    CHECK(dir.entries() == 0);
}

TEST_CASE("create fails whole at every write and synchronisation") {
    const TempDir dir;
    const FaultFileSystem file_system;
    // What one creation needs; the store opens in it, which writes too.
    created(dir / "counted.db").reset();
    const Faults whole = faults;
    REQUIRE(whole.writes > 0);
    REQUIRE(whole.syncs > 0);
    fs::remove(dir / "counted.db");

    const auto fails_whole = [&dir](Faults failing) {
        faults = failing;
        const auto store = SqliteStore::create(dir / "state.db", sample_state());
        const Faults after = faults;
        faults = {};
        // The last writes belong to the clean-up of a close, which may fail without harm.
        if (!store) {
            CHECK(store.error() == (failing.code == SQLITE_FULL ? Errc::storage_full : Errc::storage_failed));
            CHECK((after.fail_write == 0 && after.fail_sync == 0));
        }
        if (fs::exists(dir / "state.db")) {
            if (!store) check_equal(loaded(*opened(dir / "state.db")), sample_state());
        } else {
            CHECK(dir.entries() == 0);
        }
        return !store;
    };
    const auto clean = [&dir] {
        for (const char* name : {"state.db", "state.db-wal"}) fs::remove(dir / name);
    };
    for (int n = 1; n <= whole.writes; ++n) {
        INFO("write " << n);
        const bool failed = fails_whole({.fail_write = n, .code = SQLITE_FULL});
        if (n == 1) CHECK(failed);
        clean();
    }
    for (int n = 1; n <= whole.syncs; ++n) {
        INFO("synchronisation " << n);
        const bool failed = fails_whole({.fail_sync = n, .code = SQLITE_IOERR_FSYNC});
        if (n == 1) CHECK(failed);
        clean();
    }
}

TEST_CASE("open refuses what is missing and creates nothing") {
    const TempDir dir;
    CHECK(open_error(dir / "state.db") == Errc::not_found);
    CHECK(open_error(dir / "no/state.db") == Errc::not_found);
    fs::create_symlink("nowhere", dir / "link.db");
    CHECK(open_error(dir / "link.db") == Errc::not_found);
    CHECK(dir.entries() == 1);
    CHECK(open_error("") == Errc::invalid_argument);
    CHECK(open_error(":memory:") == Errc::not_found);
    CHECK(open_error("file::memory:") == Errc::not_found);
    CHECK_FALSE(SqliteStore::open(dir / "."));
}

TEST_CASE("open refuses what is no store and leaves it as it is") {
    const TempDir dir;
    const auto path = dir / "state.db";
    for (const std::string& octets :
         {std::string(), std::string("x"), std::string("SQLite format 3"), std::string(100, '\0'),
          std::string(8192, 'A'), "SQLite format 3" + std::string(8192, '\0')}) {
        INFO(octets.size());
        write_file(path, octets);
        CHECK(open_error(path) == Errc::corrupt);
        CHECK(contents(path) == octets);
    }
    fs::remove(path);
    REQUIRE(edit(path, "CREATE TABLE module (id); INSERT INTO module VALUES (1)") == SQLITE_OK);
    const std::string foreign = contents(path);
    CHECK(open_error(path) == Errc::corrupt);
    CHECK(contents(path) == foreign);
}

TEST_CASE("open refuses a file cut short or damaged in any of its pages") {
    const TempDir dir;
    const auto path = dir / "state.db";
    REQUIRE(created(path)->add_register(sample_register()));
    const std::string whole = contents(path);
    REQUIRE(whole.size() % 4096 == 0);
    for (std::size_t size = 0; size < whole.size(); size += 512) {
        INFO(size);
        write_file(path, whole.substr(0, size));
        CHECK(open_error(path) == Errc::corrupt);
    }
    for (std::size_t page = 0; page < whole.size(); page += 4096) {
        INFO(page);
        std::string damaged = whole;
        damaged.replace(page + (page == 0 ? 100 : 0), 200, 200, '\xA5');
        write_file(path, damaged);
        CHECK(open_error(path) == Errc::corrupt);
    }
    write_file(path, whole);
    CHECK(SqliteStore::open(path));
}

TEST_CASE("open judges the application and the schema version") {
    const TempDir dir;
    const auto path = dir / "state.db";
    created(path).reset();
    const auto error_after = [&path](const char* sql) {
        REQUIRE(edit(path, sql) == SQLITE_OK);
        return open_error(path);
    };
    CHECK(error_after("PRAGMA user_version = 2") == Errc::newer_schema);
    CHECK(error_after("PRAGMA user_version = 2147483647") == Errc::newer_schema);
    CHECK(error_after("PRAGMA user_version = 0") == Errc::corrupt);
    CHECK(error_after("PRAGMA user_version = -1") == Errc::corrupt);
    CHECK(error_after("PRAGMA user_version = 1; PRAGMA application_id = 0") == Errc::corrupt);
    CHECK(error_after("PRAGMA application_id = 0x53545337") == Errc::corrupt);
    // "STS6", as the file's header has it for other tools.
    REQUIRE(edit(path, "PRAGMA application_id = 0x53545336") == SQLITE_OK);
    CHECK(SqliteStore::open(path));
}

TEST_CASE("open refuses a store without one of its tables or columns") {
    const TempDir dir;
    for (const char* sql :
         {"DROP TABLE module", "DROP TABLE register", "ALTER TABLE module RENAME COLUMN time_mark TO time",
          "ALTER TABLE register RENAME COLUMN kcv TO check_value"}) {
        INFO(sql);
        created(dir / "state.db").reset();
        REQUIRE(edit(dir / "state.db", sql) == SQLITE_OK);
        CHECK(open_error(dir / "state.db") == Errc::corrupt);
        fs::remove(dir / "state.db");
    }
}

namespace {

struct BadValue {
    const char* column;
    const char* value;
};

// Each is out of the range that the protocol or the key owner's attributes give the column.
const BadValue kBadModuleValues[] = {
    {"id", "2"},
    {"id", "0"},
    {"profile", "0"},
    {"profile", "4"},
    {"profile", "257"},
    {"profile", "NULL"},
    {"phase", "0"},
    {"phase", "3"},
    {"phase", "258"},
    {"phase", "NULL"},
    {"phase", "'x'"},
    {"module_id", "'12345678901234567890123456789012345678901'"},
    {"module_id", "'a~b'"},
    {"module_id", "'a' || char(10)"},
    {"module_id", "'caf' || char(233)"},
    {"module_id", "NULL"},
    {"module_id", "x'41'"},
    {"hardware_id", "'12345678901234567890123456789012345678901'"},
    {"hardware_id", "char(127)"},
    {"tokens_issued", "-1"},
    {"tokens_issued", "1.5"},
    {"tokens_issued", "NULL"},
    {"time_mark", "-62167219201"},
    {"time_mark", "253402300800"},
    {"time_mark", "NULL"},
};

const BadValue kBadRegisterValues[] = {
    {"number", "0"},
    {"number", "-1"},
    {"number", "4097"},
    {"number", "65543"},
    {"key_id", "x'000102030405060708090A0B0C0D0E'"},
    {"key_id", "x'000102030405060708090A0B0C0D0E0F10'"},
    {"key_id", "NULL"},
    {"key_id", "'0123456789ABCDEF'"},
    {"wrapped_key", "x'000102030405060708090A0B0C0D0E'"},
    {"wrapped_key", "x'000102030405060708090A0B0C0D0E0F10'"},
    {"wrapped_key", "x''"},
    {"wrapped_key", "'0123456789ABCDEF'"},
    {"wrapped_key", "NULL"},  // of a DKG 02 key
    {"kcv", "x'0102'"},
    {"kcv", "x'01020304'"},
    {"kcv", "x''"},
    {"kcv", "NULL"},
    {"sgc", "-1"},
    {"sgc", "1000000"},
    {"sgc", "NULL"},
    {"sgc", "'one'"},
    {"krn", "0"},
    {"krn", "10"},
    {"krn", "258"},
    {"ktc", "0"},
    {"ktc", "4"},
    {"dkg", "1"},
    {"dkg", "3"},
    {"dkg", "5"},
    {"dkg", "4"},  // with a wrapped key
    {"base_year", "1992"},
    {"base_year", "1994"},
    {"base_year", "2036"},
    {"ken", "-1"},
    {"ken", "256"},
    {"cluster", "-1"},
    {"cluster", "4294967296"},
    {"sbm", "-1"},
    {"sbm", "65536"},
    {"active_from", "-62167219201"},
    {"expiry", "253402300800"},
    {"issue_until", "253402300800"},
    {"issue_until", "NULL"},
    {"clm_bits", "-1"},
    {"clm_bits", "1427211496"},
    {"clm_bits", "2143289344"},
    {"clm_bits", "2147483648"},
    {"ulm_units", "-1"},
    {"ulm_units", "999999999"},
    {"ulm_units", "'many'"},
    {"sgn", "'12345678901234567890123456789012345678901'"},
    {"sgn", "'a~b'"},
    {"sgn", "NULL"},
};

std::string set(const std::string& table, const BadValue& bad) {
    return "UPDATE " + table + " SET " + bad.column + " = " + bad.value;
}

/// Every bad value is refused by the table's constraints, found at open when they were switched off, and
/// found by the read when the table never had any.
template <std::size_t N>
void check_bad_values(const std::string& table, const BadValue (&values)[N],
                      const std::function<Errc(SqliteStore&)>& read_error) {
    const TempDir dir;
    const auto path = dir / "state.db";
    REQUIRE(created(path)->add_register(sample_register()));
    const std::string whole = contents(path);
    drop_constraints(path, table);
    const std::string loose = contents(path);
    for (const BadValue& bad : values) {
        const std::string sql = set(table, bad);
        INFO(sql);
        write_file(path, whole);
        CHECK(edit(path, sql) == SQLITE_CONSTRAINT);
        if (edit(path, sql, false) == SQLITE_OK) CHECK(open_error(path) == Errc::corrupt);
        write_file(path, loose);
        REQUIRE(edit(path, sql) == SQLITE_OK);
        CHECK(read_error(*opened(path)) == Errc::corrupt);
    }
}

}  // namespace

TEST_CASE("each value of the module's row out of its range is refused or found") {
    check_bad_values("module", kBadModuleValues, [](SqliteStore& store) {
        const auto state = store.load_state();
        REQUIRE_FALSE(state);
        return state.error();
    });
}

TEST_CASE("each value of a register out of its range is refused or found") {
    check_bad_values("register", kBadRegisterValues, [](SqliteStore& store) {
        const auto row = store.load_next_register(0);
        REQUIRE_FALSE(row);
        return row.error();
    });
}

TEST_CASE("a module without its row, or with two, is corrupt and takes no commit") {
    const TempDir dir;
    const auto path = dir / "state.db";
    created(path).reset();
    drop_constraints(path, "module");
    REQUIRE(edit(path, "INSERT INTO module SELECT * FROM module") == SQLITE_OK);
    {
        const auto store = opened(path);
        CHECK(store->load_state().error() == Errc::corrupt);
    }
    REQUIRE(edit(path, "DELETE FROM module") == SQLITE_OK);
    const auto store = opened(path);
    CHECK(store->load_state().error() == Errc::corrupt);
    CHECK(store->commit(sample_state()).error() == Errc::corrupt);
}

TEST_CASE("two keys of one identity in an edited file are corrupt") {
    const TempDir dir;
    const auto path = dir / "state.db";
    {
        const auto store = created(path);
        REQUIRE(store->add_register(sample_register(1)));
        RegisterRow other = sample_register(2);
        other.key[0] = 1;
        other.attributes.krn = 3;
        REQUIRE(store->add_register(other));
    }
    // Edits the second row's krn from 3 to 2 in the table alone, behind the index.
    std::string octets = contents(path);
    const std::string sgc_krn_ktc_dkg = {'\x01', '\xB6', '\x69', '\x03', '\x03', '\x02'};
    const auto at = octets.find(sgc_krn_ktc_dkg);
    REQUIRE(at != std::string::npos);
    octets[at + 3] = '\x02';
    write_file(path, octets);
    CHECK(open_error(path) == Errc::corrupt);
}

TEST_CASE("a commit of values out of their ranges is refused and keeps the old state") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    std::vector<ModuleState> bad(6, sample_state());
    bad[0].phase = static_cast<Phase>(0);
    bad[1].tokens_issued = std::uint64_t{1} << 63U;
    bad[2].time_mark = civil_time(10000, 1, 1);
    bad[3].time_mark = civil_time(-1, 12, 31, 23, 59, 59);
    REQUIRE(bad[4].module_id.assign("a~b"));
    REQUIRE(bad[5].hardware_id.assign("a\rb"));
    for (const ModuleState& state : bad) {
        CHECK(store->commit(state).error() == Errc::invalid_argument);
        check_equal(loaded(*store), sample_state());
    }
    CHECK(store->commit(sample_state()));
}

TEST_CASE("a module keeps the profile that it was set up with") {
    const TempDir dir;
    for (const Profile profile : {Profile::production, Profile::demo, Profile::lab}) {
        ModuleState state = sample_state();
        state.profile = profile;
        {
            const auto store = created(dir / "state.db", state);
            for (const int other : {0, 1, 2, 3, 4}) {
                ModuleState changed = state;
                changed.profile = static_cast<Profile>(other);
                changed.tokens_issued = 1000;
                if (changed.profile == profile) continue;
                CHECK(store->commit(changed).error() == Errc::invalid_argument);
                check_equal(loaded(*store), state);
            }
        }
        check_equal(loaded(*opened(dir / "state.db")), state);
        fs::remove(dir / "state.db");
    }
}

TEST_CASE("a register whose number, identity or key object is taken is refused") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    REQUIRE(store->add_register(sample_register()));
    RegisterRow same_number = sample_register();
    same_number.key[0] = 1;
    same_number.attributes.krn = 1;
    RegisterRow same_identity = sample_register(8);
    same_identity.key[0] = 1;
    RegisterRow same_key = sample_register(8);
    same_key.attributes.krn = 1;
    for (const RegisterRow& row : {sample_register(), same_number, same_identity, same_key}) {
        CHECK(store->add_register(row).error() == Errc::already_exists);
        CHECK(next_number(*store, 7) == 0);
        check_equal(**store->load_next_register(0), sample_register());
    }
    RegisterRow other = sample_register(8);
    other.key[0] = 1;
    other.attributes.sgc = 112234;
    CHECK(store->add_register(other));
}

TEST_CASE("a register with a value out of its range is refused") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    std::vector<RegisterRow> bad(12, sample_register());
    bad[0].number = 0;
    bad[1].number = 4097;
    bad[2].attributes.sgc = 1000000;
    bad[3].attributes.krn = 0;
    bad[4].attributes.krn = 10;
    bad[5].attributes.ktc = KeyType::ditk;
    bad[6].attributes.dkg = static_cast<Dkga>(3);
    bad[7].attributes.clm_bits = 0x80000000;  // negative zero
    bad[8].attributes.ulm_units = 999999999;
    REQUIRE(bad[9].attributes.sgn.assign("a~b"));
    bad[10].wrapped_key.reset();
    bad[11].attributes.dkg = Dkga::dkga04;
    for (const RegisterRow& row : bad) {
        CHECK(store->add_register(row).error() == Errc::invalid_argument);
        CHECK(next_number(*store, 0) == 0);
    }
}

TEST_CASE("a second store of the same file is refused until the first is gone") {
    const TempDir dir;
    const auto path = dir / "state.db";
    auto first = created(path);
    CHECK(open_error(path) == Errc::in_use);
    CHECK(first->commit(sample_state()));
    first = nullptr;
    first = opened(path);
    CHECK(open_error(path) == Errc::in_use);
    check_equal(loaded(*first), sample_state());
    first = nullptr;
    CHECK(SqliteStore::open(path));
}

TEST_CASE("what was committed is in the files before the store is closed") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    REQUIRE(store->add_register(sample_register()));
    ModuleState state = sample_state();
    for (int i = 0; i < 5; ++i) {
        ++state.tokens_issued;
        REQUIRE(store->commit(state));
        // As after a kill: both files as they are now, and nobody closed them.
        write_file(dir / "copy.db", contents(dir / "state.db"));
        write_file(dir / "copy.db-wal", contents(dir / "state.db-wal"));
        const auto copy = opened(dir / "copy.db");
        check_equal(loaded(*copy), state);
        CHECK(next_number(*copy, 0) == 7);
    }
}

TEST_CASE("a write-ahead log cut short at any place gives the last whole commit") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    ModuleState first = sample_state();
    first.tokens_issued = 42;
    REQUIRE(store->commit(first));
    const std::size_t first_size = contents(dir / "state.db-wal").size();
    ModuleState second = sample_state();
    second.tokens_issued = 43;
    REQUIRE(store->commit(second));
    const std::string log = contents(dir / "state.db-wal");
    REQUIRE(log.size() > first_size);
    for (std::size_t size = first_size; size <= log.size(); size += 8) {
        write_file(dir / "copy.db", contents(dir / "state.db"));
        write_file(dir / "copy.db-wal", log.substr(0, size));
        check_equal(loaded(*opened(dir / "copy.db")), size == log.size() ? second : first);
    }
}

TEST_CASE("a commit costs one synchronisation") {
    const TempDir dir;
    const FaultFileSystem file_system;
    const auto store = created(dir / "state.db");
    ModuleState state = sample_state();
    state.tokens_issued = 0;
    REQUIRE(store->commit(state));  // the first one also begins the log
    faults = {};
    for (int i = 0; i < 100; ++i) {
        ++state.tokens_issued;
        REQUIRE(store->commit(state));
    }
    CHECK(faults.syncs == 100);
}

TEST_CASE("a commit that the disk refuses reports it and keeps the old state") {
    // The first commit writes a header and synchronises it, then it is as every other.
    const bool first = GENERATE(true, false);
    const int writes = first ? 3 : 2;
    const int syncs = first ? 2 : 1;
    const TempDir dir;
    const FaultFileSystem file_system;
    ModuleState old = sample_state();
    const auto prepared = [&] {
        auto store = created(dir / "state.db", old);
        ModuleState next = old;
        ++next.tokens_issued;
        if (!first) REQUIRE(store->commit(next));
        if (!first) old = next;
        return store;
    };
    ModuleState changed = sample_state();
    changed.tokens_issued = 1000;
    const auto check_refused = [&](const Faults& failing, Errc error) {
        const auto store = prepared();
        faults = failing;
        const auto committed = store->commit(changed);
        CHECK(faults.writes <= writes);  // it was not tried again
        CHECK(faults.syncs <= syncs);
        faults = {};
        REQUIRE_FALSE(committed);
        CHECK(committed.error() == error);
        check_equal(loaded(*store), old);
        fs::remove(dir / "state.db");
        fs::remove(dir / "state.db-wal");
    };
    for (int n = 1; n <= writes; ++n) {
        INFO("write " << n);
        check_refused({.fail_write = n, .code = SQLITE_FULL}, Errc::storage_full);
        check_refused({.fail_write = n, .code = SQLITE_IOERR_WRITE}, Errc::storage_failed);
        check_refused({.fail_write = n, .code = SQLITE_READONLY}, Errc::permission);
    }
    for (int n = 1; n <= syncs; ++n) {
        INFO("synchronisation " << n);
        check_refused({.fail_sync = n, .code = SQLITE_IOERR_FSYNC}, Errc::storage_failed);
    }
}

TEST_CASE("an added register that the disk refuses is not there") {
    const TempDir dir;
    const FaultFileSystem file_system;
    const auto store = created(dir / "state.db");
    faults = {.fail_sync = 1, .code = SQLITE_IOERR_FSYNC};
    CHECK(store->add_register(sample_register()).error() == Errc::storage_failed);
    faults = {};
    CHECK(next_number(*store, 0) == 0);
    CHECK(store->add_register(sample_register()));
}

TEST_CASE("the write-back of the log does not fail in silence") {
    struct Case {
        Faults failing;
        Errc error;
    };
    // More than a commit's own two writes and one synchronisation: the log is being written back.
    const auto write_back = GENERATE(values<Case>({
        {{.fail_sync = 2, .code = SQLITE_IOERR_FSYNC}, Errc::storage_failed},
        {{.fail_write = 3, .code = SQLITE_IOERR_WRITE}, Errc::storage_failed},
        {{.fail_write = 3, .code = SQLITE_FULL}, Errc::storage_full},
    }));
    const TempDir dir;
    const FaultFileSystem file_system;
    auto store = created(dir / "state.db");
    ModuleState state = sample_state();
    ++state.tokens_issued;
    REQUIRE(store->commit(state));
    bool failed = false;
    for (int i = 0; i < 2000 && !failed; ++i) {
        ++state.tokens_issued;
        faults = write_back.failing;
        const auto committed = store->commit(state);
        failed = !committed;
        if (failed) CHECK(committed.error() == write_back.error);
    }
    faults = {};
    CHECK(failed);
    store = nullptr;
    // The commit itself was durable: the module may waste a unit, never give one away.
    check_equal(loaded(*opened(dir / "state.db")), state);
}

}  // namespace sts6
