// SPDX-License-Identifier: Apache-2.0
#include <istream>
#include <string>

#include <nlohmann/json.hpp>

#include "firmware/keyload/text.hpp"
#include "src/daemon/state_dir.hpp"
#include "src/store/audit_log.hpp"
#include "sts6/hex.hpp"

namespace sts6 {

namespace {

using nlohmann::json;

Sha256 hash_of(const json& object, const char* name) {
    Sha256 hash{};
    if (!read_hex(object.at(name).get_ref<const std::string&>(), hash))
        throw std::runtime_error(std::string(name) + " must be 32 octets in hexadecimal");
    return hash;
}

AuditRecord record_of(const json& line) {
    AuditRecord record;
    record.sequence = line.at("sequence").get<std::uint64_t>();
    record.event = line.at("event").get<std::uint8_t>();
    const auto time = keyload::parse_date(line.at("time").get_ref<const std::string&>());
    if (!time || !record.text.assign(line.at("text").get_ref<const std::string&>()))
        throw std::runtime_error("a time or a text that no record has");
    record.time = *time;
    record.hash = hash_of(line, "hash");
    return record;
}

/// One line of the export; none at its end.
std::optional<json> next_line(std::istream& exported) {
    std::string line;
    if (!std::getline(exported, line)) return std::nullopt;
    return json::parse(line);
}

}  // namespace

Outcome<AuditCheck> check_audit(std::istream& exported) {
    std::size_t number = 1;
    try {
        const auto head = next_line(exported);
        if (!head || head->at("schema") != "sts6.audit/1")
            throw std::runtime_error("no export of an audit log");
        AuditCheck check{.first = head->at("first").get<std::uint64_t>(),
                         .last = head->at("last").get<std::uint64_t>(),
                         .hash = head->at("hash").get<std::string>()};
        Sha256 before = hash_of(*head, "base");
        std::uint64_t next = check.first;
        while (const auto line = next_line(exported)) {
            ++number;
            const AuditRecord record = record_of(*line);
            if (record.sequence != next || store::chain_hash(before, record) != record.hash) {
                return fail(Errc::corrupt, "line " + std::to_string(number) + ": record " +
                                               std::to_string(record.sequence) +
                                               " does not fit the one before it");
            }
            before = record.hash;
            ++next;
        }
        if (next != check.last + 1 || before != hash_of(*head, "hash"))
            return fail(Errc::corrupt, "the records do not end where the head says");
        return check;
    } catch (const std::exception& error) {
        return fail(Errc::malformed, "line " + std::to_string(number) + ": " + error.what());
    }
}

}  // namespace sts6
