// SPDX-License-Identifier: Apache-2.0
// The SQLite store: what it keeps, what it refuses, and what a failing disk leaves behind.
#include <fstream>
#include <functional>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sqlite3.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp is POSIX
#include <sys/stat.h>
#include <unistd.h>

#include "src/store/sqlite_store.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6 {
namespace {

namespace fs = std::filesystem;

class TempDir {
  public:
    [[nodiscard]] fs::path operator/(const char* name) const { return dir_.path() / name; }
    [[nodiscard]] std::size_t entries() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(dir_.path()), fs::directory_iterator()));
    }

  private:
    conform::TemporaryDirectory dir_;
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

/// N octets that differ, so that no two fields of a row are mixed up.
template <std::size_t N>
std::array<std::uint8_t, N> octets(std::uint8_t first) {
    std::array<std::uint8_t, N> out{};
    std::iota(out.begin(), out.end(), first);
    return out;
}

ModuleState sample_state() {
    ModuleState state;
    state.profile = Profile::demo;
    state.phase = Phase::operational;
    REQUIRE(state.module_id.assign("PSOFTSM01"));
    REQUIRE(state.hardware_id.assign("HW 1"));
    REQUIRE(state.smid.assign("SMID|PSOFTSM01|0123456789ABCDEF"));
    state.agreement_key = {octets<16>(1), octets<97>(2)};
    state.instruction_key = octets<97>(3);
    state.tokens_issued = 41;
    state.time_mark = civil_time(2014, 3, 1, 13, 0, 7);
    return state;
}

RegisterRow sample_register(std::uint16_t number = 7) {
    RegisterRow row;
    row.number = number;
    row.slot = 1;
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
    row.units_left = 9990;
    row.currency_left = 123'456'789;
    return row;
}

StagedKey sample_staged(std::uint16_t number = 9) {
    StagedKey key;
    key.row = sample_register(number);
    key.row.units_left.reset();  // a register's alone: counting begins when the load has ended
    key.row.currency_left.reset();
    key.nonce = octets<12>(0x20);
    key.record = octets<48>(0x30);
    return key;
}

Slot sample_slot(std::uint8_t number = 1) {
    Slot slot;
    slot.number = number;
    REQUIRE(slot.kmc_operator.assign("SURELOAD"));
    REQUIRE(slot.kmc_name.assign("KMC TEST"));
    REQUIRE(slot.kmcid.assign("KMCID|SURELOAD|KMC TEST|1"));
    slot.active = true;
    slot.last_loaded = 17;
    slot.last_removed = 3;
    LoadSession& session = slot.session;
    session.state = LoadSession::State::loading;
    REQUIRE(session.kmcid.assign("KMCID|SURELOAD|KMC TEST|2"));
    session.kmc_record = octets<48>(0x11);
    session.kmc_key = octets<97>(0x12);
    session.requested = civil_time(2026, 2, 28, 23, 59, 59);
    session.ephemeral = {octets<16>(0x13), octets<97>(0x14)};
    session.failures = 4;
    session.kek = octets<16>(0x15);
    session.mac_tag = octets<24>(0x16);
    session.response = octets<48>(0x17);
    return slot;
}

/// Identities, nonces and records that sample_register() and sample_staged() do not have.
RegisterRow other_register(std::uint16_t number) {
    RegisterRow row = sample_register(number);
    row.key[0] = 1;
    row.attributes.krn = 3;
    return row;
}

StagedKey other_staged(std::uint16_t number) {
    StagedKey key = sample_staged(number);
    key.row.key[0] = 1;
    key.row.attributes.krn = 3;
    key.nonce[11] = 0;
    key.record[47] = 0;
    return key;
}

Slot other_slot(std::uint8_t number) {
    Slot slot = sample_slot(number);
    REQUIRE(slot.kmc_name.assign("KMC TEST 2"));
    return slot;
}

void check_equal(const ModuleState& a, const ModuleState& b) {
    CHECK(a.profile == b.profile);
    CHECK(a.phase == b.phase);
    CHECK(a.module_id == b.module_id);
    CHECK(a.hardware_id == b.hardware_id);
    CHECK(a.smid == b.smid);
    CHECK(a.agreement_key.id == b.agreement_key.id);
    CHECK(a.agreement_key.point == b.agreement_key.point);
    CHECK(a.instruction_key == b.instruction_key);
    CHECK(a.tokens_issued == b.tokens_issued);
    CHECK(a.time_mark == b.time_mark);
}

void check_equal(const RegisterRow& a, const RegisterRow& b) {
    CHECK(a.number == b.number);
    CHECK(a.slot == b.slot);
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
    CHECK(a.units_left == b.units_left);
    CHECK(a.currency_left == b.currency_left);
}

void check_equal(const StagedKey& a, const StagedKey& b) {
    check_equal(a.row, b.row);
    CHECK(a.nonce == b.nonce);
    CHECK(a.record == b.record);
}

void check_equal(const Slot& a, const Slot& b) {
    CHECK(a.number == b.number);
    CHECK(a.kmc_operator == b.kmc_operator);
    CHECK(a.kmc_name == b.kmc_name);
    CHECK(a.kmcid == b.kmcid);
    CHECK(a.active == b.active);
    CHECK(a.last_loaded == b.last_loaded);
    CHECK(a.last_removed == b.last_removed);
    CHECK(a.session.state == b.session.state);
    CHECK(a.session.kmcid == b.session.kmcid);
    CHECK(a.session.kmc_record == b.session.kmc_record);
    CHECK(a.session.kmc_key == b.session.kmc_key);
    CHECK(a.session.requested == b.session.requested);
    CHECK(a.session.ephemeral.id == b.session.ephemeral.id);
    CHECK(a.session.ephemeral.point == b.session.ephemeral.point);
    CHECK(a.session.failures == b.session.failures);
    CHECK(a.session.kek == b.session.kek);
    CHECK(a.session.mac_tag == b.session.mac_tag);
    CHECK(a.session.response == b.session.response);
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

std::uint16_t next_staged_number(SqliteStore& store, std::uint16_t after) {
    const auto key = store.load_next_staged(after);
    REQUIRE(key);
    return *key ? (*key)->row.number : std::uint16_t{0};
}

bool has_slot(SqliteStore& store, std::uint8_t number) {
    const auto slot = store.load_slot(number);
    REQUIRE(slot);
    return slot->has_value();
}

/// Puts and commits a register; the module's row stays as it is.
Result<void> add(SqliteStore& store, const RegisterRow& row) {
    if (auto put = store.put_register(row); !put) return put;
    return store.commit(loaded(store), {});
}

/// A store with a register, a staged key and a slot.
std::unique_ptr<SqliteStore> populated(const fs::path& path) {
    auto store = created(path);
    REQUIRE(store->put_register(sample_register()));
    REQUIRE(store->put_staged(sample_staged()));
    REQUIRE(store->put_slot(sample_slot()));
    REQUIRE(store->commit(sample_state(), {}));
    return store;
}

/// Exactly what populated() made, and `state`.
void check_populated(SqliteStore& store, const ModuleState& state = sample_state()) {
    check_equal(loaded(store), state);
    const auto row = store.load_next_register(0);
    REQUIRE((row && *row));
    check_equal(**row, sample_register());
    CHECK(next_number(store, 7) == 0);
    const auto key = store.load_next_staged(0);
    REQUIRE((key && *key));
    check_equal(**key, sample_staged());
    CHECK(next_staged_number(store, 9) == 0);
    const auto slot = store.load_slot(1);
    REQUIRE((slot && *slot));
    check_equal(**slot, sample_slot());
    for (const std::uint8_t number : std::initializer_list<std::uint8_t>{2, 3, 4})
        CHECK_FALSE(has_slot(store, number));
}

/// One change of each kind, none of them committed.
void change_everything(SqliteStore& store) {
    REQUIRE(store.put_register(other_register(8)));
    REQUIRE(store.remove_register(7));
    REQUIRE(store.remove_all_staged());
    REQUIRE(store.put_staged(other_staged(10)));
    REQUIRE(store.put_slot(other_slot(2)));
    REQUIRE(store.remove_slot(1));
}

void check_changed(SqliteStore& store, const ModuleState& state) {
    check_equal(loaded(store), state);
    const auto row = store.load_next_register(0);
    REQUIRE((row && *row));
    check_equal(**row, other_register(8));
    CHECK(next_number(store, 8) == 0);
    const auto key = store.load_next_staged(0);
    REQUIRE((key && *key));
    check_equal(**key, other_staged(10));
    CHECK(next_staged_number(store, 10) == 0);
    const auto slot = store.load_slot(2);
    REQUIRE((slot && *slot));
    check_equal(**slot, other_slot(2));
    for (const std::uint8_t number : std::initializer_list<std::uint8_t>{1, 3, 4})
        CHECK_FALSE(has_slot(store, number));
}

/// What the log says while it lives.
class LogCapture {
  public:
    LogCapture() : before_(spdlog::default_logger()) {
        spdlog::set_default_logger(std::make_shared<spdlog::logger>(
            "", std::make_shared<spdlog::sinks::ostream_sink_st>(text_, true)));
    }
    LogCapture(const LogCapture&) = delete;
    LogCapture& operator=(const LogCapture&) = delete;
    ~LogCapture() { spdlog::set_default_logger(before_); }
    [[nodiscard]] bool has(const std::string& text) const { return count(text) != 0; }
    [[nodiscard]] std::size_t count(const std::string& text) const {
        const std::string all = text_.str();
        std::size_t times = 0;
        for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++times;
        return times;
    }

  private:
    std::ostringstream text_;
    std::shared_ptr<spdlog::logger> before_;
};

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
    CHECK(next_staged_number(*store, 0) == 0);
    for (const std::uint8_t number : std::initializer_list<std::uint8_t>{0, 1, 2, 3, 4, 5, 255})
        CHECK_FALSE(has_slot(*store, number));
    for (const std::uint8_t fill : std::initializer_list<std::uint8_t>{0x00, 0xFF}) {
        Sha384 digest{};
        digest.fill(fill);
        const auto approved = store->is_approved(digest);
        REQUIRE(approved);
        CHECK_FALSE(*approved);
    }
}

TEST_CASE("the state survives reopening, at its extremes too") {
    const TempDir dir;
    ModuleState low;
    low.profile = Profile::demo;
    low.time_mark = civil_time(0, 1, 1);
    ModuleState high = sample_state();
    REQUIRE(high.module_id.assign(std::string(40, '}')));
    REQUIRE(high.hardware_id.assign(std::string(40, ' ')));
    REQUIRE(high.smid.assign(std::string(128, '}')));
    high.agreement_key.id.fill(0xFF);
    high.agreement_key.point.fill(0xFF);
    high.instruction_key.fill(0xFF);
    high.tokens_issued = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    high.time_mark = civil_time(9999, 12, 31, 23, 59, 59);
    for (const ModuleState& state : {low, high, sample_state()}) {
        const auto path = dir / "state.db";
        const bool exists = fs::exists(path);
        REQUIRE((exists ? opened(path) : created(path))->commit(state, {}));
        check_equal(loaded(*opened(path)), state);
    }
}

namespace {

/// In the order of their numbers: 1, 7, 8 and 4096.
std::vector<RegisterRow> extreme_registers() {
    RegisterRow low;
    low.number = 1;
    low.slot = 1;
    low.attributes.ktc = KeyType::ddtk;
    low.attributes.ken = 0;
    low.attributes.sbm = 0;
    for (CivilTime* time :
         {&low.attributes.active_from, &low.attributes.expiry, &low.attributes.issue_until}) {
        *time = civil_time(0, 1, 1);
    }
    low.attributes.clm_bits = 0;
    low.attributes.ulm_units = 0;
    low.units_left = 0;
    low.currency_left = 0;

    RegisterRow high = sample_register(4096);
    high.slot = 4;
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
    high.units_left = 9'999'999'980;                 // its tenths
    high.currency_left = 1'000'000'000'000'000'000;  // 10^13 in 0.00001
    REQUIRE(high.attributes.sgn.assign(std::string(40, 'Z')));

    RegisterRow unlimited = sample_register(8);
    unlimited.key[0] = 1;
    unlimited.attributes.krn = 3;
    unlimited.attributes.ktc = KeyType::dutk;
    unlimited.attributes.dkg = Dkga::dkga04;
    unlimited.wrapped_key.reset();
    unlimited.attributes.clm_bits.reset();
    unlimited.attributes.ulm_units.reset();
    unlimited.units_left.reset();
    unlimited.currency_left.reset();
    REQUIRE(unlimited.attributes.sgn.assign(""));

    return {low, sample_register(), unlimited, high};
}

}  // namespace

TEST_CASE("a register survives reopening with every field") {
    const TempDir dir;
    const std::vector<RegisterRow> rows = extreme_registers();
    {
        const auto store = created(dir / "state.db");
        for (auto row = rows.rbegin(); row != rows.rend(); ++row) REQUIRE(add(*store, *row));
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

TEST_CASE("a staged key survives reopening with every field") {
    const TempDir dir;
    std::vector<StagedKey> keys;
    for (RegisterRow row : extreme_registers()) {
        row.units_left.reset();
        row.currency_left.reset();
        StagedKey& key = keys.emplace_back();
        key.row = row;
        key.nonce.fill(static_cast<std::uint8_t>(row.number));
        key.record.fill(static_cast<std::uint8_t>(row.number));
    }
    keys.back().nonce.fill(0xFF);
    keys.back().record.fill(0xFF);
    {
        const auto store = created(dir / "state.db");
        for (auto key = keys.rbegin(); key != keys.rend(); ++key) REQUIRE(store->put_staged(*key));
        REQUIRE(store->commit(sample_state(), {}));
    }
    const auto store = opened(dir / "state.db");
    std::uint16_t after = 0;
    for (const StagedKey& expected : keys) {
        const auto key = store->load_next_staged(after);
        REQUIRE((key && *key));
        check_equal(**key, expected);
        after = expected.row.number;
    }
    CHECK(next_staged_number(*store, after) == 0);
    CHECK(next_staged_number(*store, 65535) == 0);
    CHECK(next_staged_number(*store, 6) == 7);
    CHECK(next_number(*store, 0) == 0);
}

TEST_CASE("a slot survives reopening with every field") {
    const TempDir dir;
    Slot low;
    low.number = 1;
    REQUIRE(low.kmc_operator.assign(" "));
    REQUIRE(low.kmc_name.assign(" "));
    low.session.requested = civil_time(0, 1, 1);

    Slot pending = sample_slot(3);
    pending.active = false;
    pending.session.state = LoadSession::State::pending;
    pending.last_loaded = 0;  // which is not the same as none
    pending.last_removed = 0;

    Slot high = sample_slot(4);
    REQUIRE(high.kmc_operator.assign(std::string(40, '}')));
    REQUIRE(high.kmc_name.assign(std::string(40, ' ')));
    REQUIRE(high.kmcid.assign(std::string(128, '}')));
    REQUIRE(high.session.kmcid.assign(std::string(128, ' ')));
    high.last_loaded = 4096;
    high.last_removed = 4096;
    high.session.kmc_record.fill(0xFF);
    high.session.kmc_key.fill(0xFF);
    high.session.requested = civil_time(9999, 12, 31, 23, 59, 59);
    high.session.ephemeral.id.fill(0xFF);
    high.session.ephemeral.point.fill(0xFF);
    high.session.failures = 5;
    high.session.kek.fill(0xFF);
    high.session.mac_tag.fill(0xFF);
    high.session.response.fill(0xFF);

    const std::vector<Slot> slots = {high, low, pending};
    {
        const auto store = created(dir / "state.db");
        for (const Slot& slot : slots) REQUIRE(store->put_slot(slot));
        REQUIRE(store->commit(sample_state(), {}));
    }
    const auto store = opened(dir / "state.db");
    for (const Slot& expected : slots) {
        const auto slot = store->load_slot(expected.number);
        REQUIRE((slot && *slot));
        check_equal(**slot, expected);
    }
    for (const std::uint8_t number : std::initializer_list<std::uint8_t>{0, 2, 5, 255})
        CHECK_FALSE(has_slot(*store, number));
}

TEST_CASE("an approval is of one record and survives commits") {
    const TempDir dir;
    const auto path = dir / "state.db";
    created(path).reset();
    // Officers approve offline: the rows come from another program.
    REQUIRE(edit(path,
                 "INSERT INTO approved_kmc VALUES"
                 " (zeroblob(48), '', '', -62167219200),"
                 " (x'" +
                     std::string(96, 'F') +
                     "', hex(zeroblob(64)), hex(zeroblob(512)),"
                     " 253402300799)") == SQLITE_OK);
    {
        const auto store = opened(path);
        REQUIRE(store->commit(sample_state(), {}));
    }
    const auto store = opened(path);
    const auto approved = [&store](const Sha384& digest) {
        const auto answer = store->is_approved(digest);
        REQUIRE(answer);
        return *answer;
    };
    for (const std::uint8_t fill : std::initializer_list<std::uint8_t>{0x00, 0xFF}) {
        Sha384 digest{};
        digest.fill(fill);
        CHECK(approved(digest));
        for (const std::size_t at : {std::size_t{0}, std::size_t{47}}) {
            Sha384 near = digest;
            near[at] ^= 1U;
            CHECK_FALSE(approved(near));
        }
    }
    CHECK_FALSE(approved(octets<48>(0)));
}

TEST_CASE("the files of a store are for their owner alone") {
    const TempDir dir;
    const mode_t old_mask = umask(0);
    const auto store = created(dir / "state.db");
    REQUIRE(store->commit(sample_state(), {}));
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
    REQUIRE(add(*created(dir / "state.db"), sample_register()));
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
    populated(path).reset();
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
    CHECK(error_after("PRAGMA user_version = 4") == Errc::newer_schema);
    CHECK(error_after("PRAGMA user_version = 2147483647") == Errc::newer_schema);
    CHECK(error_after("PRAGMA user_version = 0") == Errc::corrupt);
    CHECK(error_after("PRAGMA user_version = -1") == Errc::corrupt);
    CHECK(error_after("PRAGMA user_version = 2") == Errc::corrupt);
    {
        const LogCapture log;
        CHECK(error_after("PRAGMA user_version = 1") == Errc::corrupt);
        CHECK(log.has("schema version 1 was never released: set the module up anew"));
    }
    CHECK(error_after("PRAGMA user_version = 3; PRAGMA application_id = 0") == Errc::corrupt);
    CHECK(error_after("PRAGMA application_id = 0x53545337") == Errc::corrupt);
    // "STS6", as the file's header has it for other tools.
    REQUIRE(edit(path, "PRAGMA application_id = 0x53545336") == SQLITE_OK);
    CHECK(SqliteStore::open(path));
}

TEST_CASE("open refuses a store without one of its tables or columns") {
    const TempDir dir;
    for (const char* sql :
         {"DROP TABLE module", "DROP TABLE register", "DROP TABLE staged", "DROP TABLE slot",
          "DROP TABLE approved_kmc", "ALTER TABLE module RENAME COLUMN smid TO id2",
          "ALTER TABLE register RENAME COLUMN units_left TO units",
          "ALTER TABLE staged RENAME COLUMN nonce TO n", "ALTER TABLE slot RENAME COLUMN kek TO k",
          "ALTER TABLE approved_kmc RENAME COLUMN record_digest TO digest",
          "ALTER TABLE module RENAME COLUMN time_mark TO time",
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
    {"smid", "hex(zeroblob(64)) || 'x'"},
    {"smid", "'a~b'"},
    {"smid", "NULL"},
    {"smid", "x'41'"},
    {"agreement_key", "zeroblob(15)"},
    {"agreement_key", "zeroblob(17)"},
    {"agreement_key", "'0123456789ABCDEF'"},
    {"agreement_key", "NULL"},
    {"agreement_point", "zeroblob(96)"},
    {"agreement_point", "zeroblob(98)"},
    {"agreement_point", "NULL"},
    {"instruction_key", "zeroblob(96)"},
    {"instruction_key", "zeroblob(98)"},
    {"instruction_key", "x''"},
    {"instruction_key", "NULL"},
    {"tokens_issued", "-1"},
    {"tokens_issued", "1.5"},
    {"tokens_issued", "NULL"},
    {"time_mark", "-62167219201"},
    {"time_mark", "253402300800"},
    {"time_mark", "NULL"},
};

// Of the columns that a register and a staged key have both.
const BadValue kBadKeyValues[] = {
    {"number", "0"},
    {"number", "-1"},
    {"number", "4097"},
    {"number", "65543"},
    {"slot", "0"},
    {"slot", "5"},
    {"slot", "257"},
    {"slot", "NULL"},
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

const BadValue kBadRegisterValues[] = {
    {"units_left", "-1"},
    {"units_left", "9999999981"},
    {"units_left", "1.5"},
    {"units_left", "'many'"},
    {"currency_left", "-1"},
    {"currency_left", "1000000000000000001"},
    {"currency_left", "9223372036854775807"},
    {"currency_left", "x'01'"},
};

const BadValue kBadStagedValues[] = {
    {"nonce", "zeroblob(11)"},  {"nonce", "zeroblob(13)"},  {"nonce", "'0123456789AB'"}, {"nonce", "NULL"},
    {"record", "zeroblob(47)"}, {"record", "zeroblob(49)"}, {"record", "x''"},           {"record", "NULL"},
};

const BadValue kBadSlotValues[] = {
    {"kmc_operator", "''"},
    {"kmc_operator", "'12345678901234567890123456789012345678901'"},
    {"kmc_operator", "'a~b'"},
    {"kmc_operator", "NULL"},
    {"kmc_name", "''"},
    {"kmc_name", "'12345678901234567890123456789012345678901'"},
    {"kmc_name", "'a' || char(10)"},
    {"kmc_name", "x'41'"},
    {"kmcid", "hex(zeroblob(64)) || 'x'"},
    {"kmcid", "'caf' || char(233)"},
    {"kmcid", "NULL"},
    {"active", "2"},
    {"active", "-1"},
    {"active", "NULL"},
    {"last_loaded", "-1"},
    {"last_loaded", "4097"},
    {"last_loaded", "'all'"},
    {"last_removed", "-1"},
    {"last_removed", "4097"},
    {"last_removed", "NULL"},
    {"session", "-1"},
    {"session", "3"},
    {"session", "256"},
    {"session", "NULL"},
    {"session_kmcid", "hex(zeroblob(64)) || 'x'"},
    {"session_kmcid", "char(127)"},
    {"session_kmcid", "NULL"},
    {"kmc_record", "zeroblob(47)"},
    {"kmc_record", "zeroblob(49)"},
    {"kmc_record", "NULL"},
    {"kmc_key", "zeroblob(96)"},
    {"kmc_key", "zeroblob(98)"},
    {"kmc_key", "x''"},
    {"requested", "-62167219201"},
    {"requested", "253402300800"},
    {"requested", "NULL"},
    {"ephemeral_key", "zeroblob(15)"},
    {"ephemeral_key", "zeroblob(17)"},
    {"ephemeral_point", "zeroblob(96)"},
    {"ephemeral_point", "zeroblob(98)"},
    {"failures", "-1"},
    {"failures", "6"},
    {"failures", "256"},
    {"kek", "zeroblob(15)"},
    {"kek", "zeroblob(17)"},
    {"kek", "'0123456789ABCDEF'"},
    {"mac_tag", "zeroblob(23)"},
    {"mac_tag", "zeroblob(25)"},
    {"response", "zeroblob(47)"},
    {"response", "zeroblob(49)"},
    {"response", "NULL"},
};

// A slot is asked for by its number: no read meets one that it does not name.
const BadValue kBadSlotNumbers[] = {{"number", "0"}, {"number", "-1"}, {"number", "5"}, {"number", "257"}};

// No read returns what stands beside the digest.
const BadValue kBadApprovals[] = {
    {"record_digest", "zeroblob(47)"},
    {"record_digest", "zeroblob(49)"},
    {"record_digest", "NULL"},
    {"kmcid", "hex(zeroblob(64)) || 'x'"},
    {"kmcid", "NULL"},
    {"record", "hex(zeroblob(512)) || 'x'"},
    {"record", "x'41'"},
    {"approved", "-62167219201"},
    {"approved", "253402300800"},
    {"approved", "NULL"},
};

const BadValue kBadOfficers[] = {
    {"name", "''"},
    {"name", "'12345678901234567890123456789012345678901'"},
    {"name", "NULL"},
    {"salt", "zeroblob(15)"},
    {"salt", "zeroblob(17)"},
    {"salt", "NULL"},
    {"verifier", "zeroblob(31)"},
    {"verifier", "zeroblob(33)"},
    {"verifier", "NULL"},
    {"failures", "-1"},
    {"failures", "256"},
};

std::string set(const std::string& table, const BadValue& bad) {
    return "UPDATE " + table + " SET " + bad.column + " = " + bad.value;
}

using ReadError = std::function<Errc(SqliteStore&)>;

/// Every bad value is refused by the table's constraints, found at open when they were switched off, and
/// found by the read, where there is one, when the table never had any.
void check_bad_values(const std::string& table, std::span<const BadValue> values,
                      const ReadError& read_error) {
    const TempDir dir;
    const auto path = dir / "state.db";
    populated(path).reset();
    REQUIRE(edit(path,
                 "INSERT INTO approved_kmc VALUES (zeroblob(48), 'id', 'record', 0);"
                 "INSERT INTO officer VALUES ('name', zeroblob(16), zeroblob(32), 0)") == SQLITE_OK);
    const std::string whole = contents(path);
    REQUIRE(SqliteStore::open(path));
    drop_constraints(path, table);
    const std::string loose = contents(path);
    for (const BadValue& bad : values) {
        const std::string sql = set(table, bad);
        INFO(sql);
        write_file(path, whole);
        CHECK(edit(path, sql) == SQLITE_CONSTRAINT);
        if (edit(path, sql, false) == SQLITE_OK) CHECK(open_error(path) == Errc::corrupt);
        if (!read_error) continue;
        write_file(path, loose);
        REQUIRE(edit(path, sql) == SQLITE_OK);
        CHECK(read_error(*opened(path)) == Errc::corrupt);
    }
}

Errc next_register_error(SqliteStore& store) {
    const auto row = store.load_next_register(0);
    REQUIRE_FALSE(row);
    return row.error();
}

Errc next_staged_error(SqliteStore& store) {
    const auto key = store.load_next_staged(0);
    REQUIRE_FALSE(key);
    return key.error();
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
    check_bad_values("register", kBadKeyValues, next_register_error);
    check_bad_values("register", kBadRegisterValues, next_register_error);
}

TEST_CASE("each value of a staged key out of its range is refused or found") {
    check_bad_values("staged", kBadKeyValues, next_staged_error);
    check_bad_values("staged", kBadStagedValues, next_staged_error);
}

TEST_CASE("each value of a slot out of its range is refused or found") {
    check_bad_values("slot", kBadSlotNumbers, nullptr);
    check_bad_values("slot", kBadSlotValues, [](SqliteStore& store) {
        const auto slot = store.load_slot(1);
        REQUIRE_FALSE(slot);
        return slot.error();
    });
}

TEST_CASE("each value of an approval or an officer out of its range is refused or found") {
    check_bad_values("approved_kmc", kBadApprovals, nullptr);
    check_bad_values("officer", kBadOfficers, nullptr);
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
    CHECK(store->commit(sample_state(), {}).error() == Errc::corrupt);
}

TEST_CASE("two keys of one identity in an edited file are corrupt") {
    const TempDir dir;
    const auto path = dir / "state.db";
    {
        const auto store = created(path);
        REQUIRE(add(*store, sample_register(1)));
        RegisterRow other = sample_register(2);
        other.key[0] = 1;
        other.attributes.krn = 3;
        REQUIRE(add(*store, other));
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
    std::vector<ModuleState> bad(9, sample_state());
    bad[0].phase = static_cast<Phase>(0);
    bad[1].tokens_issued = std::uint64_t{1} << 63U;
    bad[2].time_mark = civil_time(10000, 1, 1);
    bad[3].time_mark = civil_time(-1, 12, 31, 23, 59, 59);
    REQUIRE(bad[4].module_id.assign("a~b"));
    REQUIRE(bad[5].hardware_id.assign("a\rb"));
    REQUIRE(bad[6].smid.assign("a~b"));
    REQUIRE(bad[7].module_id.assign(std::string_view("a\0b", 3)));
    bad[8].tokens_issued = std::numeric_limits<std::uint64_t>::max();
    for (const ModuleState& state : bad) {
        CHECK(store->commit(state, {}).error() == Errc::invalid_argument);
        check_equal(loaded(*store), sample_state());
    }
    CHECK(store->commit(sample_state(), {}));
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
                CHECK(store->commit(changed, {}).error() == Errc::invalid_argument);
                check_equal(loaded(*store), state);
            }
        }
        check_equal(loaded(*opened(dir / "state.db")), state);
        fs::remove(dir / "state.db");
    }
}

TEST_CASE("a register whose identity or key object is another's is refused") {
    const TempDir dir;
    const auto store = populated(dir / "state.db");
    RegisterRow same_identity = other_register(8);
    same_identity.attributes.krn = sample_register().attributes.krn;
    RegisterRow same_key = other_register(8);
    same_key.key = sample_register().key;
    for (const RegisterRow& row : {sample_register(8), same_identity, same_key}) {
        CHECK(store->put_register(row).error() == Errc::already_exists);
        check_populated(*store);
    }
    // Each part of (slot, SGC, KRN) makes another identity.
    RegisterRow other_slot = same_identity;
    other_slot.slot = 2;
    RegisterRow other_sgc = same_identity;
    other_sgc.attributes.sgc = 112234;
    for (RegisterRow row : {other_slot, other_sgc, other_register(8)}) {
        CHECK(add(*store, row));
        check_equal(**store->load_next_register(7), row);
    }
}

TEST_CASE("a put register takes the place of the one of its number") {
    const TempDir dir;
    const auto path = dir / "state.db";
    {
        const auto store = populated(path);
        RegisterRow spent = sample_register();
        spent.units_left = 0;
        spent.currency_left.reset();
        REQUIRE(add(*store, spent));
        check_equal(**store->load_next_register(0), spent);
        REQUIRE(add(*store, other_register(7)));
    }
    const auto store = opened(path);
    check_equal(**store->load_next_register(0), other_register(7));
    CHECK(next_number(*store, 7) == 0);
    // The key and the identity of what was replaced are free again.
    CHECK(add(*store, sample_register(8)));
    // In one commit two registers change places by way of removals.
    REQUIRE(store->remove_register(7));
    REQUIRE(store->remove_register(8));
    REQUIRE(store->put_register(sample_register(7)));
    REQUIRE(store->put_register(other_register(8)));
    REQUIRE(store->commit(sample_state(), {}));
    check_equal(**store->load_next_register(0), sample_register(7));
    check_equal(**store->load_next_register(7), other_register(8));
}

TEST_CASE("a staged key whose number, identity, key object, nonce or record is taken is refused") {
    const TempDir dir;
    const auto store = populated(dir / "state.db");
    const StagedKey staged = sample_staged();
    std::vector<StagedKey> taken(4, other_staged(10));
    taken[0].row.attributes.krn = staged.row.attributes.krn;
    taken[1].row.key = staged.row.key;
    taken[2].nonce = staged.nonce;
    taken[3].record = staged.record;
    taken.push_back(other_staged(9));
    taken.push_back(staged);
    for (const StagedKey& key : taken) {
        CHECK(store->put_staged(key).error() == Errc::already_exists);
        check_populated(*store);
    }
    CHECK(store->put_staged(other_staged(10)));
    // What is staged replaces a register when its load ends, and may have its number, identity and key.
    REQUIRE(store->remove_all_staged());
    CHECK(store->put_staged(sample_staged(7)));
    REQUIRE(store->commit(sample_state(), {}));
    CHECK(next_number(*store, 0) == 7);
    CHECK(next_staged_number(*store, 0) == 7);
    CHECK(next_staged_number(*store, 7) == 0);
}

TEST_CASE("a KMC has one slot") {
    const TempDir dir;
    const auto store = populated(dir / "state.db");
    CHECK(store->put_slot(sample_slot(2)).error() == Errc::already_exists);
    check_populated(*store);
    REQUIRE(store->put_slot(other_slot(2)));
    Slot renamed = other_slot(1);
    CHECK(store->put_slot(renamed).error() == Errc::already_exists);
    check_populated(*store);

    // Another operator's KMC of that name, and another name of that operator, are other KMCs.
    Slot other_operator = sample_slot(4);
    REQUIRE(other_operator.kmc_operator.assign("sureload"));
    REQUIRE(store->put_slot(other_operator));
    REQUIRE(store->put_slot(other_slot(2)));
    REQUIRE(store->commit(sample_state(), {}));
    check_equal(**store->load_slot(1), sample_slot());
    check_equal(**store->load_slot(2), other_slot(2));
    check_equal(**store->load_slot(4), other_operator);

    // A put slot takes the place of the one of its number.
    REQUIRE(store->remove_slot(1));
    REQUIRE(store->put_slot(sample_slot(2)));
    REQUIRE(store->commit(sample_state(), {}));
    CHECK_FALSE(has_slot(*store, 1));
    check_equal(**store->load_slot(2), sample_slot(2));
}

namespace {

/// Text that no P field carries.
constexpr std::string_view kBadTexts[] = {"a~b", "a\nb", "\x7F", "\xC3\xA9", std::string_view("a\0b", 3)};

std::vector<RegisterRow> bad_keys() {
    std::vector<RegisterRow> bad(17, sample_register());
    bad[0].number = 0;
    bad[1].number = 4097;
    bad[2].attributes.sgc = 1000000;
    bad[3].attributes.krn = 0;
    bad[4].attributes.krn = 10;
    bad[5].attributes.ktc = KeyType::ditk;
    bad[6].attributes.dkg = static_cast<Dkga>(3);
    bad[7].attributes.clm_bits = 0x80000000;  // negative zero
    bad[8].attributes.ulm_units = 999999999;
    bad[9].slot = 0;
    bad[10].wrapped_key.reset();
    bad[11].attributes.dkg = Dkga::dkga04;
    bad[12].slot = 5;
    bad[13].number = 65535;
    bad[14].attributes.active_from = civil_time(-1, 12, 31, 23, 59, 59);
    bad[15].attributes.expiry = civil_time(10000, 1, 1);
    bad[16].attributes.issue_until = civil_time(10000, 1, 1);
    for (const std::string_view text : kBadTexts) {
        REQUIRE(bad.emplace_back(sample_register()).attributes.sgn.assign(text));
    }
    return bad;
}

}  // namespace

TEST_CASE("a register with a value out of its range is refused") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    std::vector<RegisterRow> bad = bad_keys();
    constexpr std::uint64_t kAboveInteger = std::uint64_t{1} << 63U;
    for (const std::uint64_t units : {std::uint64_t{9'999'999'981}, kAboveInteger, ~std::uint64_t{0}}) {
        bad.emplace_back(sample_register()).units_left = units;
    }
    for (const std::uint64_t money :
         {std::uint64_t{1'000'000'000'000'000'001}, kAboveInteger, ~std::uint64_t{0}}) {
        bad.emplace_back(sample_register()).currency_left = money;
    }
    for (std::size_t i = 0; i < bad.size(); ++i) {
        INFO(i);
        CHECK(store->put_register(bad[i]).error() == Errc::invalid_argument);
        CHECK(next_number(*store, 0) == 0);
    }
    CHECK(add(*store, sample_register()));
}

TEST_CASE("a staged key with a value out of its range is refused") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    const std::vector<RegisterRow> bad = bad_keys();
    for (std::size_t i = 0; i < bad.size(); ++i) {
        INFO(i);
        StagedKey key = sample_staged();
        key.row = bad[i];
        CHECK(store->put_staged(key).error() == Errc::invalid_argument);
        CHECK(next_staged_number(*store, 0) == 0);
    }
    CHECK(store->put_staged(sample_staged()));
}

TEST_CASE("a slot with a value out of its range is refused") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    std::vector<Slot> bad(10, sample_slot());
    bad[0].number = 0;
    bad[1].number = 5;
    bad[2].kmc_operator = {};
    bad[3].kmc_name = {};
    bad[4].last_loaded = 4097;
    bad[5].last_removed = 4097;
    bad[6].session.state = static_cast<LoadSession::State>(3);
    bad[7].session.failures = 6;
    bad[8].session.requested = civil_time(-1, 12, 31, 23, 59, 59);
    bad[9].session.requested = civil_time(10000, 1, 1);
    for (const std::string_view text : kBadTexts) {
        REQUIRE(bad.emplace_back(sample_slot()).kmc_operator.assign(text));
        REQUIRE(bad.emplace_back(sample_slot()).kmc_name.assign(text));
        REQUIRE(bad.emplace_back(sample_slot()).kmcid.assign(text));
        REQUIRE(bad.emplace_back(sample_slot()).session.kmcid.assign(text));
    }
    for (std::size_t i = 0; i < bad.size(); ++i) {
        INFO(i);
        CHECK(store->put_slot(bad[i]).error() == Errc::invalid_argument);
        for (const std::uint8_t number : std::initializer_list<std::uint8_t>{0, 1, 5})
            CHECK_FALSE(has_slot(*store, number));
    }
    CHECK(store->put_slot(sample_slot()));
}

TEST_CASE("each change waits for the commit and is there after it") {
    struct Change {
        const char* name;
        std::function<Result<void>(SqliteStore&)> make;
        std::function<bool(SqliteStore&)> made;
    };
    const auto change = GENERATE(values<Change>({
        {"put_register", [](SqliteStore& s) { return s.put_register(other_register(8)); },
         [](SqliteStore& s) { return next_number(s, 7) == 8; }},
        {"put_register of a number that is taken",
         [](SqliteStore& s) { return s.put_register(other_register(7)); },
         [](SqliteStore& s) { return (*s.load_next_register(0))->key == other_register(7).key; }},
        {"remove_register", [](SqliteStore& s) { return s.remove_register(7); },
         [](SqliteStore& s) { return next_number(s, 0) == 0; }},
        {"put_slot", [](SqliteStore& s) { return s.put_slot(other_slot(4)); },
         [](SqliteStore& s) { return has_slot(s, 4); }},
        {"put_slot of a number that is taken", [](SqliteStore& s) { return s.put_slot(other_slot(1)); },
         [](SqliteStore& s) { return (*s.load_slot(1))->kmc_name == other_slot(1).kmc_name; }},
        {"remove_slot", [](SqliteStore& s) { return s.remove_slot(1); },
         [](SqliteStore& s) { return !has_slot(s, 1); }},
        {"put_staged", [](SqliteStore& s) { return s.put_staged(other_staged(10)); },
         [](SqliteStore& s) { return next_staged_number(s, 9) == 10; }},
        {"remove_all_staged", [](SqliteStore& s) { return s.remove_all_staged(); },
         [](SqliteStore& s) { return next_staged_number(s, 0) == 0; }},
    }));
    INFO(change.name);
    const TempDir dir;
    const auto path = dir / "state.db";
    auto store = populated(path);
    REQUIRE(change.make(*store));
    // As after a kill: both files as they are now, and nobody closed them.
    write_file(dir / "copy.db", contents(path));
    write_file(dir / "copy.db-wal", contents(dir / "state.db-wal"));
    check_populated(*opened(dir / "copy.db"));

    store = nullptr;
    store = opened(path);
    check_populated(*store);

    REQUIRE(change.make(*store));
    REQUIRE(store->commit(sample_state(), {}));
    CHECK(change.made(*store));
    store = nullptr;
    CHECK(change.made(*opened(path)));
}

TEST_CASE("removing what is not there changes nothing") {
    const TempDir dir;
    const auto store = populated(dir / "state.db");
    for (const std::uint16_t number : std::initializer_list<std::uint16_t>{0, 6, 8, 4096, 65535})
        CHECK(store->remove_register(number));
    for (const std::uint8_t number : std::initializer_list<std::uint8_t>{0, 2, 5, 255})
        CHECK(store->remove_slot(number));
    REQUIRE(store->commit(sample_state(), {}));
    check_populated(*store);
    REQUIRE(store->remove_all_staged());
    CHECK(store->remove_all_staged());
}

TEST_CASE("a failure takes all changes since the last commit along, and work goes on") {
    struct Failure {
        const char* name;
        Errc error;
        std::function<Result<void>(SqliteStore&)> call;
    };
    const auto failure = GENERATE(values<Failure>({
        {"a register out of range", Errc::invalid_argument,
         [](SqliteStore& s) { return s.put_register(other_register(0)); }},
        {"a register's identity", Errc::already_exists,
         [](SqliteStore& s) { return s.put_register(other_register(11)); }},
        {"a slot out of range", Errc::invalid_argument,
         [](SqliteStore& s) { return s.put_slot(other_slot(0)); }},
        {"a KMC twice", Errc::already_exists, [](SqliteStore& s) { return s.put_slot(other_slot(3)); }},
        {"a staged key out of range", Errc::invalid_argument,
         [](SqliteStore& s) { return s.put_staged(other_staged(0)); }},
        {"a staged key twice", Errc::already_exists,
         [](SqliteStore& s) { return s.put_staged(other_staged(10)); }},
        {"a state out of range", Errc::invalid_argument,
         [](SqliteStore& s) {
             ModuleState state = sample_state();
             state.phase = static_cast<Phase>(0);
             return s.commit(state, {});
         }},
        {"another profile", Errc::invalid_argument,
         [](SqliteStore& s) {
             ModuleState state = sample_state();
             state.profile = Profile::lab;
             return s.commit(state, {});
         }},
    }));
    INFO(failure.name);
    const TempDir dir;
    const auto path = dir / "state.db";
    ModuleState next = sample_state();
    ++next.tokens_issued;
    {
        const auto store = populated(path);
        change_everything(*store);
        const auto failed = failure.call(*store);
        REQUIRE_FALSE(failed);
        CHECK(failed.error() == failure.error);
        check_populated(*store);
        // The next commit has nothing of them either.
        REQUIRE(store->commit(next, {}));
        check_populated(*store, next);
        change_everything(*store);
        REQUIRE(store->commit(next, {}));
        check_changed(*store, next);
    }
    check_changed(*opened(path), next);
}

TEST_CASE("a file that was moved away takes no commit, and keeps nothing of its changes when it is back") {
    const TempDir dir;
    const auto path = dir / "state.db";
    const auto store = populated(path);
    change_everything(*store);
    fs::rename(path, dir / "away.db");
    CHECK(store->commit(sample_state(), {}).error() == Errc::storage_failed);
    check_populated(*store);
    fs::rename(dir / "away.db", path);
    REQUIRE(store->commit(sample_state(), {}));
    check_populated(*store);
}

TEST_CASE("a commit logs the audit of what it made durable, and a refused one nothing") {
    const TempDir dir;
    const auto store = created(dir / "state.db");
    AuditList audit;
    for (const char* text : {"first entry", "second entry"}) {
        audit.add(AuditEvent{}, [text](TextWriter& out) { out.put(text); });
    }
    const LogCapture log;
    ModuleState bad = sample_state();
    bad.phase = static_cast<Phase>(0);
    REQUIRE_FALSE(store->commit(bad, audit.entries()));
    REQUIRE(store->put_register(sample_register()));
    bad = sample_state();
    bad.profile = Profile::lab;
    REQUIRE_FALSE(store->commit(bad, audit.entries()));
    CHECK_FALSE(log.has("entry"));
    REQUIRE(store->commit(sample_state(), audit.entries()));
    CHECK(log.has(": first entry\n"));
    CHECK(log.has(": second entry\n"));
}

TEST_CASE("a second store of the same file is refused until the first is gone") {
    const TempDir dir;
    const auto path = dir / "state.db";
    auto first = created(path);
    CHECK(open_error(path) == Errc::in_use);
    CHECK(first->commit(sample_state(), {}));
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
    REQUIRE(add(*store, sample_register()));
    ModuleState state = sample_state();
    for (int i = 0; i < 5; ++i) {
        ++state.tokens_issued;
        REQUIRE(store->commit(state, {}));
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
    REQUIRE(store->commit(first, {}));
    const std::size_t first_size = contents(dir / "state.db-wal").size();
    ModuleState second = sample_state();
    second.tokens_issued = 43;
    REQUIRE(store->commit(second, {}));
    const std::string log = contents(dir / "state.db-wal");
    REQUIRE(log.size() > first_size);
    constexpr std::size_t kStep = 40;
    REQUIRE((log.size() - first_size) % kStep == 0);
    for (std::size_t size = first_size; size <= log.size(); size += kStep) {
        write_file(dir / "copy.db", contents(dir / "state.db"));
        write_file(dir / "copy.db-wal", log.substr(0, size));
        check_equal(loaded(*opened(dir / "copy.db")), size == log.size() ? second : first);
    }
}

TEST_CASE("a write-ahead log cut short at any place has all changes of a commit or none") {
    const TempDir dir;
    const auto path = dir / "state.db";
    const auto store = populated(path);
    const std::size_t first_size = contents(dir / "state.db-wal").size();
    ModuleState next = sample_state();
    ++next.tokens_issued;
    change_everything(*store);
    REQUIRE(store->commit(next, {}));
    const std::string log = contents(dir / "state.db-wal");
    constexpr std::size_t kFrame = 24 + 4096;
    REQUIRE(log.size() >= first_size + 4 * kFrame);  // one page of each table
    REQUIRE((log.size() - first_size) % kFrame == 0);
    for (std::size_t frame = first_size; frame < log.size(); frame += kFrame) {
        for (const std::size_t size : {frame, frame + 23, frame + 24, frame + kFrame - 1}) {
            INFO(size);
            write_file(dir / "copy.db", contents(path));
            write_file(dir / "copy.db-wal", log.substr(0, size));
            check_populated(*opened(dir / "copy.db"));
        }
    }
    write_file(dir / "copy.db", contents(path));
    write_file(dir / "copy.db-wal", log);
    check_changed(*opened(dir / "copy.db"), next);
}

TEST_CASE("a commit costs one synchronisation") {
    const TempDir dir;
    const FaultFileSystem file_system;
    const auto store = created(dir / "state.db");
    ModuleState state = sample_state();
    state.tokens_issued = 0;
    REQUIRE(store->commit(state, {}));  // the first one also begins the log
    faults = {};
    for (int i = 0; i < 100; ++i) {
        ++state.tokens_issued;
        REQUIRE(store->commit(state, {}));
    }
    CHECK(faults.syncs == 100);
}

TEST_CASE("a commit of changes costs one synchronisation, and the changes cost none") {
    const TempDir dir;
    const FaultFileSystem file_system;
    const auto store = populated(dir / "state.db");
    faults = {};
    for (int i = 0; i < 20; ++i) {
        const int writes = faults.writes;
        REQUIRE(store->put_register(other_register(8)));
        REQUIRE(store->put_slot(other_slot(2)));
        REQUIRE(store->remove_all_staged());
        REQUIRE(store->put_staged(other_staged(10)));
        CHECK(faults.writes == writes);
        CHECK(faults.syncs == i);
        REQUIRE(store->commit(sample_state(), {}));
        CHECK(faults.syncs == i + 1);
    }
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
        if (!first) REQUIRE(store->commit(next, {}));
        if (!first) old = next;
        return store;
    };
    ModuleState changed = sample_state();
    changed.tokens_issued = 1000;
    const auto check_refused = [&](const Faults& failing, Errc error) {
        const auto store = prepared();
        faults = failing;
        const auto committed = store->commit(changed, {});
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
    CHECK(add(*store, sample_register()).error() == Errc::storage_failed);
    faults = {};
    CHECK(next_number(*store, 0) == 0);
    CHECK(add(*store, sample_register()));
}

TEST_CASE("changes that the disk refuses are not there, whichever write of the commit it was") {
    struct Case {
        int code;
        Errc error;
    };
    const auto refusal = GENERATE(values<Case>({
        {SQLITE_FULL, Errc::storage_full},
        {SQLITE_IOERR_WRITE, Errc::storage_failed},
        {SQLITE_READONLY, Errc::permission},
    }));
    const TempDir dir;
    const FaultFileSystem file_system;
    const auto path = dir / "state.db";
    ModuleState next = sample_state();
    ++next.tokens_issued;
    int writes = 0;
    {
        const auto store = populated(path);
        change_everything(*store);
        faults = {};
        REQUIRE(store->commit(next, {}));
        writes = faults.writes;
        REQUIRE(writes >= 8);  // a header and a page of each of four tables
    }
    const auto check_refused = [&](const Faults& failing, Errc error) {
        fs::remove(path);
        auto store = populated(path);
        change_everything(*store);
        faults = failing;
        const auto committed = store->commit(next, {});
        CHECK(faults.writes <= writes);  // it was not tried again
        CHECK(faults.syncs <= 1);
        faults = {};
        REQUIRE_FALSE(committed);
        CHECK(committed.error() == error);
        check_populated(*store);
        change_everything(*store);
        REQUIRE(store->commit(next, {}));
        store = nullptr;
        check_changed(*opened(path), next);
    };
    for (int n = 1; n <= writes; ++n) {
        INFO("write " << n);
        check_refused({.fail_write = n, .code = refusal.code}, refusal.error);
    }
    check_refused({.fail_sync = 1, .code = SQLITE_IOERR_FSYNC}, Errc::storage_failed);
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
    }));
    const TempDir dir;
    const FaultFileSystem file_system;
    auto store = created(dir / "state.db");
    ModuleState state = sample_state();
    ++state.tokens_issued;
    REQUIRE(store->commit(state, {}));
    bool failed = false;
    for (int i = 0; i < 2000 && !failed; ++i) {
        ++state.tokens_issued;
        faults = write_back.failing;
        const auto committed = store->commit(state, {});
        failed = !committed;
        if (failed) CHECK(committed.error() == write_back.error);
    }
    faults = {};
    CHECK(failed);
    store = nullptr;
    // The commit itself was durable: the module may waste a unit, never give one away.
    check_equal(loaded(*opened(dir / "state.db")), state);
}

TEST_CASE("a log that cannot be written back for lack of room loses no commit, and is told of once") {
    const TempDir dir;
    const FaultFileSystem file_system;
    auto store = created(dir / "state.db");
    ModuleState state = sample_state();
    const LogCapture log;
    const auto commit = [&](const Faults& failing) {
        ++state.tokens_issued;
        AuditList audit;
        audit.add(AuditEvent::credit_vended, [](TextWriter& out) { out.put("a token"); });
        faults = failing;
        const auto committed = store->commit(state, audit.entries());
        const bool met = failing.fail_write != 0 && faults.fail_write == 0;
        faults = {};
        REQUIRE(committed);
        CHECK(store->audit_head().last == state.tokens_issued - sample_state().tokens_issued);
        return met;
    };
    // A commit with its audit record writes less: what comes behind is the write-back.
    constexpr int kOwnWrites = 10;
    int met = 0;
    for (int i = 0; i < 2000 && met < 3; ++i)
        met += commit({.fail_write = kOwnWrites + 1, .code = SQLITE_FULL}) ? 1 : 0;
    REQUIRE(met == 3);
    const std::string full = "the disk is full: the write-ahead log is not written back";
    CHECK(log.count(full) == 1);
    CHECK(log.count("has room again") == 0);
    commit({});
    CHECK(log.count("has room again") == 1);
    // The log starts over, and the next lack is news.
    met = 0;
    for (int i = 0; i < 2000 && met == 0; ++i)
        met += commit({.fail_write = kOwnWrites + 1, .code = SQLITE_FULL}) ? 1 : 0;
    CHECK(log.count(full) == 2);
    store = nullptr;
    store = opened(dir / "state.db");
    check_equal(loaded(*store), state);
    CHECK(store->audit_head().last == state.tokens_issued - sample_state().tokens_issued);
}

TEST_CASE("a disk without room is told of once, until a commit finds room") {
    const TempDir dir;
    const FaultFileSystem file_system;
    const auto store = created(dir / "state.db");
    const LogCapture log;
    ModuleState state = sample_state();
    const auto commit = [&](const Faults& failing) {
        ++state.tokens_issued;
        faults = failing;
        const auto committed = store->commit(state, {});
        faults = {};
        return committed;
    };
    for (std::size_t lacks = 1; lacks <= 2; ++lacks) {
        for (int i = 0; i < 3; ++i)
            CHECK(commit({.fail_write = 1, .code = SQLITE_FULL}).error() == Errc::storage_full);
        CHECK(log.count("disk is full") == lacks);
        CHECK(log.count("has room again") == lacks - 1);
        for (int i = 0; i < 2; ++i) REQUIRE(commit({}));
        CHECK(log.count("has room again") == lacks);
    }
    CHECK(commit({.fail_write = 1, .code = SQLITE_IOERR_WRITE}).error() == Errc::storage_failed);
    CHECK(log.count("disk I/O error") == 1);
}

}  // namespace sts6
