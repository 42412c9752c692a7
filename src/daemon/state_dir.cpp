// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/state_dir.hpp"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sts6 {

namespace {

namespace fs = std::filesystem;

/// A link says nothing of what it leads to: the directory itself may be reached by one, nothing in it may.
Outcome<void> check_entry(const fs::path& path, bool follow) {
    struct stat entry {};
    if ((follow ? stat(path.c_str(), &entry) : lstat(path.c_str(), &entry)) != 0) {
        // SQLite's journals and SoftHSM's temporary files come and go.
        if (errno == ENOENT) return {};
        return fail(Errc::io_failed, path.string() + ": " + std::generic_category().message(errno));
    }
    if (entry.st_uid != geteuid()) {
        return fail(Errc::permission, path.string() + " belongs to another user");
    }
    if (S_ISLNK(entry.st_mode)) {
        // What a killed daemon leaves of --pty: it gives nothing of the directory away, and is replaced.
        std::error_code error;
        if (fs::read_symlink(path, error).string().starts_with("/dev/pts/")) return {};
        return fail(Errc::permission, path.string() + " is a symbolic link");
    }
    if ((entry.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return fail(Errc::permission, path.string() +
                                          " can be read or written by others; remove the access rights " +
                                          "of group and others (chmod -R go= DIR)");
    }
    return {};
}

}  // namespace

Outcome<void> StateDir::check() const {
    std::error_code error;
    if (!fs::is_directory(root_, error)) {
        return fail(Errc::not_found, root_.string() + " is no directory; `sts6ctl setup` makes one");
    }
    if (auto entry = check_entry(root_, true); !entry) return entry;
    const auto options = fs::directory_options::none;
    for (fs::recursive_directory_iterator at(root_, options, error), end; !error && at != end;
         at.increment(error)) {
        if (auto entry = check_entry(at->path(), false); !entry) return entry;
    }
    if (error) return fail(Errc::io_failed, root_.string() + ": " + error.message());
    // Set-up writes the configuration last.
    if (!fs::is_regular_file(config_file(), error)) {
        return fail(Errc::malformed, root_.string() + " holds no finished set-up (sts6d.toml is missing)");
    }
    return {};
}

Outcome<StateLock> StateLock::take(const StateDir& dir) {
    const fs::path path = dir.lock_file();
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (descriptor < 0) {
        return fail(Errc::io_failed, path.string() + ": " + std::generic_category().message(errno));
    }
    StateLock lock(descriptor);
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return fail(Errc::io_failed, path.string() + ": " + std::generic_category().message(errno));
        }
        return fail(Errc::in_use, dir.root().string() + " is in use by another process");
    }
    return lock;
}

StateLock::StateLock(StateLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {
}

StateLock::~StateLock() {
    if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace sts6
