// SPDX-License-Identifier: Apache-2.0
// sts6-conform: what passes, fails and is skipped, its reports and exit codes, and the packs of the project.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/support/programs.hpp"
#include "tests/support/raw_session.hpp"
#include "tests/support/shimmed_token.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Words = std::vector<std::string>;

Finished conform(const Words& words) {
    return run_program("sts6-conform", words);
}

fs::path pack_path(const char* name) {
    return fs::path(STS6_SOURCE_DIR) / "tests" / "data" / "vectors" / name;
}

/// A key of the published packs and a case of STS 531-1-11 (CTSA01/1).
json test_register() {
    return {{"register", 1},     {"dkga", 4},
            {"kt", 2},           {"sgc", "201457"},
            {"krn", 1},          {"ken", 255},
            {"base_date", 2014}, {"vk_hex", "ABABABABABABABAB949494949494949401234567"}};
}

json credit_case(const std::string& id) {
    return {{"id", id},        {"kind", "credit"},
            {"register", 1},   {"pan", "600727000000000009"},
            {"ti", 1},         {"ea", 11},
            {"subclass", 0},   {"tid", "014EEC"},
            {"value", "0001"}, {"expect", {"58625789986991357486"}}};
}

/// CTSA04/1.
json management_case(const std::string& id) {
    json test = credit_case(id);
    test.update({{"kind", "management"},
                 {"subclass", 1},
                 {"tid", "522A0B"},
                 {"value", "FFFF"},
                 {"expect", {"18087553113701439362"}}});
    return test;
}

/// STS531-1-11/CTSA05/1.
json key_change_case(const std::string& id) {
    return {
        {"id", id},
        {"kind", "key_change"},
        {"register", 1},
        {"new_register", 1},
        {"pan", "600727000000000009"},
        {"ea", 11},
        {"ti", 1},
        {"new_ti", 2},
        {"tokens", 4},
        {"expect",
         {"03854447086453451911", "02791799436242461152", "67118070329353977190", "19019128690902932218"}}};
}

/// STS531-1-11/CTSA02/1.
json meter_test_case(const std::string& id) {
    return {{"id", id},      {"kind", "meter_test"},
            {"subclass", 0}, {"control", "FFFFFFFFF"},
            {"mfr", "00"},   {"expect", {"56493153725450313471"}}};
}

/// A DRN that is taken for a good one.
json drn_case(const std::string& id, const std::string& drn) {
    return {{"id", id}, {"kind", "check_drn"}, {"drn", drn}};
}

json changed(json test, const json& changes) {
    test.update(changes);
    return test;
}

json without(json test, const char* key) {
    test.erase(key);
    return test;
}

json pack_of(const std::vector<json>& cases) {
    return {{"schema", "sts6.vectors/1"},
            {"suite", "test"},
            {"note", ""},
            {"rnd", 5},
            {"registers", json::array({test_register()})},
            {"cases", cases}};
}

class Place {
  public:
    std::string write(const std::string& name, std::string_view text) {
        write_text(directory_.path() / name, text);
        return path(name);
    }
    std::string write(const std::string& name, const json& content) {
        return write(name, std::string_view(content.dump()));
    }
    [[nodiscard]] std::string path(const std::string& name) const { return directory_.path() / name; }

  private:
    conform::TemporaryDirectory directory_;
};

struct Outcomes {
    json report;

    [[nodiscard]] const json& of(const std::string& id) const {
        const auto& cases = report.at("cases");
        const auto found =
            std::find_if(cases.begin(), cases.end(), [&](const json& one) { return one.at("id") == id; });
        REQUIRE(found != cases.end());
        return *found;
    }
    void check(const std::string& id, const char* result, std::string_view reason = {}) const {
        const json& one = of(id);
        CAPTURE(one.dump());
        CHECK(one.at("result") == result);
        CHECK(one.at("reason").get<std::string>().find(reason) != std::string::npos);
    }
};

void check_schema(const json& report) {
    std::size_t passed = 0;
    std::size_t failed = 0;
    std::size_t skipped = 0;
    for (const json& one : report.at("cases")) {
        CHECK(one.size() == 4);
        CHECK(one.at("pack").is_string());
        CHECK(one.at("id").is_string());
        const auto result = one.at("result").get<std::string>();
        passed += result == "passed" ? 1 : 0;
        failed += result == "failed" ? 1 : 0;
        skipped += result == "skipped" ? 1 : 0;
        CHECK(one.at("reason").get<std::string>().empty() == (result == "passed"));
    }
    CHECK(report.at("passed") == passed);
    CHECK(report.at("failed") == failed);
    CHECK(report.at("skipped") == skipped);
    CHECK(passed + failed + skipped == report.at("cases").size());
}

/// Runs with `--json -`, so that standard output must be the report and nothing else.
Outcomes outcomes(const Words& words, int code) {
    Words all = {"--json", "-"};
    all.insert(all.end(), words.begin(), words.end());
    const Finished finished = conform(all);
    INFO(finished.log);
    CHECK(finished.code == code);
    const json report = json::parse(finished.output);
    check_schema(report);
    return {report};
}

void check_usage(const Words& words, std::string_view why = {}) {
    const Finished finished = conform(words);
    std::string text;
    for (const std::string& word : words) text += " [" + word + "]";
    INFO(text);
    CAPTURE(finished.log);
    CHECK(finished.code == 2);
    CHECK(finished.output.empty());
    CHECK_FALSE(finished.log.empty());
    CHECK(finished.log.find(why) != std::string::npos);
}

/// A reader of the little XML that a report needs: elements that nest, attributes in double quotes, entities.
/// Gives the number of elements; 0 when it is not well-formed.
std::size_t xml_elements(std::string_view text) {
    std::vector<std::string_view> open;
    std::size_t count = 0;
    const std::string_view declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    if (!text.starts_with(declaration)) return 0;
    text.remove_prefix(declaration.size());
    while (!text.empty()) {
        const std::size_t begin = text.find('<');
        if (text.substr(0, begin).find_first_not_of(" \n") != std::string_view::npos) return 0;
        if (begin == std::string_view::npos) break;
        const std::size_t end = text.find('>', begin);
        if (end == std::string_view::npos) return 0;
        std::string_view tag = text.substr(begin + 1, end - begin - 1);
        text.remove_prefix(end + 1);
        if (tag.starts_with('/')) {
            if (open.empty() || open.back() != tag.substr(1)) return 0;
            open.pop_back();
            continue;
        }
        const bool empty = tag.ends_with('/');
        if (empty) tag.remove_suffix(1);
        if (tag.find('<') != std::string_view::npos || std::count(tag.begin(), tag.end(), '"') % 2 != 0)
            return 0;
        for (std::size_t at = tag.find('&'); at != std::string_view::npos; at = tag.find('&', at + 1)) {
            const std::string_view entity = tag.substr(at, tag.find(';', at) - at);
            if (entity != "&amp" && entity != "&lt" && entity != "&gt" && entity != "&quot") return 0;
        }
        if (std::any_of(tag.begin(), tag.end(), [](char c) { return c >= '\0' && c < ' ' && c != '\n'; }))
            return 0;
        ++count;
        if (!empty) open.push_back(tag.substr(0, tag.find(' ')));
    }
    return open.empty() ? count : 0;
}

}  // namespace

TEST_CASE("sts6-conform: what passes, what fails and why") {
    Place place;
    const json refused = without(changed(credit_case("r"), {{"ti", 100}, {"expect_status", "40"}}), "expect");
    const auto pack = place.write(
        "small.json",
        pack_of({credit_case("good 1"),
                 management_case("good 2"),
                 changed(credit_case("wrong token"), {{"expect", {"58625789986991357487"}}}),
                 changed(credit_case("not published"), {{"expect", {nullptr}}}),
                 changed(refused, {{"id", "right status"}}),
                 changed(refused, {{"id", "wrong status"}, {"expect_status", "41"}}),
                 changed(refused, {{"id", "no refusal"}, {"ti", 1}}),
                 changed(credit_case("refused"), {{"ti", 100}}),
                 changed(credit_case("wrong PAN"), {{"pan", "600727000000000008"}}),
                 changed(credit_case("no token"), {{"expect", json::array()}}),
                 without(credit_case("no expectation"), "expect"),
                 changed(credit_case("lower case"), {{"tid", "014eec"}}),
                 {{"id", "bad DRN"}, {"kind", "check_drn"}, {"drn", "12345678904"}, {"expect_status", "76"}},
                 {{"id", "good DRN"}, {"kind", "check_drn"}, {"drn", "00000000000"}},
                 {{"id", "DRN taken for bad"},
                  {"kind", "check_drn"},
                  {"drn", "00000000000"},
                  {"expect_status", "76"}},
                 {{"id", "DRN taken for good"}, {"kind", "check_drn"}, {"drn", "00000000001"}}}));
    const Outcomes got = outcomes({"--self", pack}, 7);
    got.check("good 1", "passed");
    got.check("good 2", "passed");
    got.check("wrong token", "failed", "token 58625789986991357486 instead of 58625789986991357487");
    got.check("not published", "passed");
    got.check("right status", "passed");
    got.check("wrong status", "failed", "status 40 instead of 41");
    got.check("no refusal", "failed", "status 00 instead of 40");
    got.check("refused", "failed", "status 40");
    got.check("wrong PAN", "failed", "status 76");
    got.check("no token", "failed", "must expect one token");
    got.check("no expectation", "failed", "must expect one token");
    got.check("lower case", "passed");
    got.check("bad DRN", "passed");
    got.check("good DRN", "passed");
    got.check("DRN taken for bad", "failed", "status 00 instead of 76");
    got.check("DRN taken for good", "failed", "status 76 instead of 00");
    CHECK(got.of("good 1").at("pack") == "small.json");
    CHECK(got.report.at("passed") == 7);
    CHECK(got.report.at("failed") == 9);
}

TEST_CASE("sts6-conform: key changes and meter tests") {
    Place place;
    const json pack = pack_of({
        key_change_case("published"),
        changed(key_change_case("not all published"), {{"expect", {nullptr, nullptr, nullptr, nullptr}}}),
        changed(key_change_case("wrong token"), {{"expect",
                                                  {"03854447086453451911", "02791799436242461152",
                                                   "67118070329353977190", "19019128690902932219"}}}),
        changed(key_change_case("short set"), {{"expect", {"03854447086453451911"}}}),
        changed(key_change_case("number of tokens"), {{"tokens", 3}, {"expect_status", "85"}}),
        // The test key's KEN is 255: no time makes it expire.
        changed(key_change_case("its own time"), {{"issued", "2040-01-01 08:00"}}),
        meter_test_case("meter test"),
        changed(meter_test_case("other control"), {{"control", "FFFFFFFFE"}}),
        changed(meter_test_case("control too long"), {{"control", "1000000000"}}),
        changed(meter_test_case("SubClass"), {{"subclass", 3}}),
    });
    const Outcomes got = outcomes({"--self", place.write("p.json", pack)}, 7);
    got.check("published", "passed");
    got.check("not all published", "passed");
    got.check("wrong token", "failed", "token 19019128690902932218 instead of 19019128690902932219");
    got.check("short set", "failed", "a set of another size");
    got.check("number of tokens", "passed");
    got.check("its own time", "passed");
    got.check("meter test", "passed");
    got.check("other control", "failed", "instead of 56493153725450313471");
    got.check("control too long", "failed", "out of its range");
    got.check("SubClass", "failed", "out of its range");
}

TEST_CASE("sts6-conform: what is skipped and why") {
    Place place;
    json pack = pack_of({credit_case("good"),
                         {{"id", "unknown"}, {"kind", "refund"}},
                         changed(key_change_case("no new register"), {{"new_register", 9}}),
                         changed(credit_case("no register"), {{"register", 9}}),
                         changed(credit_case("DKGA01"), {{"register", 2}}),
                         changed(credit_case("other RND"), {{"rnd", 6}}),
                         changed(credit_case("tables"), {{"ea", 7}, {"sta_tables", "operational"}})});
    pack["registers"].push_back(
        changed(test_register(), {{"register", 2}, {"dkga", 1}, {"vk_hex", "0123456789ABCDEF"}}));
    const Outcomes got = outcomes({"--self", place.write("p.json", pack)}, 0);
    got.check("good", "passed");
    got.check("unknown", "skipped", "unknown kind of case: refund");
    got.check("no new register", "skipped", "no such register");
    got.check("no register", "skipped", "no such register");
    got.check("DKGA01", "skipped", "no register holds the key of the pack's register 2");
    got.check("other RND", "skipped", "RND 6");
    got.check("tables", "skipped", "operational EA07 tables (--sta-tables)");
    CHECK(got.report.at("firmware").size() == 1);
    CHECK(got.report.at("firmware").at(0).get<std::string>().ends_with("-sample-LAB"));
}

TEST_CASE("sts6-conform: reports") {
    Place place;
    const auto pack = place.write("a&b<c>\"d.json", pack_of({drn_case("good", "00000000000"),
                                                             drn_case("<bad> & \"\x01\"", "00000000001"),
                                                             {{"id", "x"}, {"kind", "<'&\">"}}}));
    const Finished finished = conform({"--self", "--json", place.path("r.json"), "--junit", "-", pack});
    CHECK(finished.code == 7);
    // A test suite, three cases, a failure and a skipped one; what is for people went elsewhere.
    CHECK(xml_elements(finished.output) == 6);
    CHECK(finished.output.find("tests=\"3\" failures=\"1\" skipped=\"1\"") != std::string::npos);
    CHECK(finished.output.find("classname=\"a&amp;b&lt;c&gt;&quot;d.json\" name=\"good\"/>") !=
          std::string::npos);
    CHECK(finished.output.find("name=\"&lt;bad&gt; &amp; &quot;?&quot;\"") != std::string::npos);
    CHECK(finished.log.find("1 passed, 1 failed, 1 skipped") != std::string::npos);
    const json report = json::parse(file_text(place.path("r.json")));
    check_schema(report);
    CHECK(report.at("failed") == 1);
    CHECK(report.at("cases").at(0).at("pack") == "a&b<c>\"d.json");
    CHECK(report.at("cases").at(1).at("id") == "<bad> & \"\x01\"");

    // Without a report on standard output that is where the words are.
    const Finished words = conform({"--self", "--junit", place.path("r.xml"), pack});
    CHECK(words.code == 7);
    CHECK(words.output.find("FAILED a&b<c>\"d.json <bad>") != std::string::npos);
    CHECK(words.output.find("skipped 1: unknown kind of case") != std::string::npos);
    CHECK(words.output.ends_with("1 passed, 1 failed, 1 skipped\n"));
    CHECK(file_text(place.path("r.xml")) == finished.output);
}

TEST_CASE("sts6-conform: the reader of XML in this test knows what is none") {
    const std::string begin = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    CHECK(xml_elements(begin + "<a x=\"1\"><b/></a>\n") == 2);
    for (const char* text : {"<a>", "<a></b>", "</a>", "<a x=\"&\"/>", "<a x=\"<\"/>", "<a x=\"/>", "x<a/>",
                             "<a", "<a x=\"\x01\"/>", "<a></a></a>"}) {
        INFO(text);
        CHECK(xml_elements(begin + text) == 0);
    }
    CHECK(xml_elements("<a/>") == 0);
}

TEST_CASE("sts6-conform: a file of another schema is named and left out") {
    Place place;
    const std::string other = pack_path("primitives.json");
    const Finished alone = conform({"--self", "--json", "-", other});
    CHECK(alone.code == 0);
    CHECK(alone.log.find(other + " is of another schema") != std::string::npos);
    CHECK(json::parse(alone.output).at("cases").empty());
    for (const json& content :
         {json(nullptr), json::array(), json::object(), json{{"schema", "sts6.vectors/2"}},
          json{{"schema", 1}}, json("sts6.vectors/1")}) {
        const auto path = place.write("other.json", content);
        const Finished finished = conform({"--self", path});
        CHECK(finished.code == 0);
        CHECK(finished.log.find(path + " is of another schema") != std::string::npos);
        CHECK(finished.output == "0 passed, 0 failed, 0 skipped\n");
    }
    const auto good = place.write("good.json", pack_of({credit_case("good")}));
    const Outcomes both = outcomes({"--self", other, good}, 0);
    CHECK(both.report.at("passed") == 1);
}

TEST_CASE("sts6-conform: packs that are none") {
    Place place;
    const auto refused = [&](const json& content, const std::string& why) {
        const auto path = place.write("p.json", content);
        check_usage({"--self", path}, path);
        check_usage({"--self", path}, why);
    };
    const json good = pack_of({credit_case("a")});
    for (const char* key : {"rnd", "registers", "cases"}) refused(without(good, key), key);
    refused(changed(good, {{"rnd", "five"}}), "must be number");
    refused(changed(good, {{"cases", json::array({7})}}), "with number");
    for (const char* key : {"register", "dkga", "sgc", "krn", "ken", "base_date"}) {
        refused(changed(good, {{"registers", json::array({without(test_register(), key)})}}), key);
    }
    for (const json& sgc : {json("none"), json("201457x"), json("-1"), json(" 201457"), json("")}) {
        refused(changed(good, {{"registers", json::array({changed(test_register(), {{"sgc", sgc}})})}}),
                "sgc");
    }
    refused(changed(good, {{"registers", json::array({changed(test_register(), {{"sgc", 201457}})})}}),
            "must be string");
    for (const char* key : {"id", "kind", "register", "pan", "ti", "ea", "subclass", "tid", "value"}) {
        refused(pack_of({without(credit_case("a"), key)}), std::string("'") + key + "'");
    }
    refused(pack_of({changed(credit_case("a"), {{"ti", "one"}})}), "must be number");
    refused(pack_of({changed(credit_case("a"), {{"expect", json::array({1})}})}), "must be string");
    refused(pack_of({changed(credit_case("a"), {{"expect_status", 40}})}), "must be string");
    refused(pack_of({without(drn_case("a", ""), "drn")}), "'drn'");
    for (const std::string text : {"", "{", "no JSON", "{\"schema\": \"sts6.vectors/1\",}"}) {
        const auto path = place.write("p.json", std::string_view(text));
        check_usage({"--self", path}, path);
    }
    check_usage({"--self", place.path("none.json")}, place.path("none.json"));
    const auto whole = place.write("good.json", good);
    check_usage({"--self", whole, place.path("none.json")}, "none.json");
    check_usage({"--self", "--json", place.path("none/r.json"), whole}, "cannot be written");
    // A pack that can be read, of which no module can be made: every case fails, and says why.
    const json short_key = changed(test_register(), {{"vk_hex", "ABAB"}});
    const Outcomes got = outcomes(
        {"--self", place.write("p.json", changed(good, {{"registers", json::array({short_key})}}))}, 7);
    got.check("a", "failed", "register 1 of the pack holds no key");
}

TEST_CASE("sts6-conform: keys that no KMC takes fail the pack, and stay unsaid") {
    Place place;
    const std::string key = test_register().at("vk_hex");
    const auto failed = [&](const json& registers, const std::string& why) {
        json pack = pack_of({credit_case("a")});
        pack["registers"] = registers;
        INFO(registers.dump());
        const Outcomes got = outcomes({"--self", place.write("p.json", pack)}, 7);
        got.check("a", "failed", why);
        CHECK(got.report.dump().find(key.substr(0, 16)) == std::string::npos);
    };
    const json second = changed(test_register(), {{"register", 2}, {"krn", 2}});
    for (const json& bad :
         {changed(second, {{"vk_hex", key.substr(2)}}), changed(second, {{"vk_hex", key.substr(1) + "G"}}),
          changed(second, {{"vk_hex", key + "00"}}), changed(second, {{"dkga", 2}}),
          without(second, "vk_hex"), changed(second, {{"kt", 0}}), changed(second, {{"kt", 4}}),
          changed(second, {{"krn", 0}}), changed(second, {{"krn", 10}}), changed(second, {{"ken", 256}}),
          changed(second, {{"base_date", 2015}}), changed(second, {{"dkga", 5}}),
          changed(second, {{"sgc", "1000000"}})}) {
        failed({test_register(), bad}, "register 2 of the pack holds no key");
    }
    failed({test_register(), changed(second, {{"krn", 1}})}, "already");
    // A file that ends in the middle of a key.
    const std::string text = pack_of({credit_case("a")}).dump();
    const auto cut = place.write("cut.json", std::string_view(text).substr(0, text.find(key) + 30));
    const Finished refused = conform({"--self", cut});
    CHECK(refused.code == 2);
    CHECK(refused.log.find("cut.json: no JSON") != std::string::npos);
    CHECK(refused.log.find(key.substr(0, 16)) == std::string::npos);
}

TEST_CASE("sts6-conform: a pack's keys are found in whatever registers they are") {
    Place place;
    json pack = pack_of({changed(credit_case("credit"), {{"register", 4}}),
                         changed(key_change_case("key change"), {{"register", 4}, {"new_register", 4}}),
                         changed(credit_case("another key"), {{"register", 3}}),
                         changed(credit_case("none"), {{"register", 1}})});
    pack["registers"] = json::array({changed(test_register(), {{"register", 4}})});
    // More than a module has registers without being told; SGCs on either side.
    for (unsigned i = 0; i < 70; ++i) {
        pack["registers"].push_back(
            changed(test_register(), {{"register", 200 - i}, {"sgc", std::to_string(201400 + 2 * i)}}));
    }
    pack["registers"].push_back(changed(test_register(), {{"register", 3}, {"krn", 2}}));
    const auto path = place.write("p.json", pack);
    const Outcomes got = outcomes({"--self", path}, 7);
    got.check("credit", "passed");
    got.check("key change", "passed");
    got.check("another key", "failed", "instead of 58625789986991357486");
    got.check("none", "skipped", "the pack has no such register");
}

TEST_CASE("sts6-conform: keys that the PKCS#11 token cannot hold are left out") {
    constexpr unsigned long kMechanismInvalid = 0x70;
    Place place;
    json pack =
        pack_of({credit_case("DKG 04"), changed(credit_case("DKG 02"), {{"register", 2}, {"ea", 7}})});
    pack["registers"].push_back(changed(
        test_register(), {{"register", 2}, {"sgc", "123456"}, {"dkga", 2}, {"vk_hex", "ABABABABABABABAB"}}));
    ShimmedToken shimmed(softhsm_token());
    // No key that wraps can be made, so no DKG 02 key can be held.
    shimmed.control.fail("C_GenerateKey", kMechanismInvalid, 1, shim::Control::kForEver);
    Words words = {"--self"};
    const Words options = setup_options(*shimmed.token);
    words.insert(words.end(), options.begin(), options.end());
    words.push_back(place.write("p.json", pack));
    const Outcomes got = outcomes(words, 0);
    got.check("DKG 04", "passed");
    got.check("DKG 02", "skipped", "no register holds the key of the pack's register 2");
    // Of what every key needs nothing may be missing.
    shimmed.control.fail("C_CreateObject", kMechanismInvalid, 1, shim::Control::kForEver);
    const Outcomes none = outcomes(words, 7);
    none.check("DKG 04", "failed");
    none.check("DKG 02", "failed");
}

TEST_CASE("sts6-conform: command lines that are none") {
    Place place;
    const auto pack = place.write("p.json", pack_of({credit_case("a")}));
    check_usage({});
    check_usage({pack}, "--self or --connect");
    check_usage({"--self"}, "PACK");
    check_usage({"--self", "--connect", "tcp:127.0.0.1:1", pack}, "--self");
    check_usage({"--connect", "", pack});
    check_usage({"--connect", "127.0.0.1:5100", pack}, "127.0.0.1:5100");
    check_usage({"--self", "--sta-tables", place.path("none"), pack}, "--sta-tables");
    check_usage({"--self", "--json", "-", "--junit", "-", pack}, "only one");
    check_usage({"--self", "--xml", "-", pack});
    const auto module = place.path("libnothing.so");
    check_usage({"--self", "--pkcs11-module", module, pack}, "--token-label");
    check_usage({"--self", "--pkcs11-module", module, "--token-label", "a", pack}, "--pin-file");
    check_usage({"--self", "--pkcs11-init", "a", pack}, "--pkcs11-module");
    check_usage({"--connect", "tcp:127.0.0.1:1", "--pkcs11-module", module, "--token-label", "a",
                 "--pin-file", "p", pack},
                "--self");
    const Finished nobody = conform({"--connect", "tcp:127.0.0.1:1", pack});
    CHECK(nobody.code == 3);
    CHECK(nobody.output.empty());
    for (const char* option : {"--help", "--version"}) {
        const Finished finished = conform({option});
        CHECK(finished.code == 0);
        CHECK_FALSE(finished.output.empty());
        CHECK(finished.log.empty());
    }
}

TEST_CASE("sts6-conform: a running module") {
    Place place;
    conform::LabModule module(vector_pack());
    module.start(std::nullopt);
    json pack =
        pack_of({credit_case("good"), changed(credit_case("wrong"), {{"expect", {"58625789986991357487"}}}),
                 changed(credit_case("empty"), {{"register", 4}})});
    pack["registers"].push_back(changed(test_register(), {{"register", 4}, {"krn", 8}}));
    const auto run = [&](const json& content, int code) {
        return outcomes({"--connect", module.url(), place.write("p.json", content)}, code);
    };
    const Outcomes got = run(pack, 7);
    got.check("good", "passed");
    got.check("wrong", "failed", "58625789986991357486");
    got.check("empty", "skipped", "no register holds the key of the pack's register 4");

    // Every attribute that is compared: a module with another key is no module that fails.
    for (const json& change : {json{{"sgc", "201458"}}, json{{"sgc", "2014570"}}, json{{"krn", 2}},
                               json{{"ken", 25}}, json{{"ken", 85}}, json{{"base_date", 1993}}}) {
        CAPTURE(change.dump());
        json other = pack_of({credit_case("good")});
        other["registers"][0].update(change);
        run(other, 0).check("good", "skipped", "no register holds the key of the pack's register 1");
    }
    const Outcomes all = outcomes({"--connect", module.url(), vector_pack().string()}, 0);
    CHECK(all.report.at("passed") ==
          75);  // one key change needs its own module time  // 33 credits, 19 management tokens, 2 DRNs
    module.stop();
    CHECK(conform({"--connect", module.url(), place.path("p.json")}).code == 3);
}

TEST_CASE("sts6-conform: EA07 tables from a file") {
    Place place;
    // The printed tables under a licensee's name, so that published sample tokens are right under it too.
    const json tables = {
        {"schema", "sts6.sta-tables/1"},
        {"name", "operational"},
        {"substitution_1", {12, 10, 8, 4, 3, 15, 0, 2, 14, 1, 5, 13, 6, 9, 7, 11}},
        {"substitution_2", {6, 9, 7, 4, 3, 10, 12, 14, 2, 13, 1, 15, 0, 11, 8, 5}},
        {"permutation",
         {29, 27, 34, 9,  16, 62, 55, 2,  40, 49, 38, 25, 33, 61, 30, 23, 1,  41, 21, 57, 42, 15,
          5,  58, 19, 53, 22, 17, 48, 28, 24, 39, 3,  60, 36, 14, 11, 52, 54, 12, 31, 51, 10, 26,
          0,  45, 37, 43, 44, 6,  59, 4,  7,  35, 56, 50, 13, 18, 32, 47, 46, 63, 20, 8}},
        {"known_answer",
         {{"key", "0ABC12DEF3456789"}, {"block", "0B19EB230100C207"}, {"cipher", "C45ED1619406DF95"}}},
    };
    // random-sample/47
    json test = {{"id", "sample"},
                 {"kind", "credit"},
                 {"register", 1},
                 {"pan", "600727830650847717"},
                 {"ti", 83},
                 {"ea", 7},
                 {"subclass", 4},
                 {"tid", "BDABF4"},
                 {"value", "0A0CAA"},
                 {"sta_tables", "sample"},
                 {"expect", {"32512415704188540757"}}};
    json pack = pack_of({test, changed(test, {{"id", "licensed"}, {"sta_tables", "operational"}}),
                         changed(test, {{"id", "other"}, {"sta_tables", "another"}})});
    pack["registers"] = {changed(
        test_register(),
        {{"sgc", "169375"}, {"base_date", 1993}, {"vk_hex", "005098FC8B25C4997F789588157F71EC0747E867"}})};
    const auto path = place.write("p.json", pack);
    const auto file = place.write("tables.json", tables);

    const Outcomes with = outcomes({"--self", "--sta-tables", file, path}, 0);
    with.check("sample", "passed");
    with.check("licensed", "passed");
    with.check("other", "skipped", "another EA07 tables");
    REQUIRE(with.report.at("firmware").size() == 2);
    CHECK(with.report.at("firmware").at(0).get<std::string>().ends_with("-sample-LAB"));
    CHECK(with.report.at("firmware").at(1).get<std::string>().ends_with("-operational-LAB"));

    const Outcomes without_file = outcomes({"--self", path}, 0);
    without_file.check("sample", "passed");
    without_file.check("licensed", "skipped", "operational EA07 tables");

    // Tables that the daemon refuses: the cases that need them fail, the others do not.
    const auto bad = place.write("bad.json", changed(tables, {{"name", "Operational"}}));
    const Outcomes refused = outcomes({"--self", "--sta-tables", bad, path}, 7);
    refused.check("sample", "passed");
    refused.check("licensed", "failed", "the name must be");
}

TEST_CASE("sts6-conform: every EA11 and sample token of the project's packs, on each PKCS#11 token") {
    const auto token = each_token();
    Words words = {"--self"};
    if (token->is_nss()) {
        const Words options = setup_options(*token);
        words.insert(words.end(), options.begin(), options.end());
    }
    for (const char* pack : {"sts531-1-11-dkga04-ea11.json", "sts531-1-0-04-dkga04-ea11.json",
                             "random-ea11.json", "random-ea07-sample.json"}) {
        words.push_back(pack_path(pack));
    }
    const Outcomes got = outcomes(words, 0);
    const auto passed = [&](const char* pack) {
        const auto& cases = got.report.at("cases");
        return std::count_if(cases.begin(), cases.end(), [&](const json& one) {
            return one.at("pack") == pack && one.at("result") == "passed";
        });
    };
    CHECK(passed("sts531-1-11-dkga04-ea11.json") == 76);
    CHECK(passed("sts531-1-0-04-dkga04-ea11.json") == 47);
    CHECK(passed("random-ea11.json") == 200);
    CHECK(passed("random-ea07-sample.json") == 200);
    CHECK(got.report.at("skipped") == 0);
}

TEST_CASE("sts6-conform: every EA07 token under the operational tables") {
    const char* tables = std::getenv("STS6_STA_TABLES");
    if (tables == nullptr || *tables == '\0') {
        WARN("SKIPPED: STS6_STA_TABLES does not name the licensed EA07 tables");
        return;
    }
    const auto token = each_token();
    Words words = {"--self", "--sta-tables", tables};
    if (token->is_nss()) {
        const Words options = setup_options(*token);
        words.insert(words.end(), options.begin(), options.end());
    }
    for (const char* pack :
         {"sts531-1-07-dkga04-ea07.json", "sts531-1-0-02-dkga04-ea07.json", "random-ea07-operational.json",
          "sts531-1-0-02-dkga02-ea07.json", "public-1-dkga02-ea07.json"}) {
        words.push_back(pack_path(pack));
    }
    const Outcomes got = outcomes(words, 0);
    CHECK(got.report.at("passed") == 373);  // 71, 7, 200, 74 and 21
    CHECK(got.report.at("skipped") == 0);
}

}  // namespace sts6::test
