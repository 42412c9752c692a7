// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "src/daemon/config.hpp"
#include "src/daemon/state_dir.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6::test {

/// What every configuration needs.
inline constexpr std::string_view kNeededConfig =
    "[hsm]\nmodule = \"/usr/lib/p11.so\"\ntoken_label = \"sts6\"\npin_file = \"pins/user.pin\"\n";

/// A configuration whose top level has `line`.
inline std::string config_with(std::string_view line) {
    return std::string(line) + "\n" + std::string(kNeededConfig);
}

/// A state directory that holds a configuration and nothing else.
class ConfigPlace {
  public:
    [[nodiscard]] StateDir dir() const { return StateDir(root()); }
    [[nodiscard]] const std::filesystem::path& root() const { return dir_.path(); }

    /// Into a file of the directory that is its owner's.
    void write(const std::string& name, std::string_view text) const {
        using std::filesystem::perms;
        std::ofstream file(dir_.path() / name, std::ios::binary);
        file << text;
        if (!file.flush()) throw std::runtime_error("cannot write " + name);
        std::filesystem::permissions(dir_.path() / name, perms::owner_read | perms::owner_write);
    }

    [[nodiscard]] Outcome<Config> read(std::string_view text, const ConfigOverrides& overrides = {}) const {
        write("sts6d.toml", text);
        return read_config(dir(), overrides);
    }

  private:
    conform::TemporaryDirectory dir_;
};

}  // namespace sts6::test
