// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/daemon_status.hpp"

#include <nlohmann/json.hpp>

#include "src/admin/administration.hpp"
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

Outcome<std::string> offline_status(const std::filesystem::path& path) {
    const StateDir dir(path);
    if (auto checked = dir.check(); !checked) return Unexpected{checked.error()};
    const auto lock = StateLock::take(dir);
    if (!lock) return Unexpected{lock.error()};
    auto store = SqliteStore::open(dir.database());
    if (!store) return fail_at(dir.database().string(), store.error());
    try {
        auto status = nlohmann::json::parse(admin::status_of(**store));
        status["running"] = false;
        return status.dump();
    } catch (const std::exception& error) {
        return fail(Errc::corrupt, error.what());
    }
}

}  // namespace sts6
