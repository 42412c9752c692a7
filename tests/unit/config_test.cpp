// SPDX-License-Identifier: Apache-2.0
// sts6d.toml and the options that go before it: every key, written and read back, and everything that is
// refused.
#include "src/daemon/config.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/config_place.hpp"

namespace sts6 {
namespace {

namespace fs = std::filesystem;

using List = std::vector<std::string>;
using Place = test::ConfigPlace;
constexpr std::string_view kNeeded = test::kNeededConfig;

std::string with(std::string_view line) {
    return test::config_with(line);
}

void check_equal(const Config& got, const Config& wanted) {
    CHECK(got.tcp == wanted.tcp);
    CHECK(got.tls == wanted.tls);
    CHECK(got.apdu == wanted.apdu);
    CHECK(got.vpcd == wanted.vpcd);
    CHECK(got.pty == wanted.pty);
    CHECK(got.serial == wanted.serial);
    CHECK(got.allow_plaintext == wanted.allow_plaintext);
    CHECK(got.serial_data_bits == wanted.serial_data_bits);
    CHECK(got.serial_parity == wanted.serial_parity);
    CHECK(got.serial_stop_bits == wanted.serial_stop_bits);
    CHECK(got.serial_handshake == wanted.serial_handshake);
    CHECK(got.tls_certificate == wanted.tls_certificate);
    CHECK(got.tls_private_key == wanted.tls_private_key);
    CHECK(got.tls_client_ca == wanted.tls_client_ca);
    CHECK(got.tls_clients == wanted.tls_clients);
    CHECK(got.max_connections == wanted.max_connections);
    CHECK(got.max_requests_per_s == wanted.max_requests_per_s);
    CHECK(got.idle_timeout_s == wanted.idle_timeout_s);
    CHECK(got.metrics == wanted.metrics);
    CHECK(got.registers == wanted.registers);
    CHECK(got.tid_window_days == wanted.tid_window_days);
    CHECK(got.gler_unframed == wanted.gler_unframed);
    CHECK(got.sta_tables == wanted.sta_tables);
    CHECK(got.audit_capacity == wanted.audit_capacity);
    CHECK(got.audit_force == wanted.audit_force);
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
    config.tls = {"0.0.0.0:5101", "[::]:5101"};
    config.apdu = {"127.0.0.1:5102"};
    config.vpcd = {"127.0.0.1:35963"};
    config.pty = {"/run/sts6/line", (root / "line").string()};
    config.serial = {"/dev/ttyS0,19200"};
    config.allow_plaintext = true;
    config.serial_data_bits = 7;
    config.serial_parity = SerialSettings::Parity::odd;
    config.serial_stop_bits = 2;
    config.serial_handshake = SerialSettings::Handshake::xon_xoff;
    config.tls_certificate = root / "tls" / "server.pem";
    config.tls_private_key = root / "tls" / "server.key";
    config.tls_client_ca = "/etc/ssl/ca.pem";
    config.tls_clients = {"full CN=desk,O=Utility", "vend CN=till 1,O=Utility"};
    config.max_connections = 16384;
    config.max_requests_per_s = 1'000'000;
    config.idle_timeout_s = 999'999;
    config.metrics = "127.0.0.1:9600";
    config.registers = 4096;
    config.tid_window_days = 3650;
    config.gler_unframed = true;
    config.sta_tables = root / "tables.json";
    config.audit_capacity = 10'000'000;
    config.audit_force = true;
    config.log_level = LogLevel::trace;
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
    CHECK(config->tcp == List{"127.0.0.1:5100"});
    CHECK(config->tls.empty());
    CHECK(config->apdu.empty());
    CHECK(config->vpcd.empty());
    CHECK(config->pty.empty());
    CHECK(config->serial.empty());
    CHECK_FALSE(config->allow_plaintext);
    CHECK(config->serial_data_bits == 8);
    CHECK(config->serial_parity == SerialSettings::Parity::none);
    CHECK(config->serial_stop_bits == 1);
    CHECK(config->serial_handshake == SerialSettings::Handshake::none);
    CHECK(config->tls_certificate.empty());
    CHECK(config->tls_private_key.empty());
    CHECK(config->tls_client_ca.empty());
    CHECK(config->tls_clients.empty());
    CHECK(config->max_connections == 1024);
    CHECK(config->max_requests_per_s == 0);
    CHECK(config->idle_timeout_s == 0);
    CHECK(config->metrics.empty());
    CHECK(config->registers == 64);
    CHECK(config->tid_window_days == 7);
    CHECK_FALSE(config->gler_unframed);
    CHECK(config->sta_tables.empty());
    CHECK(config->audit_capacity == 100'000);
    CHECK_FALSE(config->audit_force);
    CHECK(config->log_level == LogLevel::info);
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
tls = ["0.0.0.0:5101", "[::]:5101"]
apdu = ["127.0.0.1:5102"]
vpcd = "127.0.0.1:35963"
pty = ["/run/sts6/line", "line"]
serial = "/dev/ttyS0,19200"
allow_plaintext = true
serial_data_bits = 7
serial_parity = "odd"
serial_stop_bits = 2
serial_handshake = "xon_xoff"
tls_certificate = "tls/server.pem"
tls_private_key = "tls/server.key"
tls_client_ca = "/etc/ssl/ca.pem"
tls_clients = ["full CN=desk,O=Utility", "vend CN=till 1,O=Utility"]
max_connections = 16384
max_requests_per_s = 1000000
idle_timeout_s = 999999
metrics = "127.0.0.1:9600"
registers = 4096
tid_window_days = 3650
gler_unframed = true
sta_tables = "tables.json"
audit_capacity = 10000000
audit_force = true
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
        config.tls_clients = {"vend CN=a \"b\" \\\\,c,O=d\n"};
        config.hsm_init_args = "line 1\nline 2\r\x01\x7F";
        config.tcp = {"\xC3\xA9:1"};
    }
    SECTION("paths need escapes") {
        config.sta_tables = place.root() / "my \"tables\".json";
        config.hsm_module = "/opt/a\\b\nc.so";
    }
    SECTION("several texts need escapes") {
        config.tls_clients = {"vend CN=\"a\"", "full CN='b', # \\\\,", "vend CN=]\r"};
    }
    SECTION("everything that may be empty is") {
        config.tcp.clear();
        config.tls.clear();
        config.apdu.clear();
        config.vpcd.clear();
        config.pty.clear();
        config.serial.clear();
        config.tls_certificate.clear();
        config.tls_private_key.clear();
        config.tls_client_ca.clear();
        config.tls_clients.clear();
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
        {with("tcp = 5100"), "line 1: tcp must be a text or a list of texts"},
        {with("tcp = [5100]"), "line 1: tcp must be a text or a list of texts"},
        {with("tcp = [\"127.0.0.1:1\", 2]"), "line 1: tcp must be a text or a list of texts"},
        {with("tcp = [\"127.0.0.1:1\", \"\"]"), "line 1: tcp must be a text or a list of texts"},
        {with("tcp = [\"\", \"\"]"), "line 1: tcp must be a text or a list of texts"},
        {with("tcp = [[\"127.0.0.1:1\"]]"), "line 1: tcp must be a text or a list of texts"},
        {with("pty = true"), "line 1: pty must be a text or a list of texts"},
        {with("tls_clients = { full = \"CN=a\" }"), "line 1: tls_clients must be a text or a list of texts"},
        {with("metrics = 9600"), "line 1: metrics must be a text"},
        {with("metrics = [\"127.0.0.1:9600\"]"), "line 1: metrics must be a text"},
        {with("tls_certificate = [\"a.pem\"]"), "line 1: tls_certificate must be a text"},
        {with("allow_plaintext = \"yes\""), "line 1: allow_plaintext must be true or false"},
        {with("serial_data_bits = 6"), "line 1: serial_data_bits must be a number from 7 to 8"},
        {with("serial_data_bits = 9"), "line 1: serial_data_bits must be a number from 7 to 8"},
        {with("serial_stop_bits = 0"), "line 1: serial_stop_bits must be a number from 1 to 2"},
        {with("serial_stop_bits = 3"), "line 1: serial_stop_bits must be a number from 1 to 2"},
        {with("serial_stop_bits = 1.5"), "line 1: serial_stop_bits must be a number from 1 to 2"},
        {with("serial_parity = \"mark\""), "line 1: serial_parity must be none, even or odd"},
        {with("serial_parity = \"Odd\""), "line 1: serial_parity must be none, even or odd"},
        {with("serial_parity = 0"), "line 1: serial_parity must be none, even or odd"},
        {with("serial_parity = [\"odd\"]"), "line 1: serial_parity must be none, even or odd"},
        {with("serial_handshake = false"), "line 1: serial_handshake must be none, rts_cts or xon_xoff"},
        {with("serial_handshake = \"\""), "line 1: serial_handshake must be none, rts_cts or xon_xoff"},
        {with("max_connections = 0"), "line 1: max_connections must be a number from 1 to 16384"},
        {with("max_connections = 16385"), "line 1: max_connections must be a number from 1 to 16384"},
        {with("max_requests_per_s = -1"), "line 1: max_requests_per_s must be a number from 0 to 1000000"},
        {with("max_requests_per_s = 1000001"),
         "line 1: max_requests_per_s must be a number from 0 to 1000000"},
        {with("idle_timeout_s = 1000001"), "line 1: idle_timeout_s must be a number from 0 to 1000000"},
        {with("idle_timeout_s = \"60\""), "line 1: idle_timeout_s must be a number from 0 to 1000000"},
        {with("tcp = { host = \"x\" }"), "line 1: tcp must be a text"},
        {with("sta_tables = 7"), "line 1: sta_tables must be a text"},
        {with("log_level = 2024-01-01"), "line 1: log_level must be trace, debug, info, warn or error"},
        {with("log_level = \"loud\""), "line 1: log_level must be trace, debug, info, warn or error"},
        {with("log_level = \"INFO\""), "line 1: log_level must be trace, debug, info, warn or error"},
        {with("log_level = \"\""), "line 1: log_level must be trace, debug, info, warn or error"},
        {with("register = 64"), "line 1: unknown key register"},
        {with("Registers = 64"), "line 1: unknown key Registers"},
        {with("\n\nport = 1"), "line 3: unknown key port"},
        {with("module = \"x\""), "line 1: unknown key module"},
        {with("hsm = 1").substr(0, 8), "line 1: unknown key hsm"},
        {with("[tls]\ncert = \"x\""), "line 1: tls must be a text or a list of texts"},
        {with("[serial]\nbaud = 9600"), "line 1: serial must be a text or a list of texts"},
        {with("tls = \"127.0.0.1:0\"\ntls = \"127.0.0.1:1\""), "line 2"},
        {with("[ssl]\ncert = \"x\""), "line 1: unknown key ssl"},
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

TEST_CASE("config: a list is none, one or several texts") {
    const Place place;
    const auto tcp = [&place](const std::string& value) {
        INFO(value);
        const auto config = place.read(with("tcp = " + value));
        REQUIRE(config);
        return config->tcp;
    };
    CHECK(tcp("\"\"").empty());
    CHECK(tcp("[]").empty());
    CHECK(tcp("[\"\"]").empty());
    CHECK(tcp("\"a:1\"") == List{"a:1"});
    CHECK(tcp("[\"a:1\"]") == List{"a:1"});
    CHECK(tcp("[\n  \"a:1\",\n  'b:2', # and so on\n]") == List{"a:1", "b:2"});
    const auto text = [&place](const List& list) {
        Config config;
        config.tcp = list;
        const std::string whole = config_text(config, place.dir());
        const std::size_t at = whole.find("\ntcp = ");
        REQUIRE(at != std::string::npos);
        return whole.substr(at + 1, whole.find('\n', at + 1) - at - 1);
    };
    CHECK(text({}) == "tcp = ''");
    CHECK(text({"a:1"}) == "tcp = 'a:1'");
    CHECK(text({"a:1", "b:2"}) == "tcp = ['a:1', 'b:2']");
}

TEST_CASE("config: an option goes before its key") {
    const Place place;
    const auto config =
        place.read(with("tcp = [\"a:1\", \"b:2\"]\ntls = \"c:3\"\nregisters = 3\ngler_unframed = true\n"
                        "audit_force = true\nserial_parity = \"odd\"\nmetrics = \"d:4\"\nidle_timeout_s = 5"),
                   {{"--tcp", {"e:6"}},
                    {"--tls", {""}},
                    {"--apdu", {"f:7", "g:8"}},
                    {"--registers", {"4096"}},
                    {"--gler-unframed", {"false"}},
                    {"--allow-plaintext", {"true"}},
                    {"--serial-parity", {"even"}},
                    {"--log-level", {"error"}},
                    {"--metrics", {""}},
                    {"--tls-clients", {"vend CN=a,O=b c"}},
                    {"--hsm-sessions", {"64"}},
                    {"--hsm-token-label", {"-- other"}},
                    {"--hsm-min-protection", {"any"}}});
    REQUIRE(config);
    CHECK(config->tcp == List{"e:6"});
    CHECK(config->tls.empty());
    CHECK(config->apdu == List{"f:7", "g:8"});
    CHECK(config->registers == 4096);
    CHECK_FALSE(config->gler_unframed);
    CHECK(config->allow_plaintext);
    CHECK(config->serial_parity == SerialSettings::Parity::even);
    CHECK(config->log_level == LogLevel::error);
    CHECK(config->metrics.empty());
    CHECK(config->tls_clients == List{"vend CN=a,O=b c"});
    CHECK(config->hsm_sessions == 64);
    CHECK(config->hsm_token_label == "-- other");
    CHECK(config->hsm_min_protection == p11::Protection::any);
    // What no option speaks of.
    CHECK(config->audit_force);
    CHECK(config->idle_timeout_s == 5);
    CHECK(config->hsm_module == "/usr/lib/p11.so");
}

TEST_CASE("config: options stand in for what the file lacks, not for what is wrong in it") {
    const Place place;
    const ConfigOverrides hsm = {
        {"--hsm-module", {"/p11.so"}}, {"--hsm-token-label", {"x"}}, {"--hsm-pin-file", {"/pin"}}};
    CHECK(place.read("", hsm));
    CHECK_FALSE(place.read("", {{"--hsm-module", {"/p11.so"}}, {"--hsm-pin-file", {"/pin"}}}));
    CHECK_FALSE(place.read(kNeeded, {{"--hsm-token-label", {""}}}));
    const auto config = place.read(with("registers = 0"), {{"--registers", {"1"}}});
    REQUIRE_FALSE(config);
    CHECK(config.error().text.find("line 1: registers must be") != std::string::npos);
}

TEST_CASE("config: paths are relative to the state directory, of options to the working directory") {
    const Place place;
    const std::string file =
        with("tls_certificate = \"a.pem\"\npty = [\"line\", \"/run/line\"]\nserial = \"tty,9600\"");
    const auto from_file = place.read(file);
    REQUIRE(from_file);
    CHECK(from_file->tls_certificate == place.root() / "a.pem");
    CHECK(from_file->pty == List{(place.root() / "line").string(), "/run/line"});
    CHECK(from_file->serial == List{(place.root() / "tty,9600").string()});
    const auto from_options = place.read(file, {{"--tls-certificate", {"b.pem"}},
                                                {"--tls-private-key", {"/etc/b.key"}},
                                                {"--pty", {"line", "/run/line"}},
                                                {"--serial", {"tty,9600"}},
                                                {"--sta-tables", {"../t.json"}}});
    REQUIRE(from_options);
    const fs::path here = fs::current_path();
    CHECK(from_options->tls_certificate == here / "b.pem");
    CHECK(from_options->tls_private_key == "/etc/b.key");
    CHECK(from_options->pty == List{(here / "line").string(), "/run/line"});
    CHECK(from_options->serial == List{(here / "tty,9600").string()});
    CHECK(from_options->sta_tables == here / "../t.json");
}

TEST_CASE("config: options are refused by the checks of the file, by name") {
    struct Refused {
        std::string option;
        List texts;
        std::string why;
    };
    const Refused cases[] = {
        {"--registers", {"0"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"4097"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"-1"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {""}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"64 "}, "--registers must be a number from 1 to 4096"},
        {"--registers", {" 64"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"+64"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"064"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"0x40"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"64.0"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"4294967297"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"18446744073709551617"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"many"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {"1", "2"}, "--registers must be a number from 1 to 4096"},
        {"--registers", {}, "--registers must be a number from 1 to 4096"},
        {"--tid-window-days", {"3651"}, "--tid-window-days must be a number from 0 to 3650"},
        {"--hsm-sessions", {"65"}, "--hsm-sessions must be a number from 1 to 64"},
        {"--gler-unframed", {"yes"}, "--gler-unframed must be true or false"},
        {"--gler-unframed", {"True"}, "--gler-unframed must be true or false"},
        {"--gler-unframed", {"1"}, "--gler-unframed must be true or false"},
        {"--gler-unframed", {""}, "--gler-unframed must be true or false"},
        {"--gler-unframed", {}, "--gler-unframed must be true or false"},
        {"--log-level", {"loud"}, "--log-level must be trace, debug, info, warn or error"},
        {"--log-level", {""}, "--log-level must be trace, debug, info, warn or error"},
        {"--serial-handshake", {"rts-cts"}, "--serial-handshake must be none, rts_cts or xon_xoff"},
        {"--hsm-min-protection", {"none"}, "--hsm-min-protection must be any, z_in_token or kek_in_token"},
        {"--tcp", {"a:1", ""}, "--tcp must be a text or a list of texts"},
        {"--metrics", {"a:1", "b:2"}, "--metrics must be a text"},
        // A variable that is not set must not mean the sample tables, or clients without certificate.
        {"--sta-tables", {""}, "--sta-tables must name a file"},
        {"--tls-client-ca", {""}, "--tls-client-ca must name a file"},
        {"--hsm-pin-file", {""}, "--hsm-pin-file must name a file"},
        {"--hsm-pin-file", {"a", "b"}, "--hsm-pin-file must name a file"},
        {"--register", {"1"}, "unknown option --register"},
        {"--hsm.sessions", {"1"}, "unknown option --hsm.sessions"},
        {"--hsm_sessions", {"1"}, "unknown option --hsm_sessions"},
        {"--sessions", {"1"}, "unknown option --sessions"},
        {"registers", {"1"}, "unknown option registers"},
        {"", {"1"}, "unknown option "},
    };
    const Place place;
    for (const Refused& refused : cases) {
        INFO(refused.option << " of " << refused.texts.size());
        const auto config = place.read(kNeeded, {{refused.option, refused.texts}});
        REQUIRE_FALSE(config);
        CHECK(config.error().code == Errc::invalid_argument);
        CHECK(config.error().text == refused.why);
    }
}

TEST_CASE("config: the table for people has every key of the file, with its default") {
    const Place place;
    const std::string text = config_text(Config{}, place.dir());
    std::set<std::string> options;
    for (const ConfigKey& key : config_keys()) {
        INFO(key.name);
        const std::size_t dot = key.name.find('.');
        const std::string name = dot == std::string::npos ? key.name : key.name.substr(dot + 1);
        CHECK(text.find("\n" + name + " = " + key.standard + "\n") != std::string::npos);
        CHECK(text.find("# " + std::string(key.meaning) + "\n" + name + " = ") != std::string::npos);
        CHECK_FALSE(key.takes.empty());
        CHECK(options.insert(key.option).second);
    }
    const auto lines = std::count(text.begin(), text.end(), '\n');
    // A comment and a value each; the section [hsm] and the line before it.
    CHECK(static_cast<std::size_t>(lines) == 2 * config_keys().size() + 2);
    CHECK(options.contains("--tid-window-days"));
    CHECK(options.contains("--hsm-softhsm-conf"));
    CHECK(options.contains("--tls-clients"));
}

}  // namespace sts6
