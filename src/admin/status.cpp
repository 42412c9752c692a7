// SPDX-License-Identifier: Apache-2.0
#include "src/admin/status.hpp"

#include <array>
#include <cstdint>
#include <utility>

#include <nlohmann/json.hpp>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/records.hpp"
#include "src/admin/text.hpp"
#include "src/admin/warnings.hpp"

namespace sts6::admin {

namespace {

using nlohmann::json;

const char* session_text(LoadSession::State state) {
    switch (state) {
        case LoadSession::State::none:
            return "none";
        case LoadSession::State::pending:
            return "pending";
        case LoadSession::State::loading:
            return "loading";
    }
    return "none";
}

const char* profile_text(Profile profile) {
    switch (profile) {
        case Profile::production:
            return "production";
        case Profile::demo:
            return "demo";
        case Profile::lab:
            return "lab";
    }
    return "production";
}

json in_json(const ModuleState& state) {
    json status = {{"profile", profile_text(state.profile)},
                   {"phase", state.phase == Phase::operational ? "operational" : "manufacturing"},
                   {"module_id", state.module_id.view()},
                   {"hardware_id", state.hardware_id.view()},
                   {"smid", state.smid.view()},
                   {"sm_public_key_record", ""},
                   {"tampered", state.tampered},
                   {"tokens_issued", state.tokens_issued},
                   {"clock", {{"time_mark", date_text(state.time_mark)}}}};
    if (!state.smid.empty()) {
        std::array<char, 1024> buffer{};
        TextWriter record(buffer);
        keyload::put_sm_key(record, {.smid = {.text = state.smid.view()},
                                     .firmware_id = state.smid_firmware.view(),
                                     .hardware_id = state.hardware_id.view(),
                                     .key = state.agreement_key.point});
        status["sm_public_key_record"] = record.written();
    }
    return status;
}

json in_json(const Slot& slot) {
    return {{"slot", slot.number},          {"operator", slot.kmc_operator.view()},
            {"name", slot.kmc_name.view()}, {"kmcid", slot.kmcid.view()},
            {"active", slot.active},        {"session", session_text(slot.session.state)}};
}

json in_json(const RegisterRow& row) {
    const KeyAttributes& attributes = row.attributes;
    json key = {{"register", row.number},
                {"slot", row.slot},
                {"sgc", attributes.sgc},
                {"krn", attributes.krn},
                {"dkg", static_cast<unsigned>(attributes.dkg)},
                {"ktc", static_cast<unsigned>(attributes.ktc)},
                {"ken", attributes.ken},
                {"kcv", hex_text(row.kcv)},
                {"iut", date_text(attributes.issue_until)},
                {"exp", date_text(attributes.expiry)}};
    if (row.units_left) key["units_left_tenths"] = *row.units_left;
    if (attributes.ulm_units) key["units_limit_tenths"] = keyload::unit_limit(*attributes.ulm_units);
    if (row.currency_left) key["currency_left_100000ths"] = *row.currency_left;
    if (attributes.clm_bits)
        key["currency_limit_100000ths"] = keyload::currency_limit(*attributes.clm_bits).value_or(0);
    return key;
}

json audit_in_json(Store& store, const AuditLimits& limits) {
    const AuditHead head = store.audit_head();
    json audit = {
        {"first", head.first},         {"last", head.last},           {"acknowledged", head.acknowledged},
        {"hash", hex_text(head.hash)}, {"capacity", limits.capacity}, {"force", limits.force}};
    if (limits.force) audit["room"] = store.audit_room();
    return audit;
}

}  // namespace

Result<std::string> status_of(Store& store, AdminStore& admin_store, const AuditLimits& limits,
                              CivilTime now) {
    const auto state = store.load_state();
    if (!state) return Unexpected{state.error()};
    json status = in_json(*state);
    Warnings warnings;
    json slots = json::array();
    for (std::uint8_t number = 1; number <= 4; ++number) {
        const auto slot = store.load_slot(number);
        if (!slot) return Unexpected{slot.error()};
        if (*slot) slots.push_back(in_json(**slot));
    }
    json registers = json::array();
    for (std::uint16_t last = 0;;) {
        const auto row = store.load_next_register(last);
        if (!row) return Unexpected{row.error()};
        if (!*row) break;
        last = (*row)->number;
        registers.push_back(in_json(**row));
        warn_of_key(warnings, **row, now);
    }
    for (std::string after;;) {
        const auto approval = admin_store.load_next_approval(after);
        if (!approval) return Unexpected{approval.error()};
        if (!*approval) break;
        after = (*approval)->kmcid.view();
        warn_of_approval(warnings, **approval, now);
    }
    warn_of_audit(warnings, store.audit_head(), limits);
    status["audit"] = audit_in_json(store, limits);
    status["slots"] = std::move(slots);
    status["registers"] = std::move(registers);
    status["warnings"] = std::move(warnings);
    return status.dump();
}

}  // namespace sts6::admin
