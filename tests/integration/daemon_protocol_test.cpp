// SPDX-License-Identifier: Apache-2.0
// The rules of the protocol page, octet by octet, against the running daemon.
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <openssl/evp.h>

#include "sts6/commands.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/lab_module.hpp"
#include "tools/conform/pack.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
using conform::LabModule;
using test::envelope_of;
using test::framed;
using test::RawLink;

const std::string kDamaged = "GL!ER20A624\r";
const std::string kUnknown = "GL!ER2166E5\r";
const std::string kIdentify = "SM?DI9A51\r";
const std::string kEcho = "GL?EC00005123451F7F\r";
const std::string kEchoed = "GL!EC00005123450157\r";
const std::string kCredit = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~DCC6\r";
const std::string kCreditToken = "SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\r";

std::string firmware_id() {
    return std::string("STS6-") + STS6_VERSION + "-sample-LAB";
}

std::string identity() {
    return framed("SM!DI00PSOFTSM01~P" + firmware_id() + "~");
}

/// A module of the pack's keys at work. stop() is part of every test: it fails when the daemon has crashed,
/// or leaked in a sanitizer build.
struct Served {
    explicit Served(const char* lab_time = conform::kLabTime)
        : module(test::vector_pack()), link(url_of(module, lab_time)) {}
    static const std::string& url_of(LabModule& module, const char* lab_time) {
        module.start(std::nullopt, lab_time);
        return module.url();
    }
    LabModule module;
    RawLink link;
};

using FieldTexts = std::vector<std::string>;

const FieldTexts kCreditFields = {"N1", "P600727000000000009", "N1", "N11", "N2", "N0", "H0001", "H014EEC"};
enum Place : std::size_t { kRegister, kPan, kTi, kEa, kTct, kSubclass, kAmount, kTid };

std::string body_of(const FieldTexts& fields) {
    std::string body;
    for (const std::string& field : fields) body += field + "~";
    return body;
}

struct Change {
    std::size_t place;
    std::string field;
};

std::string changed(const std::vector<Change>& changes, FieldTexts fields = kCreditFields) {
    for (const Change& change : changes) fields.at(change.place) = change.field;
    return body_of(fields);
}

/// Sends a message that must be refused with a status and no body.
void refused(RawLink& link, const std::string& message, const std::string& status) {
    INFO(message);
    std::string head = message.substr(0, 5);
    head[2] = '!';
    CHECK(link.ask(framed(message)) == framed(head + status));
}

void refused_credit(RawLink& link, const std::vector<Change>& changes, const std::string& status) {
    refused(link, "SM?VC" + changed(changes), status);
    refused(link, "SM?VM" + changed(changes), status);
}

std::string without_cr(const std::string& line) {
    return line.substr(0, line.size() - 1);
}

std::string sha384_of(const std::string& text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned size = 0;
    REQUIRE(EVP_Digest(text.data(), text.size(), hash.data(), &size, EVP_sha384(), nullptr) == 1);
    std::string hex;
    for (unsigned i = 0; i < size; ++i) {
        hex += "0123456789ABCDEF"[hash.at(i) >> 4U];
        hex += "0123456789ABCDEF"[hash.at(i) & 0xFU];
    }
    return hex;
}

/// The request of a credit or management case, and the token that its publisher gives.
struct Vector {
    std::string request;
    std::string token;
};

std::vector<Vector> published_vectors() {
    std::vector<Vector> vectors;
    const auto pack = conform::read_pack(test::vector_pack());
    REQUIRE(pack);
    for (const conform::Case& one : pack->cases) {
        const bool credit = one.kind == conform::CaseKind::credit;
        if ((!credit && one.kind != conform::CaseKind::management) || one.expect_status) continue;
        const std::string header = credit ? "SM?VC" : "SM?VM";
        vectors.push_back(
            {framed(header + body_of({"N" + std::to_string(one.register_number), "P" + one.pan,
                                      "N" + std::to_string(one.ti), "N" + std::to_string(one.ea), "N2",
                                      "N" + std::to_string(one.subclass), "H" + one.value, "H" + one.tid})),
             one.tokens.at(0).value()});
    }
    return vectors;
}

/// An answer that vends that token and says nothing else in its decimal field.
bool vends(const std::string& answer, const Vector& vector) {
    return answer.starts_with(vector.request.substr(0, 2) + "!" + vector.request.substr(3, 2) + "00P") &&
           answer.ends_with("~P" + vector.token + "~" + answer.substr(answer.size() - 5));
}

}  // namespace

TEST_CASE("daemon protocol: the CRC of these tests is the protocol's") {
    // 123456789 gives BB3D; the modules that use another polynomial or initial value differ.
    CHECK(framed("123456789") == "123456789BB3D\r");
}

TEST_CASE("daemon protocol: the worked frames, raw and enveloped") {
    Served served;
    const std::vector<std::pair<std::string, std::string>> frames = {
        {kEcho, kEchoed},
        {kCredit, kCreditToken},
        {"SM?VMN1~P600727000000000009~N1~N11~N2~N1~HFFFF~H522A0B~FE11\r",
         "SM!VM00P0FB03E5B9962F5782~P18087553113701439362~B75D\r"},
        {"SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~7CD8\r",
         "SM!VT00N0~N0~N0~H0001~H014EEC~7636\r"},
        {"GL?RR0E2E\r", "SM!VT00N0~N0~N0~H0001~H014EEC~7636\r"},
        {"GL?RSCEEF\r", "GL!RS00B271\r"},
        {"GL?RR0E2E\r", kUnknown},
        {"SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~F1B7\r",
         "SM!VK00N0~N4~P0357DBF341198EC87026BE76CBB15E21E03A373495B96D43D66107F184C6D6B59AFA~"
         "P03854447086453451911027917994362424611526711807032935397719019019128690902932218~94DE\r"},
        {"SM?DI9A52\r", kDamaged},
        {framed("SM?VCN3~P600727111111111153~N1~N11~N2~N0~H0001~H970C20~"), "SM!VC4197E7\r"},
        {framed("SM?VCN1~P600727000000000008~N1~N11~N2~N0~H0001~H014EEC~"), "SM!VC76A5A6\r"},
        {kIdentify, identity()},
    };
    RawLink enveloped(served.module.url());
    for (const auto& [request, answer] : frames) {
        INFO(request);
        CHECK(served.link.ask(request) == answer);
        CHECK(enveloped.ask_enveloped(envelope_of(request)) == envelope_of(answer));
    }
    const std::string worked("\x00\x10\xED\xF1\x2B\x00\xFE\xEDSM?DI9A51\r", 18);
    CHECK(enveloped.ask_enveloped(worked) == envelope_of(identity()));
    // A currency amount and a TID of two octets, as the page frames them; the tokens are published ones.
    CHECK(served.link.ask("SM?VCN1~P600727000000000009~N1~N11~N2~N4~H000001~H6D6F51~BB25\r")
              .starts_with("SM!VC00P"));
    CHECK(served.link.ask("SM?VCN6~P600727000000000009~N1~N11~N2~N0~H0001~H01E0~8D86\r") == "SM!VC2236A4\r");
    CHECK(vends(served.link.ask(framed("SM?VCN2~P600727000000000009~N1~N11~N2~N0~H0001~H01E0~")),
                {"SM?VC", "59936545050550308168"}));
    served.module.stop();
}

TEST_CASE("daemon protocol: what the module says of itself and of its keys") {
    Served served;
    // The program's SHA-384, its first 16 digits.
    const std::string program = "/proc/" + std::to_string(served.module.daemon().pid()) + "/exe";
    const std::string hash = sha384_of(test::file_text(program)).substr(0, 16);
    const std::string identity = served.link.ask(framed("SM?QI"));
    CHECK(identity.starts_with("SM!QI00PSMID.1:sts6:SOFTSM01:"));
    CHECK(identity.find("~PSTS6-SOFT~P" + firmware_id() + "~H" + hash + "~") != std::string::npos);
    const std::string date = served.link.ask(framed("SM?QD"));
    CHECK(date.size() == std::string("SM!QD00D20020101000000~N0~CCCC\r").size());
    CHECK(date.starts_with("SM!QD00D20020101"));
    CHECK(framed(date.substr(0, date.size() - 5)) == date);
    CHECK(date.substr(22, 4) == "~N0~");
    CHECK(served.link.ask(framed("SM?GAN1~")) ==
          framed("SM!GA00PACT19930101T000000Z;BDT20140101T000000Z;CLU0;DKG04;EXP20991231T000000Z;"
                 "IUT20991231T000000Z;KCV0F353D;KEN255;KRN1;KTC2;SBMFFFF;SGC0000201457~"));
    CHECK(served.link.ask(framed("SM?GAN3~")) ==
          framed("SM!GA00PACT19930101T000000Z;BDT20140101T000000Z;CLU0;DKG04;EXP20991231T000000Z;"
                 "IUT20991231T000000Z;KCV0F353D;KEN85;KRN7;KTC2;SBMFFFF;SGC0000201460~"));
    refused(served.link, "SM?GAN4~", "22");
    refused(served.link, "SM?GAN64~", "22");
    for (const char* body : {"N0~", "N65~", "N4294967295~"})
        refused(served.link, "SM?GA" + std::string(body), "63");
    for (const char* body : {"N01~", "N~", "N-1~", "N1 ~"})
        refused(served.link, "SM?GA" + std::string(body), "62");
    for (const char* body : {"P1~", "H01~", "1~", "n1~", "~"}) {
        refused(served.link, "SM?GA" + std::string(body), "61");
    }
    for (const char* body : {"", "N1", "N1~N1~", "N1~~", "N1~ "}) {
        refused(served.link, "SM?GA" + std::string(body), "60");
    }
    for (const char* header : {"SM?DI", "SM?QI", "SM?QD"}) {
        for (const char* body : {"N1~", "~", " ", "P"})
            refused(served.link, std::string(header) + body, "60");
    }
    served.module.stop();
}

TEST_CASE("daemon protocol: fields, 60 and 61") {
    Served served;
    for (const std::string header : {"SM?VC", "SM?VM"}) {
        for (std::size_t i = 0; i < kCreditFields.size(); ++i) {
            FieldTexts fewer = kCreditFields;
            fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
            refused(served.link, header + body_of(fewer), "60");
            FieldTexts more = kCreditFields;
            more.insert(more.begin() + static_cast<std::ptrdiff_t>(i), more[i]);
            refused(served.link, header + body_of(more), "60");
            for (const char letter : std::string("NPHDn 1")) {
                std::string field = kCreditFields[i];
                if (letter == field[0]) continue;
                field[0] = letter;
                refused(served.link, header + changed({{i, field}}), "61");
            }
            // No letter at all: the value's first character stands in its place.
            refused(served.link, header + changed({{i, kCreditFields[i].substr(1)}}), "61");
            refused(served.link, header + changed({{i, ""}}), "61");
        }
        const std::string whole = body_of(kCreditFields);
        for (const std::string& body :
             {std::string(), without_cr(whole), whole + "~", whole + "N", whole + " ", whole + "N1",
              "~" + whole, whole + whole, std::string("~")}) {
            refused(served.link, header + body, "60");
        }
        refused(served.link, header + "~~~~~~~~", "61");
    }
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 0);
}

TEST_CASE("daemon protocol: fields, 62") {
    Served served;
    for (const std::size_t place : {kRegister, kTi, kEa, kTct, kSubclass}) {
        for (const char* value : {"", "00", "01", "+1", "-1", " 1", "1 ", "1.0", "0x1", "A", "1e1",
                                  "4294967296", "18446744073709551617", "99999999999999999999999999"}) {
            refused_credit(served.link, {{place, std::string("N") + value}}, "62");
        }
    }
    for (const std::size_t place : {kAmount, kTid}) {
        for (const char* value : {"0", "001", "00011", "GG", "0x01", "00 1", " 0001", "-001", "00:1", "00@1",
                                  "00`1", "00g1", "00/1"}) {
            refused_credit(served.link, {{place, std::string("H") + value}}, "62");
        }
    }
    // What is not printable, wherever it stands; the frame's CRC is right.
    for (const char octet : {'\x00', '\x01', '\n', '\t', '\x1F', '\x7F', '\x80', '\xFF'}) {
        INFO(static_cast<int>(octet));
        const std::string pan = std::string("P60072700000000000") + octet;
        refused_credit(served.link, {{kPan, pan}}, "62");
        refused_credit(served.link, {{kTi, std::string("N1") + octet}}, "62");
        refused_credit(served.link, {{kAmount, std::string("H000") + octet}}, "62");
    }
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 0);
}

TEST_CASE("daemon protocol: ranges, and what the commands judge themselves") {
    Served served;
    const std::vector<std::pair<Change, std::string>> refusals = {
        {{kRegister, "N0"}, "63"},
        {{kRegister, "N65"}, "63"},
        {{kRegister, "N4294967295"}, "63"},
        {{kAmount, "H"}, "63"},
        {{kAmount, "H01"}, "63"},
        {{kAmount, "H00000001"}, "63"},
        {{kTid, "H"}, "63"},
        {{kTid, "H00014EEC"}, "63"},
        {{kPan, "P"}, "76"},
        {{kPan, "P60072700000000000"}, "76"},
        {{kPan, "P6007270000000000090"}, "76"},
        {{kPan, "P600727000000000008"}, "76"},
        {{kPan, "P60072700000000000A"}, "76"},
        {{kPan, "P 00727000000000009"}, "76"},
        {{kPan, "P600727000000000019"}, "76"},
        {{kRegister, "N4"}, "22"},
        {{kRegister, "N64"}, "22"},
        {{kTi, "N100"}, "40"},
        {{kTi, "N4294967295"}, "40"},
        {{kEa, "N0"}, "40"},
        {{kEa, "N9"}, "40"},
        {{kEa, "N10"}, "40"},
        {{kEa, "N12"}, "40"},
        {{kEa, "N267"}, "40"},
        {{kEa, "N4294967295"}, "40"},
        {{kTct, "N100"}, "40"},
        {{kTct, "N4294967295"}, "40"},
        {{kSubclass, "N8"}, "40"},
        {{kSubclass, "N9"}, "40"},
        {{kSubclass, "N11"}, "40"},
        {{kSubclass, "N16"}, "40"},
        {{kSubclass, "N256"}, "40"},
        {{kSubclass, "N4294967295"}, "40"},
        {{kAmount, "H000001"}, "63"},
    };
    for (const auto& [change, status] : refusals) refused_credit(served.link, {change}, status);
    for (const char* subclass : {"N10", "N12", "N15"}) {
        refused(served.link, "SM?VC" + changed({{kSubclass, subclass}}), "40");
    }
    // SM?VM makes no key change token and no credit.
    for (const char* subclass : {"N3", "N4", "N12", "N15"}) {
        refused(served.link, "SM?VM" + changed({{kSubclass, subclass}}), "40");
    }
    // Currency takes three octets whose top four bits are 0.
    for (const char* subclass : {"N4", "N5", "N6", "N7"}) {
        refused(served.link, "SM?VC" + changed({{kSubclass, subclass}}), "63");
        refused(served.link, "SM?VC" + changed({{kSubclass, subclass}, {kAmount, "H100000"}}), "63");
        refused(served.link, "SM?VC" + changed({{kSubclass, subclass}, {kAmount, "HFFFFFF"}}), "63");
    }
    // Register 3: key expiry number 85 = 0x55.
    refused_credit(served.link, {{kRegister, "N3"}, {kTid, "H560000"}}, "41");
    refused_credit(served.link, {{kRegister, "N3"}, {kTid, "HFFFFFF"}}, "41");
    CHECK(served.link.ask(framed("SM?VC" + changed({{kRegister, "N3"}, {kTid, "H55FFFF"}})))
              .starts_with("SM!VC00P"));
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 1);
}

TEST_CASE("daemon protocol: the order of the checks") {
    Served served;
    auto& link = served.link;
    const std::string bad_pan = "P600727000000000008";
    // 60 before 61, 61 before 62, 62 before 63, each over all fields.
    refused_credit(link, {{kRegister, "X1"}, {kTid, "H014EEC~N1"}}, "60");
    refused_credit(link, {{kRegister, "N01"}, {kTid, "N1"}}, "61");
    refused_credit(link, {{kRegister, "N0"}, {kTid, "H0"}}, "62");
    refused_credit(link, {{kRegister, "N0"}, {kPan, bad_pan}, {kEa, "N9"}}, "63");
    refused_credit(link, {{kPan, bad_pan}, {kTid, "H"}}, "63");
    // Then 76, 22, 40, the amount's 63, 41.
    refused_credit(link, {{kRegister, "N4"}, {kPan, bad_pan}, {kEa, "N9"}}, "76");
    refused_credit(link, {{kRegister, "N4"}, {kEa, "N9"}, {kAmount, "H000001"}}, "22");
    refused_credit(link, {{kRegister, "N3"}, {kEa, "N9"}, {kAmount, "H000001"}, {kTid, "H560000"}}, "40");
    refused_credit(link, {{kRegister, "N3"}, {kAmount, "H000001"}, {kTid, "H560000"}}, "63");
    refused_credit(link, {{kRegister, "N3"}, {kTid, "H560000"}}, "41");
    // A refusal leaves nothing behind: the same answer as if it had not been.
    CHECK(link.ask(kCredit) == kCreditToken);
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 1);
}

TEST_CASE("daemon protocol: past the key's IUT") {
    Served served("21000101T000000Z");
    CHECK(served.link.ask(framed("SM?QD")).starts_with("SM!QD00D21000101"));
    refused_credit(served.link, {}, "42");
    refused_credit(served.link, {{kRegister, "N3"}, {kTid, "H560000"}}, "42");
    refused_credit(served.link, {{kEa, "N9"}}, "40");
    const std::string verify = "SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~";
    CHECK(served.link.ask(framed(verify)) == framed("SM!VT00N42~N0~N0~H0001~H014EEC~"));
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 0);
}

TEST_CASE("daemon protocol: default and common keys") {
    const conform::TemporaryDirectory place;
    const auto pack = place.path() / "pack.json";
    const std::string key =
        R"(,"dkga":4,"ken":255,"base_date":2014,"vk_hex":")" + std::string(40, '5') + "\"";
    test::write_text(pack, R"({"schema":"sts6.vectors/1","rnd":5,"cases":[],"registers":[)"
                           R"({"register":1,"kt":1,"sgc":"000001","krn":1)" +
                               key + R"(},{"register":2,"kt":3,"sgc":"999999","krn":9)" + key + "}]}");
    LabModule module(pack);
    module.start(std::nullopt);
    RawLink link(module.url());
    for (const char* tct : {"N0", "N1", "N2", "N99"}) {
        refused(link, "SM?VC" + changed({{kTct, tct}}), "05");
        const std::string common = changed({{kRegister, "N2"}, {kTct, tct}});
        if (std::string_view(tct) != "N1") refused(link, "SM?VC" + common, "05");
        CHECK(link.ask(framed("SM?VM" + changed({{kTct, tct}}))).starts_with("SM!VM00P"));
        CHECK(link.ask(framed("SM?VM" + common)).starts_with("SM!VM00P"));
    }
    CHECK(link.ask(framed("SM?VC" + changed({{kRegister, "N2"}, {kTct, "N1"}}))).starts_with("SM!VC00P"));
    refused(link, "SM?VC" + changed({{kTct, "N100"}}), "40");
    refused(link, "SM?VC" + changed({{kRegister, "N65"}}), "63");
    module.stop();
    CHECK(test::tokens_issued(module.dir()) == 9);
}

TEST_CASE("daemon protocol: verifying tokens") {
    Served served;
    auto& link = served.link;
    const std::string meter = "N1~P600727000000000009~N1~N11~";
    const std::string token = "P58625789986991357486~";
    const auto verifies = [&link](const std::string& body, const std::string& answer) {
        INFO(body);
        CHECK(link.ask(framed("SM?VT" + body)) == framed("SM!VT00" + answer));
    };
    const std::string good = "N0~N0~N0~H0001~H014EEC~";
    verifies(meter + token, good);
    verifies(meter + "N2~" + token, good);
    verifies(meter + "P32D98A5616345BE2E~", good);
    verifies(meter + "P32d98a5616345be2e~", good);
    // Another key, TI, meter or digit.
    verifies("N2~P600727000000000009~N1~N11~" + token, "N3~");
    verifies("N1~P600727000000000009~N2~N11~" + token, "N3~");
    verifies("N1~P000001000000000082~N1~N11~" + token, "N3~");
    verifies("N1~P600727000000000009~N1~N7~" + token, "N3~");
    verifies(meter + "P58625789986991357487~", "N3~");
    // Key change tokens: no bit of their body. Published for this meter.
    verifies(meter + "P03854447086453451911~", "N0~N2~N3~H0000~H000000~");
    verifies(meter + "P02791799436242461152~", "N0~N2~N4~H0000~H000000~");
    verifies(meter + "P67118070329353977190~", "N0~N2~N8~H0000~H000000~");
    verifies(meter + "P19019128690902932218~", "N0~N2~N9~H0000~H000000~");
    verifies(meter + "P56493153725450313471~", "N0~N1~N0~H0000~H000000~");

    const std::vector<std::pair<std::string, std::string>> refusals = {
        {"", "60"},
        {"N1~P600727000000000009~N1~" + token, "60"},
        {meter + "N2~N2~" + token, "60"},
        {meter + "P58625789986991357486", "60"},
        {meter + "P2~" + token, "61"},
        {meter + "H58625789986991357486~", "61"},
        {meter + "N02~" + token, "62"},
        {meter + "P5862578998699135748\x1F~", "62"},
        {"N65~P600727000000000009~N1~N11~" + token, "63"},
        {meter + "P~", "63"},
        {meter + "P5862578998699135748~", "63"},
        {meter + "P586257899869913574866~", "63"},
        {meter + "P73786976294838206464~", "63"},
        {meter + "P99999999999999999999~", "63"},
        {meter + "P40000000000000000~", "63"},
        {meter + "P5862578998699135748A~", "63"},
        {meter + "P32D98A5616345BE2G~", "63"},
        {"N4~P600727000000000008~N1~N11~" + token, "76"},
        {"N4~P600727000000000009~N1~N9~" + token, "22"},
        {"N1~P600727000000000009~N100~N11~" + token, "40"},
        {"N1~P600727000000000009~N1~N9~" + token, "40"},
        {meter + "N100~" + token, "40"},
    };
    for (const auto& [body, status] : refusals) refused(link, "SM?VT" + body, status);
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 0);
}

TEST_CASE("daemon protocol: headers and CRCs that are not accepted") {
    Served served;
    auto& link = served.link;
    std::vector<std::string> unknown = {"SM?ZZ", "SM?Di", "sm?di",   "SM!DI",       "GL?ZZ",
                                        "GL?ER", "GL!ER", "GL?DI",   "SM?EC",       "QQ?QQ",
                                        "     ", "~~~~~", "GL!ER20", "HELLO WORLD", "SM?D~"};
    // What is not built yet exists in no phase.
    for (const CommandRow& row : kCommandTable) {
        if (row.phases == 0) unknown.emplace_back(row.header);
    }
    for (const std::string& message : unknown) {
        INFO(message);
        CHECK(link.ask(framed(message)) == kUnknown);
    }
    // The shortest line that can be one has a header and a CRC.
    for (const char* message : {"", "S", "SM", "SM?", "SM?D"}) {
        INFO(message);
        CHECK(link.ask(framed(message)) == kDamaged);
    }
    for (const char* line : {"SM?DI9A50\r", "SM?DI519A\r", "SM?DI\r", "SM?DI9A5\r", "SM?DI9A511\r",
                             "SM?DI 9A51\r", " SM?DI9A51\r", "SM?DI9A51 \r", "SM?DIGGGG\r", "SM?DI0000\r",
                             "sm?di9A51\r", "0000\r", "x\r", "\x7F\r", "SM?DI9A51~\r"}) {
        INFO(line);
        CHECK(link.ask(line) == kDamaged);
    }
    // Zeros before a message do not change its CRC.
    CHECK(link.ask(std::string(1, '\0') + "SM?DI9A51\r") == kDamaged);
    // Either case is taken, upper case is sent.
    CHECK(link.ask("SM?DI9a51\r") == identity());
    CHECK(link.ask("GL?EC00005123451f7F\r") == kEchoed);
    CHECK(link.ask("SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~dcc6\r") == kCreditToken);
    const std::string lower = link.ask(framed("SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014eec~"));
    CHECK(lower == kCreditToken);
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 2);
}

TEST_CASE("daemon protocol: the GL group") {
    Served served;
    auto& link = served.link;
    CHECK(link.ask(framed("GL?RR")) == kUnknown);
    for (const char* body :
         {"", "0", "0000", "00006", "00004 12345", "0000612345", "0000412345", "0x00512345", "00-0112345",
          "00+0512345", "0000x", "99", "00999", "00001\x01", "00001\x7F"}) {
        refused(link, "GL?EC" + std::string(body), "02");
    }
    CHECK(link.ask(framed("GL?EC00000")) == framed("GL!EC00000"));
    CHECK(link.ask(framed("GL?EC99001~")) == framed("GL!EC00001~"));
    const std::string longest(999, '}');
    CHECK(link.ask(framed("GL?EC00999" + longest)) == framed("GL!EC00999" + longest));
    CHECK(link.ask(framed("GL?RR")) == framed("GL!EC00999" + longest));
    refused(link, "GL?EC00999" + longest + "}", "02");

    // What is repeated: every answer but those of GL?RR, GL?RS and GL!ER20.
    CHECK(link.ask(kCredit) == kCreditToken);
    for (int i = 0; i < 3; ++i) CHECK(link.ask(framed("GL?RR")) == kCreditToken);
    CHECK(link.ask("noise\r") == kDamaged);
    refused(link, "GL?RR1", "02");
    refused(link, "GL?RS ", "02");
    CHECK(link.ask(framed("GL?RR")) == kCreditToken);
    CHECK(link.ask(framed("SM?ZZ")) == kUnknown);
    CHECK(link.ask(framed("GL?RR")) == kUnknown);
    refused(link, "SM?GAN0~", "63");
    CHECK(link.ask(framed("GL?RR")) == framed("SM!GA63"));
    CHECK(link.ask(framed("GL?RS")) == "GL!RS00B271\r");
    CHECK(link.ask(framed("GL?RR")) == kUnknown);
    CHECK(link.ask(framed("GL?RS")) == "GL!RS00B271\r");

    // The memory is the connection's own.
    CHECK(link.ask(kCredit) == kCreditToken);
    RawLink other(served.module.url());
    CHECK(other.ask(framed("GL?RR")) == kUnknown);
    RawLink enveloped(served.module.url());
    CHECK(enveloped.ask_enveloped(envelope_of(framed("GL?RR"))) == envelope_of(kUnknown));
    CHECK(enveloped.ask_enveloped(envelope_of(kCredit)) == envelope_of(kCreditToken));
    CHECK(enveloped.ask_enveloped(envelope_of(framed("GL?RR"))) == envelope_of(kCreditToken));
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 3);
}

TEST_CASE("daemon protocol: lines split, joined, ended in other ways, and too long") {
    Served served;
    auto& link = served.link;
    CHECK(link.ask("\r\r\r" + kIdentify) == identity());
    CHECK(link.ask("\n" + kIdentify) == identity());  // behind the CR of the line before
    CHECK(link.ask(kIdentify.substr(0, 9) + "\r\n\r\n\r\r\n" + kEcho) == identity());
    CHECK(link.line() == kEchoed);
    CHECK(link.ask("\n\n" + kIdentify) == kDamaged);
    CHECK(link.ask("SM?DI9A51\n\r") == kDamaged);
    CHECK(link.ask("SM?DI\n9A51\r") == kDamaged);
    RawLink fresh(served.module.url());
    CHECK(fresh.ask("\n" + kIdentify) == kDamaged);

    for (const char octet : kCredit) link.send({&octet, 1});
    CHECK(link.line() == kCreditToken);
    std::mt19937 numbers(20140301);
    for (int round = 0; round < 20; ++round) {
        const std::string both = kCredit + kIdentify + "junk\r" + kEcho;
        const std::size_t cut = numbers() % both.size();
        link.send(std::string_view(both).substr(0, cut));
        link.send(std::string_view(both).substr(cut));
        CHECK(link.line() == kCreditToken);
        CHECK(link.line() == identity());
        CHECK(link.line() == kDamaged);
        CHECK(link.line() == kEchoed);
    }

    // 4096 characters from header to CRC are a message, one more is dropped up to its CR.
    const std::string largest = framed("SM?DI" + std::string(4087, 'P'));
    REQUIRE(largest.size() == 4097);
    CHECK(link.ask(largest) == framed("SM!DI60"));
    CHECK(link.ask(framed("SM?DI" + std::string(4088, 'P'))) == kDamaged);
    for (const std::size_t size : {4096U, 4097U, 8191U, 8192U, 8193U, 65536U}) {
        INFO(size);
        CHECK(link.ask(std::string(size, 'x') + "\r" + kIdentify) == kDamaged);
        CHECK(link.line() == identity());
    }
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 21);
}

TEST_CASE("daemon protocol: two seconds of silence drop what is not complete") {
    Served served;
    RawLink enveloped(served.module.url());
    RawLink undecided(served.module.url());
    CHECK(enveloped.ask_enveloped(envelope_of(kEcho)) == envelope_of(kEchoed));
    served.link.send("SM?D");
    enveloped.send(envelope_of(kIdentify).substr(0, 12));
    undecided.send(envelope_of(kIdentify).substr(0, 5));
    CHECK(served.link.silent(1500ms));
    CHECK(enveloped.silent(1000ms));
    CHECK(undecided.silent(10ms));
    CHECK(served.link.ask(kIdentify) == identity());
    CHECK(enveloped.ask_enveloped(envelope_of(kIdentify)) == envelope_of(identity()));
    CHECK(undecided.ask_enveloped(envelope_of(kIdentify)) == envelope_of(identity()));
    served.module.stop();
}

TEST_CASE("daemon protocol: envelopes with a wrong length") {
    Served served;
    const std::string& url = served.module.url();
    const std::string good = envelope_of(kIdentify);
    const std::string answer = envelope_of(identity());
    const std::string damaged = envelope_of(kDamaged);

    // As the first octets of a connection: 7 to 4110 is an envelope, all else is a line.
    for (const std::size_t length : {0U, 6U, 4111U, 65535U}) {
        INFO(length);
        RawLink link(url);
        CHECK(link.ask(envelope_of(kIdentify, length)) == kDamaged);
        CHECK(link.ask(kIdentify) == identity());
        CHECK(link.ask(good) == kDamaged);
    }
    for (std::size_t i = 2; i < 8; ++i) {
        RawLink link(url);
        std::string other = good;
        other[i] = static_cast<char>(other[i] ^ 1);
        CHECK(link.ask(other) == kDamaged);
        CHECK(link.ask(kIdentify) == identity());
    }
    const std::vector<std::string> bad = {
        envelope_of("\r"),                                      // length 7
        envelope_of(std::string(4103, 'x') + "\r"),             // length 4110
        envelope_of(framed("SM?DI" + std::string(4088, 'P'))),  // a message of 4097 characters
        envelope_of(kIdentify, good.size() - 3),                // short by one
        envelope_of(kIdentify, 7),
        envelope_of("SM?DI9A52\r"),
        envelope_of("SM?DI9A51\n"),
        envelope_of("SM?DI9A511"),
        envelope_of(kIdentify + kIdentify),
    };
    for (const std::string& first : bad) {
        INFO(first.substr(8, 24));
        RawLink link(url);
        CHECK(link.ask_enveloped(first) == damaged);
        CHECK(link.ask_enveloped(good) == answer);
        CHECK(link.ask_enveloped(first + good) == damaged);
        CHECK(link.envelope() == answer);
    }
    RawLink link(url);
    CHECK(link.ask_enveloped(envelope_of(framed("SM?DI" + std::string(4087, 'P')))) ==
          envelope_of(framed("SM!DI60")));
    // Noise between envelopes, a line among it, and lengths that cannot be.
    for (const std::string& noise : {std::string("noise"), kIdentify, envelope_of(kIdentify, 6),
                                     envelope_of(kIdentify, 4111), std::string(5000, '\0')}) {
        CHECK(link.ask_enveloped(noise + good) == damaged);
        CHECK(link.envelope() == answer);
    }
    // A length that is too large takes what follows into the damage; the one after it is found.
    CHECK(link.ask_enveloped(envelope_of(kIdentify, good.size() - 1) + good + good) == damaged);
    CHECK(link.envelope() == answer);
    CHECK(link.silent(50ms));
    served.module.stop();
}

TEST_CASE("daemon protocol: envelopes split, joined and cut off") {
    Served served;
    const std::string good = envelope_of(kCredit);
    {
        RawLink link(served.module.url());
        for (const char octet : good) link.send({&octet, 1});
        CHECK(link.envelope() == envelope_of(kCreditToken));
        CHECK(link.ask_enveloped(good + "\r\n" + good + "\r" + good) == envelope_of(kCreditToken));
        CHECK(link.envelope() == envelope_of(kCreditToken));
        CHECK(link.envelope() == envelope_of(kCreditToken));
    }
    // The connection ends in the middle of an envelope: nothing is executed and nothing answered.
    for (std::size_t size = 1; size < good.size(); ++size) {
        RawLink link(served.module.url());
        link.send(std::string_view(good).substr(0, size));
        link.end_output();
        CHECK(link.rest().empty());
    }
    CHECK(served.link.ask(kIdentify) == identity());
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 4);
}

TEST_CASE("daemon protocol: GL!ER without an envelope, when so configured") {
    LabModule module(test::vector_pack());
    const auto config = module.dir() / "sts6d.toml";
    std::string text = test::file_text(config);
    const std::string key = "gler_unframed = false";
    REQUIRE(text.find(key) != std::string::npos);
    test::write_text(config, text.replace(text.find(key), key.size(), "gler_unframed = true"));
    module.start(std::nullopt);
    RawLink link(module.url());
    CHECK(link.ask_enveloped(envelope_of(kIdentify)) == envelope_of(identity()));
    CHECK(link.ask(envelope_of(framed("SM?ZZ"))) == kUnknown);
    CHECK(link.ask(envelope_of("SM?DI9A52\r")) == kDamaged);
    CHECK(link.ask_enveloped(envelope_of(framed("SM?GAN0~"))) == envelope_of(framed("SM!GA63")));
    module.stop();
}

TEST_CASE("daemon protocol: noise of a megabyte") {
    Served served;
    std::mt19937 numbers(62055);
    std::string noise(1U << 20U, '\0');
    for (char& octet : noise) octet = static_cast<char>(numbers());
    // Every piece before a CR is noise; empty ones and an LF behind a CR are nothing.
    noise.front() = 'x';
    noise.back() = '\r';
    std::size_t pieces = 0;
    for (std::size_t at = 0; at < noise.size();) {
        if (at > 0 && noise[at] == '\n') ++at;
        if (noise[at] != '\r') ++pieces;
        at = noise.find('\r', at) + 1;
    }
    REQUIRE(pieces > 3000);
    served.link.send(noise);
    std::size_t others = 0;
    for (std::size_t i = 0; i < pieces; ++i) others += served.link.line() == kDamaged ? 0 : 1;
    CHECK(others == 0);
    CHECK(served.link.ask(kIdentify) == identity());

    // A megabyte without a CR is one piece.
    std::replace(noise.begin(), noise.end(), '\r', '\n');
    served.link.send(noise + "\r");
    CHECK(served.link.line() == kDamaged);
    CHECK(served.link.ask(kCredit) == kCreditToken);

    // Behind an envelope it is looked through for another one.
    RawLink link(served.module.url());
    CHECK(link.ask_enveloped(envelope_of(kIdentify)) == envelope_of(identity()));
    std::replace(noise.begin(), noise.end(), '\xED', '\xEC');
    link.send(noise + envelope_of(kCredit));
    CHECK(link.envelope() == envelope_of(kDamaged));
    CHECK(link.envelope() == envelope_of(kCreditToken));
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 2);
}

TEST_CASE("daemon protocol: pipelined commands are answered in order") {
    Served served;
    const std::vector<std::pair<std::string, std::string>> mix = {
        {kCredit, kCreditToken},     {kEcho, kEchoed},
        {framed("GL?RR"), kEchoed},  {kIdentify, identity()},
        {"noise\r", kDamaged},       {framed("GL?RR"), identity()},
        {framed("SM?ZZ"), kUnknown}, {framed("SM?GAN0~"), framed("SM!GA63")},
    };
    std::string requests;
    std::string answers;
    for (std::size_t i = 0; i < 800; ++i) {
        requests += mix[i % mix.size()].first;
        answers += mix[i % mix.size()].second;
    }
    served.link.send(requests);
    served.link.end_output();
    CHECK(served.link.rest() == answers);

    RawLink enveloped(served.module.url());
    std::string framed_requests;
    std::string framed_answers;
    for (const auto& [request, answer] : mix) {
        if (request == "noise\r") continue;
        framed_requests += envelope_of(request);
        framed_answers += envelope_of(answer);
    }
    // Without the noise between, the second repeat still repeats the identity.
    enveloped.send(framed_requests);
    enveloped.end_output();
    CHECK(enveloped.rest() == framed_answers);
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 101);
}

TEST_CASE("daemon protocol: 64 clients at once get their own tokens") {
    constexpr std::size_t kClients = 64;
    constexpr std::size_t kRounds = 8;
    Served served;
    const auto vectors = published_vectors();
    REQUIRE(vectors.size() > 50);
    std::vector<std::string> problems(kClients);
    const auto serve = [&](std::size_t client) {
        try {
            RawLink link(served.module.url());
            for (std::size_t round = 0; round < kRounds; ++round) {
                const Vector& vector = vectors[(client + round * 7) % vectors.size()];
                const bool enveloped = client % 2 == 1;
                const std::string answer =
                    enveloped ? link.ask_enveloped(envelope_of(vector.request)) : link.ask(vector.request);
                const std::string line = enveloped ? answer.substr(8) : answer;
                if (!vends(line, vector)) problems[client] += vector.request + " got " + line;
            }
        } catch (const std::exception& error) {
            problems[client] = error.what();
        }
    };
    std::vector<std::thread> clients;
    for (std::size_t i = 0; i < kClients; ++i) clients.emplace_back(serve, i);
    for (std::thread& client : clients) client.join();
    for (const std::string& problem : problems) CHECK(problem == "");
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == kClients * kRounds);
}

TEST_CASE("daemon protocol: a client that never reads disturbs nobody and costs little") {
    constexpr std::size_t kMost = std::size_t{64} << 20U;
    test::bound_sanitizer_memory();
    Served served;
    CHECK(served.link.ask(kCredit) == kCreditToken);
    const pid_t daemon = served.module.daemon().pid();
    const std::size_t before = test::resident_kib(daemon);
    std::vector<std::unique_ptr<RawLink>> deaf;
    for (int i = 0; i < 4; ++i) {
        deaf.push_back(std::make_unique<RawLink>(served.module.url(), 4096));
        const std::string request = framed("GL?EC00999" + std::string(999, 'x'));
        CHECK(deaf.back()->flood(request, kMost, 200ms) < kMost);
        CHECK(served.link.ask(kCredit) == kCreditToken);
    }
    CHECK(test::resident_kib(daemon) < before + 8192);
    for (auto& link : deaf) link->reset();
    CHECK(served.link.ask(kCredit) == kCreditToken);
    served.module.stop();
    CHECK(test::tokens_issued(served.module.dir()) == 6);
}

TEST_CASE("daemon protocol: thousands of connections that come and go leave nothing behind") {
    test::bound_sanitizer_memory();
    Served served;
    const pid_t daemon = served.module.daemon().pid();
    const std::vector<std::string> left = {"",
                                           "SM?D",
                                           kIdentify,
                                           kCredit,
                                           "noise\r",
                                           envelope_of(kCredit),
                                           envelope_of(kCredit).substr(0, 20),
                                           std::string(9000, 'x')};
    CHECK(served.link.ask(kIdentify) == identity());
    const std::size_t descriptors = test::open_descriptors(daemon);
    const auto come_and_go = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            RawLink link(served.module.url());
            link.send(left[i % left.size()]);
            if (i % 3 == 0) link.reset();
            if (i % 3 == 1) link.end_output();
        }
    };
    come_and_go(500);
    CHECK(served.link.ask(kCredit) == kCreditToken);
    const std::size_t memory = test::resident_kib(daemon);
    come_and_go(2000);
    CHECK(served.link.ask(kCredit) == kCreditToken);
    // A link holds some 25 KiB: 2000 that stay would be 50 MiB.
    CHECK(test::resident_kib(daemon) < memory + 8192);
    if (descriptors == 0) WARN("the daemon's descriptors cannot be seen: not counted");
    CHECK(test::eventually([&] { return test::open_descriptors(daemon) == descriptors; }));
    served.module.stop();
}

}  // namespace sts6
