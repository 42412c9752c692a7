// SPDX-License-Identifier: Apache-2.0
// The KMC's state file: written whole, for its owner only, one process at a time, and believed only when
// sound.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "tests/unit/kmc_test_support.hpp"
#include "tools/conform/child_process.hpp"
#include "tools/kmc/files.hpp"
#include "tools/kmc/state_text.hpp"

namespace sts6::kmc {
namespace {

namespace fs = std::filesystem;

class Place {
  public:
    [[nodiscard]] fs::path file(const char* name) const { return dir_.path() / name; }
    [[nodiscard]] std::size_t files() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(dir_.path()), fs::directory_iterator()));
    }

  private:
    conform::TemporaryDirectory dir_;
};

std::string text_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

mode_t mode_of(const fs::path& path) {
    struct stat file {};
    REQUIRE(stat(path.c_str(), &file) == 0);
    return file.st_mode & 07777U;
}

/// One of everything.
Kmc full_kmc() {
    Kmc kmc = lab_kmc();
    KeyOptions options = key_options("1");
    options.refresh = "30";
    options.modules = {"1"};
    options.clm = "2000";
    options.value = "ABABABABABABABAB949494949494949401234567";
    add_key(kmc, options);
    add_key(kmc, key_options("2", "02"));
    static_cast<void>(
        respond(kmc, request_file(kmc, "Test:1", generate_key_pair().public_key), kNoon, random_octets));
    return kmc;
}

}  // namespace

TEST_CASE("kmc state: what is written is read") {
    const Kmc kmc = full_kmc();
    const StateText text = to_state_text(kmc);
    const Kmc again = from_state_text(text.view());
    CHECK(again.record == kmc.record);
    CHECK(hex_text(again.key.private_key.octets()) == hex_text(kmc.key.private_key.octets()));
    CHECK(again.key.public_key == kmc.key.public_key);
    CHECK(again.modules == kmc.modules);
    REQUIRE(again.keys.size() == 2);
    for (const auto& [name, key] : kmc.keys) {
        const VendingKey& other = again.keys.at(name);
        CHECK(hex_text(other.octets()) == hex_text(key.octets()));
        CHECK(other.kcv == key.kcv);
        CHECK(other.refresh_days == key.refresh_days);
        CHECK(other.modules == key.modules);
    }
    CHECK(again.keys.at({1, 1}).attributes.clm_bits == 0x44FA0000);
    CHECK(again.keys.at({1, 1}).refresh_days == 30);
    REQUIRE(again.answers.size() == 1);
    CHECK(again.answers[0].file == kmc.answers[0].file);
    CHECK(to_state_text(again).view() == text.view());
}

TEST_CASE("kmc state: a damaged state is refused, and what it says is not repeated") {
    const Kmc kmc = full_kmc();
    const std::string good(to_state_text(kmc).view());
    const std::string secret = hex_text(kmc.key.private_key.octets());
    const auto check = [&](const std::string& text) {
        CAPTURE(text);
        try {
            static_cast<void>(from_state_text(text));
            FAIL_CHECK("read");
        } catch (const KmcError& error) {
            CHECK(error.exit_code() == kExitIntegrity);
            CHECK(std::string(error.what()).find(secret.substr(0, 8)) == std::string::npos);
        }
    };
    for (std::size_t size = 0; size < good.size(); size += 13) check(good.substr(0, size));
    const std::string key = "ABABABABABABABAB949494949494949401234567";
    const std::string record = kmc.modules.at("Test:1");
    for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
             {"sts6.kmc-state/1", "sts6.kmc-state/2"},
             {"\"schema\"", "\"other\""},
             {secret, std::string(96, '0')},
             {secret, std::string(96, 'F')},
             {secret, hex_text(generate_key_pair().private_key.octets())},
             {secret, secret.substr(1)},
             {"PKKMC.1|", "PKKMC.2|"},
             {"KMCID.1:Lab", "KMCID.1:Lob"},
             {key, replaced(key, "01234567", "01234568")},
             {key, key + "00"},
             {key, ""},
             {"KRN1", "KRN0"},
             {"SGC0000000002", "SGC0000000001"},
             {"\"Test:1\"", ""},
             {"\"Test:1\"", "7"},
             {"\"refresh_days\": 30", "\"refresh_days\": \"x\""},
             {"\"" + record + "\"", "\"" + record + "\", \"" + record + "\""},
             {"\"" + record + "\"", "\"" + record.substr(1) + "\""},
             {hex_text(kmc.answers[0].request), "00"},
             {hex_text(kmc.answers[0].ephemeral_key), "xx"},
             {"VKLOAD.RESP.1", "VKLOAD.RESP.2"},
             {"\"responses\"", "\"answers\""},
             {"{", "["}}) {
        check(replaced(good, from, to));
    }
    check("{}");
    check("null");
    check(good + "x");
}

TEST_CASE("kmc state: the file is its owner's alone and never half written") {
    const Place place;
    const fs::path path = place.file("kmc.json");
    Kmc kmc = full_kmc();
    create_state(path, kmc);
    CHECK(mode_of(path) == 0600);
    const std::string first = text_of(path);
    CHECK(first == to_state_text(kmc).view());
    check_refused([&] { create_state(path, lab_kmc()); }, "exists");
    CHECK(text_of(path) == first);
    revoke(kmc, {1, 1});
    StateFile(path).save(kmc);
    CHECK(mode_of(path) == 0600);
    CHECK(StateFile(path).load().keys.size() == 1);
    CHECK(place.files() == 1);

    for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0610U, 0644U}) {
        REQUIRE(chmod(path.c_str(), mode) == 0);
        check_refused([&] { const StateFile state(path); }, "others");
    }
    REQUIRE(chmod(path.c_str(), 0600) == 0);
    fs::create_symlink(path, place.file("link"));
    check_refused([&] { const StateFile state(place.file("link")); });
    check_refused([&] { create_state(place.file("link"), kmc); }, "exists");
    fs::create_directory(place.file("directory"));
    check_refused([&] { const StateFile state(place.file("directory")); }, "no regular file");
    REQUIRE(mkfifo(place.file("pipe").c_str(), 0600) == 0);
    check_refused([&] { const StateFile state(place.file("pipe")); }, "no regular file");
    check_refused([&] { const StateFile state(place.file("missing")); }, "No such file");
    check_refused([&] { create_state(place.file("no") / "where", kmc); }, "No such file");
    std::ofstream(place.file("empty")).flush();
    REQUIRE(chmod(place.file("empty").c_str(), 0600) == 0);
    check_damaged([&] { static_cast<void>(StateFile(place.file("empty")).load()); });
}

TEST_CASE("kmc state: two that change it at once lose nothing") {
    const Place place;
    const fs::path path = place.file("kmc.json");
    create_state(path, lab_kmc());
    constexpr unsigned kThreads = 4;
    constexpr unsigned kKeysEach = 8;
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&path, thread] {
            for (unsigned i = 0; i < kKeysEach; ++i) {
                const StateFile state(path);
                Kmc kmc = state.load();
                add_key(kmc, key_options(std::to_string(thread * kKeysEach + i)));
                state.save(kmc);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(StateFile(path).load().keys.size() == kThreads * kKeysEach);
    CHECK(place.files() == 1);
}

TEST_CASE("kmc state: files for others replace files only") {
    const Place place;
    const fs::path path = place.file("out");
    write_whole_file(path, "one", 0644, Existing::refuse);
    CHECK(mode_of(path) == 0644);
    check_refused([&] { write_whole_file(path, "two", 0644, Existing::refuse); }, "exists");
    CHECK(text_of(path) == "one");
    write_whole_file(path, "two", 0644, Existing::replace);
    CHECK(text_of(path) == "two");
    fs::create_symlink(path, place.file("link"));
    check_refused([&] { write_whole_file(place.file("link"), "x", 0644, Existing::replace); },
                  "no regular file");
    check_refused([&] { write_whole_file("/dev/null", "x", 0644, Existing::replace); }, "no regular file");
    check_refused([&] { write_whole_file(place.file("no") / "where", "x", 0644, Existing::replace); });
    CHECK(text_of(path) == "two");
    CHECK(place.files() == 2);
    CHECK(read_exchange_file(path) == "two");
    check_refused([&] { static_cast<void>(read_exchange_file(place.file("missing"))); }, "No such file");
    write_whole_file(place.file("large"), std::string(keyload::kLargestFile + 10, 'x'), 0644,
                     Existing::refuse);
    CHECK(read_exchange_file(place.file("large")).size() == keyload::kLargestFile + 1);
}

}  // namespace sts6::kmc
