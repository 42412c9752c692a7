// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/config.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <sstream>
#include <string_view>
#include <variant>

#include <toml++/toml.h>

#include "firmware/module/register_table.hpp"

namespace sts6 {

namespace {

namespace fs = std::filesystem;

struct Number {
    std::uint32_t Config::*member;
    std::uint32_t min;
    std::uint32_t max;
};
using List = std::vector<std::string>;
using Member = std::variant<List Config::*, std::string Config::*, fs::path Config::*, bool Config::*,
                            p11::Protection Config::*, Number>;

/// One row for each key: where it stands, what it is and what it means.
struct Key {
    std::string_view section;  ///< empty = top level
    std::string_view name;
    Member member;
    std::string_view meaning;
};

const std::array kKeys = {
    Key{"", "tcp", &Config::tcp, "where the TCP link listens; \"\" = nowhere"},
    Key{"", "metrics", &Config::metrics,
        "where metrics are served over HTTP, on this machine only; \"\" = nowhere"},
    Key{"", "registers", Number{&Config::registers, 1, RegisterTable::kMost}, "vending key registers"},
    Key{"", "tid_window_days", Number{&Config::tid_window_days, 0, 3650},
        "how far a TID may be from module time; 0 = any (always 0 in the lab profile)"},
    Key{"", "gler_unframed", &Config::gler_unframed,
        "send GL!ER without its envelope on enveloped connections"},
    Key{"", "sta_tables", &Config::sta_tables, "file of the licensed EA07 tables; \"\" = the sample set"},
    Key{"", "audit_capacity", Number{&Config::audit_capacity, 1000, 10'000'000},
        "records that the audit log keeps"},
    Key{"", "audit_force", &Config::audit_force,
        "refuse what would displace a record that nobody has acknowledged"},
    Key{"", "log_level", &Config::log_level, "trace, debug, info, warn or error"},
    Key{"hsm", "module", &Config::hsm_module, "the PKCS#11 library"},
    Key{"hsm", "token_label", &Config::hsm_token_label, "which token of it"},
    Key{"hsm", "init_args", &Config::hsm_init_args, "pReserved of C_Initialize; NSS needs it"},
    Key{"hsm", "pin_file", &Config::hsm_pin_file, "file with the user PIN"},
    Key{"hsm", "softhsm_conf", &Config::hsm_softhsm_conf, "SoftHSM's configuration; \"\" for another token"},
    Key{"hsm", "sync_dir", &Config::hsm_sync_dir,
        "the token's files, synced after a change; \"\" = not needed"},
    Key{"hsm", "sessions", Number{&Config::hsm_sessions, 1, p11::TokenConfig::kMostSessions},
        "derivations under way at once"},
    Key{"hsm", "min_protection", &Config::hsm_min_protection,
        "what the token must keep to itself in a key load: any (nothing), z_in_token or kek_in_token"},
};

/// In the order of the enumeration.
constexpr std::array<std::string_view, 3> kProtections = {"any", "z_in_token", "kek_in_token"};

const Key* find_key(std::string_view section, std::string_view name) {
    for (const Key& key : kKeys) {
        if (key.section == section && key.name == name) return &key;
    }
    return nullptr;
}

bool known_section(std::string_view section) {
    for (const Key& key : kKeys) {
        // [""] is no other way to say top level.
        if (!section.empty() && key.section == section) return true;
    }
    return false;
}

/// Reads one value into its place; false when it has another type or is out of range.
struct Reader {
    Config& config;
    const toml::node& node;
    const fs::path& root;

    bool operator()(List Config::*member) const {
        const auto value = node.value_exact<std::string>();
        if (value) config.*member = value->empty() ? List() : List{*value};
        return value.has_value();
    }
    bool operator()(std::string Config::*member) const {
        const auto value = node.value_exact<std::string>();
        if (value) config.*member = *value;
        return value.has_value();
    }
    bool operator()(fs::path Config::*member) const {
        const auto value = node.value_exact<std::string>();
        if (!value) return false;
        config.*member = value->empty() ? fs::path() : root / *value;
        return true;
    }
    bool operator()(bool Config::*member) const {
        const auto value = node.value_exact<bool>();
        if (value) config.*member = *value;
        return value.has_value();
    }
    bool operator()(p11::Protection Config::*member) const {
        const auto value = node.value_exact<std::string>();
        const auto* name = std::find(kProtections.begin(), kProtections.end(), value.value_or(""));
        if (name == kProtections.end()) return false;
        config.*member = static_cast<p11::Protection>(name - kProtections.begin());
        return true;
    }
    bool operator()(const Number& number) const {
        const auto value = node.value_exact<std::int64_t>();
        if (!value || *value < number.min || *value > number.max) return false;
        config.*number.member = static_cast<std::uint32_t>(*value);
        return true;
    }
};

std::string expected(const Member& member) {
    if (const auto* number = std::get_if<Number>(&member)) {
        return "a number from " + std::to_string(number->min) + " to " + std::to_string(number->max);
    }
    if (std::holds_alternative<p11::Protection Config::*>(member)) return "any, z_in_token or kek_in_token";
    return std::holds_alternative<bool Config::*>(member) ? "true or false" : "a text";
}

class Loader {
  public:
    Loader(const StateDir& dir, Config& config) : dir_(dir), config_(config) {}

    Outcome<void> load(const toml::table& table, std::string_view section) {
        for (const auto& [name, node] : table) {
            if (section.empty() && node.is_table() && known_section(name.str())) {
                if (auto inner = load(*node.as_table(), name.str()); !inner) return inner;
                continue;
            }
            const std::string full =
                section.empty() ? std::string(name) : std::string(section) + "." + std::string(name);
            const Key* key = find_key(section, name.str());
            if (key == nullptr) return refuse(node, "unknown key " + full);
            if (!std::visit(Reader{config_, node, dir_.root()}, key->member)) {
                return refuse(node, full + " must be " + expected(key->member));
            }
        }
        return {};
    }

  private:
    [[nodiscard]] Unexpected<Failure> refuse(const toml::node& node, const std::string& text) const {
        return fail(Errc::malformed, dir_.config_file().string() + ", line " +
                                         std::to_string(node.source().begin.line) + ": " + text);
    }

    const StateDir& dir_;
    Config& config_;
};

bool is_log_level(std::string_view level) {
    for (const std::string_view known : {"trace", "debug", "info", "warn", "error"}) {
        if (level == known) return true;
    }
    return false;
}

struct Writer {
    std::ostream& out;
    const Config& config;
    const fs::path& root;

    void text(const std::string& value) const { out << toml::value<std::string>(value); }
    void operator()(List Config::*member) const {
        text((config.*member).empty() ? "" : (config.*member).front());
    }
    void operator()(std::string Config::*member) const { text(config.*member); }
    void operator()(fs::path Config::*member) const {
        const fs::path& path = config.*member;
        const fs::path relative = path.lexically_relative(root);
        const bool inside = !path.empty() && !relative.empty() && *relative.begin() != "..";
        text((inside ? relative : path).string());
    }
    void operator()(bool Config::*member) const { out << (config.*member ? "true" : "false"); }
    void operator()(p11::Protection Config::*member) const {
        text(std::string(kProtections.at(static_cast<std::size_t>(config.*member))));
    }
    void operator()(const Number& number) const { out << config.*number.member; }
};

}  // namespace

Outcome<Config> read_config(const StateDir& dir) {
    Config config;
    try {
        const toml::table table = toml::parse_file(dir.config_file().string());
        if (auto loaded = Loader(dir, config).load(table, ""); !loaded) return Unexpected{loaded.error()};
    } catch (const toml::parse_error& error) {
        return fail(Errc::malformed, dir.config_file().string() + ", line " +
                                         std::to_string(error.source().begin.line) + ": " +
                                         std::string(error.description()));
    }
    if (!is_log_level(config.log_level)) {
        return fail(Errc::malformed,
                    dir.config_file().string() + ": log_level \"" + config.log_level + "\" is unknown");
    }
    if (config.hsm_module.empty() || config.hsm_token_label.empty() || config.hsm_pin_file.empty()) {
        return fail(Errc::malformed,
                    dir.config_file().string() + ": hsm.module, hsm.token_label and hsm.pin_file are needed");
    }
    return config;
}

std::string config_text(const Config& config, const StateDir& dir) {
    std::ostringstream out;
    std::string_view section;
    for (const Key& key : kKeys) {
        if (key.section != section) {
            section = key.section;
            out << "\n[" << section << "]\n";
        }
        out << "# " << key.meaning << "\n" << key.name << " = ";
        std::visit(Writer{out, config, dir.root()}, key.member);
        out << "\n";
    }
    return out.str();
}

}  // namespace sts6
