// SPDX-License-Identifier: Apache-2.0
// What must never be seen outside the PKCS#11 token: not in the log, not in files, not in memory at rest.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "src/daemon/state_dir.hpp"
#include "sts6/hex.hpp"
#include "tests/support/memory_scan.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6 {
namespace {

namespace fs = std::filesystem;
using conform::LabModule;
using test::file_text;
using test::framed;
using test::RawLink;

// The vending key of every register of the pack, and decoder keys derived from it: tokens.md 3.3, worked.
const std::string kVendingKey = "ABABABABABABABAB949494949494949401234567";
const std::string kDecoderKeyEa11 = "929BD3A415C9420A05EC5EE9F3CE91C3";
const std::string kDecoderKeyEa07 = "87F3ECBB2E46B48F";

std::string octets_of(const std::string& hex) {
    std::string octets(hex.size() / 2, '\0');
    REQUIRE(read_hex(hex, {reinterpret_cast<std::uint8_t*>(octets.data()), octets.size()}));
    return octets;
}

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

/// Each pair of octets exchanged: a key as 16-bit words of this machine, which MISTY1 works on.
std::string as_words(std::string octets) {
    for (std::size_t i = 0; i + 1 < octets.size(); i += 2) std::swap(octets[i], octets[i + 1]);
    return octets;
}

/// The first block that HMAC hashes, without its padding.
std::string combined(std::string octets, unsigned char with) {
    for (char& octet : octets) octet = static_cast<char>(static_cast<unsigned char>(octet) ^ with);
    return octets;
}

/// A key in all forms in which it must not be found.
std::vector<std::string> forms_of(const std::string& hex) {
    const std::string octets = octets_of(hex);
    // Turned round: as one number of this machine, which STA works on.
    return {octets, hex, lower(hex), as_words(octets), std::string(octets.rbegin(), octets.rend())};
}

std::vector<std::string> key_forms() {
    std::vector<std::string> forms;
    for (const std::string& key : {kVendingKey, kDecoderKeyEa11, kDecoderKeyEa07}) {
        for (const std::string& form : forms_of(key)) forms.push_back(form);
    }
    forms.push_back(combined(octets_of(kVendingKey), 0x36));
    forms.push_back(combined(octets_of(kVendingKey), 0x5C));
    return forms;
}

std::string user_pin(const LabModule& module) {
    std::string pin = file_text(StateDir(module.dir()).pins() / "hsm-user.pin");
    while (pin.ends_with('\n')) pin.pop_back();
    REQUIRE(pin.size() == 32);
    return pin;
}

/// Every command that touches a key, with EA11 and EA07, made and refused.
void use_keys(RawLink& link) {
    const std::string meter = "N1~P600727000000000009~N1~";
    for (int round = 0; round < 20; ++round) {
        CHECK(link.ask(framed("SM?VC" + meter + "N11~N2~N0~H0001~H014EEC~")) ==
              framed("SM!VC00P32D98A5616345BE2E~P58625789986991357486~"));
        CHECK(link.ask(framed("SM?VC" + meter + "N7~N2~N0~H0001~H014EEC~")).starts_with("SM!VC00P"));
        CHECK(link.ask(framed("SM?VM" + meter + "N11~N2~N1~HFFFF~H522A0B~")) ==
              framed("SM!VM00P0FB03E5B9962F5782~P18087553113701439362~"));
        CHECK(link.ask(framed("SM?VT" + meter + "N11~P58625789986991357486~")) ==
              framed("SM!VT00N0~N0~N0~H0001~H014EEC~"));
        CHECK(link.ask(framed("SM?VT" + meter + "N11~P58625789986991357487~")) == framed("SM!VT00N3~"));
        CHECK(link.ask(framed("SM?VC" + meter + "N9~N2~N0~H0001~H014EEC~")) == framed("SM!VC40"));
        CHECK(link.ask(framed("SM?VKN1~" + meter + "N11~N2~N2~N4~")).starts_with("SM!VK00N0~N4~P"));
        CHECK(link.ask(framed("SM?GAN1~")).starts_with("SM!GA00P"));
    }
}

/// Whether a mapping, a line of /proc/PID/maps, is left out of core files.
bool never_dumped(pid_t process, const std::string& mapping) {
    const std::string all = file_text("/proc/" + std::to_string(process) + "/smaps");
    const std::size_t at = all.find(mapping);
    if (mapping.empty() || at == std::string::npos) return false;
    const std::size_t flags = all.find("VmFlags:", at);
    return all.substr(flags, all.find('\n', flags) - flags).find(" dd") != std::string::npos;
}

void start_with_full_log(LabModule& module) {
    const auto config = module.dir() / "sts6d.toml";
    std::string text = file_text(config);
    const std::size_t level = text.find("info", text.find("log_level ="));
    REQUIRE(level != std::string::npos);
    test::write_text(config, text.replace(level, 4, "trace"));
    module.start(std::nullopt);
}

}  // namespace

TEST_CASE("secrecy: log, arguments, environment and files") {
    LabModule module(test::vector_pack());
    start_with_full_log(module);
    {
        RawLink link(module.url());
        use_keys(link);
        CHECK(link.ask("SM?VCN1~" + kVendingKey + "~0000\r") == "GL!ER20A624\r");
    }
    const std::string pin = user_pin(module);
    const std::string place = "/proc/" + std::to_string(module.daemon().pid());
    for (const char* file : {"/cmdline", "/environ"}) {
        const std::string text = file_text(place + file);
        CHECK(text.find(file == std::string_view("/cmdline") ? "--lab-time" : "PATH=") != std::string::npos);
        CHECK(text.find(pin) == std::string::npos);
    }
    module.stop();

    // The log of set-up and daemon, everything switched on.
    const std::string log = file_text(module.log());
    CHECK(log.find("SOFTSM01") != std::string::npos);
    CHECK(log.find("0F353D") != std::string::npos);
    // The daemon that loaded the keys, and the one that used them.
    CHECK(log.find("stopped") != log.rfind("stopped"));
    for (const std::string& form : key_forms()) CHECK(log.find(form) == std::string::npos);
    CHECK(log.find(pin) == std::string::npos);
    CHECK(log.find(lower(pin)) == std::string::npos);
    // A token is money.
    CHECK(log.find("58625789986991357486") == std::string::npos);
    CHECK(log.find("32D98A5616345BE2E") == std::string::npos);

    // The state directory holds the PIN in one place and no key in clear.
    std::vector<std::string> with_pin;
    std::size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(module.dir())) {
        if (!entry.is_regular_file()) continue;
        ++files;
        const std::string text = file_text(entry.path());
        INFO(entry.path().string());
        for (const std::string& form : key_forms()) CHECK(text.find(form) == std::string::npos);
        if (text.find(pin) != std::string::npos) with_pin.push_back(entry.path().filename().string());
    }
    CHECK(files > 6);
    CHECK(with_pin == std::vector<std::string>{"hsm-user.pin"});
}

TEST_CASE("secrecy: the memory scan finds what is there") {
    // The form is made here and nowhere else, on the heap.
    const std::string form = combined(octets_of(kDecoderKeyEa07), 0x17);
    const auto scan = test::scan_memory(::getpid(), {form, "no such text " + form});
    REQUIRE(scan);
    CHECK(scan->octets > 100000);
    const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(form.data()));
    CHECK(std::ranges::any_of(scan->hits, [address](const test::MemoryHit& hit) {
        return hit.pattern == 0 && hit.address == address;
    }));
}

TEST_CASE("secrecy: no vending key and no decoder key is left in memory") {
    LabModule module(test::vector_pack());
    module.start(std::nullopt);
    RawLink link(module.url());
    std::vector<std::string> patterns = key_forms();
    const std::size_t controls = patterns.size();
    // Controls, and the PIN.
    patterns.insert(patterns.end(), {"SOFTSM01", "32D98A5616345BE2E", user_pin(module)});
    const auto found_in_memory = [&] {
        const auto scan = test::scan_memory(module.daemon().pid(), patterns);
        std::vector<std::string> found(scan ? patterns.size() : 0);
        if (!scan) WARN("NOT TESTED: the daemon's memory cannot be read by this user");
        for (std::size_t i = 0; scan && i < scan->hits.size(); ++i) {
            found[scan->hits[i].pattern] += scan->hits[i].mapping + "\n";
        }
        return found;
    };
    const auto check_keys = [&](const std::vector<std::string>& found) {
        for (std::size_t i = 0; i < controls; ++i) {
            INFO("form " << i);
            CHECK(found[i] == "");
        }
        // What must be there: the module's name.
        CHECK(found[controls] != "");
    };
    const auto at_start = found_in_memory();
    if (at_start.empty()) return;
    check_keys(at_start);
    CHECK(at_start[controls + 1] == "");
    use_keys(link);
    CHECK(link.ask(framed("SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~"))
              .starts_with("SM!VC00P32D98A5616345BE2E~"));
    const auto after_use = found_in_memory();
    check_keys(after_use);
    // The link's last answer, for GL?RR.
    CHECK(after_use[controls + 1] != "");
    // A key that is there is found, in that form and no other.
    CHECK(link.ask(framed("GL?EC00032" + kDecoderKeyEa11)) == framed("GL!EC00032" + kDecoderKeyEa11));
    const auto told = found_in_memory();
    CHECK(std::ranges::count(patterns, kDecoderKeyEa11) == 1);
    for (std::size_t i = 0; i < controls; ++i) {
        INFO("form " << i);
        CHECK((told[i] != "") == (patterns[i] == kDecoderKeyEa11));
    }
    // The PIN is kept for a new login, in the heap for secrets only.
    const std::string& with_pin = told[controls + 2];
    CHECK(std::ranges::count(with_pin, '\n') == 1);
    CHECK(never_dumped(module.daemon().pid(), with_pin));
    module.stop();
}

}  // namespace sts6
