// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/daemon_status.hpp"

#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "src/admin/administration.hpp"
#include "src/admin/audit_page.hpp"
#include "src/daemon/hsm_config.hpp"
#include "src/daemon/state_dir.hpp"
#include "src/store/sqlite_store.hpp"

namespace sts6 {

std::string daemon_status(Module& module, const p11::Pkcs11Hsm& hsm) {
    const auto time = format_civil_time(module.now());
    return nlohmann::json{{"running", true},
                          {"error_state", module.in_error_state()},
                          {"module_time", std::string(time.data(), time.size())},
                          {"firmware_id", module.settings().firmware_id.view()},
                          {"hsm",
                           {{"token", token_in_words(hsm)},
                            {"connected", hsm.connected()},
                            {"capabilities", hsm.capabilities().lines}}}}
        .dump();
}

namespace {

/// The lock must be kept as long as the store is used.
struct OfflineStore {
    StateLock lock;
    std::unique_ptr<SqliteStore> store;
};

Outcome<OfflineStore> open_offline(const std::filesystem::path& path) {
    const StateDir dir(path);
    if (auto checked = dir.check(); !checked) return Unexpected{checked.error()};
    auto lock = StateLock::take(dir);
    if (!lock) return Unexpected{lock.error()};
    auto store = SqliteStore::open(dir.database());
    if (!store) return fail_at(dir.database().string(), store.error());
    return OfflineStore{std::move(*lock), std::move(*store)};
}

}  // namespace

Outcome<std::string> offline_status(const std::filesystem::path& path) {
    const auto offline = open_offline(path);
    if (!offline) return Unexpected{offline.error()};
    try {
        auto status = nlohmann::json::parse(admin::status_of(*offline->store));
        status["running"] = false;
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
