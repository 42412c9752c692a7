// SPDX-License-Identifier: Apache-2.0
// sts6d, the security module as a service.
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "src/daemon/config.hpp"
#include "src/daemon/config_check.hpp"
#include "src/daemon/daemon.hpp"
#include "src/daemon/firmware_identity.hpp"
#include "src/daemon/process.hpp"
#include "sts6/exit_code.hpp"

namespace {

/// CCYYMMDDThhmmssZ, as in the key records.
std::optional<sts6::CivilTime> parse_lab_time(const std::string& text) {
    if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
    return sts6::parse_civil_time(text.substr(0, 8) + text.substr(9, 6));
}

/// Makes an option of every key of the configuration.
class ConfigOptions {
  public:
    explicit ConfigOptions(CLI::App& app) {
        for (const sts6::ConfigKey& key : sts6::config_keys()) {
            CLI::Option* option = key.is_flag ? app.add_flag(key.option) : app.add_option(key.option);
            option->description(std::string(key.meaning));
            option->group("Configuration (what is given here goes before the key in DIR/sts6d.toml)");
            if (!key.is_flag) option->type_name(key.takes);
            if (key.is_list) option->take_all();
            if (key.is_flag) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
            options_.emplace_back(key.option, option);
        }
    }
    [[nodiscard]] sts6::ConfigOverrides given() const {
        sts6::ConfigOverrides overrides;
        for (const auto& [name, option] : options_) {
            if (option->count() > 0) overrides.emplace(name, option->reduced_results());
        }
        return overrides;
    }

  private:
    std::vector<std::pair<std::string, CLI::Option*>> options_;
};

/// Says what a start would refuse.
int check(const sts6::DaemonOptions& options) {
    sts6::log_to_stderr();
    sts6::harden_process();
    const auto checked = sts6::check_config(options.dir, options.overrides);
    if (!checked) {
        std::cerr << "sts6d: " << checked.error().text << "\n";
        return sts6::kExitUsage;
    }
    std::cout << "configuration ok\n";
    return 0;
}

int run(int argc, char** argv) {
    CLI::App app("sts6d: a software STS6 security module with its keys in a PKCS#11 token");
    app.set_version_flag("--version", std::string(sts6::kVersion));
    sts6::DaemonOptions options;
    std::optional<std::string> lab_time;
    bool check_only = false;
    app.add_option("--dir", options.dir, "state directory, made by `sts6ctl setup`")->required();
    app.add_flag("--check-config", check_only, "check configuration and options, and start nothing");
    app.add_option("--lab-time", lab_time, "CCYYMMDDThhmmssZ at which module time starts (lab profile only)");
    const ConfigOptions config_options(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : sts6::kExitUsage;
    }
    if (lab_time) {
        options.lab_time = parse_lab_time(*lab_time);
        if (!options.lab_time) {
            std::cerr << "sts6d: --lab-time must be CCYYMMDDThhmmssZ\n";
            return sts6::kExitUsage;
        }
    }
    options.overrides = config_options.given();
    if (check_only) return check(options);
    const auto served = sts6::run_daemon(options, std::cout);
    if (served) return 0;
    std::cerr << "sts6d: " << served.error().text << "\n";
    return sts6::exit_code(served.error().code);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::cerr << "sts6d: " << error.what() << "\n";
        return sts6::kExitRefused;
    }
}
