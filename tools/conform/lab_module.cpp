// SPDX-License-Identifier: Apache-2.0
#include "tools/conform/lab_module.hpp"

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "sts6/client.hpp"
#include "tools/conform/lab_keys.hpp"
#include "tools/conform/pack.hpp"

namespace sts6::conform {

namespace {

// Generous: a token directory on a slow disk, a sanitizer build on a busy machine.
constexpr std::chrono::seconds kStartTimeout{60};

std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

[[noreturn]] void throw_with_log(const std::string& what, const std::filesystem::path& log) {
    throw std::runtime_error(what + "\n" + text_of(log));
}

/// Of sts6d, which opens the link of a URL.
std::string option_of(const std::string& scheme) {
    if (scheme == "serial") return "pty";
    return scheme.substr(0, scheme.find('-'));
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

void set_option(const std::filesystem::path& config, const std::string& key, const std::string& value) {
    std::ifstream in(config);
    std::ostringstream text;
    bool found = false;
    for (std::string line; std::getline(in, line);) {
        const bool matches = line.starts_with(key + " = ");
        found = found || matches;
        text << (matches ? key + " = " + value : line) << "\n";
    }
    in.close();
    if (!found) throw std::runtime_error("no " + key + " in " + config.string());
    std::ofstream(config) << text.str();
}

LabModule::LabModule(const std::filesystem::path& pack, const std::vector<std::string>& token_options,
                     LabLink link)
    : link_(std::move(link)) {
    std::vector<std::string> arguments = {"setup", "--dir", dir().string(), "--profile", "lab"};
    arguments.insert(arguments.end(), token_options.begin(), token_options.end());
    run_ctl(arguments);
    load_keys(pack);
}

void LabModule::run_ctl(const std::vector<std::string>& arguments) {
    std::vector<std::string> words = {program_path("sts6ctl")};
    words.insert(words.end(), arguments.begin(), arguments.end());
    ChildProcess program(words, log());
    if (program.wait() != 0) throw_with_log("sts6ctl " + arguments[0] + " failed", log());
}

void LabModule::load_keys(const std::filesystem::path& path) {
    const auto pack = read_pack(path);
    if (!pack) throw std::runtime_error(path.string() + ": not of schema sts6.vectors/1");
    constexpr std::size_t kRegistersOfSetup = 64;
    if (pack->registers.size() > kRegistersOfSetup)
        set_option(dir() / "sts6d.toml", "registers", std::to_string(pack->registers.size()));
    const auto sm_record = place_.path() / "module.pksm";
    const auto kmc_record = place_.path() / "kmc.pkkmc";
    const auto pin = [this](const char* officer) { return (dir() / "pins" / officer).string() + ".pin"; };
    run_ctl({"--dir", dir().string(), "sm-key", "--out", sm_record.string()});
    LabKmc kmc(pack->registers, text_of(sm_record));
    std::ofstream(kmc_record) << kmc.record_file();
    start(std::nullopt);
    run_ctl({"--dir", dir().string(), "kmc", "approve", kmc_record.string(), "--officer", "officer1",
             "--pin-file", pin("officer1"), "--officer", "officer2", "--pin-file", pin("officer2")});
    {
        Client client = connect();
        std::ofstream lines(log(), std::ios::app);
        for (const std::string& line : kmc.load_into(client)) lines << line << "\n";
    }
    stop();
}

void LabModule::start(const std::optional<std::filesystem::path>& sta_tables, const std::string& lab_time) {
    daemon_.reset();
    std::vector<std::string> arguments = {program_path("sts6d"), "--dir",      dir().string(), "--tcp",
                                          "127.0.0.1:0",         "--lab-time", lab_time};
    if (sta_tables) arguments.insert(arguments.end(), {"--sta-tables", sta_tables->string()});
    arguments.insert(arguments.end(), link_.daemon_options.begin(), link_.daemon_options.end());
    daemon_.emplace(arguments, log());
    ready_ = daemon_->read_line(kStartTimeout);
    const std::string option = option_of(link_.scheme);
    const std::string address = link(option);
    if (!ready_.starts_with("ready ") || address.empty()) throw_with_log("sts6d did not start", log());
    url_ = link_.scheme + ":" + address;
}

Client LabModule::connect() const {
    auto client = Client::connect(url_, link_.client);
    if (!client) throw std::runtime_error(url_ + ": " + connect_error_text(client.error()));
    return std::move(*client);
}

std::string LabModule::link(const std::string& key) const {
    return ready_value(ready_, key);
}

void LabModule::stop() {
    if (!daemon_) return;
    const int code = daemon_->wait(true);
    daemon_.reset();
    if (code != 0) throw_with_log("sts6d ended with " + std::to_string(code), log());
}

void LabModule::kill() {
    if (!daemon_) return;
    daemon_->kill();
    static_cast<void>(daemon_->wait());
    daemon_.reset();
}

}  // namespace sts6::conform
