// SPDX-License-Identifier: Apache-2.0
// sts6-bench: what the parts cost, as ratios within one run.
#include <exception>
#include <iostream>

#include <CLI/CLI.hpp>

#include "sts6/exit_code.hpp"
#include "tools/bench/benches.hpp"

namespace {

int run(int argc, char** argv) {
    CLI::App app("sts6-bench: what the parts of the module cost, as ratios within one run");
    std::string pack;
    CLI::App* engine = app.add_subcommand("engine", "tokens made in memory against their own kernels");
    CLI::App* hsm = app.add_subcommand("hsm", "tokens through SoftHSM against its raw signature rate");
    CLI::App* slow_hsm = app.add_subcommand("slow-hsm", "an HSM of 2 ms a signature, 64 clients against one");
    CLI::App* tcp = app.add_subcommand("tcp", "SM?DI over TCP against an echo server");
    CLI::App* vend = app.add_subcommand("vend", "durable credit tokens against fdatasync and echo");
    CLI::App* links =
        app.add_subcommand("links", "think time on a serial line; a good client among hostile ones");
    for (CLI::App* command : {slow_hsm, tcp, vend, links}) {
        command->add_option("PACK", pack, "a pack of conformance vectors, for the lab module's keys")
            ->required()
            ->check(CLI::ExistingFile);
    }
    app.require_subcommand(1);
    CLI11_PARSE(app, argc, argv);
    if (engine->parsed()) sts6::bench::bench_engine();
    if (hsm->parsed()) sts6::bench::bench_hsm();
    if (slow_hsm->parsed()) sts6::bench::bench_slow_hsm(pack);
    if (vend->parsed()) sts6::bench::bench_vend(pack);
    if (links->parsed()) sts6::bench::bench_links(pack);
    if (tcp->parsed()) sts6::bench::bench_tcp(pack);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::cerr << "sts6-bench: " << error.what() << "\n";
        return sts6::kExitRefused;
    }
}
