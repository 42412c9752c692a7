// SPDX-License-Identifier: Apache-2.0
#include "tools/conform/lab_module.hpp"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace sts6::conform {

namespace {

// Generous: a token directory on a slow disk, a sanitizer build on a busy machine.
constexpr std::chrono::seconds kStartTimeout{60};

[[noreturn]] void throw_with_log(const std::string& what, const std::filesystem::path& log) {
    std::ifstream file(log);
    std::ostringstream text;
    text << file.rdbuf();
    throw std::runtime_error(what + "\n" + text.str());
}

}  // namespace

std::string program_path(const char* name) {
    return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

std::string ready_value(const std::string& line, const std::string& key) {
    std::istringstream words(line);
    std::string word;
    while (words >> word) {
        if (word.starts_with(key + "=")) return word.substr(key.size() + 1);
    }
    return {};
}

LabModule::LabModule(const std::filesystem::path& pack, const std::vector<std::string>& token_options) {
    std::vector<std::string> arguments = {program_path("sts6ctl"),
                                          "setup",
                                          "--dir",
                                          dir().string(),
                                          "--profile",
                                          "lab",
                                          "--lab-keys",
                                          pack.string()};
    arguments.insert(arguments.end(), token_options.begin(), token_options.end());
    ChildProcess setup(arguments, log());
    if (setup.wait() != 0) throw_with_log("sts6ctl setup failed for " + pack.string(), log());
}

void LabModule::start(const std::optional<std::filesystem::path>& sta_tables, const std::string& lab_time) {
    daemon_.reset();
    std::vector<std::string> arguments = {program_path("sts6d"), "--dir",      dir().string(), "--tcp",
                                          "127.0.0.1:0",         "--lab-time", lab_time};
    if (sta_tables) arguments.insert(arguments.end(), {"--sta-tables", sta_tables->string()});
    daemon_.emplace(arguments, log());
    const std::string line = daemon_->read_line(kStartTimeout);
    const std::string address = ready_value(line, "tcp");
    if (!line.starts_with("ready ") || address.empty()) throw_with_log("sts6d did not start", log());
    url_ = "tcp:" + address;
}

void LabModule::stop() {
    if (!daemon_) return;
    const int code = daemon_->wait(true);
    daemon_.reset();
    if (code != 0) throw_with_log("sts6d ended with " + std::to_string(code), log());
}

}  // namespace sts6::conform
