// SPDX-License-Identifier: Apache-2.0
// The directory that holds one module: its configuration, its state, its PINs and, for a software token, its
// keys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

#include "firmware/ports/store.hpp"
#include "src/daemon/failure.hpp"

namespace sts6 {

/// Where things are in a state directory.
class StateDir {
  public:
    /// `dir` is made absolute; nothing is touched.
    explicit StateDir(const std::filesystem::path& dir) : root_(std::filesystem::absolute(dir)) {
        // "DIR/" would be its own parent.
        if (!root_.has_filename()) root_ = root_.parent_path();
    }

    [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
    [[nodiscard]] std::filesystem::path config_file() const { return root_ / "sts6d.toml"; }
    [[nodiscard]] std::filesystem::path database() const { return root_ / "state" / "module.db"; }
    [[nodiscard]] std::filesystem::path lock_file() const { return root_ / "state" / "lock"; }
    [[nodiscard]] std::filesystem::path admin_socket() const { return root_ / "admin.sock"; }
    [[nodiscard]] std::filesystem::path pins() const { return root_ / "pins"; }
    /// SoftHSM's own configuration and store.
    [[nodiscard]] std::filesystem::path hsm() const { return root_ / "hsm"; }

    /// Refuses a directory that is missing, whose set-up was not finished, or in which anything belongs to
    /// somebody else, can be read or written by group or others, or is a symbolic link.
    [[nodiscard]] Outcome<void> check() const;

  private:
    std::filesystem::path root_;
};

/// Held by the one process that uses a state directory; the system frees it when the process ends, however.
class StateLock {
  public:
    /// in_use when another process holds it.
    [[nodiscard]] static Outcome<StateLock> take(const StateDir& dir);

    StateLock(StateLock&& other) noexcept;
    StateLock& operator=(StateLock&&) = delete;
    StateLock(const StateLock&) = delete;
    StateLock& operator=(const StateLock&) = delete;
    ~StateLock();

  private:
    explicit StateLock(int descriptor) noexcept : descriptor_(descriptor) {}
    int descriptor_;
};

/// The status of a module whose daemon is not running, as JSON. in_use when it is.
[[nodiscard]] Outcome<std::string> offline_status(const std::filesystem::path& dir);

/// The audit log of such a module, in pages of admin::audit_page(), to the last.
[[nodiscard]] Outcome<void> offline_audit(const std::filesystem::path& dir,
                                          const std::function<void(const std::string& page)>& take);

/// What the check of an export found.
struct AuditCheck {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::string hash;  ///< of the last, in hexadecimal
};

/// Whether an export of `sts6ctl audit export` (docs/formats.md) is one chain from its base to its head.
/// Needs no key, and finds no end that was cut off with its head. malformed: no export; corrupt: the first
/// record that does not fit, in the text.
[[nodiscard]] Outcome<AuditCheck> check_audit(std::istream& exported);

/// A PKCS#11 token that exists already, initialised and with a user PIN. Without one, set-up makes a SoftHSM
/// token in the state directory.
struct ExternalToken {
    std::filesystem::path module;
    std::string token_label;
    std::string init_args;  ///< pReserved of C_Initialize
    std::filesystem::path pin_file;
};

struct SetupRequest {
    std::filesystem::path dir;  ///< must not exist; its parent must
    Profile profile = Profile::demo;
    std::optional<ExternalToken> token;
};

/// Makes a state directory, complete or not at all, and says on the log what it does. Asks nothing.
[[nodiscard]] Outcome<void> set_up(const SetupRequest& request);

}  // namespace sts6
