// SPDX-License-Identifier: Apache-2.0
// A lab module in SoftHSM, its daemon and a KMC, which can be killed, looked into, and put back to where they
// were.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/programs.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6::crash {

using Words = std::vector<std::string>;
using Clock = std::chrono::steady_clock;

/// "SGC.KRN.KCV" of each register in use, by its number.
using Registers = std::map<unsigned, std::string>;

class Site {
  public:
    /// Sets all of it up under `place`, to where the KMC is approved and holds no key; the daemon runs. The
    /// state directory may be elsewhere.
    explicit Site(std::filesystem::path place, const std::filesystem::path& state = {});

    [[nodiscard]] std::string path(const std::string& name) const { return (place_ / name).string(); }
    [[nodiscard]] std::string dir() const { return dir_; }
    [[nodiscard]] std::string url() const { return url_; }
    [[nodiscard]] pid_t pid() const { return daemon_->pid(); }
    /// Of the daemon that was started last.
    [[nodiscard]] std::string log() const { return test::file_text(path("log")); }

    /// Until it is ready.
    void start();
    /// False when it ended before that. Words in front are the program that starts it, as strace does.
    bool try_start(const Words& under = {});
    // Its two halves.
    void spawn(const Words& under = {});
    bool wait_ready();
    void kill();
    void stop();
    /// When the daemon was started last, and when it was ready.
    [[nodiscard]] Clock::time_point spawned() const { return spawned_; }
    [[nodiscard]] Clock::time_point ready() const { return ready_; }

    test::Finished ctl(const Words& words) const;
    void kmc(const Words& words) const;
    void add_key(const Words& words) const;

    /// An answer without CRC; none when the daemon died under the command.
    [[nodiscard]] std::optional<std::string> try_ask(const std::string& message) const;
    [[nodiscard]] std::string ask(const std::string& message) const;

    /// Module and KMC, with the daemon dead.
    void save(const std::string& name) const;
    void restore(const std::string& name);

    /// A load from its request to its end, as `sts6ctl klf` does it, but step by step: false when the daemon
    /// died under it.
    bool load();
    [[nodiscard]] Registers registers() const;
    /// The public key record of the KMC.
    [[nodiscard]] const std::string& kmc_record() const { return kmc_record_; }

    /// The audit log of the dead module, checked, as lines "EVENT TEXT".
    [[nodiscard]] std::vector<std::string> audit() const;

  private:
    void demand_success(const std::string& answer) const;

    std::filesystem::path place_;
    std::string dir_;
    std::optional<conform::ChildProcess> daemon_;
    Clock::time_point spawned_;
    Clock::time_point ready_;
    std::string url_;
    std::string kmc_record_;
};

/// The PKCS#11 token and the database of a dead module, side by side.
struct Objects {
    std::vector<std::string> orphans;  ///< labels of token objects that no row names
    std::vector<std::string> lost;     ///< names in rows without an object
    std::size_t litter = 0;            ///< SoftHSM's object files that are no objects
};
/// Nothing when the token itself cannot be opened.
Objects compare_objects(const Site& site);

/// A line about what was done, for the one who runs it.
void say(const std::string& text);
/// "min/median/max ms".
std::string spread(std::vector<Clock::duration> times);

}  // namespace sts6::crash
