// SPDX-License-Identifier: Apache-2.0
// sts6-kmc: a key management centre for labs and tests.
#include <chrono>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include <CLI/CLI.hpp>
#include <sys/stat.h>

#include "firmware/keyload/records.hpp"
#include "tools/kmc/describe.hpp"
#include "tools/kmc/files.hpp"
#include "tools/kmc/key_options.hpp"
#include "tools/kmc/kmc.hpp"
#include "tools/kmc/kmc_error.hpp"
#include "tools/kmc/report.hpp"
#include "tools/kmc/text.hpp"

namespace {

using namespace sts6::kmc;
using sts6::CivilTime;

constexpr mode_t kReadable = S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH;

struct CommonOptions {
    std::string state;
    bool json = false;
};

struct NewOptions {
    std::string operator_name;
    std::string name;
    std::string active;
    std::string expiry;
    std::string record;
};

struct FileOptions {
    std::string file;
    std::string out;
    bool replace = false;
};

CivilTime now() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

void print(const Report& report, const CommonOptions& common) {
    std::cout << (common.json ? in_json(report) : in_words(report));
}

void say(const std::string& text) {
    std::cerr << "sts6-kmc: " << text << "\n";
}

std::string state_path(const CommonOptions& common) {
    if (common.state.empty()) usage_error("this command needs --state FILE");
    return common.state;
}

std::string key_text(KeyName name) {
    return "SGC " + std::to_string(name.first) + " KRN " + std::to_string(name.second);
}

void run_new(const NewOptions& options, const CommonOptions& common) {
    const std::string state = state_path(common);
    const std::string record_file = options.record.empty() ? state + ".pkkmc" : options.record;
    const Kmc kmc = make_kmc({.operator_name = options.operator_name,
                              .name = options.name,
                              .created = now(),
                              .active_from = date_option(options.active, "--active"),
                              .expiry = date_option(options.expiry, "--expiry")});
    create_state(state, kmc);
    try {
        write_whole_file(record_file, sts6::keyload::write_file({kmc.record}, sha1), kReadable,
                         Existing::refuse);
    } catch (...) {
        std::filesystem::remove(state);
        throw;
    }
    Report report;
    report.add("KMCID", std::string(sts6::keyload::parse_kmc_key(kmc.record)->kmcid.text));
    report.add("SHA-384", hex_text(sha384(kmc.record)));
    report.add("record", record_file);
    print(report, common);
}

void run_sm_add(const FileOptions& options, const CommonOptions& common) {
    const StateFile state(state_path(common));
    Kmc kmc = state.load();
    const AddedSm added = add_sm(kmc, read_exchange_file(options.file), options.replace);
    if (added.change != SmChange::none) state.save(kmc);
    constexpr const char* kWords[] = {"known already", "added", "replaced"};
    Report report;
    report.add("SMID", added.smid);
    report.add("result", kWords[static_cast<std::size_t>(added.change)]);
    print(report, common);
}

void run_sm_list(const CommonOptions& common) {
    const Kmc kmc = StateFile(state_path(common)).load();
    Report report;
    report.list_name = "security modules";
    for (const auto& [name, record] : kmc.modules) {
        Report entry;
        entry.add("SMID", std::string(sts6::keyload::parse_sm_key(record)->smid.text));
        report.list.push_back(std::move(entry));
    }
    print(report, common);
}

void add_name(Report& report, KeyName name, const sts6::Kcv& kcv) {
    report.add("SGC", std::uint64_t{name.first});
    report.add("KRN", std::uint64_t{name.second});
    report.add("KCV", hex_text(kcv));
}

void run_key_add(const KeyOptions& options, const CommonOptions& common) {
    const StateFile state(state_path(common));
    Kmc kmc = state.load();
    VendingKey key = vending_key(options, now());
    const KeyName name{key.attributes.sgc, key.attributes.krn};
    const auto kcv = add_key(kmc, std::move(key), !options.value.empty());
    state.save(kmc);
    Report report;
    add_name(report, name, kcv);
    print(report, common);
}

void run_key_list(const CommonOptions& common) {
    const Kmc kmc = StateFile(state_path(common)).load();
    Report report;
    report.list_name = "keys";
    for (const auto& [name, key] : kmc.keys) {
        Report entry;
        add_name(entry, name, key.kcv);
        entry.add("KTC", key_type_text(key.attributes.ktc));
        entry.add("DKG", key.attributes.dkg == sts6::Dkga::dkga02 ? "02" : "04");
        entry.add("expiry", date_text(key.attributes.expiry));
        entry.add("security modules", key.modules.empty() ? std::vector<std::string>{"all"} : key.modules);
        report.list.push_back(std::move(entry));
    }
    print(report, common);
}

void run_revoke(const KeyOptions& options, const CommonOptions& common) {
    const StateFile state(state_path(common));
    Kmc kmc = state.load();
    const KeyName name = key_name(options.sgc, options.krn);
    revoke(kmc, name);
    state.save(kmc);
    say(key_text(name) + " is in no file from now on; a module drops it with its next key load file");
}

void run_respond(const FileOptions& options, const CommonOptions& common) {
    const StateFile state(state_path(common));
    Kmc kmc = state.load();
    const Response response = respond(kmc, read_exchange_file(options.file), now(), random_octets);
    // Before the file leaves: what was given must be what is given again.
    if (!response.repeated) state.save(kmc);
    if (!options.out.empty()) write_whole_file(options.out, response.file, kReadable, Existing::replace);
    std::vector<std::string> expired;
    for (const KeyName& name : response.expired) expired.push_back(key_text(name));
    for (const std::string& key : expired) say(key + " has expired and is left out");
    if (response.repeated) say("this request was answered before; the file is the same");
    say(std::to_string(response.keys) + (response.keys == 1 ? " key for " : " keys for ") + response.smid);
    if (!common.json) {
        if (options.out.empty()) std::cout << response.file;
        return;
    }
    Report report;
    report.add("SMID", response.smid);
    report.add("keys", std::uint64_t{response.keys});
    report.add("repeated", response.repeated);
    report.add("expired", expired);
    if (options.out.empty()) report.add("file", response.file);
    print(report, common);
}

void run_show(const FileOptions& options, const CommonOptions& common) {
    const Description description = describe(read_exchange_file(options.file));
    print(description.report, common);
    if (!description.sound) damaged(options.file + " is not as its maker left it");
}

void add_new(CLI::App& app, const CommonOptions& common) {
    auto options = std::make_shared<NewOptions>();
    CLI::App* command = app.add_subcommand("new", "make a KMC: its key pair, its state file, its record");
    command->add_option("--operator", options->operator_name, "who runs the KMC")->required();
    command->add_option("--name", options->name, "its name")->required();
    command->add_option("--active", options->active, "active from, CCYYMMDDThhmmssZ; default now");
    command->add_option("--expiry", options->expiry, "expires at; default ten years after it becomes active");
    command->add_option("--record", options->record,
                        "file for its public key record; default: the state file's name and .pkkmc");
    command->callback([options, &common] { run_new(*options, common); });
}

void add_sm_commands(CLI::App& app, const CommonOptions& common) {
    auto options = std::make_shared<FileOptions>();
    CLI::App* sm = app.add_subcommand("sm", "the security modules that get keys");
    sm->require_subcommand(1);
    sm->fallthrough();
    CLI::App* add = sm->add_subcommand("add", "make a security module known");
    add->add_option("FILE", options->file, "its public key record")->required();
    add->add_flag("--replace", options->replace, "take it in the place of the module's record that is known");
    add->callback([options, &common] { run_sm_add(*options, common); });
    sm->add_subcommand("list", "list them")->callback([&common] { run_sm_list(common); });
}

void add_key_name(CLI::App& command, KeyOptions& options) {
    command.add_option("--sgc", options.sgc, "supply group code")->required();
    command.add_option("--krn", options.krn, "key revision number, 1 to 9")->required();
}

void add_key_commands(CLI::App& app, const CommonOptions& common) {
    auto options = std::make_shared<KeyOptions>();
    CLI::App* key = app.add_subcommand("key", "the vending keys");
    key->require_subcommand(1);
    key->fallthrough();
    CLI::App* add = key->add_subcommand("add", "make a vending key");
    add_key_name(*add, *options);
    add->add_option("--ktc", options->ktc, "key type: vddk, vudk, vcdk or 1, 2, 3")->required();
    add->add_option("--dkg", options->dkg, "decoder key generation algorithm: 02 or 04")->required();
    add->add_option("--base-date", options->base_date, "1993, 2014 or 2035")->required();
    add->add_option("--ken", options->ken, "key expiry number, 0 to 255")->capture_default_str();
    add->add_option("--ulm", options->ulm, "limit in whole units; default none");
    add->add_option("--clm", options->clm, "limit in currency units, to the nearest float32; default none");
    add->add_option("--sbm", options->sbm, "allowed SubClasses of class 0, a bit each")
        ->capture_default_str();
    add->add_option("--sgn", options->sgn, "name of the supply group");
    add->add_option("--act", options->act, "active from, CCYYMMDDThhmmssZ; default now");
    add->add_option("--exp", options->exp, "in no file from then on; default ten years after --act");
    add->add_option("--refresh", options->refresh,
                    "days for which a file lets a module issue tokens; default: until --exp");
    add->add_option("--value", options->value,
                    "for PUBLISHED TEST KEYS ONLY: the key in hexadecimal, seen by whoever sees this "
                    "command; default: a random key that nobody sees");
    add->add_option("--sm", options->modules, "ModuleID that gets it, repeatable; default: every module");
    add->callback([options, &common] { run_key_add(*options, common); });
    key->add_subcommand("list", "list them")->callback([&common] { run_key_list(common); });

    auto named = std::make_shared<KeyOptions>();
    CLI::App* revoke = app.add_subcommand("revoke", "take a vending key out of every later file");
    add_key_name(*revoke, *named);
    revoke->callback([named, &common] { run_revoke(*named, common); });
}

void add_file_commands(CLI::App& app, const CommonOptions& common) {
    auto options = std::make_shared<FileOptions>();
    CLI::App* respond = app.add_subcommand("respond", "answer a request with a key load file");
    respond->add_option("REQ", options->file, "the request, a VKLOADREQ file")->required();
    respond->add_option("--out", options->out, "the key load file; default: standard output");
    respond->callback([options, &common] { run_respond(*options, common); });

    CLI::App* show = app.add_subcommand("show", "a record or a file in words; needs no --state");
    show->add_option("FILE", options->file, "any file of key management")->required();
    show->callback([options, &common] { run_show(*options, common); });
}

int run(int argc, char** argv) {
    CLI::App app(
        "sts6-kmc: a key management centre for labs and tests.\n"
        "Its state file holds the KMC's private key and every vending key IN CLEAR: no production keys.");
    app.set_version_flag("--version", STS6_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    CommonOptions common;
    app.add_option("--state", common.state, "the KMC's state file, for its owner only");
    app.add_flag("--json", common.json, "data as JSON");
    add_new(app, common);
    add_sm_commands(app, common);
    add_key_commands(app, common);
    add_file_commands(app, common);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : sts6::kExitUsage;
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const int result = run(argc, argv);
        if (!std::cout.flush()) throw std::runtime_error("standard output cannot be written");
        return result;
    } catch (const KmcError& error) {
        std::cout.flush();
        say(error.what());
        return error.exit_code();
    } catch (const std::exception& error) {
        say(error.what());
        return sts6::kExitRefused;
    }
}
