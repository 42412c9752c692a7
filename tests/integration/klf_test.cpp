// SPDX-License-Identifier: Apache-2.0
// Keys on their way from a KMC into a running module, as people and as attackers bring them: the daemon, a
// PKCS#11 token, sts6ctl and sts6-kmc.
#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/file.hpp"
#include "firmware/keyload/profile1.hpp"
#include "firmware/keyload/records.hpp"
#include "firmware/keyload/text.hpp"
#include "sts6/hex.hpp"
#include "tests/support/admin_link.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tests/support/test_token.hpp"
#include "tools/conform/lab_module.hpp"
#include "tools/kmc/agreement.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::AdminLink;
using test::file_text;
using test::Finished;
using test::framed;
using test::RawLink;
using test::write_text;
using Words = std::vector<std::string>;

const std::string kKey04 = "ABABABABABABABAB949494949494949401234567";
const std::string kCreditToken = "SM!VC00P32D98A5616345BE2E~P58625789986991357486~";

std::string credit(int number, const std::string& ea = "11") {
    return "SM?VCN" + std::to_string(number) + "~P600727000000000009~N1~N" + ea + "~N2~N0~H0001~H014EEC~";
}

Words joined(Words first, const Words& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

std::string with_crc(std::string text) {
    text.resize(text.size() - 4);
    const std::uint16_t crc = keyload::record_crc(text);
    std::string digits(4, '0');
    write_hex(std::array{static_cast<std::uint8_t>(crc >> 8U), static_cast<std::uint8_t>(crc)},
              digits.data());
    return text + digits;
}

std::string edited(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

/// A record with something else in it, and a CRC that is right again.
std::string changed(const std::string& record, std::string_view from, std::string_view to) {
    return with_crc(edited(record, from, to));
}

std::string other_digit(std::string text, std::size_t at) {
    text.at(at) = text.at(at) == '0' ? '1' : '0';
    return text;
}

std::string file_of(const std::vector<std::string>& records) {
    return keyload::write_file(records, kmc::sha1);
}

std::vector<std::string> records_of(const std::filesystem::path& file) {
    auto content = keyload::read_file(file_text(file), kmc::sha1);
    REQUIRE(content.fault == keyload::FileFault::none);
    return std::move(content.records);
}

/// A module with its daemon, a KMC, and the people who run them.
class Site {
  public:
    explicit Site(const Words& token_options = {}) {
        ran(test::run_program("sts6ctl",
                              joined({"setup", "--dir", dir(), "--profile", "lab"}, token_options)));
        start();
        ran(kmc({"new", "--operator", "Test", "--name", "T0001", "--record", path("pkkmc")}));
        ran(ctl({"sm-key", "--out", path("sm")}));
        ran(kmc({"sm", "add", path("sm")}));
    }

    std::string path(const std::string& name) const { return (place_.path() / name).string(); }
    std::string dir() const { return path("m"); }
    std::filesystem::path socket() const { return place_.path() / "m" / "admin.sock"; }
    std::string url() const { return url_; }

    /// Starts the daemon, with a log of its own.
    void start() {
        daemon_.reset();
        log_ = path("log" + std::to_string(++starts_));
        daemon_.emplace(Words{conform::program_path("sts6d"), "--dir", dir(), "--tcp", "127.0.0.1:0"}, log_);
        const std::string line = daemon_->read_line(60s);
        INFO(file_text(log_));
        REQUIRE(line.starts_with("ready state=operational "));
        url_ = "tcp:" + conform::ready_value(line, "tcp");
    }
    void kill() {
        daemon_->kill();
        CHECK(daemon_->wait() == 128 + SIGKILL);
    }
    void stop() { CHECK(daemon_->wait(true) == 0); }
    /// Of the daemon that was started last.
    std::string log() const { return file_text(log_); }
    std::string every_log() const {
        std::string text;
        for (int i = 1; i <= starts_; ++i) text += file_text(path("log" + std::to_string(i)));
        return text;
    }

    Finished ctl(const Words& words) {
        Finished finished = test::run_program("sts6ctl", joined({"--dir", dir(), "--connect", url_}, words));
        said_ += finished.output + finished.log;
        return finished;
    }
    Finished kmc(const Words& words) const { return kmc_of("kmc.json", words); }
    Finished kmc_of(const std::string& state, const Words& words) const {
        return test::run_program("sts6-kmc", joined({"--state", path(state)}, words));
    }
    static Finished ran(Finished finished) {
        INFO(finished.log);
        REQUIRE(finished.code == 0);
        return finished;
    }
    /// What sts6ctl has printed so far.
    const std::string& said() const { return said_; }

    std::string pin_file(const std::string& officer) const { return dir() + "/pins/" + officer + ".pin"; }
    Words officers(const std::string& first = "officer1", const std::string& second = "officer2") const {
        return {"--officer", first,  "--pin-file", pin_file(first),
                "--officer", second, "--pin-file", pin_file(second)};
    }
    void approve(const std::string& record = "pkkmc") {
        ran(ctl(joined({"kmc", "approve", path(record)}, officers())));
    }
    void add_key(const Words& words, const std::string& state = "kmc.json") const {
        ran(kmc_of(state, joined({"key", "add", "--ktc", "vudk"}, words)));
    }
    /// The published key of register 2, one of DKG 02 before it, one with limits behind it.
    void add_three_keys() const {
        add_key({"--sgc", "201457", "--krn", "1", "--dkg", "04", "--base-date", "2014", "--value", kKey04});
        add_key({"--sgc", "123456", "--krn", "1", "--dkg", "02", "--base-date", "1993", "--value",
                 "ABABABABABABABAB"});
        add_limited_key("1000");
    }
    void add_limited_key(const std::string& ulm) const {
        add_key({"--sgc", "203557", "--krn", "6", "--dkg", "04", "--base-date", "2035", "--value", kKey04,
                 "--ulm", ulm, "--clm", "2000"});
    }
    /// A request of the module and the KMC's answer to it, as files of those names.
    void answer(const std::string& request, const std::string& klf, const std::string& record = "pkkmc",
                const std::string& state = "kmc.json") {
        ran(ctl({"klf", "request", "--kmc", path(record), "--out", path(request)}));
        ran(kmc_of(state, {"respond", path(request), "--out", path(klf)}));
    }
    Finished load(const std::string& klf) { return ctl({"klf", "load", path(klf)}); }
    Finished load_text(const std::string& text) {
        write_text(path("edited"), text);
        return load("edited");
    }

    json status() const { return AdminLink(socket()).ask(R"({"command":"status"})").at("status"); }
    /// What a refusal must leave as it was.
    json held() const {
        const json all = status();
        return {all.at("slots"), all.at("registers")};
    }
    std::size_t registers() const { return status().at("registers").size(); }

    std::string ask(const std::string& message) {
        RawLink link(url_);
        return link.ask(framed(message));
    }
    /// A command of one P field.
    std::string send(const std::string& header, const std::string& text) {
        return ask(header + "P" + text + "~");
    }

  private:
    conform::TemporaryDirectory place_;
    std::optional<conform::ChildProcess> daemon_;
    std::string url_;
    std::string log_;
    std::string said_;
    int starts_ = 0;
};

void refused(const Finished& finished, int code, const std::string& why) {
    INFO(finished.log + finished.output);
    CHECK(finished.code == code);
    CHECK((finished.log + finished.output).find(why) != std::string::npos);
    // Its last word, and one line.
    const std::size_t last = finished.log.rfind('\n', finished.log.size() - 2);
    CHECK(finished.log.substr(last == std::string::npos ? 0 : last + 1).starts_with("sts6ctl: "));
}

/// One module for each kind of token that there is.
std::unique_ptr<test::TestToken> each_token() {
    return GENERATE(from_range(std::begin(test::kTokenMakers), std::end(test::kTokenMakers)))();
}

}  // namespace

TEST_CASE("key load files: from a new module to tokens, a refresh while it vends, and a revocation") {
    const auto token = each_token();
    Site site(test::setup_options(*token));
    site.add_three_keys();
    CHECK(site.registers() == 0);
    CHECK(site.ask(credit(2)) == framed("SM!VC22"));
    refused(site.ctl({"klf", "request", "--kmc", site.path("pkkmc")}), 1, "KMC public key not approved");
    site.approve();
    site.answer("request", "klf");
    CHECK(site.status().at("slots").at(0).at("session") == "pending");
    const Finished loaded = Site::ran(site.load("klf"));
    CHECK(loaded.output.find("SGC 0000123456 KRN 1: register 1, KCV C33F45\n") != std::string::npos);
    CHECK(loaded.output.find("SGC 0000201457 KRN 1: register 2, KCV 0F353D\n") != std::string::npos);
    CHECK(loaded.output.find("SGC 0000203557 KRN 6: register 3, KCV 0F353D\n") != std::string::npos);
    CHECK(loaded.output.ends_with("3 keys in force, 0 removed\n"));
    CHECK(site.ask(credit(2)) == framed(kCreditToken));
    CHECK(site.ask("SM?VTN2~P600727000000000009~N1~N11~P58625789986991357486~") ==
          framed("SM!VT00N0~N0~N0~H0001~H014EEC~"));
    // A key of DKG 02 goes with EA 07 only.
    CHECK(site.ask(credit(1)) == framed("SM!VC40"));
    CHECK(site.ask(credit(1, "7")).starts_with("SM!VC00"));
    CHECK(site.ask(credit(3)).starts_with("SM!VC00"));
    CHECK(site.ask("SM?GAN3~").find(";ULM1000;XCL200000000;XUL9999~") != std::string::npos);
    const json slot = site.status().at("slots").at(0);
    CHECK(slot.at("operator") == "Test");
    CHECK(slot.at("name") == "T0001");
    CHECK(slot.at("active") == true);
    CHECK(slot.at("session") == "none");

    // A refresh takes nothing from those who vend.
    std::atomic<int> vended = 0;
    std::atomic<int> wrong = 0;
    std::jthread client([&vended, &wrong, url = site.url()](const std::stop_token& enough) {
        RawLink link(url);
        while (!enough.stop_requested())
            ++(link.ask(framed(credit(2))) == framed(kCreditToken) ? vended : wrong);
    });
    CHECK(test::eventually([&] { return vended > 0; }));
    Site::ran(site.kmc({"revoke", "--sgc", "203557", "--krn", "6"}));
    site.add_limited_key("500");
    site.answer("request2", "klf2");
    const int before = vended;
    const Finished refreshed = site.load("klf2");
    CHECK(test::eventually([&] { return vended > before; }));
    client.request_stop();
    client.join();
    CHECK(refreshed.code == 0);
    CHECK(refreshed.output.ends_with("3 keys in force, 0 removed\n"));
    CHECK(wrong == 0);
    CHECK(site.status().at("registers").at(2).at("units_left_tenths") == 5000);

    Site::ran(site.kmc({"revoke", "--sgc", "123456", "--krn", "1"}));
    site.answer("request3", "klf3");
    CHECK(Site::ran(site.load("klf3")).output.ends_with("2 keys in force, 1 removed\n"));
    CHECK(site.ask(credit(1)) == framed("SM!VC22"));
    CHECK(site.ask(credit(2)) == framed(kCreditToken));
    CHECK(site.registers() == 2);
    // All of it is there after a start, and no key object without a register was.
    site.stop();
    site.start();
    CHECK(site.registers() == 2);
    CHECK(site.ask(credit(1)) == framed("SM!VC22"));
    CHECK(site.ask(credit(2)) == framed(kCreditToken));
    CHECK(site.log().find("without a register") == std::string::npos);
}

TEST_CASE("key load files: files that were cut, reordered or edited never reach the module") {
    Site site;
    site.add_three_keys();
    site.approve();
    site.answer("request", "klf");
    const json held = site.held();
    const std::string whole = file_text(site.path("klf"));
    const auto records = records_of(site.path("klf"));
    REQUIRE(records.size() == 4);
    const std::string trailer = whole.substr(whole.find('#'));
    std::string text;
    for (const auto& record : records) text += record + "\n";
    const auto never = [&](const std::string& file, const std::string& why) {
        refused(site.load_text(file), 5, why);
    };
    never("", "no record");
    never("\r\n\n", "no record");
    never(text, "cut");
    never(whole.substr(0, 1), "cut");
    never(whole.substr(0, whole.size() - 2), "cut");
    never(text + "#", "cut");
    never(whole.substr(0, records[0].size() + 1) + trailer, "edited, cut or put in another order");
    never(edited(whole, "ULM1000", "ULM9999"), "edited");
    never(records[0] + "\n" + records[2] + "\n" + records[1] + "\n" + records[3] + "\n" + trailer,
          "another order");
    never(text + records[1] + "\n" + trailer, "edited");
    never(text + other_digit(trailer, 5), "edited");
    never(text + "#" + std::string(40, 'f') + "\n", "cut");
    never(trailer, "no record");
    never("95000289050716STS04A6004\n9520\n", "Edition 1");
    never(std::string(2000, 'A') + "\n" + trailer, "printable ASCII");
    never(edited(whole, "|", "\x01"), "printable ASCII");
    never(edited(whole, "|", "\xC3\xA9"), "printable ASCII");
    never(std::string((1U << 20U) + 1, '\n'), "larger");
    // Whole files, of something else.
    never(file_text(site.path("pkkmc")), "no key load file");
    never(file_text(site.path("request")), "no key load file");
    never(file_of({records[1], records[0]}), "no key load file");
    refused(site.load("missing"), 2, "cannot be read");
    refused(site.ctl({"klf", "request", "--kmc", site.path("klf")}), 5, "no KMC public key record");
    refused(site.ctl({"klf", "request", "--kmc", site.path("sm")}), 5, "no KMC public key record");
    CHECK(site.held() == held);
    // Mail changes line ends; that is no damage.
    std::string mailed;
    for (const char c : whole) mailed += c == '\n' ? std::string("\r\n\r\n") : std::string(1, c);
    CHECK(site.load_text(mailed).code == 0);
    CHECK(site.registers() == 3);
    // The file has done its work: it is an old one now.
    const json after = site.held();
    refused(site.load("klf"), 1, "old one");
    CHECK(site.held() == after);
}

TEST_CASE("key load files: a KMC's record that is not what it says") {
    Site site;
    const std::string record = records_of(site.path("pkkmc"))[0];
    const std::string sm = records_of(site.path("sm"))[0];
    const json held = site.held();
    const auto kc = [&site](const std::string& text) { return site.send("SM?KC", text); };
    const std::string point(record.substr(record.size() - 4 - 1 - 194, 194));
    for (std::size_t at = 0; at < record.size(); at += 41)
        CHECK(kc(other_digit(record, at)) == framed("SM!KC49"));
    CHECK(kc("x") == framed("SM!KC49"));
    CHECK(kc(record.substr(0, record.size() - 1)) == framed("SM!KC49"));
    CHECK(kc(record + "0") == framed("SM!KC49"));
    CHECK(kc(changed(record, ";CRVP-384", "")) == framed("SM!KC49"));
    CHECK(kc(changed(record, "|ACT2", "|ACT9")) == framed("SM!KC49"));
    CHECK(kc(changed(record, "KMCID.1:Test", "KMCID.1:Tast")) == framed("SM!KC49"));
    CHECK(kc(sm) == framed("SM!KCEEPKMC public key record type~"));
    CHECK(kc(changed(record, "CRVP-384", "CRVP-256")) == framed("SM!KCEEPKMC public key curve~"));
    const std::string invalid = framed("SM!KCEEPKMC public key invalid~");
    CHECK(kc(changed(record, point, other_digit(point, 193))) == invalid);
    CHECK(kc(changed(record, point, "00")) == invalid);
    CHECK(kc(changed(record, point, "02" + point.substr(2, 96))) == invalid);
    CHECK(kc(changed(record, point, "04" + std::string(192, '0'))) == invalid);
    CHECK(kc(changed(record, point, "04" + std::string(192, 'F'))) == invalid);
    // The SM's own key is a point, but another one than the KMCID names.
    CHECK(kc(changed(record, point, sm.substr(sm.size() - 4 - 1 - 194, 194))) ==
          framed("SM!KCEEPKMC fingerprint mismatch~"));
    CHECK(kc(record) == framed("SM!KCEEPKMC public key not approved~"));
    CHECK(site.held() == held);
    site.approve();
    // Another record of the same key is another record.
    const std::string longer = changed(record, record.substr(record.find(";EXP"), 8), ";EXP2098");
    CHECK(kc(longer) == framed("SM!KCEEPKMC public key not approved~"));
    CHECK(site.held() == held);
    CHECK(kc(record).starts_with("SM!KC00P"));

    // Approved, but of another time.
    for (const auto& [name, from, until, status] :
         {std::array{"T0002", "20980101T000000Z", "20990101T000000Z", "43"},
          std::array{"T0003", "20200101T000000Z", "20210101T000000Z", "41"}}) {
        Site::ran(site.kmc_of("other.json", {"new", "--operator", "Test", "--name", name, "--active", from,
                                             "--expiry", until, "--record", site.path(name)}));
        std::filesystem::remove(site.path("other.json"));
        site.approve(name);
        const json before = site.held();
        refused(site.ctl({"klf", "request", "--kmc", site.path(name)}), 1, status);
        CHECK(site.held() == before);
    }
}

namespace {

/// A site whose KMC has answered the module's first request.
struct Loading : Site {
    Loading() {
        add_three_keys();
        approve();
        answer("request", "klf");
        records = records_of(path("klf"));
        REQUIRE(records.size() == 4);
    }
    const std::string& header() const { return records[0]; }
    std::string kr(const std::string& text) { return send("SM?KR", text); }
    std::string kl(const std::string& text) { return send("SM?KL", text); }

    std::vector<std::string> records;
};

/// The KMC's side of a session, for records that no KMC makes.
class Forger {
  public:
    Forger(const Site& site, const std::string& request_file)
        : request_record_(records_of(site.path(request_file))[0]),
          sm_record_(records_of(site.path("sm"))[0]),
          kmc_record_(records_of(site.path("pkkmc"))[0]) {
        const auto request = keyload::parse_load_request(request_record_);
        const auto sm = keyload::parse_sm_key(sm_record_);
        const auto kmc = keyload::parse_kmc_key(kmc_record_);
        REQUIRE(request);
        REQUIRE(sm);
        REQUIRE(kmc);
        own_.public_key = keyload::read_point(kmc->point).value();
        const std::string secret = json::parse(file_text(site.path("kmc.json"))).at("private_key");
        REQUIRE(read_hex(secret, own_.private_key.octets()));
        const keyload::profile1::Parties parties{request->smid.text, request->kmcid.text, sm->key,
                                                 request->ephemeral_key, own_.public_key};
        keys_ = kmc::derive_keys(kmc::shared_secret(own_, request->ephemeral_key),
                                 kmc::shared_secret(own_, sm->key), parties);
    }

    /// A key record of the session that `header` begins.
    std::string key(const std::string& header, const std::string& cards, const std::string& value,
                    std::optional<std::uint8_t> nonce = std::nullopt) {
        keyload::Nonce own{};
        own[0] = nonce.value_or(++count_);
        std::vector<std::uint8_t> octets(value.size() / 2);
        REQUIRE(read_hex(value, octets));
        return kmc::key_record(keys_, keyload::parse_load_response(header)->mac_tag, own, cards, octets);
    }

  private:
    std::string request_record_;
    std::string sm_record_;
    std::string kmc_record_;
    kmc::KeyPair own_;
    kmc::SessionKeys keys_;
    std::uint8_t count_ = 0;
};

std::string cards_of(const std::string& record) {
    return std::string(keyload::parse_key(record)->cards_text);
}

}  // namespace

TEST_CASE("key load files: responses with a right CRC and trailer that are no good") {
    Loading site;
    const std::string& header = site.header();
    const auto& records = site.records;
    const std::string kmcid(keyload::parse_load_response(header)->kmcid.text);
    const std::string smid(keyload::parse_load_response(header)->smid.text);
    const json held = site.held();
    CHECK(site.kl(records[1]) == framed("SM!KL26"));
    CHECK(site.send("SM?KF", kmcid) == framed("SM!KF26"));
    CHECK(site.send("SM?KF", "x") == framed("SM!KF26"));
    CHECK(site.send("SM?KX", "x") == framed("SM!KX27"));
    CHECK(site.kr(records[1]) == framed("SM!KR49"));
    CHECK(site.kl(header) == framed("SM!KL49"));
    for (std::size_t at = 0; at < header.size(); at += 23)
        CHECK(site.kr(other_digit(header, at)) == framed("SM!KR49"));

    const auto not_loaded = [&](const std::string& other_header, const std::string& why) {
        refused(site.load_text(file_of({other_header, records[1]})), 1, why);
    };
    not_loaded(changed(header, smid, with_crc(edited(smid, ":sts6:", ":sts7:"))), "Response not for this SM");
    const std::string other_kmcid = with_crc(edited(kmcid, ":T0001:", ":T0009:"));
    not_loaded(changed(header, kmcid, other_kmcid), "waits for no such response (26)");
    const std::string namesake = with_crc(other_digit(kmcid, kmcid.size() - 21));
    not_loaded(changed(header, kmcid, namesake), "Response KMC mismatch");
    // Four times, for the fifth would end the request.
    const std::string tag = header.substr(header.size() - 5 - 48, 48);
    not_loaded(changed(header, tag, other_digit(tag, 0)), "Key confirmation failed");
    const std::string year = header.substr(header.find("|20", header.find("SMID")), 5);
    for (const auto& wrong : {changed(header, tag, other_digit(tag, 47)),
                              changed(header, tag, std::string(48, '0')), changed(header, year, "|1999")}) {
        CHECK(site.kr(wrong) == framed("SM!KREEPKey confirmation failed~"));
    }
    CHECK(site.held() == held);

    CHECK(site.kr(header) == framed("SM!KR00N0~"));
    const json loading = site.held();
    CHECK(site.kr(header) == framed("SM!KR00N0~"));
    CHECK(site.kr(changed(header, tag, other_digit(tag, 0))) == framed("SM!KR26"));
    CHECK(site.held() == loading);
}

TEST_CASE("key load files: every part of a key record is authenticated") {
    Loading site;
    CHECK(site.kr(site.header()) == framed("SM!KR00N0~"));
    const json held = site.held();
    const std::string& good = site.records[3];
    const std::size_t nonce = good.find('|') + 1;
    const std::size_t sealed = good.rfind('|', good.size() - 6) + 1;
    for (const auto& wrong :
         {with_crc(other_digit(good, nonce)), with_crc(other_digit(good, nonce + 23)),
          with_crc(other_digit(good, sealed)), with_crc(other_digit(good, good.size() - 6)),
          changed(good, "ULM1000", "ULM9999"), changed(good, "KRN6", "KRN7"), changed(good, "KTC2", "KTC3"),
          changed(good, "DKG04", "DKG02"), changed(good, "SGC0000203557", "SGC0000203558"),
          changed(good, "KEN255", "KEN254"), changed(good, "CLM44fa0000;", ""),
          changed(good, "|ACT", "|ABC1;ACT")}) {
        CAPTURE(wrong);
        CHECK(site.kl(wrong) == framed("SM!KL77"));
    }
    for (std::size_t at = 0; at < good.size(); at += 37)
        CHECK(site.kl(other_digit(good, at)) == framed("SM!KL49"));
    CHECK(site.kl(with_crc(edited(good, good.substr(sealed, 40), ""))) == framed("SM!KL49"));
    const Finished mixed =
        site.load_text(file_of({site.header(), changed(good, "ULM1000", "ULM9999"), site.records[1]}));
    refused(mixed, 1, "nothing is in force yet");
    CHECK(mixed.output.find("SGC 0000203557 KRN 6: refused: 77") != std::string::npos);
    CHECK(site.held() == held);
    CHECK(site.ask(credit(1)) == framed("SM!VC22"));
}

TEST_CASE("key load files: authentic records of a KMC that has gone mad") {
    Loading site;
    const std::string& header = site.header();
    const std::string kmcid(keyload::parse_load_response(header)->kmcid.text);
    CHECK(site.kr(header) == framed("SM!KR00N0~"));
    CHECK(site.kl(site.records[1]) == framed("SM!KL00N1~PC33F45~"));
    json held = site.held();
    Forger forger(site, "request");
    const std::string& good = site.records[3];
    const std::string cards = cards_of(good);
    const auto forged = [&](const std::string& other_cards, const std::string& value = kKey04,
                            std::optional<std::uint8_t> nonce = std::nullopt) {
        return site.kl(forger.key(header, other_cards, value, nonce));
    };
    for (const auto& wrong :
         {edited(cards, "DKG04", "DKG02"), edited(cards, "DKG04", "DKG03"), edited(cards, "KTC2", "KTC0"),
          edited(cards, "KTC2", "KTC4"), edited(cards, "KRN6", "KRN0"), edited(cards, "KRN6", "KRN10"),
          edited(cards, "KEN255", "KEN256"), edited(cards, "KCV0F353D", "KCV0F353E"),
          edited(cards, "CLM44fa0000", "CLM7f800000"), edited(cards, "CLM44fa0000", "CLMc4fa0000"),
          edited(cards, "CLU0", "CLU1"), edited(cards, "BDT2035", "BDT2036"), edited(cards, "KCV0F353D;", ""),
          edited(cards, "SGC0000203557;", ""), std::string("KEN255;")}) {
        CAPTURE(wrong);
        CHECK(forged(wrong) == framed("SM!KL94"));
    }
    for (const std::size_t octets : {1U, 8U, 16U, 19U})
        CHECK(forged(cards, kKey04.substr(0, 2 * octets)) == framed("SM!KL94"));
    CHECK(forged(cards, kKey04, std::uint8_t{200}) == framed("SM!KL00N2~P0F353D~"));
    CHECK(forged(edited(cards, "KRN6", "KRN7"), kKey04, std::uint8_t{200}) == framed("SM!KL94"));
    CHECK(forged(cards) == framed("SM!KL28"));
    CHECK(site.held() == held);
    CHECK(site.send("SM?KF", kmcid) == framed("SM!KF00N2~N0~"));
    CHECK(site.registers() == 2);
    CHECK(site.ask(credit(2)).starts_with("SM!VC00"));
    CHECK(site.send("SM?KF", kmcid) == framed("SM!KF00N2~N0~"));

    // A key that is in force stays the key it is.
    site.answer("request2", "klf2");
    const std::string second = records_of(site.path("klf2"))[0];
    CHECK(site.kr(header) == framed("SM!KREEPKey confirmation failed~"));
    CHECK(site.kr(second) == framed("SM!KR00N0~"));
    held = site.held();
    Forger again(site, "request2");
    CHECK(site.kl(good) == framed("SM!KL77"));
    CHECK(site.kl(again.key(second, edited(cards, "KTC2", "KTC3"), kKey04)) == framed("SM!KL28"));
    CHECK(site.kl(again.key(second, edited(cards, "BDT2035", "BDT2014"), kKey04)) == framed("SM!KL28"));
    CHECK(site.held() == held);
    CHECK(site.ask(credit(2)).starts_with("SM!VC00"));
}

TEST_CASE("key load files: two KMCs do not get into each other's loads") {
    Site site;
    site.add_three_keys();
    site.approve();
    Site::ran(site.kmc_of("two.json",
                          {"new", "--operator", "Test", "--name", "T0002", "--record", site.path("pkkmc2")}));
    Site::ran(site.kmc_of("two.json", {"sm", "add", site.path("sm")}));
    site.add_key({"--sgc", "201457", "--krn", "1", "--dkg", "04", "--base-date", "2014"}, "two.json");
    refused(site.ctl({"klf", "request", "--kmc", site.path("pkkmc2")}), 1, "not approved");
    site.approve("pkkmc2");
    site.answer("request", "klf");
    site.answer("request2", "klf2", "pkkmc2", "two.json");
    const auto one = records_of(site.path("klf"));
    const auto two = records_of(site.path("klf2"));
    const Finished mixed = site.load_text(file_of({one[0], two[1]}));
    refused(mixed, 1, "nothing is in force yet");
    CHECK(mixed.output.find("77") != std::string::npos);
    CHECK(site.registers() == 0);
    const json held = site.held();
    refused(site.load("klf2"), 1, "another load is not finished");
    refused(site.load_text(file_of({two[0], one[1]})), 1, "another load is not finished");
    CHECK(site.held() == held);
    CHECK(Site::ran(site.load("klf")).output.ends_with("3 keys in force, 0 removed\n"));
    // The same SGC and KRN of another KMC is another key, and takes a register of its own.
    CHECK(Site::ran(site.load("klf2")).output.ends_with("1 key in force, 0 removed\n"));
    CHECK(site.registers() == 4);
    CHECK(site.ask(credit(2)) == framed(kCreditToken));
    CHECK(site.ask(credit(4)).starts_with("SM!VC00"));
    const std::string kmcid(keyload::parse_load_response(two[0])->kmcid.text);
    CHECK(site.send("SM?KX", kmcid) == framed("SM!KX00"));
    CHECK(site.send("SM?KX", kmcid) == framed("SM!KX27"));
    CHECK(site.registers() == 3);
    CHECK(site.ask(credit(4)) == framed("SM!VC22"));
    CHECK(site.ask(credit(2)) == framed(kCreditToken));
}

TEST_CASE("key load files: a daemon that is killed anywhere in a load goes on with it") {
    const auto token = each_token();
    Site site(test::setup_options(*token));
    site.add_three_keys();
    site.approve();
    // What stayed behind is taken away by the next start; the one after it finds nothing.
    const auto killed = [&site] {
        site.kill();
        site.start();
        site.stop();
        site.start();
        CHECK(site.log().find("without a register") == std::string::npos);
    };
    site.answer("request", "klf");
    const auto records = records_of(site.path("klf"));
    const std::string kmcid(keyload::parse_load_response(records[0])->kmcid.text);
    killed();
    CHECK(site.status().at("slots").at(0).at("session") == "pending");
    CHECK(site.send("SM?KR", records[0]) == framed("SM!KR00N0~"));
    killed();
    CHECK(site.status().at("slots").at(0).at("session") == "loading");
    CHECK(site.send("SM?KL", records[1]) == framed("SM!KL00N1~PC33F45~"));
    {
        // Without its answer: staged or not, the file is loaded again all the same.
        RawLink link(site.url());
        link.send(framed("SM?KLP" + records[2] + "~"));
        killed();
    }
    CHECK(site.send("SM?KL", records[1]) == framed("SM!KL00N1~PC33F45~"));
    CHECK(site.registers() == 0);
    CHECK(Site::ran(site.load("klf")).output.ends_with("3 keys in force, 0 removed\n"));
    killed();
    CHECK(site.registers() == 3);
    CHECK(site.ask(credit(2)) == framed(kCreditToken));
    const json held = site.held();
    refused(site.load("klf"), 1, "was answered");
    CHECK(site.held() == held);
    CHECK(site.send("SM?KF", kmcid) == framed("SM!KF00N3~N0~"));

    // A refresh that ends at its last command: in force or not, and never half.
    site.answer("request2", "klf2");
    const auto next = records_of(site.path("klf2"));
    CHECK(site.send("SM?KR", next[0]) == framed("SM!KR00N0~"));
    CHECK(site.send("SM?KL", next[2]) == framed("SM!KL00N2~P0F353D~"));
    {
        RawLink link(site.url());
        link.send(framed("SM?KFP" + kmcid + "~"));
        killed();
    }
    const std::size_t left = site.registers();
    CHECK((left == 1 || left == 3));
    CHECK(site.send("SM?KF", kmcid) == framed("SM!KF00N1~N2~"));
    CHECK(site.registers() == 1);
    CHECK(site.ask(credit(2)) == framed(kCreditToken));
    CHECK(site.ask(credit(1)) == framed("SM!VC22"));
}

namespace {

/// A site with a third officer, and PINs that are nobody's.
struct Officers : Site {
    Officers() {
        write_pin("officer3", "third officer's");
        write_pin("new", "the new one");
        write_pin("wrong", "no PIN of theirs");
        write_pin("short", "1234567");
        ran(ctl(joined(add3(), officers())));
    }
    Words add3() const { return add("officer3", "officer3"); }
    Words add(const std::string& name, const std::string& pin) const {
        return {"officer", "add", name, "--new-pin-file", pin_file(pin)};
    }
    void write_pin(const std::string& name, const std::string& pin) const {
        write_text(pin_file(name), pin + "\n");
        REQUIRE(::chmod(pin_file(name).c_str(), 0600) == 0);
    }
    Finished attempt(const Words& who) { return ctl(joined({"kmc", "approve", path("pkkmc")}, who)); }
    static Words pair(const std::string& first, const std::string& pin1, const std::string& second,
                      const std::string& pin2) {
        return {"--officer", first, "--pin-file", pin1, "--officer", second, "--pin-file", pin2};
    }
    Words one_wrong() const { return pair("officer1", pin_file("wrong"), "officer2", pin_file("officer2")); }
    /// Wrong PINs in a row, officer by officer.
    json failures() const {
        json counts = json::array();
        const json answer = AdminLink(socket()).ask(R"({"command":"officer-list"})");
        for (const json& one : answer.at("officers")) counts.push_back(one.at("failures"));
        return counts;
    }
};

}  // namespace

TEST_CASE("officers: it takes two, who are known and whose PIN files are closed") {
    Officers site;
    refused(site.ctl(joined(site.add3(), site.officers())), 1, "there is an officer officer3 already");
    const std::string long_name(41, 'x');
    for (const std::string& name : {std::string("a b"), std::string(), std::string("x/y"), long_name}) {
        CAPTURE(name);
        refused(site.ctl(joined(site.add(name, "new"), site.officers())), 2, "a name has 1 to 40");
    }
    refused(site.ctl(joined(site.add("four", "short"), site.officers())), 2, "8 to 255 characters");
    refused(site.attempt(site.officers("officer1", "officer1")), 2, "two different officers");
    refused(
        site.attempt(Officers::pair("nobody", site.pin_file("wrong"), "officer2", site.pin_file("officer2"))),
        1, "there is no officer nobody");
    const std::string pin1 = site.pin_file("officer1");
    const std::string pin2 = site.pin_file("officer2");
    refused(site.attempt({"--officer", "officer1", "--pin-file", pin1}), 2, "two officers are needed");
    refused(site.attempt({"--officer", "officer1"}), 2, "belong together");
    refused(site.attempt(joined(site.officers(), {"--officer", "officer3", "--pin-file", pin1})), 2,
            "belong together");
    refused(site.attempt({}), 2, "two officers are needed");
    refused(site.attempt(site.officers("officer1", "missing")), 2, "No such file");
    REQUIRE(::chmod(pin1.c_str(), 0640) == 0);
    refused(site.attempt(site.officers()), 2, "closed to all others");
    REQUIRE(::chmod(pin1.c_str(), 0600) == 0);
    std::filesystem::create_symlink(pin1, site.path("link"));
    refused(site.attempt(Officers::pair("officer1", site.path("link"), "officer2", pin2)), 2,
            "symbolic links");
    refused(site.attempt(Officers::pair("officer1", site.dir(), "officer2", pin2)), 2, "no PIN file");
    site.write_pin("octets", "secret\xE9pin");
    refused(site.attempt(Officers::pair("officer1", site.pin_file("octets"), "officer2", pin2)), 2,
            "sts6ctl: a name or a PIN is no text in UTF-8\n");
    CHECK(site.failures() == json({0, 0, 0}));
    CHECK(site.ctl({"kmc", "list"}).output.empty());

    refused(site.ctl(joined({"officer", "remove", "nobody"}, site.officers())), 1, "there is no officer");
    Site::ran(site.ctl(joined({"officer", "remove", "officer3"}, site.officers())));
    refused(site.ctl(joined({"officer", "remove", "officer2"}, site.officers())), 1,
            "two officers must stay");
    CHECK(site.ctl({"officer", "list"}).output == "officer1\nofficer2\n");
}

TEST_CASE("officers: wrong PINs are counted over starts, and two others unlock") {
    Officers site;
    const std::string first_pin = file_text(site.pin_file("officer1")).substr(0, 32);
    refused(site.attempt(site.one_wrong()), 1, "the PIN of officer officer1 is wrong");
    CHECK(site.failures() == json({1, 0, 0}));
    // The right one starts the count anew.
    CHECK(site.attempt(site.officers()).code == 0);
    CHECK(site.failures() == json({0, 0, 0}));
    for (int i = 0; i < 3; ++i) refused(site.attempt(site.one_wrong()), 1, "is wrong");
    site.kill();
    site.start();
    CHECK(site.failures() == json({3, 0, 0}));
    for (int i = 0; i < 2; ++i) refused(site.attempt(site.one_wrong()), 1, "is wrong");
    refused(site.attempt(site.officers()), 1, "officer1 is locked");
    site.stop();
    site.start();
    refused(site.attempt(site.officers()), 1, "officer1 is locked");
    CHECK(site.ctl({"officer", "list"}).output == "officer1  locked\nofficer2\nofficer3\n");

    const auto new_pin = [&site](const std::string& name, const Words& who) {
        return site.ctl(joined({"officer", "pin", name, "--new-pin-file", site.pin_file("new")}, who));
    };
    refused(new_pin("officer1", site.officers()), 1, "officer1 is locked");
    refused(new_pin("nobody", site.officers("officer2", "officer3")), 1, "there is no officer nobody");
    Site::ran(new_pin("officer1", site.officers("officer2", "officer3")));
    refused(site.attempt(site.officers()), 1, "the PIN of officer officer1 is wrong");
    site.write_pin("officer1", "the new one");
    CHECK(site.attempt(site.officers()).code == 0);
    CHECK(site.failures() == json({0, 0, 0}));

    const std::string log = site.every_log();
    CHECK(log.find("audit: officers changed: officer1 wrong PIN") != std::string::npos);
    for (const std::string& pin :
         {first_pin, file_text(site.pin_file("officer2")).substr(0, 32), std::string("third officer's"),
          std::string("the new one"), std::string("no PIN of theirs")}) {
        CHECK(log.find(pin) == std::string::npos);
        CHECK(site.said().find(pin) == std::string::npos);
    }
}

TEST_CASE("officers: which KMCs are trusted") {
    Site site;
    const std::string record = records_of(site.path("pkkmc"))[0];
    const auto approve = [&site](const std::string& text) {
        write_text(site.path("edited"), text);
        return site.ctl(joined({"kmc", "approve", site.path("edited")}, site.officers()));
    };
    refused(approve(file_of({other_digit(record, record.size() - 30)})), 5, "no KMC public key record");
    refused(approve(file_of({record, record})), 5, "no KMC public key record");
    refused(approve(file_of({records_of(site.path("sm"))[0]})), 5, "no KMC public key record");
    refused(approve(edited(file_text(site.path("pkkmc")), "Test", "Tast")), 5, "edited");
    refused(approve(record), 5, "cut");
    CHECK(site.ctl({"kmc", "list"}).output.empty());
    site.approve();
    const Finished list = site.ctl({"kmc", "list"});
    const std::string kmcid(keyload::parse_kmc_key(record)->kmcid.text);
    std::string digest(96, '0');
    write_hex(kmc::sha384(record), digest.data());
    CHECK(list.output.starts_with(kmcid + "  approved 20"));
    CHECK(list.output.ends_with("Z\n  SHA-384 " + digest + "\n"));

    // The same KMC with a new key: the old approval goes with the old key.
    Site::ran(site.kmc_of("new.json",
                          {"new", "--operator", "Test", "--name", "T0001", "--record", site.path("new")}));
    const Finished replaced =
        Site::ran(site.ctl(joined({"kmc", "approve", site.path("new")}, site.officers())));
    CHECK(replaced.output.starts_with("replaces " + kmcid + ", SHA-384 " + digest + "\napproved "));
    CHECK(json::parse(site.ctl({"kmc", "list", "--json"}).output).size() == 1);
    CHECK(site.send("SM?KC", record) == framed("SM!KCEEPKMC public key not approved~"));
    CHECK(site.send("SM?KC", records_of(site.path("new"))[0]).starts_with("SM!KC00P"));

    refused(site.ctl(joined({"kmc", "remove", kmcid}, site.officers())), 1, "no approved KMC");
    refused(site.ctl(joined({"kmc", "remove", ""}, site.officers())), 1, "no approved KMC");
    site.approve();
    CHECK(site.ctl(joined({"kmc", "remove", digest}, site.officers())).code == 0);
    CHECK(site.ctl({"kmc", "list"}).output.empty());
    CHECK(site.send("SM?KC", record) == framed("SM!KCEEPKMC public key not approved~"));
    site.stop();
    refused(site.ctl({"kmc", "list"}), 3, "no daemon answers");
    refused(site.ctl(joined({"kmc", "approve", site.path("pkkmc")}, site.officers())), 3,
            "no daemon answers");
    CHECK(site.ctl({"status"}).code == 0);
}

TEST_CASE("admin socket: garbage, lines without an end, and what lies in its place") {
    Site site;
    struct stat info {};
    REQUIRE(::lstat(site.socket().c_str(), &info) == 0);
    CHECK(S_ISSOCK(info.st_mode));
    CHECK((info.st_mode & 07777U) == 0600);
    AdminLink idle(site.socket());
    AdminLink link(site.socket());
    for (const std::string& garbage :
         {std::string(), std::string("x"), std::string("{"), std::string("[]"), std::string("null"),
          std::string("7"), std::string("\0\xFF\x80", 3), std::string("{}"), std::string(R"({"command":7})"),
          std::string(R"({"command":"halt"})"), std::string(R"({"command":"kmc-approve"})"),
          std::string(R"({"command":"kmc-remove","kmc":"x"})"),
          std::string(R"({"command":"kmc-remove","kmc":"x","officers":[]})"),
          std::string(R"({"command":"kmc-remove","kmc":"x","officers":{"name":"officer1"}})"),
          std::string(R"({"command":"kmc-remove","kmc":"x","officers":[1,2]})"),
          std::string(R"({"command":"officer-add","name":"x","new_pin":12345678,"officers":[]})"),
          std::string(R"({"command":"officer-pin","name":"x","new_pin":"1","officers":[]})"),
          std::string(60000, '[')}) {
        CAPTURE(garbage.substr(0, 80));
        const json answer = link.ask(garbage);
        CHECK(answer.at("ok") == false);
        CHECK(answer.at("exit_code") == 2);
        CHECK_FALSE(answer.at("error").get<std::string>().empty());
    }
    const json damaged = link.ask(R"({"command":"kmc-approve","record":"PKKMC.1|x","officers":[]})");
    CHECK(damaged.at("exit_code") == 5);
    // Two requests in one go, and one in pieces.
    const std::string list = R"({"command":"officer-list"})";
    REQUIRE(link.send(list + "\n" + list + "\n" + list.substr(0, 9)));
    CHECK(json::parse(link.line().value()).at("officers").size() == 2);
    CHECK(json::parse(link.line().value()).at("officers").size() == 2);
    REQUIRE(link.send(list.substr(9) + "\n"));
    CHECK(json::parse(link.line().value()).at("officers").size() == 2);
    // A line that is too long ends its connection alone.
    static_cast<void>(link.send(std::string(100'000, 'x')));
    CHECK_FALSE(link.line());
    { CHECK(AdminLink(site.socket()).send(list.substr(0, 9))); }
    { CHECK(AdminLink(site.socket()).send(list + "\n")); }
    CHECK(idle.ask(list).at("ok") == true);
    CHECK(site.status().at("running") == true);

    // A second daemon leaves the first one's socket alone.
    const auto second = [&site] {
        return test::run_program("sts6d", {"--dir", site.dir(), "--tcp", "127.0.0.1:0"});
    };
    CHECK(second().code == 3);
    CHECK(idle.ask(list).at("ok") == true);
    site.kill();
    REQUIRE(::lstat(site.socket().c_str(), &info) == 0);
    CHECK(site.ctl({"officer", "list"}).code == 3);
    site.start();
    CHECK(site.ctl({"officer", "list"}).code == 0);
    site.stop();
    CHECK(::lstat(site.socket().c_str(), &info) != 0);
    // What is no socket was somebody's, and stays.
    write_text(site.socket(), "a file");
    REQUIRE(::chmod(site.socket().c_str(), 0600) == 0);
    const Finished refusal = second();
    CHECK(refusal.code == 1);
    CHECK(refusal.output.empty());
    CHECK(refusal.log.find("admin.sock") != std::string::npos);
    CHECK(file_text(site.socket()) == "a file");
    std::filesystem::remove(site.socket());
    site.start();
    CHECK(site.ctl({"officer", "list"}).code == 0);
}

}  // namespace sts6
