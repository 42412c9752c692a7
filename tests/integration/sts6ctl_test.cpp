// SPDX-License-Identifier: Apache-2.0
// sts6ctl as a person uses it: the real program against a real lab module, and against modules that
// misbehave.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "firmware/sts/token.hpp"
#include "tests/support/canned_module.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

constexpr const char* kMeter = "600727000000000009";
constexpr const char* kOtherMeter = "000001000000000082";
constexpr const char* kToken = "58625789986991357486";  // CTSA01/1: 0.1 kWh for kMeter, 2014-03-01 13:00
constexpr const char* kDecoderKey = "929BD3A415C9420A05EC5EE9F3CE91C3";  // of that meter

conform::LabModule& lab() {
    static conform::LabModule module(vector_pack());
    static const bool started = (module.start(std::nullopt), true);
    static_cast<void>(started);
    return module;
}

Words joined(Words first, const Words& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

Finished ctl_at(const std::string& url, const Words& words) {
    return run_program("sts6ctl", joined({"--connect", url}, words));
}

Finished ctl(const Words& words) {
    return ctl_at(lab().url(), words);
}

/// A token in groups of four, as it is printed.
std::string grouped(const std::string& token) {
    std::string text;
    for (std::size_t i = 0; i < token.size(); i += 4) text += (i == 0 ? "" : " ") + token.substr(i, 4);
    return text + "\n";
}

std::string text_of(const Words& words) {
    std::string text;
    for (const std::string& word : words) text += " [" + word + "]";
    return text;
}

/// Data went to standard output and nothing to the other one.
void check_prints(const Words& words, const std::string& output) {
    INFO(text_of(words));
    const Finished finished = ctl(words);
    CHECK(finished.code == 0);
    CHECK(finished.output == output);
    CHECK(finished.log.empty());
}

/// Words went to standard error and nothing to the other one.
void check_fails(const Finished& finished, int code, std::string_view why = {}) {
    CHECK(finished.code == code);
    CHECK(finished.output.empty());
    CHECK_FALSE(finished.log.empty());
    CAPTURE(finished.log);
    CHECK(finished.log.find(why) != std::string::npos);
}

void check_refused(const Words& words, int code, std::string_view why = {}) {
    INFO(text_of(words));
    check_fails(ctl(words), code, why);
}

json json_of(const Words& words) {
    INFO(text_of(words));
    const Finished finished = ctl(joined({"--json"}, words));
    CHECK(finished.code == 0);
    CHECK(finished.log.empty());
    return json::parse(finished.output);
}

Words credit(const Words& amount, const std::string& time = "2014-03-01 13:00",
             const std::string& meter = kMeter) {
    return joined({"token", "credit", "--meter", meter, "--time", time}, amount);
}

Words manage(const std::string& action, const Words& value, const std::string& time = "2024-03-28 09:01") {
    return joined({"token", "manage", "--meter", kMeter, "--time", time, "--action", action}, value);
}

Words verify(const std::string& token, const std::string& meter = kMeter) {
    return {"token", "verify", "--meter", meter, token};
}

std::string token_of(const Words& words) {
    return json_of(words).at("token").get<std::string>();
}

bool is_plain(const std::string& number) {
    return number.find_first_not_of("-.0123456789") == std::string::npos;
}

}  // namespace

TEST_CASE("sts6ctl: the published credit tokens by what a person enters", "[one-module]") {
    const json pack = json::parse(file_text(vector_pack()));
    const std::array services = {"electricity", "water", "gas", "time"};
    int count = 0;
    for (const json& test : pack.at("cases")) {
        if (test.at("kind") != "credit" || test.contains("expect_status")) continue;
        const auto amount = test.at("amount").get<std::string>();
        if (!is_plain(amount)) continue;
        const auto subclass = test.at("subclass").get<std::size_t>();
        check_prints({"token", "credit", "--meter", test.at("pan"), "--register",
                      std::to_string(test.at("register").get<unsigned>()), "--ti", "01", "--ea", "11",
                      "--tct", "02", "--service", services.at(subclass % 4),
                      subclass < 4 ? "--amount" : "--money", amount, "--time", test.at("issued")},
                     grouped(test.at("expect").at(0)));
        ++count;
    }
    CHECK(count == 30);
}

TEST_CASE("sts6ctl: the published management tokens by what a person enters", "[one-module]") {
    struct Published {
        const char* action;
        Words value;
        const char* time;
        const char* token;
    };
    const Published all[] = {
        {"set-maximum-power-limit", {"--value", "1000"}, "2024-03-28 09:01", "34494889475378866499"},
        {"set-maximum-power-limit", {"--value", "256"}, "2027-12-15 07:00", "08696877107489772342"},
        {"set-maximum-power-limit", {"--value", "16384"}, "2027-12-15 07:10", "70466640458497844971"},
        {"set-maximum-power-limit", {"--value", "18201624"}, "2027-12-15 07:40", "46810404514626591449"},
        {"clear-credit", {"--value", "all"}, "2024-03-28 09:15", "18087553113701439362"},
        {"clear-credit", {"--value", "electricity"}, "2034-07-03 09:00", "50801913318644626174"},
        {"clear-credit", {"--value", "gas"}, "2034-07-03 09:02", "55265472216845386252"},
        {"clear-credit", {"--value", "65535"}, "2034-07-03 09:05", "43640653419202643137"},
        {"clear-tamper-condition", {}, "2024-03-28 10:00", "07194127729199862502"},
        {"set-maximum-phase-power-unbalance-limit",
         {"--value", "10"},
         "2024-03-28 10:20",
         "36061906132461210546"},
        {"extended", {"--value", "63:0"}, "2029-05-21 09:00", "07171716715964512818"},
        {"extended", {"--value", "0:0"}, "2029-05-21 09:10", "72244336102466329056"},
    };
    for (const Published& one : all) {
        check_prints(manage(one.action, one.value, one.time), grouped(one.token));
    }
    // Two actions of which nothing is published: the module reads back what was asked for.
    for (const auto& [action, subclass] : {std::pair("set-tariff-rate", 2), {"set-water-meter-factor", 7}}) {
        for (const std::string value : {"0", "7", "65535"}) {
            const json report = json_of(verify(token_of(manage(action, {"--value", value}))));
            CHECK(report.at("class") == 2);
            CHECK(report.at("subclass") == subclass);
            CHECK(report.at("says") == std::string(action) + " " + value);
        }
    }
    const json extended = json_of(verify(token_of(manage("extended", {"--value", "1:2"}))));
    CHECK(extended.at("says") == "extended 1026");
}

TEST_CASE("sts6ctl: meter numbers", "[one-module]") {
    for (const char* meter : {kMeter, "00000000000"}) {
        check_prints(credit({"--amount", "0.1"}, "2014-03-01 13:00", meter), grouped(kToken));
    }
    for (const char* meter : {kOtherMeter, "0100000000008"}) {
        check_prints(credit({"--amount", "0.1"}, "2014-03-01 13:40", meter), grouped("13165821006407279478"));
    }
    // CTSA17, then wrong check digits, lengths and characters.
    for (const char* meter :
         {"12345678904", "11111111113", "00000000001", "0100000000009", "600727000000000008",
          "000001000000000083", "", "0", "0000000000", "000000000000", "60072700000000000",
          "6007270000000000090", "60072700000000000x", "600727 000000000009", "60072700000000000~",
          "-00000000000"}) {
        check_refused(credit({"--amount", "0.1"}, "2014-03-01 13:00", meter), 2, "meter");
    }
}

TEST_CASE("sts6ctl: amounts and money", "[one-module]") {
    const auto says = [](const Words& amount) {
        return json_of(verify(token_of(credit(amount)))).at("says").get<std::string>();
    };
    CHECK(says({"--amount", "0"}) == "0.0 kWh");
    CHECK(says({"--amount", "25.6"}) == "25.6 kWh");
    CHECK(says({"--amount", "7"}) == "7.0 kWh");
    CHECK(says({"--amount", "1820162.4"}) == "1820162.4 kWh");
    // The field counts in whole units from 1638.4 on: rounded up, never down.
    CHECK(says({"--amount", "1638.5"}) == "1639.4 kWh");
    CHECK(says({"--amount", "2", "--service", "water"}) == "2.0 m3");
    CHECK(says({"--amount", "2", "--service", "gas"}) == "2.0 m3");
    CHECK(says({"--amount", "2", "--service", "time"}) == "2.0 min");
    CHECK(says({"--money", "0"}) == "0.00000 (currency)");
    CHECK(says({"--money", "0.00001"}) == "0.00001 (currency)");
    CHECK(says({"--money", "-0.00001"}) == "-0.00001 (currency)");
    for (const auto& [service, subclass] :
         {std::pair("electricity", 4), {"water", 5}, {"gas", 6}, {"time", 7}}) {
        const json report = json_of(verify(token_of(credit({"--money", "0.1", "--service", service}))));
        CHECK(report.at("class") == 0);
        CHECK(report.at("subclass") == subclass);
        CHECK(report.at("says") == "0.10000 (currency)");
    }
    for (const char* amount : {"-1",
                               "-0.1",
                               "0.05",
                               "0.11",
                               "1820162.5",
                               "1820163",
                               "99999999999999999999999999999999999999999999",
                               "ten",
                               "1e3",
                               "1,5",
                               "+1",
                               ".5",
                               "5.",
                               " 1",
                               "1 ",
                               "0x10",
                               "1.1.1",
                               "--1",
                               "-",
                               "NaN",
                               "1kWh",
                               "1~N2"}) {
        check_refused(credit({"--amount", amount}), 2);
    }
    for (const char* money : {"0.000001", "1.000001", "-0.000001", "10000000000000000000000000000000", "1e3",
                              "EUR 1", "1,00", ".", "-", "--1"}) {
        check_refused(credit({"--money", money}), 2);
    }
    check_refused(credit({}), 2, "either --amount or --money");
    check_refused(credit({"--amount", "1", "--money", "1"}), 2, "either --amount or --money");
    check_refused(credit({"--amount", "1", "--amount", "2"}), 2);
    check_refused(credit({"--amount", "1", "--service", "steam"}), 2, "service");
    check_refused(credit({"--amount", "1", "--service", "Water"}), 2, "service");
    check_refused(credit({"--amount", "1", "--service", ""}), 2, "service");
}

TEST_CASE("sts6ctl: management values that are refused", "[one-module]") {
    const std::pair<const char*, Words> refused[] = {
        {"set-maximum-power-limit",
         {"18201625", "4294967296", "-1", "1.5", "0x10", "010", "1kW", " 1", "all"}},
        {"set-maximum-phase-power-unbalance-limit", {"18201625", "-1", "much"}},
        {"set-tariff-rate", {"65536", "-1", "1.0", "all", "7~N1"}},
        {"set-water-meter-factor", {"65536", "-1", "1.0"}},
        {"clear-credit", {"65536", "-1", "heat", "ALL", "all "}},
        {"clear-tamper-condition", {"0", "all"}},
        {"extended", {"64:0", "0:1024", "1", "1:", ":1", ":", "1:2:3", "-1:0", "0:-1", "a:b", "1: 2"}},
        {"set-everything", {"1"}},
        {"Clear-Credit", {"all"}},
    };
    for (const auto& [action, values] : refused) {
        for (const std::string& value : values) check_refused(manage(action, {"--value", value}), 2);
    }
    for (const char* action : {"set-maximum-power-limit", "set-maximum-phase-power-unbalance-limit",
                               "set-tariff-rate", "set-water-meter-factor", "clear-credit", "extended", ""}) {
        check_refused(manage(action, {}), 2);
    }
    check_refused({"token", "manage", "--meter", kMeter, "--value", "1"}, 2, "--action");
}

TEST_CASE("sts6ctl: times", "[one-module]") {
    const auto tid = [](const std::string& time) {
        return json_of(credit({"--amount", "0.1"}, time)).at("tid").get<unsigned>();
    };
    CHECK(tid("2014-01-01 00:00") == 0);
    CHECK(tid("2014-01-01 00:01") == 2);
    CHECK(tid("2014-01-01 23:59") == 1439);
    CHECK(tid("2014-01-02 00:01") == 1442);
    CHECK(tid("2045-11-24 20:15") == 0xFFFFFF);
    CHECK(token_of(credit({"--amount", "0.1"}, "2014-03-01 00:01")) ==
          token_of(credit({"--amount", "0.1"}, "2014-03-01 00:02")));
    for (const char* time :
         {"2013-12-31 23:59", "2045-11-24 20:16", "1993-01-01 00:00", "9999-12-31 23:59"}) {
        check_refused(credit({"--amount", "0.1"}, time), 2, "base date 2014");
    }
    for (const char* time :
         {"2014-02-29 10:00", "2014-02-30 10:00", "2014-13-01 10:00", "2014-00-01 10:00", "2014-03-00 10:00",
          "2014-03-01 24:00", "2014-03-01 10:60", "2014-3-1 10:00", "2014-03-01T10:00", "2014-03-01 10:00:00",
          "2014-03-01", "10:00", "2014-03-01  10:00", "2014/03/01 10:00", "20140301100000",
          "+014-03-01 10:00", "2014-03-01 1:00", " 2014-03-01 10:00", "yesterday"}) {
        check_refused(credit({"--amount", "0.1"}, time), 2, "CCYY-MM-DD hh:mm");
        check_refused(manage("clear-credit", {"--value", "all"}, time), 2, "CCYY-MM-DD hh:mm");
    }
}

TEST_CASE("sts6ctl: without a time it is this machine's civil time", "[one-module]") {
    constexpr std::time_t kBaseDate2014 = 1388534400;
    const Words words = {"token", "credit", "--meter", kMeter, "--amount", "0.1"};
    const auto minutes_now = [] { return (std::time(nullptr) - kBaseDate2014) / 60; };
    for (const auto& [zone, ahead] : {std::pair("UTC0", 0), {"AHEAD-2", 120}, {"BEHIND5", -300}}) {
        REQUIRE(::setenv("TZ", zone, 1) == 0);
        const std::time_t before = minutes_now() + ahead;
        const auto tid = json_of(words).at("tid").get<std::time_t>();
        CHECK(before <= tid);
        CHECK(tid <= minutes_now() + ahead + 1);  // one more where the minute is 00:01
    }
    ::unsetenv("TZ");
}

TEST_CASE("sts6ctl: token output, frames and refusals", "[one-module]") {
    const json made = json_of(credit({"--amount", "0.1"}));
    CHECK(made == json{{"token", kToken}, {"hex", "32D98A5616345BE2E"}, {"tid", 0x14EEC}});

    const Finished raw = ctl(joined({"--raw"}, credit({"--amount", "0.1"})));
    CHECK(raw.code == 0);
    CHECK(raw.output == grouped(kToken));
    CHECK(
        raw.log.ends_with("> SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~DCC6\\x0D\n"
                          "< SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\\x0D\n"));
    CHECK(raw.log.starts_with("> SM?GAN1~"));
    const Finished unasked = ctl(credit({"--amount", "0.1"}));
    CHECK(unasked.log.empty());

    // Options stand before the subcommand or behind it, and a link may be enveloped.
    const std::string enveloped = "tcp-env" + lab().url().substr(3);
    const Finished behind =
        run_program("sts6ctl", joined(credit({"--amount", "0.1"}), {"--connect", enveloped, "--raw"}));
    CHECK(behind.output == grouped(kToken));
    CHECK(behind.log.find("> \\x00B\\xED\\xF1+\\x00\\xFE\\xEDSM?VC") != std::string::npos);

    // CTSA16/1: under a key whose expiry number is passed.
    check_refused({"token", "credit", "--meter", "600727111111111153", "--register", "3", "--amount", "0.1",
                   "--time", "2032-10-27 08:00"},
                  1, "41 key_expired_error");
    const auto with = [](const Words& more) { return joined(credit({"--amount", "0.1"}), more); };
    check_refused(with({"--register", "4"}), 1, "22 register_empty");
    check_refused(with({"--register", "64"}), 1, "22 register_empty");
    check_refused(with({"--register", "65"}), 1, "63 ptvd_range");
    check_refused(with({"--register", "0"}), 1, "63 ptvd_range");
    check_refused(with({"--ea", "8"}), 1, "40 key_param_error");
    check_refused(with({"--ti", "100"}), 1, "40 key_param_error");
    check_refused(with({"--tct", "100"}), 1, "40 key_param_error");
}

TEST_CASE("sts6ctl: numbers are decimal", "[one-module]") {
    const auto with = [](const char* option, const char* number) {
        return joined(credit({"--amount", "0.1"}), {option, number});
    };
    check_prints(with("--ti", "0001"), grouped(kToken));
    check_prints(with("--ea", "00011"), grouped(kToken));
    // As octal numbers these are none, or another.
    CHECK(token_of(with("--ti", "08")) == token_of(with("--ti", "8")));
    CHECK(token_of(with("--ti", "010")) == token_of(with("--ti", "10")));
    CHECK(token_of(with("--ti", "010")) != token_of(with("--ti", "8")));
    for (const char* option : {"--register", "--ti", "--ea", "--tct"}) {
        for (const char* number : {"-1", "+1", "1.0", "0x1", "one", "", " 1", "1 ", "4294967296", "1~N1"}) {
            check_refused(with(option, number), 2, option);
        }
    }
}

TEST_CASE("sts6ctl: key change", "[one-module]") {
    const Words change = {"token", "keychange", "--meter", kMeter};
    // CTSA05/1
    const std::string set = grouped("03854447086453451911") + grouped("02791799436242461152") +
                            grouped("67118070329353977190") + grouped("19019128690902932218");
    check_prints(joined(change, {"--new-ti", "2"}), set);
    check_prints(joined(change, {"--register", "1", "--new-register", "1", "--ti", "1", "--new-ti", "02",
                                 "--tokens", "4"}),
                 set);
    const json shown = json_of(joined(change, {"--new-ti", "2"}));
    CHECK(shown.at("rollover") == false);
    CHECK(shown.at("tokens").size() == 4);
    CHECK(shown.at("tokens").at(3) == "19019128690902932218");
    // The worked example of docs/tokens.md 11, with rollover.
    const Finished rollover = ctl(joined(change, {"--new-register", "2", "--new-ti", "2"}));
    CHECK(rollover.code == 0);
    CHECK(rollover.output == grouped("39536809214641544852") + grouped("23263472884016433225") +
                                 grouped("45268691985939334940") + grouped("65389277406881242890"));
    CHECK(rollover.log.find("rolls over") != std::string::npos);
    check_refused(joined(change, {"--new-ti", "2", "--tokens", "2"}), 1, "85");
    check_refused(joined(change, {"--new-ti", "100"}), 1, "40");
    check_refused(joined(change, {"--register", "2", "--new-register", "1"}), 1, "29");
    check_refused(joined(change, {"--new-register", "9"}), 1, "22");
    check_refused({"token", "keychange"}, 2);
    check_refused({"token", "keychange", "--meter", "600727000000000008"}, 2);
    check_refused(joined(change, {"--new-ti", "x"}), 2);
}

TEST_CASE("sts6ctl: meter tests need no module", "[one-module]") {
    const auto test = [](const Words& words) {
        return run_program("sts6ctl", joined({"token", "metertest"}, words));
    };
    const Finished all = test({"--control", "FFFFFFFFF"});
    CHECK(all.code == 0);
    CHECK(all.output == grouped("56493153725450313471"));
    check_fails(test({}), 2);
    check_fails(test({"--control", ""}), 2);
    check_fails(test({"--control", "1000000000"}), 2, "36 bits");
    check_fails(test({"--control", "10000000", "--subclass", "1"}), 2, "28 bits");
    check_fails(test({"--control", "1", "--mfr-code", "100"}), 2, "8 bits");
    check_fails(test({"--control", "1", "--subclass", "3"}), 2, "SubClass");
    check_fails(test({"--control", "xyz"}), 2, "hexadecimal");
    check_fails(test({"--control", "FFFFFFFFFFFFFFFFFF"}), 2);
}

TEST_CASE("sts6ctl: verify", "[one-module]") {
    const json good = {{"result", "00 successful (done)"},
                       {"class", 0},
                       {"subclass", 0},
                       {"says", "0.1 kWh"},
                       {"tid", 85740},
                       {"issued", "2014-03-01 13:00"}};
    for (const char* token : {kToken, "5862 5789 9869 9135 7486", " 58625 78998 69913 57486 ",
                              "32D98A5616345BE2E", "32d98a5616345be2e"}) {
        CHECK(json_of(verify(token)) == good);
    }
    check_prints(verify(kToken),
                 "class: 0\nissued: 2014-03-01 13:00\nresult: 00 successful (done)\nsays: 0.1 kWh\n"
                 "subclass: 0\ntid: 85740\n");

    // Good tokens for somebody else: data on standard output, and the exit code says no.
    const auto check_bad = [](const Words& words) {
        INFO(text_of(words));
        const Finished finished = ctl(words);
        CHECK(finished.code == 1);
        CHECK(finished.output.starts_with("result: 03 token_crc_error"));
        CHECK(finished.output.find("says") == std::string::npos);
        CHECK(finished.log.find("not good: 03") != std::string::npos);
    };
    check_bad(verify(kToken, kOtherMeter));
    check_bad(verify("58625789986991357487"));
    check_bad(joined(verify(kToken), {"--ti", "2"}));
    check_bad(joined(verify(kToken), {"--register", "2"}));
    check_bad(joined(verify(kToken), {"--ea", "7"}));

    // CTSA05/1: a key change token is good, and nothing of the key in it is shown.
    const json change = json_of(verify("03854447086453451911"));
    CHECK(change == json{{"result", "00 successful (done)"}, {"class", 2}, {"subclass", 3}});

    for (const char* token : {"", " ", "5862578998699135748", "586257899869913574860", "5862578998699135748x",
                              "73786976294838206464", "99999999999999999999", "40000000000000000",
                              "32D98A5616345BE2", "32D98A5616345BE2G", "58625789986991357486~N1",
                              "N1~P58625789986991~", "-8625789986991357486", "58625789986991357486\n"}) {
        check_refused(verify(token), 2, "a token is 20 decimal or 17 hexadecimal digits");
        check_fails(run_program("sts6ctl", {"token", "decode", token}), 2, "a token is 20 decimal");
    }
    check_refused(joined(verify(kToken), {"--register", "9"}), 1, "22 register_empty");
    check_refused(verify(kToken, "600727000000000008"), 2, "meter");
    check_refused({"token", "verify", "--meter", kMeter}, 2, "TOKEN");
    check_refused({"token", "verify", kToken}, 2, "--meter");
    check_refused({"token", "verify", "--meter", kMeter, "5862", "5789", "9869", "9135", "7486"}, 2);
}

TEST_CASE("sts6ctl: decode without a module", "[one-module]") {
    const conform::TemporaryDirectory place;
    const std::string key_file = (place.path() / "key").string();
    const auto decode = [](const Words& words) {
        return run_program("sts6ctl",
                           joined({"--json", "--connect", "tcp:127.0.0.1:1", "token", "decode"}, words));
    };
    const auto report = [&](const Words& words) {
        const Finished finished = decode(words);
        CHECK(finished.code == 0);
        CHECK(finished.log.empty());
        return json::parse(finished.output);
    };
    // CTSA02/1 is of class 1, which no key protects.
    CHECK(report({"56493153725450313471"}) == json{{"class", 1}, {"subclass", 0}});
    check_fails(decode({"56493153725450313472"}), 1, "CRC");
    CHECK(report({kToken}) == json{{"class", 0}, {"says", "encrypted; --key-file opens it"}});
    CHECK(report({"18087553113701439362"}).at("class") == 2);

    const json opened = {{"class", 0}, {"subclass", 0}, {"says", "0.1 kWh"}, {"tid", 85740}};
    for (const char* text : {"929BD3A415C9420A05EC5EE9F3CE91C3", "929bd3a415c9420a05ec5ee9f3ce91c3\n",
                             "929BD3A415C9420A05EC5EE9F3CE91C3\r\n"}) {
        write_text(key_file, text);
        CHECK(report({kToken, "--key-file", key_file}) == opened);
        CHECK(report({"32D98A5616345BE2E", "--key-file", key_file, "--ea", "011"}) == opened);
    }
    write_text(key_file, kDecoderKey);
    CHECK(report({"18087553113701439362", "--key-file", key_file}).at("says") == "clear-credit 65535");
    CHECK(report({"03854447086453451911", "--key-file", key_file}) == json{{"class", 2}, {"subclass", 3}});
    check_fails(decode({"58625789986991357487", "--key-file", key_file}), 1, "CRC");
    check_fails(decode({"13165821006407279478", "--key-file", key_file}), 1, "CRC");
    write_text(key_file, "929BD3A415C9420A05EC5EE9F3CE91C2");
    check_fails(decode({kToken, "--key-file", key_file}), 1, "CRC");
}

TEST_CASE("sts6ctl: decode an EA07 token with the sample tables", "[one-module]") {
    constexpr std::array<std::uint8_t, 16> kKey = {0x0A, 0xBC, 0x12, 0xDE, 0xF3, 0x45, 0x67, 0x89};
    const auto digits =
        sts::seal_token(sts::credit_token(2, 5, 0x014EEC, 256), Ea::sta, kKey, sts::kSampleStaTables)
            .decimal();
    const conform::TemporaryDirectory place;
    const std::string key_file = (place.path() / "key").string();
    write_text(key_file, "0ABC12DEF3456789\n");
    const Words words = {"--json",     "token", "decode", std::string(digits.data(), digits.size()),
                         "--key-file", key_file};
    const Finished finished = run_program("sts6ctl", joined(words, {"--ea", "7"}));
    CHECK(finished.code == 0);
    CHECK(json::parse(finished.output) ==
          json{{"class", 0}, {"subclass", 2}, {"says", "25.6 m3"}, {"tid", 85740}});
    check_fails(run_program("sts6ctl", words), 2, "32 hexadecimal digits");
    check_fails(run_program("sts6ctl", joined(words, {"--ea", "8"})), 2, "EA must be 7 or 11");
}

TEST_CASE("sts6ctl: key files that hold no key", "[one-module]") {
    const conform::TemporaryDirectory place;
    const std::string key_file = (place.path() / "key").string();
    const std::string key = kDecoderKey;
    const auto decode = [&key_file] {
        return run_program("sts6ctl", {"token", "decode", kToken, "--key-file", key_file});
    };
    for (const std::string& text :
         {std::string(), std::string("\n"), key.substr(1), key.substr(2), key + "0", key + "00",
          key + "\n" + key, " " + key, key + " ", "0x" + key, key.substr(1) + "G", "\n" + key,
          key + std::string(32, '\n'), key + std::string(200, '\n') + "x", std::string("929BD3A415C9420A"),
          key + std::string(1, '\0')}) {
        write_text(key_file, text);
        const Finished finished = decode();
        check_fails(finished, 2, "must hold 32 hexadecimal digits");
        CHECK(finished.log.find("929BD3A4") == std::string::npos);
    }
    std::filesystem::remove(key_file);
    check_fails(decode(), 2, key_file);
    std::filesystem::create_directory(key_file);
    check_fails(decode(), 2, key_file);
}

TEST_CASE("sts6ctl: send", "[one-module]") {
    const Finished identity = ctl({"send", "SM?DI"});
    CHECK(identity.code == 0);
    CHECK(identity.output.starts_with("SM!DI00PSOFTSM01~PSTS6-"));
    CHECK(identity.output.ends_with("-sample-LAB~\n"));
    CHECK(identity.log.empty());
    check_prints({"send", "GL?EC0000512345"}, "GL!EC0000512345\n");
    check_prints({"send", "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~"},
                 "SM!VC00P32D98A5616345BE2E~P58625789986991357486~\n");

    // A refusal is an answer: it is shown, and the exit code says so.
    const std::tuple<const char*, const char*, const char*> refusals[] = {
        {"SM?GAN60~", "SM!GA22\n", "22 register_empty"},
        {"SM?GAN0~", "SM!GA63\n", "63 ptvd_range"},
        {"SM?GA", "SM!GA60\n", "60 ptvd_nfields"},
        {"SM?XX", "GL!ER21\n", "21 invalid_request_header"},
        {"GL?EC00009123", "GL!EC02\n", "02 format_error"},
    };
    for (const auto& [message, answer, why] : refusals) {
        INFO(message);
        const Finished finished = ctl({"send", message});
        CHECK(finished.code == 1);
        CHECK(finished.output == answer);
        CHECK(finished.log.find(why) != std::string::npos);
    }
    for (const std::string& message :
         {std::string(), std::string("SM?D"), std::string("SM!DI"), std::string("SM?DI\rSM?DI"),
          std::string("SM?DI\n"), std::string("SM?DI\t"), std::string("SM?DI\xC3\xA9"),
          "GL?EC" + std::string(4088, '0')}) {
        check_refused({"send", message}, 2);
    }
    check_refused({"send"}, 2, "MESSAGE");
    check_refused({"send", "SM?DI", "SM?DI"}, 2);
}

TEST_CASE("sts6ctl: registers", "[one-module]") {
    const json rows = json_of({"registers"});
    REQUIRE(rows.size() == 3);
    const auto check_row = [&](std::size_t place, const char* sgc, const char* krn, const char* ken,
                               const std::string& year) {
        const json& row = rows.at(place);
        CHECK(row.at("register") == place + 1);
        CHECK(row.at("SGC").get<std::string>().ends_with(sgc));
        CHECK(row.at("KRN") == krn);
        CHECK(row.at("KTC") == "2");
        CHECK(row.at("DKG") == "04");
        CHECK(row.at("KEN") == ken);
        CHECK(row.at("BDT").get<std::string>().starts_with(year));
    };
    check_row(0, "201457", "1", "255", "2014");
    check_row(1, "203557", "6", "255", "2035");
    check_row(2, "201460", "7", "85", "2014");
    // Three registers with the same key have the same check value, which is not the key.
    CHECK(rows.at(0).at("KCV") == rows.at(1).at("KCV"));
    CHECK(rows.dump().find("ABABAB") == std::string::npos);

    const Finished text = ctl({"registers"});
    CHECK(text.code == 0);
    CHECK(text.log.empty());
    const std::string kcv = rows.at(0).at("KCV");
    CHECK(
        text.output.starts_with("register  sgc     krn  ktc  dkg  base  ken  kcv     name\n"
                                "1         201457  1    2    04   2014  255  " +
                                kcv));
    CHECK(text.output.find("\n3         201460  7    2    04   2014  85   " + kcv) != std::string::npos);
    check_refused({"registers", "1"}, 2);
}

TEST_CASE("sts6ctl: no module, or one that does not answer", "[one-module]") {
    const Words commands[] = {credit({"--amount", "0.1"}),
                              manage("clear-credit", {"--value", "all"}),
                              verify(kToken),
                              {"send", "SM?DI"},
                              {"registers"}};
    const Port closed(false);
    for (const Words& words : commands) {
        INFO(text_of(words));
        check_fails(ctl_at(closed.url(), words), 3, closed.url());
    }
    const Port silent(true);
    check_fails(ctl_at(silent.url(), {"send", "SM?DI"}), 6, "no answer in time");
    for (const char* url : {"", "tcp", "tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp:127.0.0.1:0",
                            "tcp:127.0.0.1:65536", "tcp:127.0.0.1:5100x", "127.0.0.1:5100",
                            "ssl:127.0.0.1:5100", "tcp:[::1:5100", "http://127.0.0.1:5100"}) {
        INFO(url);
        check_fails(ctl_at(url, {"send", "SM?DI"}), 2);
    }
    // What is wrong on its face needs no module to be said.
    for (const Words& words : {credit({"--amount", "0.05"}), credit({"--amount", "1"}, "tomorrow"),
                               credit({"--amount", "1"}, "", "1"), manage("extended", {"--value", "64:0"}),
                               verify("1"), Words{"send", "SM"}}) {
        INFO(text_of(words));
        check_fails(ctl_at(closed.url(), words), 2);
    }
}

TEST_CASE("sts6ctl: a module that misbehaves", "[one-module]") {
    const auto check_code = [](const Words& answers, const Words& words, int code) {
        const CannedModule module(answers);
        INFO(text_of(answers) << text_of(words));
        check_fails(ctl_at(module.url(), words), code);
    };
    const Words token = credit({"--amount", "0.1"});
    const std::string cards = framed("SM!GA00PBDT20140101T000000Z;KEN255~");
    // Error state.
    check_code({framed("GL!ER58")}, token, 4);
    check_code({cards, framed("GL!ER58")}, token, 4);
    check_code({framed("GL!ER58")}, {"registers"}, 4);
    check_code({framed("GL!ER57")}, token, 1);
    check_code({cards, framed("SM!VC58")}, token, 1);
    check_code({framed("SM!GA99")}, token, 1);
    // Damage, another command's answer, noise.
    check_code({"SM!GA000000\r"}, token, 5);
    check_code({"\x01\x02\x03\r"}, token, 5);
    check_code({framed("SM!VC00PA~PB~")}, token, 5);
    check_code({framed("GL!ER")}, token, 5);
    check_code({std::string(5000, 'x') + "\r"}, token, 5);
    // Fields that are not those of the answer.
    check_code({framed("SM!GA00")}, token, 5);
    check_code({framed("SM!GA00PBDT2014~N1~")}, token, 5);
    check_code({framed("SM!GA00PKEN255~")}, token, 5);
    check_code({framed("SM!GA00PBDT~")}, token, 5);
    check_code({framed("SM!GA00PBDT2015~")}, token, 5);
    check_code({cards, framed("SM!VC00P32D98A5616345BE2E~")}, token, 5);
    check_code({cards, framed("SM!VC00N1~N2~")}, token, 5);
    check_code({framed("SM!VT00")}, verify(kToken), 5);
    check_code({framed("SM!VT00N0~N0~N0~H0001~")}, verify(kToken), 5);
    check_code({framed("SM!VT00N0~N0~N0~H0001~HFFFFFFFF~"), cards}, verify(kToken), 5);
    check_code({framed("SM!VT00N0~N0~N0~H~H014EEC~"), cards}, verify(kToken), 5);
    check_code({framed("SM!GA00N1~")}, {"registers"}, 5);
    // A connection that ends.
    check_code({""}, token, 3);
    check_code({cards, ""}, token, 3);
}

TEST_CASE("sts6ctl: a list of registers ends, and shows what it gets", "[one-module]") {
    const CannedModule module(
        {framed("SM!GA00PSGC123456789012;KEN1234567890;KRN12345;BDT1~"), framed("SM!GA22")});
    const Finished finished = ctl_at(module.url(), {"registers"});
    CHECK(finished.code == 0);
    CHECK(finished.output.find("\n1         789012  12345") != std::string::npos);
}

TEST_CASE("sts6ctl: output that cannot be written is no success", "[one-module]") {
    for (const Words& words : {credit({"--amount", "0.1"}), verify(kToken), Words{"send", "SM?DI"},
                               Words{"--json", "registers"}, Words{"token", "decode", kToken}}) {
        INFO(text_of(words));
        const conform::TemporaryDirectory place;
        conform::ChildProcess program(joined({"/bin/sh", "-c", "exec \"$0\" \"$@\" >/dev/full",
                                              conform::program_path("sts6ctl"), "--connect", lab().url()},
                                             words),
                                      place.path() / "log");
        CHECK(program.wait() == 1);
        CHECK(file_text(place.path() / "log").find("standard output") != std::string::npos);
    }
}

TEST_CASE("sts6ctl: command lines that are none", "[one-module]") {
    const auto usage = [](const Words& words) {
        INFO(text_of(words));
        check_fails(run_program("sts6ctl", words), 2);
    };
    usage({});
    usage({"--json"});
    usage({"tokens"});
    usage({"token"});
    usage({"token", "make"});
    usage({"--connect"});
    usage({"--verbose", "registers"});
    usage({"registers", "--register", "1"});
    usage({"send", "SM?DI", "--crc"});
    usage({"token", "credit", "--amount", "1"});
    usage({"token", "credit", "--meter", kMeter, "--amount"});
    usage({"token", "credit", "--meter", kMeter, "--amount", "1", "--tid", "1"});
    usage({"token", "credit", "--meter", kMeter, "--amount", "1", "extra"});
    usage({"token", "manage", "--meter", kMeter});
    usage({"token", "manage", "--action", "clear-credit", "--value", "all"});
    usage({"token", "manage", "--meter", kMeter, "--action", "clear-credit", "--amount", "1"});
    usage({"token", "verify"});
    usage({"token", "decode"});
    usage({"token", "decode", kToken, "--key-file"});
    usage({"token", "decode", kToken, "--meter", kMeter});
    // A PIN or a key has no place on a command line, where every user of the machine sees it.
    usage({"token", "decode", kToken, "--key", kDecoderKey});
    usage({"token", "decode", kToken, kDecoderKey});
    usage({"setup", "--dir", "/nonexistent/m", "--profile", "demo", "--pin", "1234"});
    usage({"setup", "--dir", "/nonexistent/m", "--profile", "demo", "--so-pin", "1234"});

    for (const Words& words :
         {Words{"--help"}, {"token", "--help"}, {"token", "credit", "--help"}, {"setup", "-h"}}) {
        const Finished help = run_program("sts6ctl", words);
        CHECK(help.code == 0);
        CHECK_FALSE(help.output.empty());
        CHECK(help.log.empty());
    }
    const Finished version = run_program("sts6ctl", {"--version"});
    CHECK(version.code == 0);
    CHECK_FALSE(version.output.empty());
}

TEST_CASE("sts6ctl: set-ups that are refused leave nothing behind", "[one-module]") {
    namespace fs = std::filesystem;
    const conform::TemporaryDirectory place;
    const fs::path dir = place.path() / "module";
    const auto refused = [&](const Words& words, int code) {
        INFO(text_of(words));
        check_fails(run_program("sts6ctl", joined({"setup", "--dir", dir.string()}, words)), code);
        CHECK_FALSE(fs::exists(dir));
    };
    const std::string pin_file = (place.path() / "pin").string();
    write_text(pin_file, "1234\n");
    refused({}, 2);
    refused({"--profile", "toy"}, 2);
    refused({"--profile", "lab", "--token-label", "x"}, 2);
    refused({"--profile", "lab", "--pin-file", pin_file}, 2);
    refused({"--profile", "lab", "--pkcs11-init", "x"}, 2);
    refused({"--profile", "lab", "--pkcs11-module", "/x.so"}, 2);
    refused({"--profile", "lab", "--pkcs11-module", "/x.so", "--token-label", "x"}, 2);
    check_fails(run_program("sts6ctl", {"setup", "--profile", "lab"}), 2, "--dir");
    check_fails(run_program("sts6ctl", {"setup", "--profile", "lab", "--dir", (dir / "deeper").string()}), 3);
    fs::create_directory(dir);
    check_fails(run_program("sts6ctl", {"setup", "--profile", "lab", "--dir", dir.string()}), 1,
                "exists already");
    CHECK(fs::is_empty(dir));
}

}  // namespace sts6::test
