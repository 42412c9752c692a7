// SPDX-License-Identifier: Apache-2.0
// sts6-kmc as a person uses it: from a new KMC to a key load file.
#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <openssl/sha.h>
#include <sys/stat.h>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/file.hpp"
#include "firmware/keyload/records.hpp"
#include "firmware/keyload/text.hpp"
#include "tests/support/programs.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

const std::filesystem::path& vector_directory() {
    static const auto path = std::filesystem::path(STS6_SOURCE_DIR) / "tests/data/vectors";
    return path;
}

std::string vector_text(const char* name) {
    static const json content = json::parse(file_text(vector_directory() / "key-management-profile-1.json"));
    return content.at(name).get<std::string>();
}

constexpr const char* kSmid = "SMID.1:Test:99000001:20260101T000000Z:F920412E4931339C:BE13";

/// The module's record, as a file.
std::string sm_file() {
    return vector_text("pksm_record") + "\n#9F957AED568E964763B8D18E09359A130DD734CF\n";
}

std::array<std::uint8_t, 20> sha1(std::string_view text) {
    std::array<std::uint8_t, 20> digest{};
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    return digest;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

const Words& key_words() {
    static const Words words = {"key",   "add",   "--sgc",     "123456",      "--krn", "1",     "--ktc",
                                "vudk",  "--dkg", "04",        "--base-date", "2014",  "--clm", "2000",
                                "--ulm", "1000",  "--refresh", "120",         "--sgn", "ACME"};
    return words;
}

Words joined(Words first, const Words& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

/// A new KMC in a directory of its own.
class Lab {
  public:
    Lab() { done({"new", "--operator", "Lab", "--name", "K1"}); }

    [[nodiscard]] std::string path(const std::string& name) const { return (place_.path() / name).string(); }
    [[nodiscard]] std::string state() const { return path("kmc.json"); }
    std::string write(const std::string& name, const std::string& text) const {
        write_text(path(name), text);
        return path(name);
    }

    [[nodiscard]] Finished run(const Words& words) const {
        return run_program("sts6-kmc", joined({"--state", state()}, words));
    }
    Finished done(const Words& words) const {
        Finished finished = run(words);
        CAPTURE(words, finished.log);
        REQUIRE(finished.code == 0);
        return finished;
    }
    [[nodiscard]] json json_of(const Words& words) const {
        return json::parse(done(joined({"--json"}, words)).output);
    }
    /// A refusal says why, prints no data and changes nothing.
    void refused(const Words& words, int code, const std::string& why) const {
        const std::string before = file_text(state());
        const Finished finished = run(words);
        CAPTURE(words, finished.log, why);
        CHECK(finished.code == code);
        CHECK(finished.output.empty());
        CHECK(finished.log.find(why) != std::string::npos);
        CHECK(file_text(state()) == before);
    }
    /// A request to this KMC under that ephemeral key, as a file.
    [[nodiscard]] std::string request(const char* name, const char* ephemeral = "qe_sm") const {
        const keyload::RecordFile file = keyload::read_file(file_text(state() + ".pkkmc"), sha1);
        REQUIRE(file.records.size() == 1);
        const auto kmc = keyload::parse_kmc_key(file.records[0]);
        const auto smid = keyload::parse_identifier(kSmid, keyload::kSmidType);
        const std::string point = vector_text(ephemeral);
        const keyload::LoadRequest content{kmc->kmcid, *smid, civil_time(2026, 1, 2),
                                           *keyload::read_point(point)};
        std::array<char, keyload::kLongestRecord> buffer{};
        TextWriter out(buffer);
        keyload::put_load_request(out, content);
        return write(name, keyload::write_file({std::string(out.written())}, sha1));
    }

  private:
    conform::TemporaryDirectory place_;
};

mode_t mode_of(const std::string& path) {
    struct stat file {};
    REQUIRE(stat(path.c_str(), &file) == 0);
    return file.st_mode & 07777U;
}

}  // namespace

TEST_CASE("sts6-kmc: from a new KMC to a key load file") {
    const conform::TemporaryDirectory place;
    const std::string state = (place.path() / "kmc.json").string();
    const std::string record = (place.path() / "record").string();
    const Finished made =
        run_program("sts6-kmc", {"new", "--state", state, "--operator", "Lab", "--name", "K1", "--active",
                                 "20260101T000000Z", "--expiry", "20270101T000000Z", "--record", record});
    CHECK(made.code == 0);
    CHECK(made.log.empty());
    CHECK(mode_of(state) == 0600);
    const keyload::RecordFile file = keyload::read_file(file_text(record), sha1);
    REQUIRE(file.records.size() == 1);
    const auto kmc = keyload::parse_kmc_key(file.records[0]);
    REQUIRE(kmc);
    CHECK(kmc->active_from == civil_time(2026, 1, 1));
    CHECK(kmc->expiry == civil_time(2027, 1, 1));
    std::array<std::uint8_t, 48> digest{};
    SHA384(reinterpret_cast<const unsigned char*>(file.records[0].data()), file.records[0].size(),
           digest.data());
    std::string digits(96, '0');
    write_hex(digest, digits.data());
    CHECK(made.output ==
          "KMCID: " + std::string(kmc->kmcid.text) + "\nSHA-384: " + digits + "\nrecord: " + record + "\n");

    const Lab lab;
    const std::string sm = lab.write("sm", sm_file());
    CHECK(lab.done({"sm", "add", sm}).output == "SMID: " + std::string(kSmid) + "\nresult: added\n");
    CHECK(lab.json_of({"sm", "add", sm}).at("result") == "known already");
    CHECK(lab.json_of({"sm", "list"}).at("security_modules").at(0).at("SMID") == kSmid);
    const Words published = {"key", "add",   "--sgc", "0099",        "--krn", "2",       "--ktc",
                             "1",   "--dkg", "02",    "--base-date", "1993",  "--value", "ABABABABABABABAB"};
    CHECK(lab.done(published).output == "SGC: 99\nKRN: 2\nKCV: C33F45\n");
    const json added = lab.json_of(joined(key_words(), {"--sm", "99000001"}));
    CHECK(added.at("SGC") == 123456);
    const json keys = lab.json_of({"key", "list"}).at("keys");
    REQUIRE(keys.size() == 2);
    CHECK(keys[1].at("KCV") == added.at("KCV"));
    CHECK(keys[1].at("security_modules") == json({"Test:99000001"}));

    const std::string request = lab.request("request");
    const Finished answered = lab.done({"respond", request});
    CHECK(answered.log.find("2 keys for " + std::string(kSmid)) != std::string::npos);
    const keyload::RecordFile response = keyload::read_file(answered.output, sha1);
    REQUIRE(response.records.size() == 3);
    CHECK(keyload::parse_load_response(response.records[0])->smid.text == kSmid);
    const auto second = keyload::read_key_cards(keyload::parse_key(response.records[2])->cards);
    REQUIRE(second);
    CHECK(second->attributes.sgc == 123456);
    CHECK(second->attributes.clm_bits == 0x44FA0000);
    CHECK(second->attributes.issue_until - keyload::parse_load_response(response.records[0])->time ==
          std::chrono::days(120));
    CHECK(second->attributes.sgn.view() == "ACME");
}

TEST_CASE("sts6-kmc: a request is answered once, and a revoked key comes no more") {
    const Lab lab;
    lab.done({"sm", "add", lab.write("sm", sm_file())});
    lab.done(key_words());
    const std::string request = lab.request("request");
    lab.done({"respond", request, "--out", lab.path("first")});
    const std::string first = file_text(lab.path("first"));
    const std::string state = file_text(lab.state());
    const Finished again = lab.done({"respond", request});
    CHECK(again.output == first);
    CHECK(again.log.find("answered before") != std::string::npos);
    CHECK(file_text(lab.state()) == state);
    lab.done({"revoke", "--sgc", "123456", "--krn", "1"});
    CHECK(lab.done({"respond", request}).output == first);
    const json next = lab.json_of({"respond", lab.request("next", "qs_kmc")});
    CHECK(next.at("keys") == 0);
    CHECK(next.at("repeated") == false);
    CHECK(next.at("file").get<std::string>().find("KEY.1") == std::string::npos);
    lab.refused({"revoke", "--sgc", "123456", "--krn", "1"}, 1, "no key");
    // What cannot be written has been answered all the same, and is there to be asked for again.
    lab.refused({"respond", request, "--out", lab.path("no/where")}, 1, "No such file");
    lab.refused({"respond", request, "--out", "/dev/null"}, 1, "no regular file");

    lab.done(joined(key_words(), {"--act", "20200101T000000Z", "--exp", "20210101T000000Z"}));
    const Finished late = lab.done({"respond", lab.request("late", "qs_sm"), "--out", lab.path("late-out")});
    CHECK(late.output.empty());
    CHECK(late.log.find("SGC 123456 KRN 1 has expired") != std::string::npos);
    CHECK(late.log.find("0 keys") != std::string::npos);
}

TEST_CASE("sts6-kmc: show needs no KMC") {
    const Finished shown =
        run_program("sts6-kmc", {"show", (vector_directory() / "klf-published-sample.txt").string()});
    CHECK(shown.code == 0);
    CHECK(shown.log.empty());
    CHECK(shown.output.find("ModuleID: 94000507\n") != std::string::npos);
    CHECK(shown.output.find("KCV: C33F45\n") != std::string::npos);
    const Lab lab;
    const std::string edited = lab.write("edited", replaced(sm_file(), "VSM-1.0", "VSM-1.1"));
    const Finished damaged = run_program("sts6-kmc", {"--json", "show", edited});
    CHECK(damaged.code == 5);
    CHECK(json::parse(damaged.output).at("records").size() == 1);
    CHECK_FALSE(damaged.log.empty());
    const Finished old = run_program("sts6-kmc", {"show", lab.write("old", "95000289050716STS04A6004\n")});
    CHECK(old.code == 0);
    CHECK(old.output.find("Edition 1") != std::string::npos);
    lab.refused({"show", lab.path("missing")}, 1, "No such file");
}

TEST_CASE("sts6-kmc: what it refuses") {
    const Lab lab;
    const std::string sm = lab.write("sm", sm_file());
    const std::string request = lab.request("request");
    lab.refused({"respond", request}, 1, "unknown security module");
    lab.done({"sm", "add", sm});
    lab.done(key_words());
    lab.refused({"respond", lab.write("other", vector_text("vkloadreq_file"))}, 1, "another KMC");
    lab.refused({"respond", sm}, 1, "no VKLOAD.REQ.1");
    lab.refused({"respond", lab.write("cut", file_text(request).substr(0, 100))}, 5, "cut");
    lab.refused({"respond", lab.write("edited", replaced(file_text(request), "|2026", "|2027"))}, 5,
                "trailer");
    lab.refused({"respond", lab.path("missing")}, 1, "No such file");
    lab.refused({"sm", "add", request}, 1, "no PKSM.1");
    lab.refused({"sm", "add", lab.write("sm2", replaced(sm_file(), "HWISOFT-1", "HWISOFT-2"))}, 5, "trailer");
    lab.refused(key_words(), 1, "already");
    lab.refused(joined(key_words(), {"--sm", "1"}), 1, "already");
    lab.refused({"new", "--operator", "Lab", "--name", "K2"}, 1, "exists");
    lab.refused({"new", "--operator", "Lab", "--name", "K 2"}, 2, "operator and name");
    lab.refused({"key", "add"}, 2, "--sgc");
    lab.refused(joined(key_words(), {"--sbm", "12345"}), 2, "--sbm");
    lab.refused({"key", "list", "--sgc", "1"}, 2, "");
    lab.refused({"revoke", "--sgc", "x", "--krn", "1"}, 2, "--sgc");
    lab.refused({}, 2, "");
    lab.refused({"sm"}, 2, "");
    const Finished nowhere = run_program("sts6-kmc", {"key", "list"});
    CHECK(nowhere.code == 2);
    CHECK(nowhere.log.find("--state") != std::string::npos);
    CHECK(run_program("sts6-kmc", {"--state", lab.path("none"), "key", "list"}).code == 1);

    // A new KMC whose record has no place leaves no state either.
    const std::string other = lab.path("other.json");
    const Finished half = run_program("sts6-kmc", {"--state", other, "new", "--operator", "Lab", "--name",
                                                   "K2", "--record", lab.path("no/where")});
    CHECK(half.code == 1);
    CHECK_FALSE(std::filesystem::exists(other));
    CHECK(run_program("sts6-kmc",
                      {"--state", other, "new", "--operator", "Lab", "--name", "K2", "--record", sm})
              .code == 1);
    CHECK(file_text(sm) == sm_file());
}

TEST_CASE("sts6-kmc: a state that others may read, or that is damaged") {
    const Lab lab;
    REQUIRE(chmod(lab.state().c_str(), 0640) == 0);
    lab.refused({"key", "list"}, 1, "others");
    lab.refused(key_words(), 1, "others");
    REQUIRE(chmod(lab.state().c_str(), 0600) == 0);
    const std::string good = file_text(lab.state());
    for (const std::string& bad :
         {good.substr(0, good.size() / 2), std::string(), replaced(good, "\"keys\"", "\"kays\""),
          replaced(good, "sts6.kmc-state/1", "sts6.kmc-state/2")}) {
        write_text(lab.state(), bad);
        lab.refused(key_words(), 5, "the state file is");
    }
    write_text(lab.state(), good);
    lab.done(key_words());
}

TEST_CASE("sts6-kmc: secrets are in the state file and in nothing that is printed") {
    const Lab lab;
    lab.done({"sm", "add", lab.write("sm", sm_file())});
    lab.done(key_words());
    lab.done({"key", "add", "--sgc", "1", "--krn", "1", "--ktc", "2", "--dkg", "02", "--base-date", "1993"});
    const json state = json::parse(file_text(lab.state()));
    std::vector<std::string> secrets = {state.at("private_key")};
    for (const json& key : state.at("keys")) secrets.push_back(key.at("value"));
    REQUIRE(secrets.size() == 3);
    const std::string request = lab.request("request");
    for (const Words& words : std::vector<Words>{{"key", "list"},
                                                 {"sm", "list"},
                                                 {"respond", request},
                                                 {"respond", request, "--out", lab.path("out")},
                                                 {"show", lab.path("out")},
                                                 {"show", lab.state()},
                                                 {"show", lab.state() + ".pkkmc"},
                                                 {"sm", "add", lab.state()},
                                                 {"respond", lab.state()},
                                                 key_words(),
                                                 {"revoke", "--sgc", "123456", "--krn", "1"}}) {
        for (const Words& form : {words, joined({"--json"}, words)}) {
            const Finished finished = lab.run(form);
            CAPTURE(form);
            for (const std::string& secret : secrets) {
                CHECK(finished.output.find(secret) == std::string::npos);
                CHECK(finished.log.find(secret) == std::string::npos);
            }
        }
    }
    CHECK(file_text(lab.state()).find(secrets[0]) != std::string::npos);
}

TEST_CASE("sts6-kmc: commands at the same time lose nothing") {
    const Lab lab;
    std::array<int, 6> codes{};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < codes.size(); ++i) {
        threads.emplace_back([&lab, &codes, i] {
            codes[i] = lab.run({"key", "add", "--sgc", std::to_string(i), "--krn", "1", "--ktc", "2", "--dkg",
                                "04", "--base-date", "2014"})
                           .code;
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(std::ranges::all_of(codes, [](int code) { return code == 0; }));
    CHECK(lab.json_of({"key", "list"}).at("keys").size() == codes.size());
}

}  // namespace sts6::test
