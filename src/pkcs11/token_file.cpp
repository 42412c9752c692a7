// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/token_file.hpp"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sts6::p11 {

namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenFile = "token.object";

fs::path kept_store(const fs::path& store) {
    return store.empty() ? fs::path() : fs::path(store.string() + ".kept");
}

/// Empty when it cannot be read.
std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

bool sync_and_close(int descriptor) {
    const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
    return descriptor >= 0 && ::close(descriptor) == 0 && synced;
}

/// Old or new, and durable when it returns.
Result<void> replace_file(const fs::path& path, const std::string& content) {
    const fs::path fresh = path.string() + ".new";
    const int file =
        ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    const bool written =
        file >= 0 && ::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size());
    const bool replaced = sync_and_close(file) && written && ::rename(fresh.c_str(), path.c_str()) == 0;
    const int reason = errno;
    if (replaced && sync_and_close(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)))
        return {};
    spdlog::error(path.string() + " cannot be written: " + std::generic_category().message(reason));
    return Unexpected{Errc::storage_failed};
}

/// Calls `visit` with every token file that `from` has, and its place in `to`.
template <class Visit>
Result<void> for_each_token(const fs::path& from, const fs::path& to, Visit visit) {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(from, error)) {
        const fs::path file = entry.path() / kTokenFile;
        const fs::path place = to / entry.path().filename() / kTokenFile;
        if (!fs::is_regular_file(file, error)) continue;
        if (auto done = visit(file, place); !done) return done;
    }
    return {};
}

}  // namespace

Result<void> restore_token_files(const fs::path& store) {
    return for_each_token(
        kept_store(store), store, [](const fs::path& kept, const fs::path& place) -> Result<void> {
            std::error_code error;
            const std::string content = read_file(kept);
            // A token that was taken away on purpose has no directory.
            if (!fs::is_directory(place.parent_path(), error) || read_file(place).size() >= content.size())
                return {};
            spdlog::warn(place.string() +
                         " was lost when a process was killed at its login: brought back from its copy");
            return replace_file(place, content);
        });
}

Result<void> keep_token_files(const fs::path& store) {
    return for_each_token(store, kept_store(store),
                          [](const fs::path& file, const fs::path& place) -> Result<void> {
                              const std::string content = read_file(file);
                              if (content.empty() || content == read_file(place)) return {};
                              std::error_code error;
                              fs::create_directories(place.parent_path(), error);
                              return replace_file(place, content);
                          });
}

}  // namespace sts6::p11
