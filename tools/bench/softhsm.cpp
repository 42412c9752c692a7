// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/softhsm.hpp"

#include <fstream>
#include <stdexcept>

#include "src/pkcs11/pin.hpp"
#include "src/pkcs11/provision.hpp"

namespace sts6::bench {

namespace fs = std::filesystem;

p11::TokenConfig make_softhsm_token(const fs::path& place) {
    const fs::path tokens = place / "tokens";
    fs::create_directory(tokens);
    p11::TokenConfig config;
    config.module = kSoftHsm;
    config.token_label = "bench";
    config.softhsm_conf = place / "softhsm2.conf";
    config.object_prefix = "sts6/BENCH/";
    config.sync_dir = tokens;
    std::ofstream(config.softhsm_conf) << "directories.tokendir = " << tokens.string()
                                       << "\nobjectstore.backend = file\nlog.level = ERROR\n";
    const auto pin = p11::Pin::from_text(kTokenPin);
    if (!p11::init_token(config, pin, pin)) throw std::runtime_error("no SoftHSM token could be made");
    return config;
}

fs::path write_pin_file(const fs::path& place) {
    const fs::path path = place / "pin";
    std::ofstream file(path);
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    file << kTokenPin << "\n";
    if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
    return path;
}

}  // namespace sts6::bench
