// SPDX-License-Identifier: Apache-2.0
#include "tests/support/programs.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "src/daemon/state_dir.hpp"
#include "src/store/sqlite_store.hpp"
#include "tools/conform/child_process.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::test {

namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

}  // namespace

std::filesystem::path vector_pack() {
    return std::filesystem::path(STS6_SOURCE_DIR) / "tests/data/vectors/sts531-1-11-dkga04-ea11.json";
}

std::vector<std::string> setup_options(const TestToken& token) {
    const auto pin_file = token.directory.path() / "user.pin";
    write_text(pin_file, token.pin.view());
    using std::filesystem::perms;
    std::filesystem::permissions(pin_file, perms::owner_read | perms::owner_write);
    std::vector<std::string> options = {"--pkcs11-module", token.config.module.string(),
                                        "--token-label",   token.config.token_label,
                                        "--pin-file",      pin_file.string()};
    if (!token.config.init_args.empty()) {
        options.insert(options.end(), {"--pkcs11-init", token.config.init_args});
    }
    return options;
}

Finished run_program(const char* name, const std::vector<std::string>& arguments) {
    const conform::TemporaryDirectory place;
    const auto log = place.path() / "log";
    std::vector<std::string> command = {conform::program_path(name)};
    command.insert(command.end(), arguments.begin(), arguments.end());
    conform::ChildProcess process(command, log);
    Finished finished;
    for (std::string line; !(line = process.read_line(kPatience)).empty();) {
        finished.output += line + "\n";
        if (!line.starts_with("ready ")) continue;
        process.kill();
        process.wait();
        finished.code = -1;
        finished.log = file_text(log);
        return finished;
    }
    finished.code = process.wait();
    finished.log = file_text(log);
    return finished;
}

std::string file_text(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
}

void write_text(const std::filesystem::path& path, std::string_view text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::uint64_t tokens_issued(const std::filesystem::path& dir) {
    const auto store = SqliteStore::open(StateDir(dir).database());
    if (!store) throw std::runtime_error(std::string("the store: ") + errc_text(store.error()));
    const auto state = (*store)->load_state();
    if (!state) throw std::runtime_error(std::string("the state: ") + errc_text(state.error()));
    return state->tokens_issued;
}

bool eventually(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(5ms);
    }
    return true;
}

void bound_sanitizer_memory() {
    const char* set = std::getenv("ASAN_OPTIONS");
    const std::string options = (set != nullptr ? std::string(set) + ":" : "") + "quarantine_size_mb=1";
    ::setenv("ASAN_OPTIONS", options.c_str(), 1);
}

std::size_t resident_kib(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
    }
    throw std::runtime_error("the process is gone");
}

std::size_t open_descriptors(pid_t process) {
    std::error_code error;
    const std::filesystem::directory_iterator files("/proc/" + std::to_string(process) + "/fd", error);
    return error ? 0 : static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

}  // namespace sts6::test
