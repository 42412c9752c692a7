// SPDX-License-Identifier: Apache-2.0
// sts6ctl: sets a module up and talks to a running one.
#include <iostream>
#include <stdexcept>

#include "tools/sts6ctl/ctl_error.hpp"
#include "tools/sts6ctl/subcommands.hpp"

namespace {

int run(int argc, char** argv) {
    CLI::App app("sts6ctl: set up and use a software STS6 security module");
    app.set_version_flag("--version", STS6_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    sts6::ctl::CommonOptions common;
    app.add_option("--connect", common.connect,
                   "the module's link: tcp:HOST:PORT, tcp-env:, tls:, tls-env:, apdu: alike, "
                   "or serial:PATH[,BAUD]")
        ->capture_default_str();
    app.add_option("--tls-ca", common.client.tls_ca,
                   "PEM file of the authorities that may vouch for the module; without it: the system's");
    app.add_option("--tls-certificate", common.client.tls_certificate,
                   "PEM file of this client's certificate, when the module wants one");
    app.add_option("--tls-private-key", common.client.tls_private_key, "PEM file of its key");
    app.add_option("--dir", common.dir, "the state directory of a module on this machine");
    app.add_flag("--json", common.json, "data as JSON");
    app.add_flag("--raw", common.raw, "show every frame on stderr");
    sts6::ctl::add_setup(app, common);
    sts6::ctl::add_token(app, common);
    sts6::ctl::add_send(app, common);
    sts6::ctl::add_registers(app, common);
    sts6::ctl::add_klf(app, common);
    sts6::ctl::add_status(app, common);
    sts6::ctl::add_administration(app, common);
    sts6::ctl::add_audit(app, common);
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
        // A token that nobody has seen must not look like a success.
        if (!std::cout.flush()) throw std::runtime_error("standard output cannot be written");
        return result;
    } catch (const sts6::ctl::CtlError& error) {
        std::cerr << "sts6ctl: " << error.what() << "\n";
        return error.exit_code();
    } catch (const std::exception& error) {
        std::cerr << "sts6ctl: " << error.what() << "\n";
        return sts6::kExitRefused;
    }
}
