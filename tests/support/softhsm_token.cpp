// SPDX-License-Identifier: Apache-2.0
#include "tests/support/softhsm_token.hpp"

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include "src/pkcs11/provision.hpp"

namespace sts6::test {

TokenDirectory::TokenDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "sts6-token-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no directory for a test token");
    path_ = name;
}

TokenDirectory::~TokenDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

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

}  // namespace sts6::test
