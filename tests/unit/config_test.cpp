// SPDX-License-Identifier: Apache-2.0
// sts6d.toml: every key, written and read back, and everything that is refused.
#include "src/daemon/config.hpp"

#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>
#include <stdlib.h>

namespace sts6 {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNeeded =
    "[hsm]\nmodule = \"/usr/lib/p11.so\"\ntoken_label = \"sts6\"\npin_file = \"pins/user.pin\"\n";

class Place {
  public:
    Place() {
        std::string pattern = (fs::temp_directory_path() / "sts6-config-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no directory");
        path_ = pattern;
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    [[nodiscard]] StateDir dir() const { return StateDir(path_); }
    [[nodiscard]] const fs::path& root() const { return path_; }

    [[nodiscard]] Outcome<Config> read(std::string_view text) const {
        std::ofstream file(dir().config_file(), std::ios::binary);
        file << text;
        if (!file.flush()) throw std::runtime_error("cannot write");
        return read_config(dir());
    }

  private:
    fs::path path_;
};

/// A configuration whose top level has `line`.
std::string with(std::string_view line) {
    return std::string(line) + "\n" + std::string(kNeeded);
}

void check_equal(const Config& got, const Config& wanted) {
    CHECK(got.tcp == wanted.tcp);
    CHECK(got.metrics == wanted.metrics);
    CHECK(got.registers == wanted.registers);
    CHECK(got.tid_window_days == wanted.tid_window_days);
    CHECK(got.gler_unframed == wanted.gler_unframed);
    CHECK(got.sta_tables == wanted.sta_tables);
    CHECK(got.log_level == wanted.log_level);
    CHECK(got.hsm_module == wanted.hsm_module);
    CHECK(got.hsm_token_label == wanted.hsm_token_label);
    CHECK(got.hsm_init_args == wanted.hsm_init_args);
    CHECK(got.hsm_pin_file == wanted.hsm_pin_file);
    CHECK(got.hsm_softhsm_conf == wanted.hsm_softhsm_conf);
    CHECK(got.hsm_sync_dir == wanted.hsm_sync_dir);
    CHECK(got.hsm_sessions == wanted.hsm_sessions);
    CHECK(got.hsm_min_protection == wanted.hsm_min_protection);
}

/// The text that a line gives a key, without its quotation marks, which are of either kind.
std::string value_in(const std::string& text, const std::string& key) {
    const std::string begin = "\n" + key + " = ";
    const std::size_t at = text.find(begin);
    if (at == std::string::npos) return "no such line";
    const std::size_t value = at + begin.size() + 1;
    return text.substr(value, text.find('\n', value) - value - 1);
}

Config other_than_default(const fs::path& root) {
    Config config;
    config.tcp = {"[::1]:6000"};
    config.metrics = "127.0.0.1:9600";
    config.registers = 4096;
    config.tid_window_days = 3650;
    config.gler_unframed = true;
    config.sta_tables = root / "tables.json";
    config.log_level = "trace";
    config.hsm_module = "/opt/hsm/lib.so";
    config.hsm_token_label = "my token";
    config.hsm_init_args = "configdir='sql:/etc/nss' flags=readOnly";
    config.hsm_pin_file = root / "pins" / "user.pin";
    config.hsm_softhsm_conf = root / "hsm" / "softhsm2.conf";
    config.hsm_sync_dir = "/var/lib/tokens";
    config.hsm_sessions = 64;
    config.hsm_min_protection = p11::Protection::kek_in_token;
    return config;
}

}  // namespace

TEST_CASE("config: what is left out has its default") {
    const Place place;
    const auto config = place.read(kNeeded);
    REQUIRE(config);
    CHECK(config->tcp == std::vector<std::string>{"127.0.0.1:5100"});
    CHECK(config->metrics.empty());
    CHECK(config->registers == 64);
    CHECK(config->tid_window_days == 7);
    CHECK_FALSE(config->gler_unframed);
    CHECK(config->sta_tables.empty());
    CHECK(config->log_level == "info");
    CHECK(config->hsm_init_args.empty());
    CHECK(config->hsm_softhsm_conf.empty());
    CHECK(config->hsm_sync_dir.empty());
    CHECK(config->hsm_sessions == 1);
    CHECK(config->hsm_min_protection == p11::Protection::z_in_token);
}

TEST_CASE("config: every key is read") {
    const Place place;
    const auto config = place.read(R"(
tcp = "[::1]:6000"
metrics = "127.0.0.1:9600"
registers = 4096
tid_window_days = 3650
gler_unframed = true
sta_tables = "tables.json"
log_level = "trace"
[hsm]
module = "/opt/hsm/lib.so"
token_label = "my token"
init_args = "configdir='sql:/etc/nss' flags=readOnly"
pin_file = "pins/user.pin"
softhsm_conf = "hsm/softhsm2.conf"
sync_dir = "/var/lib/tokens"
sessions = 64
min_protection = "kek_in_token"
)");
    REQUIRE(config);
    check_equal(*config, other_than_default(place.root()));
}

TEST_CASE("config: what is written reads back the same") {
    const Place place;
    Config config = other_than_default(place.root());
    SECTION("every key has another value than its default") {
    }
    SECTION("texts need escapes") {
        config.hsm_token_label = "a \"b\" \\c # [d] = 'e'\tf";
        config.hsm_init_args = "line 1\nline 2\r\x01\x7F";
        config.tcp = {"\xC3\xA9:1"};
    }
    SECTION("paths need escapes") {
        config.sta_tables = place.root() / "my \"tables\".json";
        config.hsm_module = "/opt/a\\b\nc.so";
    }
    SECTION("everything that may be empty is") {
        config.tcp.clear();
        config.metrics.clear();
        config.sta_tables.clear();
        config.hsm_init_args.clear();
        config.hsm_softhsm_conf.clear();
        config.hsm_sync_dir.clear();
        config.tid_window_days = 0;
        config.registers = 1;
        config.hsm_sessions = 1;
        config.gler_unframed = false;
    }
    SECTION("a path beside the state directory") {
        config.sta_tables = place.root().parent_path() / "t";
    }
    SECTION("a name that begins with two points") {
        config.sta_tables = place.root() / "..tables";
    }
    const std::string text = config_text(config, place.dir());
    CAPTURE(text);
    const auto read = place.read(text);
    REQUIRE(read);
    check_equal(*read, config);
    CHECK(config_text(*read, place.dir()) == text);
}

TEST_CASE("config: paths are relative to the state directory, and written so") {
    const Place place;
    const auto config = place.read(with("sta_tables = \"../licensed/tables.json\""));
    REQUIRE(config);
    CHECK(config->sta_tables == place.root() / "../licensed/tables.json");
    CHECK(config->hsm_pin_file == place.root() / "pins/user.pin");
    CHECK(config->hsm_module == "/usr/lib/p11.so");
    const std::string text = config_text(*config, place.dir());
    CHECK(value_in(text, "pin_file") == "pins/user.pin");
    CHECK(value_in(text, "module") == "/usr/lib/p11.so");
    // A module that moves takes its own files along.
    CHECK(text.find(place.root().string() + "/pins") == std::string::npos);
}

TEST_CASE("config: numbers at the borders of their ranges") {
    const Place place;
    const std::string hsm(kNeeded);
    const auto accepted = [&](const std::string& text) {
        INFO(text);
        CHECK(place.read(text));
    };
    const auto refused = [&](const std::string& text, const std::string& why) {
        INFO(text);
        const auto config = place.read(text);
        REQUIRE_FALSE(config);
        CHECK(config.error().code == Errc::malformed);
        CHECK(config.error().text.find(why) != std::string::npos);
    };
    accepted(with("registers = 1"));
    accepted(with("registers = 4096"));
    accepted(with("tid_window_days = 0"));
    accepted(with("tid_window_days = 3650"));
    accepted(hsm + "sessions = 1");
    accepted(hsm + "sessions = 64");
    for (const char* name : {"any", "z_in_token", "kek_in_token"}) {
        accepted(hsm + "min_protection = \"" + name + "\"");
    }
    for (const char* value : {"\"\"", "\"none\"", "\"ANY\"", "1", "true"}) {
        refused(hsm + "min_protection = " + value,
                "line 5: hsm.min_protection must be any, z_in_token or kek_in_token");
    }
    for (const char* value : {"0", "4097", "-1", "4294967297", "9223372036854775807"}) {
        refused(with(std::string("registers = ") + value),
                "line 1: registers must be a number from 1 to 4096");
    }
    for (const char* value : {"-1", "3651", "4294967296"}) {
        refused(with(std::string("tid_window_days = ") + value),
                "line 1: tid_window_days must be a number from 0 to 3650");
    }
    for (const char* value : {"0", "65", "-1", "4294967297"}) {
        refused(hsm + "sessions = " + value, "line 5: hsm.sessions must be a number from 1 to 64");
    }
}

TEST_CASE("config: what is no configuration is refused, with line and key") {
    struct Refused {
        std::string text;
        std::string why;
    };
    const std::string hsm(kNeeded);
    const Refused cases[] = {
        {with("registers = \"64\""), "line 1: registers must be a number from 1 to 4096"},
        {with("registers = 64.0"), "line 1: registers must be a number"},
        {with("registers = true"), "line 1: registers must be a number"},
        {with("registers = [64]"), "line 1: registers must be a number"},
        {with("gler_unframed = 1"), "line 1: gler_unframed must be true or false"},
        {with("gler_unframed = \"true\""), "line 1: gler_unframed must be true or false"},
        {with("tcp = 5100"), "line 1: tcp must be a text"},
        {with("metrics = 9600"), "line 1: metrics must be a text"},
        {with("tcp = [\"127.0.0.1:5100\"]"), "line 1: tcp must be a text"},
        {with("tcp = { host = \"x\" }"), "line 1: tcp must be a text"},
        {with("sta_tables = 7"), "line 1: sta_tables must be a text"},
        {with("log_level = 2024-01-01"), "line 1: log_level must be a text"},
        {with("log_level = \"loud\""), "log_level \"loud\" is unknown"},
        {with("log_level = \"INFO\""), "log_level \"INFO\" is unknown"},
        {with("log_level = \"\""), "log_level \"\" is unknown"},
        {with("register = 64"), "line 1: unknown key register"},
        {with("Registers = 64"), "line 1: unknown key Registers"},
        {with("\n\nport = 1"), "line 3: unknown key port"},
        {with("module = \"x\""), "line 1: unknown key module"},
        {with("hsm = 1").substr(0, 8), "line 1: unknown key hsm"},
        {with("[tls]\ncert = \"x\""), "line 1: unknown key tls"},
        {with("[\"\"]\ntcp = \"x\""), "line 1: unknown key "},
        {with("[[hsms]]\n"), "line 1: unknown key hsms"},
        {hsm + "slot = 0", "line 5: unknown key hsm.slot"},
        {hsm + "tcp = \"x\"", "line 5: unknown key hsm.tcp"},
        {hsm + "[hsm.quirks]\nx = 1", "line 5: unknown key hsm.quirks"},
        {"[[hsm]]\nmodule = \"x\"", "line 1: unknown key hsm"},
        {with("registers = 1\nregisters = 2"), "line 2"},
        {with("registers = "), "line 1"},
        {with("tcp = \"x"), "line 1"},
        {with("[hsm"), "line 1"},
        {with("no value at all"), "line 1"},
        {with("tcp = \"\xFF\""), "line 1"},
        {"", "hsm.module, hsm.token_label and hsm.pin_file are needed"},
        {"[hsm]\nmodule = \"x\"\ntoken_label = \"y\"", "are needed"},
        {"[hsm]\nmodule = \"x\"\npin_file = \"y\"", "are needed"},
        {"[hsm]\npin_file = \"x\"\ntoken_label = \"y\"", "are needed"},
        {"[hsm]\nmodule = \"\"\ntoken_label = \"y\"\npin_file = \"z\"", "are needed"},
    };
    const Place place;
    for (const Refused& refused : cases) {
        INFO(refused.text);
        const auto config = place.read(refused.text);
        REQUIRE_FALSE(config);
        CHECK(config.error().code == Errc::malformed);
        CHECK(config.error().text.starts_with(place.dir().config_file().string()));
        CAPTURE(config.error().text);
        CHECK(config.error().text.find(refused.why) != std::string::npos);
    }
}

TEST_CASE("config: a file that is not there is refused") {
    const Place place;
    const auto config = read_config(place.dir());
    REQUIRE_FALSE(config);
    CHECK(config.error().text.starts_with(place.dir().config_file().string()));
}

}  // namespace sts6
