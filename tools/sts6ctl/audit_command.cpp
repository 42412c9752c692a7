// SPDX-License-Identifier: Apache-2.0
// The audit log, and the end of a module: audit and zeroise.
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "src/daemon/state_dir.hpp"
#include "tools/sts6ctl/admin_link.hpp"
#include "tools/sts6ctl/ctl_error.hpp"

namespace sts6::ctl {

namespace {

using nlohmann::json;

/// Writes an export, page by page. What is recorded while it is written is not in it.
class Export {
  public:
    explicit Export(std::ostream& out) : out_(out) {}

    /// Returns the number of the first record behind the page; 0 when that was the last.
    std::uint64_t take(const json& page) {
        if (!last_) {
            json head = page.at("head");
            last_ = head.at("last").get<std::uint64_t>();
            next_ = head.at("first").get<std::uint64_t>();
            head["schema"] = "sts6.audit/1";
            out_ << head.dump() << "\n";
        }
        for (const json& record : page.at("records")) {
            if (next_ > *last_) break;
            out_ << record.dump() << "\n";
            ++next_;
        }
        return next_ > *last_ ? 0 : next_;
    }

  private:
    std::ostream& out_;
    std::optional<std::uint64_t> last_;
    std::uint64_t next_ = 0;
};

void export_log(const CommonOptions& common, std::ostream& out) {
    Export log(out);
    try {
        std::uint64_t next = 0;
        do next = log.take(ask_daemon(common, {{"command", "audit"}, {"from", next}}));
        while (next != 0);
        return;
    } catch (const CtlError& error) {
        if (error.exit_code() != kExitNoConnection) throw;
    }
    const auto done = offline_audit(
        common.dir, [&log](const std::string& page) { static_cast<void>(log.take(json::parse(page))); });
    if (!done) throw CtlError(exit_code(done.error().code), done.error().text);
}

void run_export(const std::string& path, const CommonOptions& common) {
    if (common.dir.empty()) usage_error("this needs --dir DIR");
    if (path.empty()) {
        export_log(common, std::cout);
        if (!std::cout.flush()) throw CtlError(kExitUsage, "standard output cannot be written");
        return;
    }
    std::ofstream file(path);
    export_log(common, file);
    if (!file.flush()) throw CtlError(kExitUsage, path + ": cannot be written");
}

AuditCheck check(std::istream& exported, const std::string& name) {
    const auto found = check_audit(exported);
    if (!found) throw CtlError(kExitIntegrity, name + ": " + found.error().text);
    return *found;
}

AuditCheck check_file(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw CtlError(kExitUsage, path + ": cannot be read");
    return check(file, path);
}

void run_verify(const std::string& path, const CommonOptions& common) {
    AuditCheck found;
    if (path.empty()) {
        if (common.dir.empty()) usage_error("verify needs a FILE or --dir DIR");
        std::stringstream exported;
        export_log(common, exported);
        found = check(exported, common.dir);
    } else {
        found = check_file(path);
    }
    if (common.json) {
        std::cout << json{{"first", found.first}, {"last", found.last}, {"hash", found.hash}}.dump() << "\n";
    } else {
        std::cout << "records " << found.first << " to " << found.last << " are one chain, which ends in "
                  << found.hash << "\n";
    }
    std::cerr << "only the chain was checked: whoever can write the log can write another chain\n";
}

void run_acknowledge(const std::string& path, const CommonOptions& common) {
    const AuditCheck found = check_file(path);
    ask_daemon(common, {{"command", "audit-acknowledge"}, {"sequence", found.last}, {"hash", found.hash}});
    std::cout << "acknowledged up to record " << found.last << "\n";
}

struct ZeroiseOptions {
    std::string module_id;
    OfficerOptions officers;
};

void run_zeroise(const ZeroiseOptions& options, const CommonOptions& common) {
    const json status = ask_daemon(common, {{"command", "status"}}).at("status");
    const auto module_id = status.at("module_id").get<std::string>();
    std::string typed = options.module_id;
    if (typed.empty()) {
        if (isatty(STDIN_FILENO) == 0) usage_error("zeroise needs --module-id ID");
        std::cerr << "This destroys every key of module " << module_id
                  << ". To do it, type its ModuleID: " << std::flush;
        std::getline(std::cin, typed);
    }
    if (typed != module_id) usage_error("the ModuleID is another one: nothing was destroyed");
    ask_with_officers(common, {{"command", "zeroise"}, {"module_id", typed}}, options.officers);
    std::cout << "zeroised " << module_id << ": no key of it is left in the PKCS#11 token\n";
}

}  // namespace

void add_audit(CLI::App& app, const CommonOptions& common) {
    CLI::App* audit = app.add_subcommand("audit", "the module's audit log");
    audit->require_subcommand(1);
    auto path = std::make_shared<std::string>();
    CLI::App* export_command = audit->add_subcommand("export", "all records, as lines of JSON");
    export_command->add_option("--out", *path, "where to write them; without: standard output");
    export_command->callback([path, &common] { run_export(*path, common); });
    CLI::App* verify =
        audit->add_subcommand("verify", "whether an export, or the log of --dir, is one chain");
    verify->add_option("FILE", *path, "the export");
    verify->callback([path, &common] { run_verify(*path, common); });
    CLI::App* acknowledge =
        audit->add_subcommand("acknowledge", "the records of this export may be dropped when room is needed");
    acknowledge->add_option("FILE", *path, "the export")->required();
    acknowledge->callback([path, &common] { run_acknowledge(*path, common); });

    auto options = std::make_shared<ZeroiseOptions>();
    CLI::App* zeroise = app.add_subcommand("zeroise", "destroy every key of the module (two officers)");
    zeroise->add_option("--module-id", options->module_id, "the module's ID, to confirm");
    add_officer_options(*zeroise, options->officers);
    zeroise->callback([options, &common] { run_zeroise(*options, common); });
}

}  // namespace sts6::ctl
