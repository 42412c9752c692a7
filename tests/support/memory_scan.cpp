// SPDX-License-Identifier: Apache-2.0
#include "tests/support/memory_scan.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>

namespace sts6::test {

namespace {

constexpr std::uint64_t kLargestMapping = std::uint64_t{256} << 20U;
constexpr std::size_t kPart = std::size_t{1} << 20U;

struct Mapping {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::string line;
};

std::vector<Mapping> writable_mappings(const std::string& process) {
    std::vector<Mapping> mappings;
    std::ifstream maps(process + "/maps");
    for (std::string line; std::getline(maps, line);) {
        std::istringstream words(line);
        Mapping mapping{.begin = 0, .end = 0, .line = line};
        char dash = 0;
        std::string rights;
        words >> std::hex >> mapping.begin >> dash >> mapping.end >> rights;
        if (!rights.starts_with("rw") || mapping.end - mapping.begin > kLargestMapping) continue;
        mappings.push_back(mapping);
    }
    return mappings;
}

void find_all(const std::string& memory, std::uint64_t address, const Mapping& mapping,
              const std::vector<std::string>& patterns, std::vector<MemoryHit>& hits) {
    for (std::size_t i = 0; i < patterns.size(); ++i) {
        const char* at = memory.data();
        const char* const end = at + memory.size();
        for (;;) {
            const auto left = static_cast<std::size_t>(end - at);
            at = static_cast<const char*>(::memmem(at, left, patterns[i].data(), patterns[i].size()));
            if (at == nullptr) break;
            hits.push_back({i, address + static_cast<std::uint64_t>(at - memory.data()), mapping.line});
            ++at;
        }
    }
}

}  // namespace

std::optional<MemoryScan> scan_memory(pid_t process, const std::vector<std::string>& patterns) {
    const std::string place = "/proc/" + std::to_string(process);
    const int file = ::open((place + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return std::nullopt;
    std::size_t longest = 1;
    for (const std::string& pattern : patterns) longest = std::max(longest, pattern.size());
    MemoryScan scan;
    for (const Mapping& mapping : writable_mappings(place)) {
        // Parts overlap, so that nothing hides on a border; what lies in the overlap may count twice.
        for (std::uint64_t at = mapping.begin; at < mapping.end; at += kPart) {
            std::string memory(std::min<std::uint64_t>(kPart + longest - 1, mapping.end - at), '\0');
            const ssize_t count = ::pread(file, memory.data(), memory.size(), static_cast<off_t>(at));
            if (count <= 0) continue;
            memory.resize(static_cast<std::size_t>(count));
            scan.octets += memory.size();
            find_all(memory, at, mapping, patterns, scan.hits);
        }
    }
    ::close(file);
    if (scan.octets == 0) return std::nullopt;
    return scan;
}

}  // namespace sts6::test
