// SPDX-License-Identifier: Apache-2.0
// A throw-away lab module: set up, served by a daemon of its own, gone with the object.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sts6/client.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6::conform {

/// The daemon's module time at start (CCYYMMDDThhmmssZ).
inline constexpr const char* kLabTime = "20020101T000000Z";

/// The link over which a lab module is spoken to.
struct LabLink {
    std::string scheme = "tcp";                 ///< of its URL: tcp, tcp-env, tls, tls-env, serial, apdu
    std::vector<std::string> daemon_options{};  ///< which open it, beside the TCP link that there always is
    ClientOptions client{};
};

class LabModule {
  public:
    /// Sets a lab module up, in a SoftHSM of its own or, by options of `sts6ctl setup`, in a PKCS#11 token
    /// that exists, and loads the keys of a pack into it (LabKmc), over `link`. The programs are those beside
    /// this one. Throws std::runtime_error, with what the programs logged, when a step fails.
    explicit LabModule(const std::filesystem::path& pack, const std::vector<std::string>& token_options = {},
                       LabLink link = {});

    /// Further options of the daemon for the starts to come, such as other links.
    void set_daemon_options(std::vector<std::string> options) { link_.daemon_options = std::move(options); }

    /// (Re)starts its daemon, with a file of EA07 tables or the sample set.
    void start(const std::optional<std::filesystem::path>& sta_tables,
               const std::string& lab_time = kLabTime);
    /// Ends the daemon as SIGTERM does; throws when it does not end well.
    void stop();

    /// Ends the daemon as a power cut does.
    void kill();

    /// "tcp:127.0.0.1:PORT" of the running daemon, or what its link says instead.
    [[nodiscard]] const std::string& url() const noexcept { return url_; }
    /// Of its ready line: "HOST:PORT" for "tls". Empty when it has no such link.
    [[nodiscard]] std::string link(const std::string& key) const;
    /// A client of its link. Throws std::runtime_error.
    [[nodiscard]] Client connect() const;
    [[nodiscard]] std::filesystem::path dir() const { return place_.path() / "module"; }
    [[nodiscard]] ChildProcess& daemon() { return *daemon_; }
    /// What set-up and daemon have logged.
    [[nodiscard]] std::filesystem::path log() const { return place_.path() / "log"; }

  private:
    void run_ctl(const std::vector<std::string>& arguments);
    void load_keys(const std::filesystem::path& pack);

    TemporaryDirectory place_;
    std::optional<ChildProcess> daemon_;
    LabLink link_;
    std::string ready_;
    std::string url_;
};

/// The path of a program in this program's directory.
std::string program_path(const char* name);

/// Gives a key of a configuration file another value; it must stand there.
void set_option(const std::filesystem::path& config, const std::string& key, const std::string& value);

/// The value of `key=` in a ready line; empty when it has none.
std::string ready_value(const std::string& line, const std::string& key);

}  // namespace sts6::conform
