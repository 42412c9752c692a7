// SPDX-License-Identifier: Apache-2.0
// What the module on this machine is and does: status, metrics and sm-key.
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "firmware/util/decimal_text.hpp"
#include "src/daemon/state_dir.hpp"
#include "tools/sts6ctl/admin_link.hpp"
#include "tools/sts6ctl/ctl_error.hpp"
#include "tools/sts6ctl/record_files.hpp"

namespace sts6::ctl {

namespace {

using nlohmann::json;

/// From the daemon, or without it from the directory.
json status_of(const CommonOptions& common) {
    if (common.dir.empty()) usage_error("this needs --dir DIR");
    try {
        return ask_daemon(common, {{"command", "status"}}).at("status");
    } catch (const CtlError& error) {
        if (error.exit_code() != kExitNoConnection) throw;
    }
    const auto status = offline_status(common.dir);
    if (!status) throw CtlError(exit_code(status.error().code), status.error().text);
    return json::parse(*status);
}

std::string text_of(const json& object, const char* name) {
    return object.at(name).get<std::string>();
}

std::string number_of(const json& object, const char* name) {
    return std::to_string(object.at(name).get<std::uint64_t>());
}

void print_line(const char* name, const std::string& value) {
    std::cout << name << ": " << value << "\n";
}

/// What only a running daemon knows.
void print_run(const json& status) {
    print_line("firmware", text_of(status, "firmware_id") + ", EA07 tables " + text_of(status, "sta_tables"));
    const json& self_test = status.at("self_test");
    print_line("self-test",
               (self_test.at("passed").get<bool>() ? "passed " : "FAILED ") + text_of(self_test, "at"));
    const json& clock = status.at("clock");
    print_line("clock", "module time " + text_of(clock, "module_time") + ", host " + text_of(clock, "host") +
                            ", time mark " + text_of(clock, "time_mark") +
                            (clock.at("behind").get<bool>() ? ", BEHIND" : ""));
    const json& hsm = status.at("hsm");
    print_line("HSM", text_of(hsm, "token") + (hsm.at("connected").get<bool>() ? "" : ", AWAY"));
    for (const auto& one : hsm.at("capabilities")) std::cout << "  " << one.get<std::string>() << "\n";
}

void print_audit(const json& audit) {
    const auto first = audit.at("first").get<std::uint64_t>();
    const auto last = audit.at("last").get<std::uint64_t>();
    print_line("audit", std::to_string(last + 1 - first) + " of " + number_of(audit, "capacity") +
                            " records, acknowledged up to " + number_of(audit, "acknowledged") + " of " +
                            std::to_string(last) +
                            (audit.contains("room") ? ", room for " + number_of(audit, "room") : ""));
    print_line("  head", text_of(audit, "hash"));
}

/// "12.3 of 100.0"; empty for a key without that limit.
std::string limit_text(const json& key, const std::string& left, const std::string& limit,
                       unsigned decimals) {
    if (!key.contains(left)) return {};
    return decimal_text(key.at(left).get<std::uint64_t>(), decimals) + " of " +
           decimal_text(key.at(limit).get<std::uint64_t>(), decimals);
}

void print_key(const json& key) {
    std::cout << "register " << key.at("register") << ": slot " << key.at("slot") << ", SGC " << key.at("sgc")
              << ", KRN " << key.at("krn") << ", DKG 0" << key.at("dkg") << ", KTC " << key.at("ktc")
              << ", KEN " << key.at("ken") << ", KCV " << text_of(key, "kcv") << ", IUT "
              << text_of(key, "iut") << ", EXP " << text_of(key, "exp") << "\n";
    const std::string units = limit_text(key, "units_left_tenths", "units_limit_tenths", kUnitDecimals);
    const std::string currency =
        limit_text(key, "currency_left_100000ths", "currency_limit_100000ths", kCurrencyDecimals);
    if (!units.empty()) print_line("  units left", units);
    if (!currency.empty()) print_line("  currency left", currency);
}

void print_status(const json& status) {
    const bool running = status.at("running").get<bool>();
    print_line("module", text_of(status, "module_id") + ", " + text_of(status, "profile") + ", " +
                             text_of(status, "phase") +
                             (status.at("tampered").get<bool>() ? ", TAMPERED" : "") +
                             (status.value("error_state", false) ? ", in its ERROR STATE" : ""));
    print_line("daemon", running ? "running" : "not running");
    print_line("SMID", text_of(status, "smid").empty() ? "not initialised" : text_of(status, "smid"));
    if (running) print_run(status);
    print_line("tokens issued", number_of(status, "tokens_issued"));
    print_audit(status.at("audit"));
    for (const auto& slot : status.at("slots")) {
        std::cout << "slot " << slot.at("slot") << ": " << text_of(slot, "operator") << " "
                  << text_of(slot, "name") << (slot.at("active").get<bool>() ? ", active" : ", not active")
                  << ", session " << text_of(slot, "session") << "\n";
    }
    for (const auto& key : status.at("registers")) print_key(key);
    for (const auto& warning : status.at("warnings")) print_line("WARNING", warning.get<std::string>());
}

void run_status(const CommonOptions& common) {
    const json status = status_of(common);
    if (common.json) {
        std::cout << status.dump() << "\n";
    } else {
        print_status(status);
    }
}

void run_metrics(const CommonOptions& common) {
    std::cout << text_of(ask_daemon(common, {{"command", "metrics"}}), "metrics");
}

void run_sm_key(const std::string& out, const CommonOptions& common) {
    const auto record = status_of(common).at("sm_public_key_record").get<std::string>();
    if (record.empty()) throw CtlError(kExitRefused, "the module is not initialised: SM?MI comes first");
    write_records(out, {record});
}

}  // namespace

void add_status(CLI::App& app, const CommonOptions& common) {
    CLI::App* status = app.add_subcommand("status", "what the module is and holds, and what to see to");
    status->callback([&common] { run_status(common); });
    CLI::App* metrics = app.add_subcommand("metrics", "what a running module counts, as OpenMetrics text");
    metrics->callback([&common] { run_metrics(common); });
    auto out = std::make_shared<std::string>();
    CLI::App* sm_key =
        app.add_subcommand("sm-key", "the SM public key record, as a one-record file for KMCs");
    sm_key->add_option("--out", *out, "where to write it; without: standard output");
    sm_key->callback([out, &common] { run_sm_key(*out, common); });
}

}  // namespace sts6::ctl
