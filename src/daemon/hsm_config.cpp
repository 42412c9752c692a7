// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/hsm_config.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "src/pkcs11/pin.hpp"

namespace sts6 {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBlanks = " \t\r";

/// The value of directories.tokendir in SoftHSM's configuration; empty when there is none.
fs::path softhsm_store(const fs::path& configuration) {
    std::ifstream file(configuration);
    for (std::string line; std::getline(file, line);) {
        const std::size_t equals = line.find('=');
        if (equals == std::string::npos) continue;
        const auto trimmed = [](std::string_view text) {
            text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
            return text.substr(0, text.find_last_not_of(kBlanks) + 1);
        };
        const std::string_view whole(line);
        if (trimmed(whole.substr(0, equals)) == "directories.tokendir") {
            return fs::path(trimmed(whole.substr(equals + 1)));
        }
    }
    return {};
}

/// SoftHSM's configuration names its store by an absolute path: in a directory that was copied or moved, that
/// of another module.
Outcome<void> check_store(const Config& config) {
    if (config.hsm_softhsm_conf.empty() || config.hsm_sync_dir.empty()) return {};
    const fs::path store = softhsm_store(config.hsm_softhsm_conf);
    std::error_code error;
    // What cannot be read is SoftHSM's to report.
    if (store.empty() ||
        fs::weakly_canonical(store, error) == fs::weakly_canonical(config.hsm_sync_dir, error)) {
        return {};
    }
    return fail(Errc::malformed, config.hsm_softhsm_conf.string() + ": directories.tokendir is \"" +
                                     store.string() + "\" and not hsm.sync_dir, \"" +
                                     config.hsm_sync_dir.string() +
                                     "\": correct it when the directory was copied or moved");
}

}  // namespace

p11::TokenConfig token_config(const Config& config, std::string_view module_id) {
    p11::TokenConfig token;
    token.module = config.hsm_module;
    token.token_label = config.hsm_token_label;
    token.init_args = config.hsm_init_args;
    token.softhsm_conf = config.hsm_softhsm_conf;
    token.sync_dir = config.hsm_sync_dir;
    token.sessions = config.hsm_sessions;
    token.min_protection = config.hsm_min_protection;
    token.object_prefix = "sts6/" + std::string(module_id) + "/";
    return token;
}

Outcome<std::unique_ptr<p11::Pkcs11Hsm>> open_hsm(const Config& config, std::string_view module_id) {
    if (auto checked = check_store(config); !checked) return Unexpected{checked.error()};
    auto pin = p11::Pin::read_file(config.hsm_pin_file);
    if (!pin) return fail_at(config.hsm_pin_file.string(), pin.error());
    auto hsm = p11::Pkcs11Hsm::open(token_config(config, module_id), *pin);
    if (!hsm) {
        return fail_at("PKCS#11 token \"" + config.hsm_token_label + "\" of " + config.hsm_module.string(),
                       hsm.error());
    }
    return std::move(*hsm);
}

std::string token_in_words(const p11::Pkcs11Hsm& hsm) {
    const p11::TokenIdentity& token = hsm.identity();
    return "\"" + token.label + "\", " + token.manufacturer + " " + token.model + ", serial " + token.serial +
           ", library " + token.library;
}

}  // namespace sts6
