// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/manufacture.hpp"

#include <memory>
#include <string_view>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "firmware/module/module.hpp"
#include "src/daemon/clocks.hpp"
#include "src/daemon/firmware_identity.hpp"
#include "src/daemon/sta_tables_file.hpp"
#include "src/daemon/token_random.hpp"
#include "sts6/hex.hpp"

namespace sts6 {

namespace {

constexpr std::string_view kManufacturer = "sts6";
constexpr std::string_view kHardwareId = "STS6-SOFT";

Outcome<std::string> instruction_key() {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pair(EVP_EC_gen("P-384"), &EVP_PKEY_free);
    EcPoint point{};
    std::size_t size = 0;
    if (pair == nullptr ||
        EVP_PKEY_get_octet_string_param(pair.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(),
                                        &size) != 1 ||
        size != point.size()) {
        return fail(Errc::io_failed, "no instruction key could be made");
    }
    std::string text(2 * point.size(), '0');
    write_hex(point, text.data());
    return text;
}

Outcome<std::string> execute(Module& module, const std::string& message) {
    const auto exchange = std::make_unique<Exchange>();
    exchange->message = message;
    exchange->role = LinkRole::full;
    Exchange* batch = exchange.get();
    module.execute({&batch, 1});
    if (exchange->answer.is_link_error() || exchange->answer.status() != Status::successful) {
        const auto code = status_code(exchange->answer.status());
        return fail(Errc::hsm_failed,
                    message.substr(0, 5) + " was answered " + std::string(code.data(), code.size()));
    }
    return std::string(exchange->answer.body());
}

}  // namespace

Outcome<std::string> manufacture_module(Hsm& hsm, Store& store, Profile profile,
                                        const std::string& module_id) {
    ModuleSettings settings;
    settings.lab = profile == Profile::lab;
    if (auto named = identify_firmware(NamedStaTables{}.name, settings); !named)
        return Unexpected{named.error()};
    HostClock clock;
    FixedRandom random;  // no token is made here
    const auto module = std::make_unique<Module>(settings, hsm, store, clock, random);
    if (auto started = module->start(); !started) return fail_at("module", started.error());
    const auto key = instruction_key();
    if (!key) return Unexpected{key.error()};
    const auto now = format_civil_time(clock.now());
    const auto answer = execute(*module, "SM?MIP" + std::string(kManufacturer) + "~P" + module_id + "~P" +
                                             std::string(kHardwareId) + "~D" +
                                             std::string(now.data(), now.size()) + "~H" + *key + "~");
    if (!answer) return Unexpected{answer.error()};
    if (auto done = execute(*module, "SM?MF"); !done) return Unexpected{done.error()};
    if (const auto stopped = module->stop(); !stopped) return fail_at("module", stopped.error());
    // One printable field.
    return answer->substr(1, answer->size() - 2);
}

}  // namespace sts6
