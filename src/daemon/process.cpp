// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/process.hpp"

#include <algorithm>

#include <openssl/crypto.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace sts6 {

namespace {

constexpr std::size_t kSecureHeap = std::size_t{1} << 20U;
constexpr std::size_t kSmallestBlock = 32;

}  // namespace

void log_to_stderr() {
    spdlog::set_default_logger(spdlog::stderr_logger_mt("sts6"));
}

void harden_process() {
    umask(S_IRWXG | S_IRWXO);
    const rlimit none{};
    if (setrlimit(RLIMIT_CORE, &none) != 0) spdlog::warn("core files could not be turned off");
        // The sanitizers' leak check attaches to its own process and needs it dumpable.
#if !defined(__SANITIZE_ADDRESS__)
    if (prctl(PR_SET_DUMPABLE, 0) != 0) spdlog::warn("the process could not be made undumpable");
#endif
    // 1: locked and guarded; 2: allocated, but not locked in memory.
    switch (CRYPTO_secure_malloc_init(kSecureHeap, kSmallestBlock)) {
        case 1:
            break;
        case 2:
            spdlog::warn("the heap for secrets is not locked in memory (see RLIMIT_MEMLOCK)");
            break;
        default:
            spdlog::warn("there is no locked heap for secrets");
            break;
    }
}

std::size_t allow_open_files(std::size_t wanted) {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return 0;
    if (files.rlim_cur < wanted) {
        files.rlim_cur = std::min<rlim_t>(wanted, files.rlim_max);
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) getrlimit(RLIMIT_NOFILE, &files);
    }
    return std::min<rlim_t>(files.rlim_cur, wanted);
}

}  // namespace sts6
