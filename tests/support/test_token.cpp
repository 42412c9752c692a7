// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test_token.hpp"

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "src/pkcs11/provision.hpp"
#include "tests/support/programs.hpp"

namespace sts6::test {

namespace {

std::filesystem::path nss_module() {
    for (const char* path :
         {"/usr/lib/x86_64-linux-gnu/libsoftokn3.so", "/usr/lib/aarch64-linux-gnu/libsoftokn3.so"}) {
        if (std::filesystem::exists(path)) return path;
    }
    throw std::runtime_error("NSS softokn is not installed (package libnss3)");
}

}  // namespace

std::unique_ptr<TestToken> blank_softhsm_token() {
    auto token = std::make_unique<TestToken>();
    const auto& directory = token->directory.path();
    const auto store = directory / "tokens";
    std::filesystem::create_directory(store);
    token->config = {.module = "/usr/lib/softhsm/libsofthsm2.so",
                     .token_label = "sts6-test",
                     .init_args = {},
                     .softhsm_conf = directory / "softhsm2.conf",
                     .object_prefix = "sts6/TEST01/",
                     .sessions = 1,
                     .sync_dir = store};
    std::ofstream conf(token->config.softhsm_conf);
    conf << "directories.tokendir = " << store.string()
         << "\nobjectstore.backend = file\nlog.level = ERROR\n";
    if (!conf.flush()) throw std::runtime_error("no configuration for a test token");
    return token;
}

std::unique_ptr<TestToken> softhsm_token() {
    auto token = blank_softhsm_token();
    const auto made = p11::init_token(token->config, token->so_pin, token->pin);
    if (!made) throw std::runtime_error(std::string("no test token: ") + errc_text(made.error()));
    return token;
}

std::unique_ptr<TestToken> nss_token() {
    auto token = std::make_unique<TestToken>();
    const auto& directory = token->directory.path();
    const auto database = directory / "nss";
    std::filesystem::create_directory(database);
    const auto pin_file = directory / "nss.pin";
    write_text(pin_file, token->pin.view());
    conform::ChildProcess certutil(
        {"/usr/bin/certutil", "-N", "-d", "sql:" + database.string(), "-f", pin_file.string()},
        directory / "certutil.log");
    if (certutil.wait() != 0) throw std::runtime_error("certutil makes no NSS database");
    token->config = {.module = nss_module(),
                     .token_label = "NSS Certificate DB",
                     .init_args = "configdir='sql:" + database.string() +
                                  "' certPrefix='' keyPrefix='' secmod='secmod.db' flags=",
                     .softhsm_conf = {},
                     .object_prefix = "sts6/TEST01/",
                     .sessions = 1,
                     .sync_dir = database};
    return token;
}

}  // namespace sts6::test
