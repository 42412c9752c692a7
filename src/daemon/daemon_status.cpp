// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/daemon_status.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "src/admin/audit_page.hpp"
#include "src/admin/status.hpp"
#include "src/admin/text.hpp"
#include "src/admin/warnings.hpp"
#include "src/daemon/clocks.hpp"
#include "src/daemon/config.hpp"
#include "src/daemon/hsm_config.hpp"
#include "src/daemon/state_dir.hpp"
#include "src/store/sqlite_store.hpp"

namespace sts6 {

namespace {

std::vector<std::uint32_t> quarantined_registers(Module& module) {
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t number = 1; number <= module.settings().registers; ++number) {
        const Register* found = module.find_register(number);
        if (found != nullptr && found->health == Register::Health::quarantined) numbers.push_back(number);
    }
    return numbers;
}

}  // namespace

std::string daemon_status(Module& module, const p11::Pkcs11Hsm& hsm, Clock& clock, const RunFacts& run) {
    const CivilTime now = module.now();
    const auto digits = format_civil_time(now);
    const admin::Condition condition{.error_state = module.in_error_state(),
                                     .tampered = module.state().tampered,
                                     .hsm_away = !hsm.connected(),
                                     .clock_behind = module.clock_is_behind(),
                                     .quarantined = quarantined_registers(module)};
    admin::Warnings warnings;
    admin::warn_of_condition(warnings, condition);
    return nlohmann::json{
        {"running", true},
        {"error_state", condition.error_state},
        // Also when it could not be stored.
        {"tampered", condition.tampered},
        {"module_time", std::string(digits.data(), digits.size())},
        {"clock",
         {{"host", admin::date_text(clock.now())},
          {"module_time", admin::date_text(now)},
          {"time_mark", admin::date_text(module.state().time_mark)},
          {"behind", condition.clock_behind}}},
        {"firmware_id", module.settings().firmware_id.view()},
        {"sta_tables", run.sta_tables},
        {"self_test", {{"passed", run.self_test_passed}, {"at", admin::date_text(run.self_tested)}}},
        {"quarantined", condition.quarantined},
        {"warnings", warnings},
        {"hsm",
         {{"token", token_in_words(hsm)},
          {"connected", !condition.hsm_away},
          {"capabilities", hsm.capabilities().lines}}}}
        .dump();
}

namespace {

/// The lock must be kept as long as the store is used.
struct OfflineStore {
    StateLock lock;
    std::unique_ptr<SqliteStore> store;
};

Outcome<OfflineStore> open_offline(const std::filesystem::path& path, const AuditLimits& limits = {}) {
    const StateDir dir(path);
    if (auto checked = dir.check(); !checked) return Unexpected{checked.error()};
    auto lock = StateLock::take(dir);
    if (!lock) return Unexpected{lock.error()};
    auto store = SqliteStore::open(dir.database(), limits);
    if (!store) return fail_at(dir.database().string(), store.error());
    return OfflineStore{std::move(*lock), std::move(*store)};
}

}  // namespace

Outcome<std::string> offline_status(const std::filesystem::path& path) {
    AuditLimits limits;
    admin::Warnings warnings;
    const auto config = read_config(StateDir(path));
    if (config) {
        limits = {.capacity = config->audit_capacity, .force = config->audit_force};
    } else {
        // Whoever looks may want to know why the daemon does not start.
        warnings.push_back(config.error().text);
    }
    const auto offline = open_offline(path, limits);
    if (!offline) return Unexpected{offline.error()};
    SqliteStore& store = *offline->store;
    const auto state = store.load_state();
    if (!state) return fail_at("the module's state", state.error());
    admin::warn_of_condition(warnings, {.tampered = state->tampered, .quarantined = {}});
    const CivilTime now = std::max(HostClock().now(), state->time_mark);
    const auto text = admin::status_of(store, store, limits, now);
    if (!text) return fail_at("the module's state", text.error());
    try {
        auto status = nlohmann::json::parse(*text);
        status["running"] = false;
        for (const auto& warning : status.at("warnings")) warnings.push_back(warning.get<std::string>());
        status["warnings"] = std::move(warnings);
        return status.dump();
    } catch (const std::exception& error) {
        return fail(Errc::corrupt, error.what());
    }
}

Outcome<void> offline_audit(const std::filesystem::path& path,
                            const std::function<void(const std::string& page)>& take) {
    const auto offline = open_offline(path);
    if (!offline) return Unexpected{offline.error()};
    SqliteStore& store = *offline->store;
    const AuditHead head = store.audit_head();
    std::uint64_t next = head.first;
    do {
        const auto page = admin::audit_page(store, next);
        if (!page) return fail_at("audit log", page.error());
        take(*page);
        next += admin::kAuditPage;
    } while (next <= head.last);
    return {};
}

}  // namespace sts6
