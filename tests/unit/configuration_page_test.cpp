// SPDX-License-Identifier: Apache-2.0
// docs/configuration.md against the program: its tables are rendered from the table of keys.
// STS6_UPDATE_DOCS=1 rewrites them instead of comparing them.
#include <array>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "src/daemon/config.hpp"
#include "tests/support/generated_page.hpp"

namespace sts6 {
namespace {

/// A cell of a table: a bar in it would end it.
std::string cell(std::string_view text) {
    std::string escaped;
    for (const char c : text) escaped += c == '|' ? std::string("\\|") : std::string(1, c);
    return escaped;
}

std::string render_keys() {
    std::string text = "| key | option | takes | default | meaning |\n|---|---|---|---|---|\n";
    for (const ConfigKey& key : config_keys()) {
        text += "| `" + key.name + "` | `" + key.option + "` | `" + cell(key.takes) + "`" +
                (key.is_list ? " or a list" : "") + " | `" + cell(key.standard) + "` | " + cell(key.meaning) +
                " |\n";
    }
    return text;
}

constexpr std::array kBlocks = {test::GeneratedBlock{"keys", render_keys}};

test::GeneratedPage configuration_page() {
    return {"configuration.md", kBlocks};
}

}  // namespace

TEST_CASE("configuration page: the table is that of the program") {
    CHECK(configuration_page().problem() == "");
}

TEST_CASE("configuration page: every key has its row") {
    const std::string page = configuration_page().text();
    for (const ConfigKey& key : config_keys()) {
        INFO(key.name);
        CHECK(test::count_of(page, "\n| `" + key.name + "` | `" + key.option + "` | ") == 1);
    }
    CHECK(test::count_of(page, "\n| `tls_clients` | `--tls-clients` | `ROLE SUBJECT` or a list | ") == 1);
    CHECK(test::count_of(page, " | `none\\|even\\|odd` | ") == 1);
}

}  // namespace sts6
