// SPDX-License-Identifier: Apache-2.0
// A module on fake ports with one key, for unit tests of its commands.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "firmware/module/module.hpp"
#include "tests/support/fake_ports.hpp"

namespace sts6::test {

inline constexpr std::string_view kCreditRequest = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";
inline constexpr std::string_view kCreditAnswer = "00P32D98A5616345BE2E~P58625789986991357486~";

/// A module with one key: SGC 201457, KRN 1, base date 2014, the DKGA04 key of docs/tokens.md 3.3.
class ModuleBench {
  public:
    ModuleBench() {
        const std::array<std::uint8_t, 20> key = {0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0x94, 0x94,
                                                  0x94, 0x94, 0x94, 0x94, 0x94, 0x94, 0x01, 0x23, 0x45, 0x67};
        RegisterRow row;
        row.number = 1;
        row.slot = 1;
        row.key = {1};
        row.attributes.sgc = 201457;
        row.attributes.krn = 1;
        row.attributes.base_date = BaseDate::y2014;
        row.attributes.active_from = civil_time(1993, 1, 1);
        row.attributes.expiry = civil_time(2099, 1, 1);
        row.attributes.issue_until = civil_time(2099, 1, 1);
        hsm.add_key(row.key, key);
        row.kcv = *hsm.check_value(KeyHandle{0});
        hsm.check_values = 0;
        store.registers[1] = row;
        store.slots[1] = active_slot();
        store.state.phase = Phase::operational;
        REQUIRE(store.state.module_id.assign("SOFTSM01"));
        REQUIRE(settings.firmware_id.assign("STS6-001"));
        settings.tid_window_days = 0;
    }

    RegisterRow& row() { return store.registers[1]; }

    void start(std::span<const SelfTest> self_tests = kSelfTests) {
        module = std::make_unique<Module>(settings, hsm, store, clock, random);
        REQUIRE(module->start(self_tests));
        store.commits = 0;
        store.audit.clear();
    }
    std::vector<std::string> execute_batch(const std::vector<std::string>& messages,
                                           LinkRole role = LinkRole::full) {
        if (!module) start();
        std::vector<std::unique_ptr<Exchange>> exchanges;
        std::vector<Exchange*> batch;
        for (const std::string& message : messages) {
            exchanges.push_back(std::make_unique<Exchange>());
            exchanges.back()->message = message;
            exchanges.back()->role = role;
            batch.push_back(exchanges.back().get());
        }
        module->execute(batch);
        std::vector<std::string> answers;
        for (const auto& exchange : exchanges) answers.push_back(text(exchange->answer));
        return answers;
    }
    std::string execute(std::string_view message) { return execute_batch({std::string(message)})[0]; }

    static std::string text(const Answer& answer) {
        const auto code = status_code(answer.status());
        return (answer.is_link_error() ? "GL!ER" : "") + std::string(code.data(), 2) +
               std::string(answer.body());
    }

    FakeHsm hsm;
    FakeStore store;
    FakeClock clock;
    FakeRandom random;
    ModuleSettings settings;
    std::unique_ptr<Module> module;
};

/// The worked credit request with one field replaced.
inline std::string credit_with(std::size_t field, std::string_view value, std::string_view header = "SM?VC") {
    std::vector<std::string> fields = {"N1",     "P600727000000000009", "N1", "N11", "N2", "N0", "H0001",
                                       "H014EEC"};
    fields[field] = value;
    std::string message(header);
    for (const std::string& text : fields) message += text + "~";
    return message;
}

}  // namespace sts6::test
