// SPDX-License-Identifier: Apache-2.0
#include "tools/conform/runner.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "firmware/sts/pan.hpp"
#include "firmware/sts/token_block.hpp"
#include "sts6/client.hpp"
#include "sts6/ptvd.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::conform {

namespace {

constexpr unsigned kEaSta = 7;
constexpr unsigned kLabRnd = 5;
// TCT 02, numeric token: what every published case is for.
constexpr const char* kTct = "N2~";
constexpr std::string_view kSampleTables = "sample";
constexpr std::string_view kOperationalTables = "operational";

/// The module under test and what it says of itself.
class Target {
  public:
    explicit Target(const std::string& url) : client_(connect(url)) {
        const Response identity = exchange("SM?DI");
        const auto fields = identity.fields();
        if (!identity.ok() || !fields || fields->size() != 2) {
            throw std::runtime_error(url + ": unexpected answer to SM?DI: " + identity.text);
        }
        firmware_ = (*fields)[1].value;
    }

    Response exchange(const std::string& message) {
        auto response = client_.exchange(message);
        if (!response) throw std::runtime_error(std::string("no answer: ") + errc_text(response.error()));
        return std::move(*response);
    }

    [[nodiscard]] const std::string& firmware() const { return firmware_; }
    [[nodiscard]] bool is_lab() const { return firmware_.ends_with("-LAB"); }
    [[nodiscard]] bool has_tables(const std::string& name) const {
        return firmware_.find("-" + name) != std::string::npos;
    }

  private:
    static Client connect(const std::string& url) {
        auto client = Client::connect(url);
        if (!client) throw std::runtime_error(url + ": " + errc_text(client.error()));
        return std::move(*client);
    }

    Client client_;
    std::string firmware_;
};

CaseResult verdict(const Pack& pack, const Case& test, Verdict result, std::string reason = {}) {
    return {.pack = pack.name, .id = test.id, .verdict = result, .reason = std::move(reason)};
}

std::string meter_fields(const Case& test) {
    return "N" + std::to_string(test.register_number) + "~P" + test.pan + "~N" + std::to_string(test.ti) +
           "~N" + std::to_string(test.ea) + "~" + kTct;
}

std::string request(const Case& test) {
    return (test.kind == CaseKind::credit ? "SM?VC" : "SM?VM") + meter_fields(test) + "N" +
           std::to_string(test.subclass) + "~H" + test.value + "~H" + test.tid + "~";
}

/// What is wrong with the answer to VC or VM; empty when nothing is.
std::string fault_in_token(const Case& test, const Response& response) {
    if (test.expect_status) {
        return response.code == *test.expect_status
                   ? ""
                   : "status " + response.code + " instead of " + *test.expect_status;
    }
    if (!response.ok()) return "status " + response.code;
    const auto fields = response.fields();
    if (!fields || fields->size() != 2) return "unexpected answer " + response.text;
    const std::string_view decimal = (*fields)[1].value;
    const auto from_hex = sts::TokenNumber::parse((*fields)[0].value);
    const auto from_decimal = sts::TokenNumber::parse(decimal);
    if (!from_hex || !from_decimal || !(*from_hex == *from_decimal))
        return "the two forms of the token differ";
    if (test.tokens.size() != 1) return "the case must expect one token";
    if (test.tokens[0] && decimal != *test.tokens[0]) {
        return "token " + std::string(decimal) + " instead of " + *test.tokens[0];
    }
    return {};
}

/// The module sends hexadecimal digits so; a pack need not.
std::string upper_case(std::string digits) {
    for (char& c : digits) c = c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
    return digits;
}

/// SM?VT must read back what was asked for.
std::string fault_in_verification(const Case& test, Target& target, const std::string& token) {
    const Response response = target.exchange("SM?VT" + meter_fields(test) + "P" + token + "~");
    const unsigned token_class = test.kind == CaseKind::credit ? sts::kClassCredit : sts::kClassManagement;
    const std::string expected = "N0~N" + std::to_string(token_class) + "~N" + std::to_string(test.subclass) +
                                 "~H" + upper_case(test.value) + "~H" + upper_case(test.tid) + "~";
    if (response.ok() && response.body == expected) return {};
    return "SM?VT reads the token as " + response.text;
}

std::string run_token(const Case& test, Target& target) {
    const Response response = target.exchange(request(test));
    std::string fault = fault_in_token(test, response);
    if (!fault.empty() || test.expect_status) return fault;
    return fault_in_verification(test, target, std::string((*response.fields())[1].value));
}

/// The host's part: a wrong DRN is refused before a PAN is made of it (76).
std::string run_check_drn(const Case& test) {
    const std::string status = sts::is_drn(test.drn) ? "00" : "76";
    const std::string expected = test.expect_status.value_or("00");
    return status == expected ? "" : "status " + status + " instead of " + expected;
}

/// Why a case can't run at all; empty when it can.
std::string obstacle(const Pack& pack, const Case& test) {
    if (test.kind == CaseKind::key_change) return "key change is not built yet";
    if (test.kind == CaseKind::meter_test) return "class 1 tokens are not built yet";
    if (test.kind == CaseKind::unknown) return "unknown kind of case: " + test.kind_name;
    if (test.kind == CaseKind::check_drn) return {};
    const PackRegister* key = pack.find_register(test.register_number);
    if (key == nullptr) return "the pack has no such register";
    if (key->dkga == 2) return "DKGA02 is not built yet";
    if (test.rnd != kLabRnd && !test.expect_status)
        return "RND " + std::to_string(test.rnd) + ": a lab module has 5";
    return {};
}

/// Why a case can't run on this target; empty when it can.
std::string obstacle(const Pack& pack, const Case& test, Target& target) {
    if (test.ea == kEaSta && !target.has_tables(test.sta_tables)) {
        return "the case needs the " + test.sta_tables + " EA07 tables (--sta-tables)";
    }
    if (!test.expect_status && !target.is_lab()) return "RND is random: the module is not of the lab profile";
    const PackRegister& key = *pack.find_register(test.register_number);
    const Response response = target.exchange("SM?GAN" + std::to_string(key.number) + "~");
    const std::string text = ";" + response.body.substr(std::min<std::size_t>(1, response.body.size()));
    std::string sgc = std::to_string(key.sgc);
    sgc.insert(0, 10 - std::min<std::size_t>(10, sgc.size()), '0');
    for (const std::string& card :
         {";SGC" + sgc, ";KRN" + std::to_string(key.krn) + ";", ";KEN" + std::to_string(key.ken) + ";",
          ";DKG0" + std::to_string(key.dkga) + ";", ";BDT" + std::to_string(key.base_date)}) {
        if (text.find(card) == std::string::npos) {
            return "register " + std::to_string(key.number) + " does not hold the pack's key";
        }
    }
    return {};
}

CaseResult run_case(const Pack& pack, const Case& test, Target& target) {
    const std::string reason = obstacle(pack, test, target);
    if (!reason.empty()) return verdict(pack, test, Verdict::skipped, reason);
    const std::string fault = run_token(test, target);
    return verdict(pack, test, fault.empty() ? Verdict::passed : Verdict::failed, fault);
}

void note_firmware(Report& report, const Target& target) {
    if (std::ranges::find(report.firmware, target.firmware()) == report.firmware.end()) {
        report.firmware.push_back(target.firmware());
    }
}

/// Which daemon a case runs on: the operational set needs its file, everything else the sample set.
bool wants_operational(const Case& test) {
    return test.ea == kEaSta && test.sta_tables == kOperationalTables;
}

/// Runs the cases that `chosen` selects, each into its place.
template <class Choice>
void run_cases(const Pack& pack, Target& target, Choice chosen, std::vector<CaseResult>& results) {
    for (std::size_t i = 0; i < pack.cases.size(); ++i) {
        const Case& test = pack.cases[i];
        if (!chosen(test)) continue;
        try {
            results[i] = run_case(pack, test, target);
        } catch (const std::exception& error) {
            results[i] = verdict(pack, test, Verdict::failed, error.what());
        }
    }
}

/// The result of a case that needs no module.
std::optional<CaseResult> run_alone(const Pack& pack, const Case& test) {
    const std::string reason = obstacle(pack, test);
    if (!reason.empty()) return verdict(pack, test, Verdict::skipped, reason);
    if (test.kind != CaseKind::check_drn) return std::nullopt;
    const std::string fault = run_check_drn(test);
    return verdict(pack, test, fault.empty() ? Verdict::passed : Verdict::failed, fault);
}

void run_on_lab_module(const Pack& pack, const RunOptions& options, const std::vector<bool>& runnable,
                       std::vector<CaseResult>& results, Report& report) {
    LabModule module(pack.path);
    for (const bool operational : {false, true}) {
        const auto chosen = [&](const Case& test) {
            const auto place = static_cast<std::size_t>(&test - pack.cases.data());
            return runnable[place] && (wants_operational(test) && options.sta_tables) == operational;
        };
        if (std::ranges::none_of(pack.cases, chosen)) continue;
        module.start(operational ? options.sta_tables : std::nullopt);
        {
            Target target(module.url());
            note_firmware(report, target);
            run_cases(pack, target, chosen, results);
        }
        module.stop();
    }
}

std::vector<CaseResult> run_pack(const Pack& pack, const RunOptions& options, Report& report) {
    std::vector<CaseResult> results(pack.cases.size());
    std::vector<bool> runnable(pack.cases.size());
    for (std::size_t i = 0; i < pack.cases.size(); ++i) {
        const auto result = run_alone(pack, pack.cases[i]);
        runnable[i] = !result;
        if (result) results[i] = *result;
    }
    if (std::ranges::find(runnable, true) == runnable.end()) return results;
    try {
        if (options.connect) {
            Target target(*options.connect);
            note_firmware(report, target);
            run_cases(
                pack, target,
                [&](const Case& test) {
                    return runnable[static_cast<std::size_t>(&test - pack.cases.data())];
                },
                results);
        } else {
            run_on_lab_module(pack, options, runnable, results, report);
        }
    } catch (const std::exception& error) {
        for (std::size_t i = 0; i < results.size(); ++i) {
            if (runnable[i] && results[i].id.empty())
                results[i] = verdict(pack, pack.cases[i], Verdict::failed, error.what());
        }
    }
    return results;
}

}  // namespace

Report run_packs(const std::vector<Pack>& packs, const RunOptions& options) {
    Report report;
    for (const Pack& pack : packs) {
        const std::vector<CaseResult> results = run_pack(pack, options, report);
        report.cases.insert(report.cases.end(), results.begin(), results.end());
    }
    return report;
}

}  // namespace sts6::conform
