// SPDX-License-Identifier: Apache-2.0
// Key load files: the request for one, and its way into the module, record by record.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/records.hpp"
#include "tools/sts6ctl/ctl_error.hpp"
#include "tools/sts6ctl/module_link.hpp"
#include "tools/sts6ctl/record_files.hpp"
#include "tools/sts6ctl/subcommands.hpp"

namespace sts6::ctl {

namespace {

struct KlfOptions {
    std::string kmc;
    std::string out;
    std::string file;
};

void run_request(const KlfOptions& options, const CommonOptions& common) {
    const auto records = read_records(options.kmc);
    if (records.size() != 1 || !keyload::parse_kmc_key(records[0])) {
        throw CtlError(kExitIntegrity, options.kmc + ": holds no KMC public key record (PKKMC.1)");
    }
    ModuleLink link(common.connect, common.client, common.raw);
    write_records(options.out, {link.call("SM?KCP" + records[0] + "~", "P")[0]});
}

struct LoadedKey {
    std::string sgc;
    std::string krn;
    std::string kcv;
    std::string register_number;
    std::string fault;
};

/// A bar where somebody looks at it.
class Progress {
  public:
    explicit Progress(std::size_t total) : total_(total), shown_(isatty(STDERR_FILENO) != 0) {}
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress() {
        if (shown_) std::cerr << "\n";
    }
    void step() {
        constexpr std::size_t kWidth = 40;
        ++done_;
        if (!shown_) return;
        const std::size_t filled = kWidth * done_ / total_;
        std::cerr << "\r[" << std::string(filled, '#') << std::string(kWidth - filled, ' ') << "] " << done_
                  << "/" << total_ << std::flush;
    }

  private:
    std::size_t total_;
    bool shown_;
    std::size_t done_ = 0;
};

LoadedKey load_key(ModuleLink& link, const std::string& record) {
    LoadedKey key;
    if (const auto parsed = keyload::parse_key(record)) {
        key.sgc = parsed->cards.find("SGC").value_or("");
        key.krn = parsed->cards.find("KRN").value_or("");
    }
    const Response response = link.send("SM?KLP" + record + "~");
    if (response.status == Status::successful) {
        const auto values = field_values(response, "NP");
        key.register_number = values[0];
        key.kcv = values[1];
        return key;
    }
    try {
        throw_if_refused(response);
    } catch (const CtlError& refusal) {
        key.fault = refusal.what();
    }
    return key;
}

void print_keys(const std::vector<LoadedKey>& keys, const std::string& loaded, const std::string& removed,
                bool as_json) {
    if (as_json) {
        nlohmann::json list = nlohmann::json::array();
        for (const LoadedKey& key : keys) {
            list.push_back({{"sgc", key.sgc},
                            {"krn", key.krn},
                            {"kcv", key.kcv},
                            {"register", key.register_number},
                            {"error", key.fault}});
        }
        std::cout << nlohmann::json{{"keys", list}, {"loaded", loaded}, {"removed", removed}}.dump() << "\n";
        return;
    }
    for (const LoadedKey& key : keys) {
        std::cout << "SGC " << key.sgc << " KRN " << key.krn << ": ";
        if (key.fault.empty()) {
            std::cout << "register " << key.register_number << ", KCV " << key.kcv << "\n";
        } else {
            std::cout << key.fault << "\n";
        }
    }
    if (!loaded.empty())
        std::cout << loaded << (loaded == "1" ? " key" : " keys") << " in force, " << removed << " removed\n";
}

void run_load(const KlfOptions& options, const CommonOptions& common) {
    const auto records = read_records(options.file);
    const auto header = keyload::parse_load_response(records[0]);
    if (!header) {
        throw CtlError(kExitIntegrity, options.file + ": is no key load file: its first record must be a " +
                                           std::string(keyload::kLoadResponseType));
    }
    ModuleLink link(common.connect, common.client, common.raw);
    // A repeat of what the module has accepted already is answered as before: a load that was interrupted
    // goes on where it stopped.
    const Response accepted = link.send("SM?KRP" + records[0] + "~");
    if (accepted.status == Status::kmc_key_state_error) {
        throw CtlError(
            kExitRefused,
            "the module waits for no such response (26): the file is an old one, of a request that "
            "was answered or replaced, or another load is not finished");
    }
    throw_if_refused(accepted);
    std::vector<LoadedKey> keys;
    {
        Progress progress(std::max<std::size_t>(records.size() - 1, 1));
        for (std::size_t i = 1; i < records.size(); ++i) {
            keys.push_back(load_key(link, records[i]));
            progress.step();
        }
    }
    const bool whole = std::ranges::all_of(keys, [](const LoadedKey& key) { return key.fault.empty(); });
    if (!whole) {
        print_keys(keys, "", "", common.json);
        throw CtlError(kExitRefused,
                       "not every record was accepted: nothing is in force yet, what was in force still is");
    }
    const auto counts = link.call("SM?KFP" + std::string(header->kmcid.text) + "~", "NN");
    print_keys(keys, counts[0], counts[1], common.json);
}

}  // namespace

void add_klf(CLI::App& app, const CommonOptions& common) {
    CLI::App* klf = app.add_subcommand("klf", "key load files");
    klf->require_subcommand(1);
    auto options = std::make_shared<KlfOptions>();
    CLI::App* request = klf->add_subcommand("request", "ask a KMC for one (VKLOADREQ)");
    request->add_option("--kmc", options->kmc, "the KMC's public key, its one-record file")->required();
    request->add_option("--out", options->out, "where to write the request; without: standard output");
    request->callback([options, &common] { run_request(*options, common); });
    CLI::App* load = klf->add_subcommand("load", "bring one into the module (VKLOADRESP)");
    load->add_option("FILE", options->file, "the key load file")->required();
    load->callback([options, &common] { run_load(*options, common); });
}

}  // namespace sts6::ctl
