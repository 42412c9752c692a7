// SPDX-License-Identifier: Apache-2.0
// The audit log in the database, and the check of its exports.
#include <sstream>
#include <string>

#include <catch2/catch.hpp>
#include <openssl/sha.h>
#include <sqlite3.h>

#include "src/admin/audit_page.hpp"
#include "src/daemon/state_dir.hpp"
#include "src/store/sqlite_store.hpp"
#include "sts6/hex.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6 {
namespace {

constexpr CivilTime kTime = civil_time(2026, 2, 3, 4, 5, 6);

struct Log {
    Log() : store(open({}, true)) {}

    std::unique_ptr<SqliteStore> open(const AuditLimits& limits, bool make = false) {
        if (make) REQUIRE(SqliteStore::create(path(), {}));
        auto opened = SqliteStore::open(path(), limits);
        REQUIRE(opened);
        return std::move(*opened);
    }
    void reopen(const AuditLimits& limits) {
        store.reset();
        store = open(limits);
    }
    [[nodiscard]] std::filesystem::path path() const { return place.path() / "module.db"; }

    void add(std::string_view text, std::size_t times = 1) {
        AuditList list;
        list.set_time(kTime);
        for (std::size_t i = 0; i < times; ++i)
            list.add(AuditEvent::kmc_approved, [text](TextWriter& entry) { entry.put(text); });
        REQUIRE(store->commit(*store->load_state(), list.entries()));
    }
    /// Edits the file as somebody would who can write it; the store is closed.
    void edit(const char* sql) {
        store.reset();
        sqlite3* handle = nullptr;
        REQUIRE(sqlite3_open(path().c_str(), &handle) == SQLITE_OK);
        CHECK(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
        sqlite3_close(handle);
    }

    conform::TemporaryDirectory place;
    std::unique_ptr<SqliteStore> store;
};

Sha256 sha256(const Sha256& before, const std::string& text) {
    std::string octets(before.begin(), before.end());
    octets += text;
    Sha256 hash{};
    SHA256(reinterpret_cast<const unsigned char*>(octets.data()), octets.size(), hash.data());
    return hash;
}

}  // namespace

TEST_CASE("records are numbered from 1 and chained as docs/formats.md says") {
    Log log;
    CHECK(log.store->audit_head().last == 0);
    CHECK(log.store->load_audit(1).error() == Errc::not_found);
    log.add("first");
    log.add("second");
    const Sha256 zero{};
    const auto event = std::to_string(static_cast<int>(AuditEvent::kmc_approved));
    const Sha256 first = sha256(zero, "1|20260203T040506Z|" + event + "|first");
    const Sha256 second = sha256(first, "2|20260203T040506Z|" + event + "|second");
    for (int run = 0; run < 2; ++run) {
        const AuditHead head = log.store->audit_head();
        CHECK(head.first == 1);
        CHECK(head.last == 2);
        CHECK(head.base == zero);
        CHECK(head.hash == second);
        const auto record = log.store->load_audit(1);
        REQUIRE(record);
        CHECK(record->sequence == 1);
        CHECK(record->time == kTime);
        CHECK(record->text.view() == "first");
        CHECK(record->hash == first);
        CHECK(log.store->load_audit(2)->hash == second);
        CHECK(log.store->load_audit(3).error() == Errc::not_found);
        CHECK(log.store->load_audit(0).error() == Errc::not_found);
        log.reopen({});
    }
}

TEST_CASE("a commit that fails leaves the chain where it was") {
    Log log;
    log.add("first");
    AuditList list;
    list.add(AuditEvent::kmc_approved, [](TextWriter& entry) { entry.put("bad ~ text"); });
    CHECK_FALSE(log.store->commit(*log.store->load_state(), list.entries()));
    CHECK(log.store->audit_head().last == 1);
    log.add("second");
    CHECK(log.store->audit_head().last == 2);
    log.reopen({});
    CHECK(log.store->audit_head().last == 2);
}

TEST_CASE("an edited, deleted or added record is noticed at the next start") {
    for (const char* sql :
         {"UPDATE audit SET text = 'other' WHERE sequence = 2",
          "UPDATE audit SET event = 3 WHERE sequence = 3",
          "UPDATE audit SET time = time + 1 WHERE sequence = 1", "UPDATE audit SET hash = zeroblob(32)",
          "DELETE FROM audit WHERE sequence = 2", "DELETE FROM audit WHERE sequence = 1",
          "INSERT INTO audit SELECT 4, time, event, text, hash FROM audit WHERE sequence = 3",
          "INSERT INTO audit SELECT 9, time, event, text, hash FROM audit WHERE sequence = 3",
          "UPDATE audit_head SET base = hex(zeroblob(16))", "DELETE FROM audit_head",
          "UPDATE audit_head SET first = 2", "UPDATE audit_head SET acknowledged = 9",
          "UPDATE audit SET text = 'x' || char(126) WHERE sequence = 1"}) {
        INFO(sql);
        Log log;
        log.add("some text", 3);
        log.store.reset();
        sqlite3* handle = nullptr;
        REQUIRE(sqlite3_open(log.path().c_str(), &handle) == SQLITE_OK);
        // What the table itself refuses cannot be stored.
        const bool stored = sqlite3_exec(handle, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
        sqlite3_close(handle);
        const auto opened = SqliteStore::open(log.path());
        CHECK((!stored || (!opened && opened.error() == Errc::corrupt)));
    }
}

TEST_CASE("the oldest records go when the log is full, unless nobody has read them") {
    Log log;
    log.reopen({.capacity = 128});
    log.add("a", 100);
    CHECK(log.store->audit_room() > 1'000'000);
    log.add("b", 60);
    AuditHead head = log.store->audit_head();
    CHECK(head.last == 160);
    CHECK(head.last + 1 - head.first <= 128);
    CHECK(head.first > 1);
    CHECK(log.store->load_audit(head.first - 1).error() == Errc::not_found);
    log.reopen({.capacity = 128});
    CHECK(log.store->audit_head().first == head.first);
    CHECK(log.store->audit_head().base == head.base);

    Log forced;
    forced.reopen({.capacity = 128, .force = true});
    CHECK(forced.store->audit_room() == 128);
    forced.add("a", 120);
    CHECK(forced.store->audit_room() == 8);
    // What the module has to tell of all the same is kept too.
    forced.add("b", 20);
    CHECK(forced.store->audit_room() == 0);
    CHECK(forced.store->audit_head().first == 1);
    REQUIRE(forced.store->acknowledge_audit(100));
    forced.add("acknowledged");
    CHECK(forced.store->audit_head().acknowledged == 100);
    CHECK(forced.store->audit_room() == 128 - 41);
    CHECK(forced.store->audit_head().first > 1);
    CHECK(forced.store->audit_head().first <= 101);
    CHECK(forced.store->acknowledge_audit(100).error() == Errc::invalid_argument);
    CHECK(forced.store->acknowledge_audit(142).error() == Errc::not_found);
    forced.reopen({.capacity = 128, .force = true});
    CHECK(forced.store->audit_head().acknowledged == 100);
}

namespace {

/// What `sts6ctl audit export` writes of a log of one page.
std::string exported(SqliteStore& store) {
    const auto page = admin::audit_page(store, 0);
    REQUIRE(page);
    // {"head":{...},"records":[{...},{...}]}
    const std::size_t head_end = page->find("},\"records\":[");
    std::string text = "{\"schema\":\"sts6.audit/1\"," + page->substr(9, head_end - 9) + "}\n";
    std::size_t at = page->find("[{") + 1;
    for (std::size_t end = 0; end != std::string::npos && at < page->size(); at = end + 2) {
        end = page->find("},{", at);
        text += page->substr(at, end == std::string::npos ? page->size() - 2 - at : end + 1 - at) + "\n";
        if (end == std::string::npos) break;
    }
    return text;
}

Outcome<AuditCheck> checked(const std::string& text) {
    std::istringstream stream(text);
    return check_audit(stream);
}

std::string with(std::string text, const std::string& what, const std::string& other) {
    const std::size_t at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), other);
}

}  // namespace

TEST_CASE("an export is checked line by line, without a key") {
    Log log;
    log.add("alpha");
    log.add("beta");
    log.add("gamma");
    const std::string good = exported(*log.store);
    const auto found = checked(good);
    REQUIRE(found);
    CHECK(found->first == 1);
    CHECK(found->last == 3);

    const auto error = [](const std::string& text) {
        const auto result = checked(text);
        REQUIRE_FALSE(result);
        return result.error().code;
    };
    CHECK(error(with(good, "beta", "Beta")) == Errc::corrupt);
    CHECK(error(with(good, "20260203T040506Z", "20260203T040507Z")) == Errc::corrupt);
    CHECK(error(with(good, "\"sequence\":2", "\"sequence\":3")) == Errc::corrupt);
    CHECK(error(with(good, "\"last\":3", "\"last\":4")) == Errc::corrupt);
    const std::size_t last_line = good.rfind('\n', good.size() - 2) + 1;
    CHECK(error(good.substr(0, last_line)) == Errc::corrupt);
    CHECK(error(good + good.substr(last_line)) == Errc::corrupt);
    CHECK(error("") == Errc::malformed);
    CHECK(error("no JSON\n") == Errc::malformed);
    CHECK(error(with(good, "sts6.audit/1", "sts6.audit/2")) == Errc::malformed);
    CHECK(error(with(good, "\"event\"", "\"Event\"")) == Errc::malformed);
    CHECK(error(with(good, "20260203T", "20260230T")) == Errc::malformed);
    CHECK(error(good.substr(0, good.size() - 20)) == Errc::malformed);
}

}  // namespace sts6
