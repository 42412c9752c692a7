// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <stdlib.h>

#include "src/daemon/config.hpp"
#include "src/daemon/state_dir.hpp"

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
    ConfigPlace() {
        std::string pattern = (std::filesystem::temp_directory_path() / "sts6-config-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no directory");
        path_ = pattern;
    }
    ConfigPlace(const ConfigPlace&) = delete;
    ConfigPlace& operator=(const ConfigPlace&) = delete;
    ~ConfigPlace() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] StateDir dir() const { return StateDir(path_); }
    [[nodiscard]] const std::filesystem::path& root() const { return path_; }

    /// Into a file of the directory that is its owner's.
    void write(const std::string& name, std::string_view text) const {
        using std::filesystem::perms;
        std::ofstream file(path_ / name, std::ios::binary);
        file << text;
        if (!file.flush()) throw std::runtime_error("cannot write " + name);
        std::filesystem::permissions(path_ / name, perms::owner_read | perms::owner_write);
    }

    [[nodiscard]] Outcome<Config> read(std::string_view text, const ConfigOverrides& overrides = {}) const {
        write("sts6d.toml", text);
        return read_config(dir(), overrides);
    }

  private:
    std::filesystem::path path_;
};

}  // namespace sts6::test
