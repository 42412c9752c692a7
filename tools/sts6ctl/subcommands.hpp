// SPDX-License-Identifier: Apache-2.0
// The subcommands of sts6ctl: each adds its options to the parser and runs when it was chosen.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "sts6/client.hpp"

namespace sts6::ctl {

/// Options that several subcommands share.
struct CommonOptions {
    std::string connect = "tcp:127.0.0.1:5100";
    ClientOptions client;
    std::string dir;
    bool json = false;
    bool raw = false;
};

void add_setup(CLI::App& app, const CommonOptions& common);
void add_token(CLI::App& app, const CommonOptions& common);
void add_send(CLI::App& app, const CommonOptions& common);
void add_registers(CLI::App& app, const CommonOptions& common);
void add_klf(CLI::App& app, const CommonOptions& common);
void add_status(CLI::App& app, const CommonOptions& common);
void add_audit(CLI::App& app, const CommonOptions& common);
void add_administration(CLI::App& app, const CommonOptions& common);

}  // namespace sts6::ctl
