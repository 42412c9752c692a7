// SPDX-License-Identifier: Apache-2.0
// The admin socket of a running daemon, and the officers who are asked for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tools/sts6ctl/subcommands.hpp"

namespace sts6::ctl {

/// --officer and --pin-file, each twice and in the same order; without them they are asked for.
struct OfficerOptions {
    std::vector<std::string> names;
    std::vector<std::string> pin_files;
};
void add_officer_options(CLI::App& command, OfficerOptions& options);

/// [{"name","pin"},{"name","pin"}]; what was not given is asked for on the terminal, without which it is a
/// usage error.
nlohmann::json officers_of(const OfficerOptions& options);

/// One line of a file of mode 0600.
std::string read_pin_file(const std::filesystem::path& path);

/// The answer to a request. Throws CtlError: kExitNoConnection when no daemon runs on the directory; what the
/// daemon refused, with its exit code.
nlohmann::json ask_daemon(const CommonOptions& common, const nlohmann::json& request);

/// The same with "officers" added to the request, whose PINs are wiped afterwards.
nlohmann::json ask_with_officers(const CommonOptions& common, nlohmann::json request,
                                 const OfficerOptions& officers);

}  // namespace sts6::ctl
