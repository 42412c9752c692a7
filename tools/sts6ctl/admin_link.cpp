// SPDX-License-Identifier: Apache-2.0
#include "tools/sts6ctl/admin_link.hpp"

#include <cerrno>
#include <iostream>
#include <system_error>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "firmware/util/wipe.hpp"
#include "src/daemon/state_dir.hpp"
#include "tools/sts6ctl/ctl_error.hpp"

namespace sts6::ctl {

namespace {

/// While it lives, what is typed does not show.
class EchoOff {
  public:
    EchoOff() {
        tcgetattr(STDIN_FILENO, &before_);
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    EchoOff(const EchoOff&) = delete;
    EchoOff& operator=(const EchoOff&) = delete;
    ~EchoOff() {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
        std::cerr << "\n";
    }

  private:
    termios before_{};
};

std::string ask(const std::string& question, bool secret) {
    if (isatty(STDIN_FILENO) == 0)
        usage_error("two officers are needed: --officer NAME --pin-file FILE, twice");
    std::cerr << question << ": " << std::flush;
    std::string line;
    if (secret) {
        const EchoOff silent;
        std::getline(std::cin, line);
    } else {
        std::getline(std::cin, line);
    }
    return line;
}

}  // namespace

void add_officer_options(CLI::App& command, OfficerOptions& options) {
    command.add_option("--officer", options.names, "an officer; twice, for two of them")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_option("--pin-file", options.pin_files, "the file with that officer's PIN; twice")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

std::string read_pin_file(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0)
        throw CtlError(kExitUsage, path.string() + ": " + std::generic_category().message(errno));
    struct stat info {};
    std::string text(512, '\0');
    const bool known = fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
    const ssize_t size = known ? ::read(descriptor, text.data(), text.size()) : -1;
    ::close(descriptor);
    if (size < 0) throw CtlError(kExitUsage, path.string() + ": no PIN file");
    if ((info.st_mode & 077U) != 0) {
        wipe(text.data(), text.size());
        throw CtlError(kExitUsage, path.string() + ": a PIN file must be closed to all others (mode 0600)");
    }
    std::string pin = text.substr(0, static_cast<std::size_t>(size));
    wipe(text.data(), text.size());
    while (!pin.empty() && (pin.back() == '\n' || pin.back() == '\r')) pin.pop_back();
    return pin;
}

nlohmann::json officers_of(const OfficerOptions& options) {
    if (options.names.size() > 2 || options.names.size() != options.pin_files.size())
        usage_error("--officer and --pin-file belong together, twice each");
    nlohmann::json officers = nlohmann::json::array();
    for (std::size_t i = 0; i < options.names.size(); ++i)
        officers.push_back({{"name", options.names[i]}, {"pin", read_pin_file(options.pin_files[i])}});
    while (officers.size() < 2) {
        const std::string which = officers.empty() ? "first" : "second";
        const std::string name = ask("name of the " + which + " officer", false);
        officers.push_back({{"name", name}, {"pin", ask("PIN of " + name, true)}});
    }
    return officers;
}

nlohmann::json ask_daemon(const CommonOptions& common, const nlohmann::json& request) {
    if (common.dir.empty()) usage_error("this needs --dir DIR");
    const auto path = StateDir(common.dir).admin_socket();
    std::string line;
    try {
        line = request.dump() + "\n";
    } catch (const nlohmann::json::exception&) {
        // The library's own words would quote the PIN.
        usage_error("a name or a PIN is no text in UTF-8");
    }
    std::string response;
    try {
        asio::io_context loop;
        asio::local::stream_protocol::socket socket(loop);
        socket.connect(asio::local::stream_protocol::endpoint(path.string()));
        asio::write(socket, asio::buffer(line));
        wipe(line.data(), line.size());
        asio::read_until(socket, asio::dynamic_buffer(response), '\n');
    } catch (const std::system_error& error) {
        wipe(line.data(), line.size());
        throw CtlError(kExitNoConnection,
                       "no daemon answers on " + path.string() + ": " + error.code().message());
    }
    const auto answer = nlohmann::json::parse(response, nullptr, false);
    if (answer.is_discarded()) throw CtlError(kExitRefused, "the daemon's answer is no JSON");
    if (answer.value("ok", false)) return answer;
    throw CtlError(answer.value("exit_code", kExitRefused), answer.value("error", std::string("refused")));
}

nlohmann::json ask_with_officers(const CommonOptions& common, nlohmann::json request,
                                 const OfficerOptions& officers) {
    request["officers"] = officers_of(officers);
    const auto wipe_pins = [&request] {
        for (auto& officer : request["officers"]) {
            auto& pin = officer["pin"].get_ref<std::string&>();
            wipe(pin.data(), pin.size());
        }
        if (request.contains("new_pin")) {
            auto& pin = request["new_pin"].get_ref<std::string&>();
            wipe(pin.data(), pin.size());
        }
    };
    try {
        nlohmann::json answer = ask_daemon(common, request);
        wipe_pins();
        return answer;
    } catch (...) {
        wipe_pins();
        throw;
    }
}

}  // namespace sts6::ctl
