// SPDX-License-Identifier: Apache-2.0
#include "tools/kmc/files.hpp"

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/kmc/kmc_error.hpp"
#include "tools/kmc/state_text.hpp"

namespace sts6::kmc {

namespace {

namespace fs = std::filesystem;

constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;

[[noreturn]] void failed(const fs::path& path, int error = errno) {
    refuse(path.string() + ": " + std::generic_category().message(error));
}

/// Up to `most` octets.
std::string read_all(int descriptor, const fs::path& path, std::size_t most) {
    std::string text;
    struct stat file {};
    if (fstat(descriptor, &file) != 0) failed(path);
    // In one piece: a string that grows would leave copies behind.
    text.resize(std::min(most, static_cast<std::size_t>(file.st_size) + 1));
    std::size_t size = 0;
    for (;;) {
        if (size == text.size()) {
            if (size >= most) break;
            text.resize(std::min(most, 2 * size));
        }
        const ssize_t count = read(descriptor, text.data() + size, text.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) failed(path);
        if (count == 0) break;
        size += static_cast<std::size_t>(count);
    }
    text.resize(size);
    return text;
}

bool write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = write(descriptor, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return fsync(descriptor) == 0;
}

fs::path directory_of(const fs::path& path) {
    return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void sync_directory(const fs::path& path) {
    const Descriptor directory(open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() < 0 || fsync(directory.get()) != 0) failed(directory_of(path));
}

}  // namespace

std::string read_exchange_file(const fs::path& path) {
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (file.get() < 0) failed(path);
    return read_all(file.get(), path, keyload::kLargestFile + 1);
}

void write_whole_file(const fs::path& path, std::string_view text, mode_t mode, Existing existing) {
    struct stat present {};
    // A device or a link must not give way to a file.
    if (lstat(path.c_str(), &present) == 0) {
        if (existing == Existing::refuse) failed(path, EEXIST);
        if (!S_ISREG(present.st_mode)) refuse(path.string() + " exists and is no regular file");
    }
    std::string temporary = path.string() + ".XXXXXX";
    const Descriptor file(mkostemp(temporary.data(), O_CLOEXEC));
    if (file.get() < 0) failed(path);
    bool done = fchmod(file.get(), mode) == 0 && write_all(file.get(), text);
    if (existing == Existing::replace) {
        done = done && rename(temporary.c_str(), path.c_str()) == 0;
        if (done) return sync_directory(path);
    } else {
        // Unlike rename, a link never takes the place of what appeared meanwhile.
        done = done && link(temporary.c_str(), path.c_str()) == 0;
    }
    const int error = errno;
    unlink(temporary.c_str());
    if (!done) failed(path, error);
    sync_directory(path);
}

void create_state(const fs::path& path, const Kmc& kmc) {
    write_whole_file(path, to_state_text(kmc).view(), kOwnerOnly, Existing::refuse);
}

StateFile::StateFile(fs::path path) : path_(std::move(path)) {
    while (!open_and_lock()) {
    }
}

bool StateFile::open_and_lock() {
    // Not waiting, should it be a pipe.
    descriptor_ = Descriptor(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    struct stat file {};
    if (descriptor_.get() < 0 || fstat(descriptor_.get(), &file) != 0) failed(path_);
    if (!S_ISREG(file.st_mode)) refuse(path_.string() + " is no regular file");
    if (file.st_uid != geteuid()) refuse(path_.string() + " belongs to another user");
    if ((file.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        refuse(path_.string() + " holds keys and can be read or written by others (chmod 600 it)");
    }
    while (flock(descriptor_.get(), LOCK_EX) != 0) {
        if (errno != EINTR) failed(path_);
    }
    struct stat present {};
    return stat(path_.c_str(), &present) == 0 && present.st_ino == file.st_ino &&
           present.st_dev == file.st_dev;
}

Kmc StateFile::load() const {
    constexpr std::size_t kMost = std::size_t{1} << 30U;
    const StateText text(read_all(descriptor_.get(), path_, kMost));
    return from_state_text(text.view());
}

void StateFile::save(const Kmc& kmc) const {
    write_whole_file(path_, to_state_text(kmc).view(), kOwnerOnly, Existing::replace);
}

}  // namespace sts6::kmc
