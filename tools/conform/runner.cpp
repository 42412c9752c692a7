// SPDX-License-Identifier: Apache-2.0
#include "tools/conform/runner.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
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
constexpr std::string_view kOperationalTables = "operational";

/// The module under test and what it says of itself.
class Target {
  public:
    /// Gives a client of the module after a power cycle.
    using PowerCycle = std::function<Client()>;

    /// `preset_time`: module time is what the cases ask for. `power_cycle` comes before every command.
    Target(Client client, bool preset_time, PowerCycle power_cycle = {})
        : client_(std::move(client)), preset_time_(preset_time), power_cycle_(std::move(power_cycle)) {
        const Response identity = exchange("SM?DI");
        const auto fields = identity.fields();
        if (!identity.ok() || !fields || fields->size() != 2) {
            throw std::runtime_error("unexpected answer to SM?DI: " + identity.text);
        }
        firmware_ = (*fields)[1].value;
    }

    Response exchange(const std::string& message) {
        if (power_cycle_) client_ = power_cycle_();
        auto response = client_.exchange(message);
        if (!response) throw std::runtime_error(std::string("no answer: ") + errc_text(response.error()));
        return std::move(*response);
    }

    /// The register that holds the pack's key; none when no register does.
    [[nodiscard]] std::optional<std::uint32_t> find(const PackRegister& key) {
        if (cards_.empty()) read_registers();
        const std::string sgc = std::to_string(key.sgc);
        const std::string wanted[] = {
            ";SGC" + std::string(10 - std::min<std::size_t>(10, sgc.size()), '0') + sgc,
            ";KRN" + std::to_string(key.krn) + ";",
            ";KEN" + std::to_string(key.ken) + ";",
            ";DKG0" + std::to_string(key.dkga) + ";",
            ";KTC" + std::to_string(key.ktc) + ";",
            ";BDT" + std::to_string(key.base_date)};
        for (std::size_t i = 0; i < cards_.size(); ++i) {
            const auto holds = [this, i](const std::string& card) {
                return cards_[i].find(card) != std::string::npos;
            };
            if (std::ranges::all_of(wanted, holds)) return static_cast<std::uint32_t>(i + 1);
        }
        return std::nullopt;
    }

    [[nodiscard]] const std::string& firmware() const { return firmware_; }
    [[nodiscard]] bool has_preset_time() const { return preset_time_; }
    [[nodiscard]] bool is_lab() const { return firmware_.ends_with("-LAB"); }
    [[nodiscard]] bool has_tables(const std::string& name) const {
        return firmware_.find("-" + name) != std::string::npos;
    }

  private:
    /// Each register's cards behind a ';', up to the last register that there is.
    void read_registers() {
        constexpr std::uint32_t kMostRegisters = 4096;
        for (std::uint32_t number = 1; number <= kMostRegisters; ++number) {
            const Response response = exchange("SM?GAN" + std::to_string(number) + "~");
            if (response.status == Status::ptvd_range || response.link_error) break;
            cards_.push_back(";" + response.body.substr(std::min<std::size_t>(1, response.body.size())));
        }
    }

    Client client_;
    bool preset_time_;
    PowerCycle power_cycle_;
    std::string firmware_;
    std::vector<std::string> cards_;
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

std::string key_change_request(const Case& test) {
    const auto number = [](unsigned value) { return "N" + std::to_string(value) + "~"; };
    return "SM?VK" + number(test.register_number) + number(test.new_register) + "P" + test.pan + "~" +
           number(test.ti) + number(test.ea) + kTct + number(test.new_ti) + number(test.set_size);
}

/// A set's tokens in one of their forms.
std::vector<sts::TokenNumber> split_set(std::string_view digits, std::size_t each) {
    std::vector<sts::TokenNumber> tokens;
    for (; digits.size() >= each; digits.remove_prefix(each)) {
        const auto token = sts::TokenNumber::parse(digits.substr(0, each));
        if (token) tokens.push_back(*token);
    }
    return digits.empty() ? tokens : std::vector<sts::TokenNumber>();
}

std::string text_of(const sts::TokenNumber& token) {
    const auto digits = token.decimal();
    return {digits.data(), digits.size()};
}

/// What is wrong with an answer to VK that should hold a set; empty when nothing is.
std::string fault_in_set(const Case& test, const Response& response) {
    if (!response.ok()) return "status " + response.code;
    const auto fields = response.fields();
    if (!fields || fields->size() != 4) return "unexpected answer " + response.text;
    const auto set = split_set((*fields)[3].value, sts::TokenNumber::kDecimalDigits);
    if (set.size() != test.set_size || set.size() != test.tokens.size()) return "a set of another size";
    if (split_set((*fields)[2].value, sts::TokenNumber::kHexDigits) != set)
        return "the two forms of the set differ";
    for (std::size_t i = 0; i < set.size(); ++i) {
        if (test.tokens[i] && text_of(set[i]) != *test.tokens[i]) {
            return "token " + text_of(set[i]) + " instead of " + *test.tokens[i];
        }
    }
    return {};
}

std::string run_key_change(const Case& test, Target& target) {
    const Response response = target.exchange(key_change_request(test));
    if (!test.expect_status) return fault_in_set(test, response);
    return response.code == *test.expect_status
               ? ""
               : "status " + response.code + " instead of " + *test.expect_status;
}

/// The host's part: a wrong DRN is refused before a PAN is made of it (76).
std::string run_check_drn(const Case& test) {
    const std::string status = sts::is_drn(test.drn) ? "00" : "76";
    const std::string expected = test.expect_status.value_or("00");
    return status == expected ? "" : "status " + status + " instead of " + expected;
}

/// The host's part too: class 1 needs no key.
std::string run_meter_test(const Case& test) {
    const unsigned code_bits = sts::mfr_code_bits(test.subclass);
    if (test.subclass > 2 || test.mfr_code >> code_bits != 0 || test.control >> (44 - code_bits) != 0) {
        return "a field is out of its range";
    }
    if (test.tokens.size() != 1) return "the case must expect one token";
    const sts::ClearToken clear = sts::meter_test_token(test.subclass, test.control, test.mfr_code);
    const std::string token = text_of(sts::TokenNumber(clear.token_class, clear.block));
    return !test.tokens[0] || token == *test.tokens[0] ? ""
                                                       : "token " + token + " instead of " + *test.tokens[0];
}

/// The registers whose keys a case uses.
std::vector<std::uint32_t> registers_of(const Case& test) {
    if (test.kind == CaseKind::key_change) return {test.register_number, test.new_register};
    if (test.kind == CaseKind::credit || test.kind == CaseKind::management) return {test.register_number};
    return {};
}

/// Why a case can't run at all; empty when it can.
std::string obstacle(const Pack& pack, const Case& test) {
    if (test.kind == CaseKind::unknown) return "unknown kind of case: " + test.kind_name;
    for (const std::uint32_t number : registers_of(test)) {
        if (pack.find_register(number) == nullptr) return "the pack has no such register";
    }
    if (test.rnd != kLabRnd && !test.expect_status)
        return "RND " + std::to_string(test.rnd) + ": a lab module has 5";
    return {};
}

/// Why a case can't run on this target; empty when it can.
std::string obstacle(const Pack& pack, const Case& test, Target& target) {
    if (test.ea == kEaSta && !target.has_tables(test.sta_tables)) {
        return "the case needs the " + test.sta_tables + " EA07 tables (--sta-tables)";
    }
    if (!test.module_time.empty() && !target.has_preset_time())
        return "the case needs its own module time (--self)";
    // Key-change tokens have no RND.
    if (test.kind != CaseKind::key_change && !test.expect_status && !target.is_lab()) {
        return "RND is random: the module is not of the lab profile";
    }
    for (const std::uint32_t number : registers_of(test)) {
        if (!target.find(*pack.find_register(number))) {
            return "no register holds the key of the pack's register " + std::to_string(number);
        }
    }
    return {};
}

/// The case with the target's register numbers: a module numbers keys as they come.
Case on_target(const Pack& pack, Case test, Target& target) {
    test.register_number = *target.find(*pack.find_register(test.register_number));
    if (test.kind == CaseKind::key_change)
        test.new_register = *target.find(*pack.find_register(test.new_register));
    return test;
}

CaseResult run_case(const Pack& pack, const Case& test, Target& target) {
    const std::string reason = obstacle(pack, test, target);
    if (!reason.empty()) return verdict(pack, test, Verdict::skipped, reason);
    const Case asked = on_target(pack, test, target);
    const std::string fault =
        asked.kind == CaseKind::key_change ? run_key_change(asked, target) : run_token(asked, target);
    return verdict(pack, test, fault.empty() ? Verdict::passed : Verdict::failed, fault);
}

void note_firmware(Report& report, const Target& target) {
    if (std::ranges::find(report.firmware, target.firmware()) == report.firmware.end()) {
        report.firmware.push_back(target.firmware());
    }
}

/// The daemon that a case runs on.
struct DaemonStart {
    bool operational = false;  ///< with the operational EA07 tables; everything else runs on the sample set
    std::string lab_time = kLabTime;

    DaemonStart(const Case& test, const RunOptions& options)
        : operational(options.sta_tables && test.ea == kEaSta && test.sta_tables == kOperationalTables) {
        if (!test.module_time.empty()) lab_time = test.module_time;
    }
    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 misreads a defaulted comparison.
    auto operator<=>(const DaemonStart&) const = default;
};

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
    if (test.kind != CaseKind::check_drn && test.kind != CaseKind::meter_test) return std::nullopt;
    const std::string fault = test.kind == CaseKind::check_drn ? run_check_drn(test) : run_meter_test(test);
    return verdict(pack, test, fault.empty() ? Verdict::passed : Verdict::failed, fault);
}

void run_on_lab_module(const Pack& pack, const RunOptions& options, const std::vector<bool>& runnable,
                       std::vector<CaseResult>& results, Report& report) {
    LabModule module(pack.path, options.token_options, options.link);
    std::set<DaemonStart> starts;
    for (std::size_t i = 0; i < pack.cases.size(); ++i) {
        if (runnable[i]) starts.emplace(pack.cases[i], options);
    }
    for (const DaemonStart& start : starts) {
        const auto tables = start.operational ? options.sta_tables : std::nullopt;
        module.start(tables, start.lab_time);
        const Target::PowerCycle power_cycle = [&] {
            module.kill();
            module.start(tables, start.lab_time);
            return module.connect();
        };
        {
            Target target(module.connect(), true, options.power_cycle ? power_cycle : Target::PowerCycle());
            note_firmware(report, target);
            const auto chosen = [&](const Case& test) {
                return runnable[static_cast<std::size_t>(&test - pack.cases.data())] &&
                       DaemonStart(test, options) == start;
            };
            run_cases(pack, target, chosen, results);
        }
        module.stop();
    }
}

Client connect(const std::string& url, const ClientOptions& options) {
    auto client = Client::connect(url, options);
    if (!client) throw std::runtime_error(url + ": " + connect_error_text(client.error()));
    return std::move(*client);
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
            Target target(connect(*options.connect, options.link.client), false);
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
