// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/hsm_config.hpp"

#include <utility>

#include "src/pkcs11/pin.hpp"

namespace sts6 {

p11::TokenConfig token_config(const Config& config, std::string_view module_id) {
    p11::TokenConfig token;
    token.module = config.hsm_module;
    token.token_label = config.hsm_token_label;
    token.init_args = config.hsm_init_args;
    token.softhsm_conf = config.hsm_softhsm_conf;
    token.sync_dir = config.hsm_sync_dir;
    token.sessions = config.hsm_sessions;
    token.object_prefix = "sts6/" + std::string(module_id) + "/";
    return token;
}

Outcome<std::unique_ptr<p11::Pkcs11Hsm>> open_hsm(const Config& config, std::string_view module_id) {
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
