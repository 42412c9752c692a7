// SPDX-License-Identifier: Apache-2.0
// sts6-conform: runs conformance packs against a module.
#include <fstream>
#include <iostream>
#include <optional>
#include <stdexcept>

#include <CLI/CLI.hpp>

#include "sts6/client.hpp"
#include "sts6/exit_code.hpp"
#include "tools/conform/pack.hpp"
#include "tools/conform/report.hpp"
#include "tools/conform/runner.hpp"

namespace {

using namespace sts6::conform;

struct Arguments {
    bool self = false;
    bool power_cycle = false;
    std::string connect;
    /// A case is about what the module answers, not about what was asked again.
    sts6::ClientOptions client = {.retry = sts6::Retry::none};
    std::string sta_tables;
    std::vector<std::string> token_options;
    std::string json;
    std::string junit;
    std::vector<std::string> packs;
};

void write_report(const std::string& path, const std::string& text) {
    if (path.empty()) return;
    if (path == "-") {
        if (!(std::cout << text << std::flush)) throw std::runtime_error("standard output cannot be written");
        return;
    }
    std::ofstream file(path);
    if (!(file << text << std::flush)) throw std::runtime_error(path + ": cannot be written");
}

std::vector<Pack> read_packs(const std::vector<std::string>& paths) {
    std::vector<Pack> packs;
    for (const std::string& path : paths) {
        auto pack = read_pack(path);
        if (pack) {
            packs.push_back(std::move(*pack));
        } else {
            std::cerr << "sts6-conform: " << path << " is of another schema and left out\n";
        }
    }
    return packs;
}

/// A module that is not there fails no case.
std::optional<sts6::Errc> connection_fault(const std::string& url, const sts6::ClientOptions& options) {
    const auto client = sts6::Client::connect(url, options);
    return client ? std::nullopt : std::optional(client.error());
}

int run_with(const Arguments& arguments) {
    const std::vector<Pack> packs = read_packs(arguments.packs);
    if (!arguments.self) {
        if (const auto fault = connection_fault(arguments.connect, arguments.client)) {
            std::cerr << "sts6-conform: " << arguments.connect << ": " << sts6::connect_error_text(*fault)
                      << "\n";
            return *fault == sts6::Errc::permission ? sts6::kExitNoConnection : sts6::exit_code(*fault);
        }
    }
    RunOptions options;
    if (!arguments.self) options.connect = arguments.connect;
    options.link.client = arguments.client;
    if (!arguments.sta_tables.empty()) options.sta_tables = arguments.sta_tables;
    options.token_options = arguments.token_options;
    options.power_cycle = arguments.power_cycle;
    const Report report = run_packs(packs, options);
    write_report(arguments.json, to_json(report));
    write_report(arguments.junit, to_junit(report));
    (arguments.json == "-" || arguments.junit == "-" ? std::cerr : std::cout) << to_text(report);
    return report.count(Verdict::failed) == 0 ? 0 : sts6::kExitConformance;
}

/// --connect, and what goes with it.
CLI::Option* add_link_options(CLI::App& app, Arguments& arguments) {
    CLI::Option* connect =
        app.add_option("--connect", arguments.connect,
                       "test a running module that holds the packs' keys: tcp:HOST:PORT, tcp-env:, tls:, "
                       "tls-env:, apdu: alike, or serial:PATH[,BAUD]");
    app.add_option("--tls-ca", arguments.client.tls_ca,
                   "PEM file of the authorities that may vouch for the module; without it: the system's")
        ->needs(connect);
    app.add_option("--tls-certificate", arguments.client.tls_certificate,
                   "PEM file of this client's certificate, when the module wants one")
        ->needs(connect);
    app.add_option("--tls-private-key", arguments.client.tls_private_key, "PEM file of its key")
        ->needs(connect);
    return connect;
}

/// Options that are handed on to `sts6ctl setup` as they are, together or not at all.
void add_token_options(CLI::App& app, CLI::Option* self, std::vector<std::string>& given) {
    const auto hand_on = [&](const char* name, const char* help) {
        const auto keep = [&given, name](const std::string& value) {
            given.insert(given.end(), {name, value});
        };
        return app.add_option_function<std::string>(name, keep, help)->needs(self);
    };
    CLI::Option* module = hand_on("--pkcs11-module",
                                  "library of a PKCS#11 token for the lab modules' keys, "
                                  "which stay in it; without it: SoftHSM, removed again");
    CLI::Option* label = hand_on("--token-label", "which token of it")->needs(module);
    CLI::Option* pin = hand_on("--pin-file", "file with the token's user PIN")->needs(module);
    hand_on("--pkcs11-init", "arguments of C_Initialize (NSS)")->needs(module);
    module->needs(label)->needs(pin);
}

int run(int argc, char** argv) {
    CLI::App app("sts6-conform: run conformance packs (schema sts6.vectors/1) against a module");
    app.set_version_flag("--version", STS6_VERSION);
    Arguments arguments;
    CLI::Option* self = app.add_flag("--self", arguments.self, "make a throw-away lab module for each pack");
    CLI::Option* connect = add_link_options(app, arguments);
    self->excludes(connect);
    app.add_flag("--power-cycle", arguments.power_cycle,
                 "kill and start the module's daemon before every command")
        ->needs(self);
    app.add_option("--sta-tables", arguments.sta_tables, "file with the licensed EA07 tables")
        ->check(CLI::ExistingFile);
    add_token_options(app, self, arguments.token_options);
    app.add_option("--json", arguments.json, "write the report as JSON; - = standard output");
    app.add_option("--junit", arguments.junit, "write the report as JUnit XML; - = standard output");
    app.add_option("PACK", arguments.packs, "packs to run")->required();
    try {
        app.parse(argc, argv);
        if (!arguments.self && arguments.connect.empty()) throw CLI::RequiredError("--self or --connect");
        if (arguments.json == "-" && arguments.junit == "-") {
            throw CLI::ValidationError("--json and --junit", "only one can have standard output");
        }
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : sts6::kExitUsage;
    }
    return run_with(arguments);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::cerr << "sts6-conform: " << error.what() << "\n";
        return sts6::kExitUsage;
    }
}
