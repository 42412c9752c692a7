// SPDX-License-Identifier: Apache-2.0
#include "src/store/audit_log.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>

#include <openssl/sha.h>
#include <spdlog/spdlog.h>

#include "src/store/schema.hpp"

namespace sts6::store {

namespace {

constexpr std::int64_t kMaxInteger = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kSha256Octets = std::tuple_size_v<Sha256>;
constexpr std::uint64_t kCheckedAtOpen = 1000;

Unexpected<Errc> damaged(const std::string& what) {
    spdlog::error("store: the audit log: " + what);
    return Unexpected{Errc::corrupt};
}

}  // namespace

Sha256 chain_hash(const Sha256& before, const AuditRecord& record) {
    std::array<char, kSha256Octets + 2 * AuditEntry::kLongestText> buffer{};
    std::copy(before.begin(), before.end(), buffer.begin());
    TextWriter text(std::span<char>(buffer).subspan(kSha256Octets));
    const auto time = format_civil_time(record.time);
    const std::string_view digits(time.data(), time.size());
    text.number(record.sequence).put("|").put(digits.substr(0, 8)).put("T").put(digits.substr(8)).put("Z|");
    text.number(record.event).put("|").put(record.text.view());
    Sha256 hash{};
    SHA256(reinterpret_cast<const unsigned char*>(buffer.data()), kSha256Octets + text.written().size(),
           hash.data());
    return hash;
}

Result<AuditLog> AuditLog::open(Database& database, const AuditLimits& limits) {
    auto insert = Statement::prepare(database, kInsertAudit);
    if (!insert) return Unexpected{insert.error()};
    auto select = Statement::prepare(database, kSelectAudit);
    if (!select) return Unexpected{select.error()};
    auto remove_before = Statement::prepare(database, kRemoveAuditBefore);
    if (!remove_before) return Unexpected{remove_before.error()};
    auto update_head = Statement::prepare(database, kUpdateAuditHead);
    if (!update_head) return Unexpected{update_head.error()};
    AuditLog log(std::move(*insert), std::move(*select), std::move(*remove_before), std::move(*update_head),
                 limits);
    if (const auto read = log.read_head(database); !read) return Unexpected{read.error()};
    if (const auto sound = log.check_newest(); !sound) return Unexpected{sound.error()};
    return log;
}

Result<void> AuditLog::read_head(Database& database) {
    const auto select = Statement::prepare(database, kSelectAuditHead);
    if (!select) return Unexpected{select.error()};
    Run run(*select);
    const int code = run.step();
    if (code == SQLITE_DONE) return damaged("its head is missing");
    if (code != SQLITE_ROW) return database.failure(code, "load the head of the audit log");
    head_.first = static_cast<std::uint64_t>(run.integer(1, kMaxInteger));
    head_.acknowledged = static_cast<std::uint64_t>(run.integer(0, kMaxInteger));
    run.octets(head_.base);
    const auto count = static_cast<std::uint64_t>(run.integer(0, kMaxInteger));
    const auto last = run.optional_count(kMaxInteger);
    if (run.damaged()) return damaged("its head has a value out of its range");
    head_.last = last.value_or(head_.first - 1);
    head_.hash = head_.base;
    if (head_.last + 1 - head_.first != count) return damaged("records are missing");
    if (head_.acknowledged > head_.last) return damaged("records are acknowledged that are not there");
    if (last) {
        const auto newest = read(*last);
        if (!newest) return Unexpected{newest.error()};
        head_.hash = newest->hash;
    }
    next_ = head_;
    return {};
}

Result<void> AuditLog::check_newest() const {
    const std::uint64_t kept = head_.last + 1 - head_.first;
    std::uint64_t sequence = head_.last + 1 - std::min(kept, kCheckedAtOpen);
    Sha256 before = head_.base;
    if (sequence > head_.first) {
        const auto earlier = load(sequence - 1);
        if (!earlier) return Unexpected{earlier.error()};
        before = earlier->hash;
    }
    for (; sequence <= head_.last; ++sequence) {
        const auto record = load(sequence);
        if (!record) return Unexpected{record.error()};
        if (chain_hash(before, *record) != record->hash)
            return damaged("record " + std::to_string(sequence) + " does not fit the chain");
        before = record->hash;
    }
    return {};
}

std::uint64_t AuditLog::room() const noexcept {
    if (!limits_.force) return std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t unread = head_.unacknowledged();
    return limits_.capacity > unread ? limits_.capacity - unread : 0;
}

Result<AuditRecord> AuditLog::load(std::uint64_t sequence) const {
    if (sequence < head_.first || sequence > head_.last) return Unexpected{Errc::not_found};
    return read(sequence);
}

Result<AuditRecord> AuditLog::read(std::uint64_t sequence) const {
    Run run(select_);
    run.bind(static_cast<std::int64_t>(sequence));
    const int code = run.step();
    if (code == SQLITE_DONE) return damaged("record " + std::to_string(sequence) + " is missing");
    if (code != SQLITE_ROW) return Unexpected{Errc::storage_failed};
    AuditRecord record;
    record.sequence = static_cast<std::uint64_t>(run.integer(1, kMaxInteger));
    record.time = CivilTime{std::chrono::seconds{run.integer(kFirstSecond, kLastSecond)}};
    record.event = static_cast<std::uint8_t>(run.integer(0, 255));
    run.text(record.text);
    run.octets(record.hash);
    if (run.damaged()) return damaged("record " + std::to_string(sequence) + " has a value out of its range");
    return record;
}

AuditRecord AuditLog::next(const AuditEntry& entry) const {
    AuditRecord record;
    record.sequence = next_.last + 1;
    record.time = entry.time;
    record.event = static_cast<std::uint8_t>(entry.event);
    // As long as an entry's text can be.
    static_cast<void>(record.text.assign(entry.text()));
    record.hash = chain_hash(next_.hash, record);
    return record;
}

void AuditLog::bind_record(Run& run, const AuditRecord& record) {
    run.bind(static_cast<std::int64_t>(record.sequence));
    run.bind(std::int64_t{record.time.time_since_epoch().count()});
    run.bind(std::int64_t{record.event});
    run.bind(record.text.view());
    run.bind(record.hash);
}

std::uint64_t AuditLog::first_to_keep() const noexcept {
    const std::uint64_t kept = next_.last + 1 - next_.first;
    if (kept <= limits_.capacity) return next_.first;
    // Some at once, so that not every commit has to.
    const std::uint64_t stay = limits_.capacity - limits_.capacity / 64;
    const std::uint64_t droppable = limits_.force ? next_.acknowledged + 1 : next_.last + 1;
    return std::max(next_.first, std::min(next_.last + 1 - stay, droppable));
}

}  // namespace sts6::store
