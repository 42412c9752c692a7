// SPDX-License-Identifier: Apache-2.0
// What officers do on this machine: kmc and officer.
#include <array>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>
#include <openssl/sha.h>

#include "firmware/keyload/records.hpp"
#include "sts6/hex.hpp"
#include "tools/sts6ctl/admin_link.hpp"
#include "tools/sts6ctl/ctl_error.hpp"
#include "tools/sts6ctl/record_files.hpp"

namespace sts6::ctl {

namespace {

using nlohmann::json;

std::string sha384_text(const std::string& record) {
    std::array<std::uint8_t, 48> digest{};
    SHA384(reinterpret_cast<const unsigned char*>(record.data()), record.size(), digest.data());
    std::string text(2 * digest.size(), '0');
    write_hex(digest, text.data());
    return text;
}

struct KmcOptions {
    std::string file;
    std::string kmc;
    OfficerOptions officers;
};

void run_approve(const KmcOptions& options, const CommonOptions& common) {
    const auto records = read_records(options.file);
    const auto record = records.size() == 1 ? keyload::parse_kmc_key(records[0])
                                            : Result<keyload::KmcKeyRecord>(Unexpected{Errc::malformed});
    if (!record) {
        throw CtlError(kExitIntegrity, options.file + ": holds no KMC public key record (PKKMC.1)");
    }
    std::cerr << "KMC: operator " << record->kmcid.issuer << ", name " << record->kmcid.unique << "\n"
              << "KMCID: " << record->kmcid.text << "\n"
              << "SHA-384 of the record, to be compared with the KMC by another channel:\n"
              << sha384_text(records[0]) << "\n";
    // Whoever approves sees whose place it takes before a PIN is given.
    const std::string same_kmc =
        "KMCID.1:" + std::string(record->kmcid.issuer) + ":" + std::string(record->kmcid.unique) + ":";
    const json known = ask_daemon(common, {{"command", "kmc-list"}});
    for (const auto& old : known.at("kmcs")) {
        if (!old.at("kmcid").get<std::string>().starts_with(same_kmc)) continue;
        std::cerr << "It replaces " << old.at("kmcid").get<std::string>() << ", SHA-384\n"
                  << old.at("sha384").get<std::string>() << "\n";
    }
    const json answer =
        ask_with_officers(common, {{"command", "kmc-approve"}, {"record", records[0]}}, options.officers);
    if (common.json) {
        std::cout << answer.dump() << "\n";
        return;
    }
    if (answer.contains("replaced")) {
        std::cout << "replaces " << answer.at("replaced").at("kmcid").get<std::string>() << ", SHA-384 "
                  << answer.at("replaced").at("sha384").get<std::string>() << "\n";
    }
    std::cout << "approved " << answer.at("kmcid").get<std::string>() << " by "
              << answer.at("officers").get<std::string>() << "\n";
}

void run_kmc_list(const CommonOptions& common) {
    const json answer = ask_daemon(common, {{"command", "kmc-list"}});
    if (common.json) {
        std::cout << answer.at("kmcs").dump() << "\n";
        return;
    }
    for (const auto& kmc : answer.at("kmcs")) {
        std::cout << kmc.at("kmcid").get<std::string>() << "  approved "
                  << kmc.at("approved").get<std::string>() << "\n  SHA-384 "
                  << kmc.at("sha384").get<std::string>() << "\n";
    }
}

void add_kmc(CLI::App& app, const CommonOptions& common) {
    CLI::App* kmc = app.add_subcommand("kmc", "the KMCs that this module trusts");
    kmc->require_subcommand(1);
    auto options = std::make_shared<KmcOptions>();
    CLI::App* approve = kmc->add_subcommand("approve", "trust a KMC's public key record (two officers)");
    approve->add_option("FILE", options->file, "its one-record file")->required();
    add_officer_options(*approve, options->officers);
    approve->callback([options, &common] { run_approve(*options, common); });
    kmc->add_subcommand("list", "which are approved")->callback([&common] { run_kmc_list(common); });
    CLI::App* remove = kmc->add_subcommand("remove", "trust it no longer (two officers); its keys stay");
    remove->add_option("KMC", options->kmc, "its KMCID or the SHA-384 of its record")->required();
    add_officer_options(*remove, options->officers);
    remove->callback([options, &common] {
        ask_with_officers(common, {{"command", "kmc-remove"}, {"kmc", options->kmc}}, options->officers);
    });
}

struct OfficerCommand {
    std::string name;
    std::string new_pin_file;
    OfficerOptions officers;
};

void add_officer(CLI::App& app, const CommonOptions& common) {
    CLI::App* officer = app.add_subcommand("officer", "those who approve, two at a time");
    officer->require_subcommand(1);
    auto options = std::make_shared<OfficerCommand>();
    for (const auto& [name, help] :
         {std::pair{"add", "another officer (two officers)"},
          {"pin", "a new PIN for an officer, who is unlocked by it (two officers)"}}) {
        CLI::App* command = officer->add_subcommand(name, help);
        command->add_option("NAME", options->name, "the officer")->required();
        command->add_option("--new-pin-file", options->new_pin_file, "the file with that officer's new PIN")
            ->required();
        add_officer_options(*command, options->officers);
        command->callback([options, &common, request = "officer-" + std::string(name)] {
            ask_with_officers(common,
                              {{"command", request},
                               {"name", options->name},
                               {"new_pin", read_pin_file(options->new_pin_file)}},
                              options->officers);
        });
    }
    CLI::App* remove = officer->add_subcommand("remove", "an officer less (two officers); two must stay");
    remove->add_option("NAME", options->name, "the officer")->required();
    add_officer_options(*remove, options->officers);
    remove->callback([options, &common] {
        ask_with_officers(common, {{"command", "officer-remove"}, {"name", options->name}},
                          options->officers);
    });
    officer->add_subcommand("list", "who they are")->callback([&common] {
        const json answer = ask_daemon(common, {{"command", "officer-list"}});
        if (common.json) {
            std::cout << answer.at("officers").dump() << "\n";
            return;
        }
        for (const auto& one : answer.at("officers"))
            std::cout << one.at("name").get<std::string>() << (one.at("locked") ? "  locked" : "") << "\n";
    });
}

}  // namespace

void add_administration(CLI::App& app, const CommonOptions& common) {
    add_kmc(app, common);
    add_officer(app, common);
}

}  // namespace sts6::ctl
