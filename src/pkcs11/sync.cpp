// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/sync.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace sts6::p11 {

Result<void> sync_token_files(const std::filesystem::path& directory) {
    if (directory.empty()) return {};
    const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = descriptor >= 0 && ::syncfs(descriptor) == 0;
    const int reason = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (synced) return {};
    spdlog::error("the files of the PKCS#11 token in " + directory.string() +
                  " are not synced: " + std::generic_category().message(reason));
    return Unexpected{Errc::storage_failed};
}

}  // namespace sts6::p11
