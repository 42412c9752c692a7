// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <sstream>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include <toml++/toml.h>

#include "firmware/module/register_table.hpp"

namespace sts6 {

namespace {

namespace fs = std::filesystem;

using List = std::vector<std::string>;
using Names = std::span<const std::string_view>;

// What a key is. `takes` says it in one word.
struct Text {
    std::string Config::*member;
    std::string_view takes;
};
struct Path {
    fs::path Config::*member;
};
struct Flag {
    bool Config::*member;
};
struct Number {
    std::uint32_t Config::*member;
    std::uint32_t min;
    std::uint32_t max;
};
struct Texts {
    List Config::*member;
    std::string_view takes;
    bool are_paths = false;  ///< each begins with one
};
/// One of the names of an enumeration.
struct Choice {
    Names names;  ///< in the order of the enumeration
    void (*set)(Config&, std::size_t);
    std::size_t (*get)(const Config&);
};
using Kind = std::variant<Text, Path, Flag, Number, Texts, Choice>;

template <auto kMember>
constexpr Choice choice(Names names) {
    using Enumeration = std::remove_cvref_t<decltype(std::declval<Config>().*kMember)>;
    return {names, [](Config& config, std::size_t at) { config.*kMember = static_cast<Enumeration>(at); },
            [](const Config& config) { return static_cast<std::size_t>(config.*kMember); }};
}

constexpr std::array<std::string_view, 3> kParities = {"none", "even", "odd"};
constexpr std::array<std::string_view, 3> kHandshakes = {"none", "rts_cts", "xon_xoff"};
constexpr std::array<std::string_view, 5> kLogLevels = {"trace", "debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 3> kProtections = {"any", "z_in_token", "kek_in_token"};

/// One row for each key: where it stands, what it is and what it means.
struct Key {
    std::string_view section;  ///< empty = top level
    std::string_view name;
    Kind kind;
    std::string_view meaning;
};

const std::array kKeys = {
    Key{"", "tcp", Texts{&Config::tcp, "HOST:PORT"}, "where TCP links in clear listen; \"\" = nowhere"},
    Key{"", "tls", Texts{&Config::tls, "HOST:PORT"}, "where TLS links listen; \"\" = nowhere"},
    Key{"", "apdu", Texts{&Config::apdu, "HOST:PORT"},
        "where links for APDUs over TCP listen; \"\" = nowhere"},
    Key{"", "vpcd", Texts{&Config::vpcd, "HOST:PORT"},
        "a virtual reader (vsmartcard's vpcd) in which the module is the card; \"\" = none"},
    Key{"", "pty", Texts{&Config::pty, "PATH", true},
        "the name of a pseudo-terminal that stands for a serial line; \"\" = none"},
    Key{"", "serial", Texts{&Config::serial, "DEV[,BAUD]", true},
        "a serial device, at 9600 Bd unless it says otherwise; \"\" = none"},
    Key{"", "allow_plaintext", Flag{&Config::allow_plaintext},
        "permit links in clear on an address that is not loopback"},
    Key{"", "serial_data_bits", Number{&Config::serial_data_bits, 7, 8}, "data bits of serial devices"},
    Key{"", "serial_parity", choice<&Config::serial_parity>(kParities), "parity of serial devices"},
    Key{"", "serial_stop_bits", Number{&Config::serial_stop_bits, 1, 2}, "stop bits of serial devices"},
    Key{"", "serial_handshake", choice<&Config::serial_handshake>(kHandshakes),
        "handshake of serial devices"},
    Key{"", "tls_certificate", Path{&Config::tls_certificate},
        "the module's certificate, PEM, and the chain above it"},
    Key{"", "tls_private_key", Path{&Config::tls_private_key}, "its private key, PEM"},
    Key{"", "tls_client_ca", Path{&Config::tls_client_ca},
        "who certifies clients, PEM; \"\" = they need no certificate"},
    Key{"", "tls_clients", Texts{&Config::tls_clients, "ROLE SUBJECT"},
        "clients that may connect with a certificate: what they may do (full or vend), and the subject as in "
        "RFC 2253"},
    Key{"", "max_connections", Number{&Config::max_connections, 1, 16384},
        "connections to each place where TCP, TLS or APDU links listen"},
    Key{"", "max_requests_per_s", Number{&Config::max_requests_per_s, 0, 1'000'000},
        "requests a second of each link; more are delayed; 0 = any number"},
    Key{"", "idle_timeout_s", Number{&Config::idle_timeout_s, 0, 1'000'000},
        "seconds after which a connection without a request is closed; 0 = never"},
    Key{"", "metrics", Text{&Config::metrics, "HOST:PORT"},
        "where metrics are served over HTTP, on this machine only; \"\" = nowhere"},
    Key{"", "registers", Number{&Config::registers, 1, RegisterTable::kMost}, "vending key registers"},
    Key{"", "tid_window_days", Number{&Config::tid_window_days, 0, 3650},
        "how far a TID may be from module time; 0 = any (always 0 in the lab profile)"},
    Key{"", "gler_unframed", Flag{&Config::gler_unframed},
        "send GL!ER without its envelope on enveloped connections"},
    Key{"", "sta_tables", Path{&Config::sta_tables},
        "file of the licensed EA07 tables; \"\" = the sample set"},
    Key{"", "audit_capacity", Number{&Config::audit_capacity, 1000, 10'000'000},
        "records that the audit log keeps"},
    Key{"", "audit_force", Flag{&Config::audit_force},
        "refuse what would displace a record that nobody has acknowledged"},
    Key{"", "log_level", choice<&Config::log_level>(kLogLevels), "the least that is logged"},
    Key{"hsm", "module", Path{&Config::hsm_module}, "the PKCS#11 library"},
    Key{"hsm", "token_label", Text{&Config::hsm_token_label, "TEXT"}, "which token of it"},
    Key{"hsm", "init_args", Text{&Config::hsm_init_args, "TEXT"}, "pReserved of C_Initialize; NSS needs it"},
    Key{"hsm", "pin_file", Path{&Config::hsm_pin_file}, "file with the user PIN"},
    Key{"hsm", "softhsm_conf", Path{&Config::hsm_softhsm_conf},
        "SoftHSM's configuration; \"\" for another token"},
    Key{"hsm", "sync_dir", Path{&Config::hsm_sync_dir},
        "the token's files, synced after a change; \"\" = not needed"},
    Key{"hsm", "sessions", Number{&Config::hsm_sessions, 1, p11::TokenConfig::kMostSessions},
        "derivations under way at once"},
    Key{"hsm", "min_protection", choice<&Config::hsm_min_protection>(kProtections),
        "what the token must keep to itself in a key load; any = nothing"},
};

std::string full_name(std::string_view section, std::string_view name) {
    return section.empty() ? std::string(name) : std::string(section) + "." + std::string(name);
}

std::string option_of(const Key& key) {
    std::string option = "--" + full_name(key.section, key.name);
    for (char& c : option) c = c == '.' || c == '_' ? '-' : c;
    return option;
}

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

/// "a, b or c"
std::string in_words(Names names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) text += i + 1 < names.size() ? ", " : " or ";
        text += names[i];
    }
    return text;
}

struct Expected {
    std::string operator()(const Text& /*kind*/) const { return "a text"; }
    std::string operator()(const Path& /*kind*/) const { return "a text"; }
    std::string operator()(const Flag& /*kind*/) const { return "true or false"; }
    std::string operator()(const Number& number) const {
        return "a number from " + std::to_string(number.min) + " to " + std::to_string(number.max);
    }
    std::string operator()(const Texts& /*kind*/) const { return "a text or a list of texts"; }
    std::string operator()(const Choice& choice) const { return in_words(choice.names); }
};

struct Takes {
    std::string operator()(const Text& text) const { return std::string(text.takes); }
    std::string operator()(const Path& /*kind*/) const { return "PATH"; }
    std::string operator()(const Flag& /*kind*/) const { return "true|false"; }
    std::string operator()(const Number& number) const {
        return std::to_string(number.min) + ".." + std::to_string(number.max);
    }
    std::string operator()(const Texts& texts) const { return std::string(texts.takes); }
    std::string operator()(const Choice& choice) const {
        std::string text;
        for (const std::string_view name : choice.names)
            text += (text.empty() ? "" : "|") + std::string(name);
        return text;
    }
};

/// A value as somebody gave it, before anything is known of it; none when no key takes such a one.
using Given = std::variant<std::monostate, bool, std::int64_t, std::string, List>;

Given given(const toml::node& node) {
    if (const auto value = node.value_exact<bool>()) return *value;
    if (const auto value = node.value_exact<std::int64_t>()) return *value;
    if (const auto value = node.value_exact<std::string>()) return *value;
    const toml::array* array = node.as_array();
    if (array == nullptr) return {};
    List texts;
    for (const toml::node& element : *array) {
        const auto text = element.value_exact<std::string>();
        if (!text) return {};
        texts.push_back(*text);
    }
    return texts;
}

/// What the texts of an option are for a key of that kind.
struct GivenByOption {
    const List& texts;

    Given operator()(const Texts& /*kind*/) const { return texts; }
    Given operator()(const Flag& /*kind*/) const {
        if (single() == "true" || single() == "false") return single() == "true";
        return {};
    }
    Given operator()(const Number& /*kind*/) const {
        const std::string text = single();
        std::int64_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        if (std::to_string(value) != text) return {};
        return value;
    }
    Given operator()(const Path& /*kind*/) const {
        // As of a variable that is not set: it must not mean the sample tables, or clients without
        // certificate.
        if (single().empty()) return {};
        return single();
    }
    Given operator()(const Text& /*kind*/) const { return texts.size() == 1 ? Given(texts[0]) : Given(); }
    Given operator()(const Choice& /*kind*/) const { return single(); }

  private:
    [[nodiscard]] std::string single() const { return texts.size() == 1 ? texts[0] : std::string(); }
};

/// Puts a value into its place; false when it has another type or is out of range.
struct Reader {
    Config& config;
    const Given& value;
    const fs::path& root;  ///< of relative paths

    bool operator()(const Text& text) const {
        const auto* given_text = std::get_if<std::string>(&value);
        if (given_text != nullptr) config.*text.member = *given_text;
        return given_text != nullptr;
    }
    bool operator()(const Path& path) const {
        const auto* text = std::get_if<std::string>(&value);
        if (text == nullptr) return false;
        config.*path.member = text->empty() ? fs::path() : root / *text;
        return true;
    }
    bool operator()(const Flag& flag) const {
        const auto* set = std::get_if<bool>(&value);
        if (set != nullptr) config.*flag.member = *set;
        return set != nullptr;
    }
    bool operator()(const Number& number) const {
        const auto* given_number = std::get_if<std::int64_t>(&value);
        if (given_number == nullptr || *given_number < number.min || *given_number > number.max) return false;
        config.*number.member = static_cast<std::uint32_t>(*given_number);
        return true;
    }
    bool operator()(const Texts& texts) const {
        List list;
        if (const auto* text = std::get_if<std::string>(&value)) {
            list = {*text};
        } else if (const auto* several = std::get_if<List>(&value)) {
            list = *several;
        } else {
            return false;
        }
        if (list == List{""}) list.clear();
        for (std::string& text : list) {
            if (text.empty()) return false;
            if (texts.are_paths) text = (root / text).lexically_normal().string();
        }
        config.*texts.member = std::move(list);
        return true;
    }
    bool operator()(const Choice& choice) const {
        const auto* text = std::get_if<std::string>(&value);
        if (text == nullptr) return false;
        const auto name = std::find(choice.names.begin(), choice.names.end(), *text);
        if (name == choice.names.end()) return false;
        choice.set(config, static_cast<std::size_t>(name - choice.names.begin()));
        return true;
    }
};

class Loader {
  public:
    Loader(const StateDir& dir, Config& config) : dir_(dir), config_(config) {}

    Outcome<void> load(const toml::table& table, std::string_view section) {
        for (const auto& [name, node] : table) {
            if (section.empty() && node.is_table() && known_section(name.str())) {
                if (auto inner = load(*node.as_table(), name.str()); !inner) return inner;
                continue;
            }
            const std::string full = full_name(section, name.str());
            const Key* key = find_key(section, name.str());
            if (key == nullptr) return refuse(node, "unknown key " + full);
            if (!std::visit(Reader{config_, given(node), dir_.root()}, key->kind)) {
                return refuse(node, full + " must be " + std::visit(Expected{}, key->kind));
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

Outcome<void> apply(Config& config, const std::string& option, const List& texts) {
    const auto* key = std::find_if(kKeys.begin(), kKeys.end(),
                                   [&option](const Key& row) { return option_of(row) == option; });
    if (key == kKeys.end()) return fail(Errc::invalid_argument, "unknown option " + option);
    const Given value = std::visit(GivenByOption{texts}, key->kind);
    // Empty when it is gone: then a relative path leads nowhere either way.
    std::error_code gone;
    const fs::path here = fs::current_path(gone);
    if (std::visit(Reader{config, value, here}, key->kind)) return {};
    if (std::holds_alternative<Path>(key->kind)) {
        return fail(Errc::invalid_argument, option + " must name a file");
    }
    return fail(Errc::invalid_argument, option + " must be " + std::visit(Expected{}, key->kind));
}

struct Writer {
    std::ostream& out;
    const Config& config;
    const fs::path& root;

    void operator()(const Text& text) const { write(config.*text.member); }
    void operator()(const Path& path) const { write(from_root(config.*path.member)); }
    void operator()(const Flag& flag) const { out << (config.*flag.member ? "true" : "false"); }
    void operator()(const Number& number) const { out << config.*number.member; }
    void operator()(const Texts& texts) const {
        List list = config.*texts.member;
        for (std::string& text : list) {
            if (texts.are_paths) text = from_root(text);
        }
        if (list.size() < 2) {
            write(list.empty() ? "" : list[0]);
            return;
        }
        for (std::size_t i = 0; i < list.size(); ++i) {
            out << (i == 0 ? "[" : ", ");
            write(list[i]);
        }
        out << "]";
    }
    void operator()(const Choice& choice) const { write(std::string(choice.names[choice.get(config)])); }

  private:
    void write(const std::string& text) const { out << toml::value<std::string>(text); }
    [[nodiscard]] std::string from_root(const fs::path& path) const {
        const fs::path relative = path.lexically_relative(root);
        const bool inside = !path.empty() && !relative.empty() && *relative.begin() != "..";
        return (inside ? relative : path).string();
    }
};

}  // namespace

std::vector<ConfigKey> config_keys() {
    const Config standard;
    std::vector<ConfigKey> keys;
    for (const Key& key : kKeys) {
        std::ostringstream value;
        std::visit(Writer{value, standard, fs::path()}, key.kind);
        keys.push_back({.name = full_name(key.section, key.name),
                        .option = option_of(key),
                        .takes = std::visit(Takes{}, key.kind),
                        .standard = value.str(),
                        .meaning = key.meaning,
                        .is_list = std::holds_alternative<Texts>(key.kind),
                        .is_flag = std::holds_alternative<Flag>(key.kind)});
    }
    return keys;
}

Outcome<Config> read_config(const StateDir& dir, const ConfigOverrides& overrides) {
    Config config;
    try {
        const toml::table table = toml::parse_file(dir.config_file().string());
        if (auto loaded = Loader(dir, config).load(table, ""); !loaded) return Unexpected{loaded.error()};
    } catch (const toml::parse_error& error) {
        return fail(Errc::malformed, dir.config_file().string() + ", line " +
                                         std::to_string(error.source().begin.line) + ": " +
                                         std::string(error.description()));
    }
    for (const auto& [option, texts] : overrides) {
        if (auto applied = apply(config, option, texts); !applied) return Unexpected{applied.error()};
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
        std::visit(Writer{out, config, dir.root()}, key.kind);
        out << "\n";
    }
    return out.str();
}

}  // namespace sts6
