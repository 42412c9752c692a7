// SPDX-License-Identifier: Apache-2.0
// What can be said of a configuration before a start: what does not go together, and what it names.
#include "src/daemon/config_check.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/certificates.hpp"
#include "tests/support/config_place.hpp"

namespace sts6 {
namespace {

namespace fs = std::filesystem;
using List = std::vector<std::string>;

/// A state directory whose configuration is checked.
class Checked {
  public:
    [[nodiscard]] Outcome<CheckedConfig> check(std::string_view line,
                                               const ConfigOverrides& overrides = {}) const {
        place_.write("sts6d.toml", test::config_with(line));
        return check_config(place_.root(), overrides);
    }
    void refused(std::string_view line, Errc code, const std::string& why,
                 const ConfigOverrides& overrides = {}) const {
        INFO(line);
        const auto checked = check(line, overrides);
        REQUIRE_FALSE(checked);
        CHECK(checked.error().code == code);
        INFO(checked.error().text);
        CHECK(checked.error().text.find(why) != std::string::npos);
    }
    /// ca.pem, server.pem and server.key, for their owner only as everything in the directory.
    void write_certificates() const {
        static_cast<void>(test::write_server_certificate(place_.root()));
        for (const auto& file : fs::directory_iterator(place_.root())) {
            fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
        }
    }
    [[nodiscard]] const test::ConfigPlace& place() const { return place_; }

  private:
    test::ConfigPlace place_;
};

constexpr const char* kTls =
    "tls = \"127.0.0.1:0\"\ntls_certificate = \"server.pem\"\ntls_private_key = \"server.key\"\n";

}  // namespace

TEST_CASE("config check: the links that are planned") {
    const Checked place;
    place.write_certificates();
    const auto checked = place.check(std::string(kTls) + R"(
tcp = ["127.0.0.1:0", "0.0.0.0:5100"]
apdu = "[::1]:5102"
vpcd = "127.0.0.1:35963"
pty = "line"
serial = ["/dev/ttyS0,19200", "/dev/ttyUSB0"]
serial_parity = "even"
serial_data_bits = 7
serial_stop_bits = 2
serial_handshake = "rts_cts"
tls_client_ca = "ca.pem"
tls_clients = ["full CN=desk,O=Utility", "vend CN=till 1"]
allow_plaintext = true
max_connections = 5
max_requests_per_s = 6
idle_timeout_s = 7
metrics = "127.0.0.1:9600"
)");
    REQUIRE(checked);
    const LinkPlan& plan = checked->links;
    REQUIRE(plan.listeners.size() == 4);
    const char* const names[] = {"tcp", "tcp", "tls", "apdu"};
    const LinkRole roles[] = {LinkRole::full, LinkRole::vend, LinkRole::full, LinkRole::full};
    for (std::size_t i = 0; i < plan.listeners.size(); ++i) {
        const ListenerSettings& listener = plan.listeners[i];
        INFO(i);
        CHECK(listener.name == names[i]);
        CHECK(listener.role == roles[i]);
        CHECK(listener.connections == 5);
        CHECK(listener.limits.requests_per_s == 6);
        CHECK(listener.limits.idle == std::chrono::seconds(7));
        CHECK((listener.tls != nullptr) == (i == 2));
        CHECK((listener.carries == ListenerSettings::Carries::apdus) == (i == 3));
    }
    CHECK(plan.listeners[1].endpoint.port() == 5100);
    CHECK(plan.listeners[3].endpoint.address().is_v6());
    REQUIRE(plan.cards.size() == 1);
    CHECK(plan.cards[0].reader.port() == 35963);
    CHECK(plan.cards[0].role == LinkRole::full);
    CHECK(plan.ptys == List{(place.place().root() / "line").string()});
    REQUIRE(plan.serial_lines.size() == 2);
    CHECK(plan.serial_lines[0].device == "/dev/ttyS0");
    CHECK(plan.serial_lines[0].baud == 19200);
    CHECK(plan.serial_lines[1].device == "/dev/ttyUSB0");
    CHECK(plan.serial_lines[1].baud == 9600);
    for (const SerialSettings& line : plan.serial_lines) {
        CHECK(line.data_bits == 7);
        CHECK(line.parity == SerialSettings::Parity::even);
        CHECK(line.stop_bits == 2);
        CHECK(line.handshake == SerialSettings::Handshake::rts_cts);
        CHECK(line.limits.requests_per_s == 6);
    }
    REQUIRE(checked->metrics);
    CHECK(checked->metrics->port() == 9600);
    CHECK(checked->tables.name == "sample");
}

TEST_CASE("config check: one link of any kind is enough, none is refused") {
    const Checked place;
    for (const char* line :
         {"tcp = \"127.0.0.1:0\"", "tcp = \"\"\napdu = \"127.0.0.1:0\"", "tcp = []\nvpcd = \"127.0.0.1:1\"",
          "tcp = []\npty = \"line\"", "tcp = []\nserial = \"/dev/ttyS0\""}) {
        INFO(line);
        CHECK(place.check(line));
    }
    place.refused("tcp = \"\"", Errc::invalid_argument, "no link is configured");
    place.refused("tcp = []\nmetrics = \"127.0.0.1:0\"", Errc::invalid_argument, "no link is configured");
    place.refused("", Errc::invalid_argument, "no link is configured", {{"--tcp", {""}}});
    CHECK(place.check("tcp = []", {{"--pty", {"line"}}}));
}

TEST_CASE("config check: places that are none, and links in clear to everybody") {
    const Checked place;
    for (const std::string key : {"tcp", "apdu", "vpcd", "metrics"}) {
        for (const std::string text : {"5100", "127.0.0.1", "127.0.0.1:", ":5100", "127.0.0.1:65536",
                                       "127.0.0.1:-1", "::1:5100", "127.0.0.1:0,9600", "a b:"}) {
            place.refused(key + " = \"" + text + "\"", Errc::invalid_argument,
                          key + " \"" + text + "\": must be HOST:PORT");
        }
        const std::string open = key + " = \"192.0.2.1:5100\"";
        place.refused(open, Errc::permission, key + " \"192.0.2.1:5100\" is not a loopback address");
        // The second of a list, too.
        if (key == "metrics") continue;
        place.refused(key + " = [\"127.0.0.1:0\", \"[::]:0\"]", Errc::permission, key + " \"[::]:0\" is not");
        CHECK(place.check("allow_plaintext = true\n" + open));
        CHECK(place.check(open, {{"--allow-plaintext", {"true"}}}));
        place.refused("allow_plaintext = true\n" + open, Errc::permission, "--allow-plaintext",
                      {{"--allow-plaintext", {"false"}}});
    }
    place.refused("allow_plaintext = true\nmetrics = \"192.0.2.1:9600\"", Errc::permission, "metrics");
}

TEST_CASE("config check: serial devices") {
    const Checked place;
    for (const char* text :
         {"/dev/ttyS0,", "/dev/ttyS0,fast", "/dev/ttyS0,0", "/dev/ttyS0,-9600", "/dev/ttyS0,09600",
          "/dev/ttyS0,9600 ", "/dev/ttyS0,9600,8N1", "/dev/ttyS0,99999999999"}) {
        place.refused("serial = \"" + std::string(text) + "\"", Errc::invalid_argument,
                      "serial \"" + std::string(text) + "\": must be DEV or DEV,BAUD");
    }
}

TEST_CASE("config check: keys of TLS that do not go together") {
    const Checked place;
    const Errc wrong = Errc::invalid_argument;
    place.write_certificates();
    const std::string needs = "tls needs tls_certificate and tls_private_key";
    place.refused("tls = \"127.0.0.1:0\"", wrong, needs);
    place.refused("tls = \"127.0.0.1:0\"\ntls_certificate = \"server.pem\"", wrong, needs);
    place.refused("tls = \"127.0.0.1:0\"\ntls_private_key = \"server.key\"", wrong, needs);
    CHECK(place.check(kTls));
    place.refused(kTls + std::string("tls_client_ca = \"ca.pem\""), wrong, "tls_client_ca needs tls_clients");
    place.refused(kTls + std::string("tls_clients = \"full CN=a\""), wrong,
                  "tls_clients needs tls_client_ca");
    // Also while no TLS link is configured.
    place.refused("tls_client_ca = \"ca.pem\"", wrong, "tls_client_ca needs tls_clients");
    place.refused("tls_clients = \"full CN=a\"", wrong, "tls_clients needs tls_client_ca");
    const std::string with_ca = kTls + std::string("tls_client_ca = \"ca.pem\"\ntls_clients = ");
    CHECK(place.check(with_ca + "\"full CN=a\""));
    for (const std::string client :
         {"CN=a", "full", "full ", "Full CN=a", "vend,CN=a", " full CN=a", "admin CN=a", "fullCN=a"}) {
        place.refused(with_ca + "[\"vend CN=b\", \"" + client + "\"]", wrong,
                      "tls_clients \"" + client + "\": must be \"full SUBJECT\" or \"vend SUBJECT\"");
    }
    place.refused(with_ca + "[\"vend CN=a\", \"full CN=a\"]", wrong,
                  "tls_clients \"full CN=a\": the subject is named twice");
    for (const std::string client : {"vend  CN=a", "vend O=b, CN=a"}) {
        place.refused(with_ca + "\"" + client + "\"", wrong,
                      "tls_clients \"" + client + "\": no blank may stand before an attribute");
    }
    place.write_certificates();
    CHECK(place.check(with_ca + "'vend CN=a\\, b'"));
}

TEST_CASE("config check: the name of a line is one line") {
    const Checked place;
    place.refused(R"(pty = "a\nb")", Errc::invalid_argument, "pty: a control character");
    place.refused(R"(serial = "/dev/tty\r")", Errc::invalid_argument, "serial: a control character");
}

TEST_CASE("config check: files that are named must be what they should") {
    const Checked place;
    const std::string named = "tls_certificate, tls_private_key, tls_client_ca: ";
    place.refused(kTls, Errc::not_found, named);
    place.write_certificates();
    CHECK(place.check(kTls));
    place.place().write("server.pem", "no certificate");
    place.refused(kTls, Errc::malformed, named);
    place.refused("sta_tables = \"none.json\"", Errc::not_found, "none.json: cannot be read");
    place.refused("sta_tables = \"sts6d.toml\"", Errc::malformed, "sts6d.toml");
    place.refused("", Errc::not_found, "none.json", {{"--sta-tables", {"none.json"}}});
}

TEST_CASE("config check: the directory itself") {
    const Checked place;
    CHECK(place.check(""));
    const fs::path config = place.place().root() / "sts6d.toml";
    fs::permissions(config, fs::perms::group_read, fs::perm_options::add);
    const auto open = check_config(place.place().root(), {});
    REQUIRE_FALSE(open);
    CHECK(open.error().code == Errc::permission);
    fs::remove(config);
    const auto unfinished = check_config(place.place().root(), {});
    REQUIRE_FALSE(unfinished);
    CHECK(unfinished.error().text.find("sts6d.toml is missing") != std::string::npos);
    const auto none = check_config(place.place().root() / "none", {});
    REQUIRE_FALSE(none);
    CHECK(none.error().code == Errc::not_found);
}

}  // namespace sts6
