// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <map>
#include <memory>

#include "src/daemon/state_dir.hpp"
#include "tools/sts6ctl/ctl_error.hpp"
#include "tools/sts6ctl/subcommands.hpp"

namespace sts6::ctl {

namespace {

struct SetupOptions {
    Profile profile = Profile::demo;
    ExternalToken token;
};

void run_setup(const SetupOptions& options, const CommonOptions& common) {
    if (common.dir.empty()) usage_error("setup needs --dir DIR");
    SetupRequest request{.dir = common.dir, .profile = options.profile, .token = {}};
    if (!options.token.module.empty()) request.token = options.token;
    if (const auto done = set_up(request); !done) {
        throw CtlError(exit_code(done.error().code), done.error().text);
    }
    std::cout << "set up in " << common.dir << "; start it with: sts6d --dir " << common.dir << "\n";
}

}  // namespace

void add_setup(CLI::App& app, const CommonOptions& common) {
    auto options = std::make_shared<SetupOptions>();
    CLI::App* command = app.add_subcommand("setup", "make a state directory for a new module");
    const std::map<std::string, Profile> profiles = {
        {"demo", Profile::demo}, {"lab", Profile::lab}, {"production", Profile::production}};
    command->add_option("--profile", options->profile, "demo, lab or production")
        ->required()
        ->transform(CLI::CheckedTransformer(profiles));
    CLI::Option* module =
        command->add_option("--pkcs11-module", options->token.module,
                            "library of a PKCS#11 token that exists; without it: SoftHSM in DIR");
    CLI::Option* label =
        command->add_option("--token-label", options->token.token_label, "which token of it");
    CLI::Option* init =
        command->add_option("--pkcs11-init", options->token.init_args, "arguments of C_Initialize (NSS)");
    CLI::Option* pin =
        command->add_option("--pin-file", options->token.pin_file, "file with the token's user PIN");
    module->needs(label)->needs(pin);
    label->needs(module);
    init->needs(module);
    pin->needs(module);
    command->callback([options, &common] { run_setup(*options, common); });
}

}  // namespace sts6::ctl
