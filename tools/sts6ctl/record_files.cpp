// SPDX-License-Identifier: Apache-2.0
#include "tools/sts6ctl/record_files.hpp"

#include <array>
#include <fstream>
#include <iostream>

#include <openssl/sha.h>

#include "firmware/keyload/file.hpp"
#include "tools/sts6ctl/ctl_error.hpp"

namespace sts6::ctl {

namespace {

std::array<std::uint8_t, 20> sha1(std::string_view text) {
    std::array<std::uint8_t, 20> digest{};
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    return digest;
}

}  // namespace

std::vector<std::string> read_records(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw CtlError(kExitUsage, path.string() + ": cannot be read");
    // One octet more than a file may have shows that there are more.
    std::string text(keyload::kLargestFile + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    auto content = keyload::read_file(text, sha1);
    if (content.fault != keyload::FileFault::none) {
        throw CtlError(kExitIntegrity, path.string() + ": " + keyload::fault_text(content.fault));
    }
    return std::move(content.records);
}

void write_records(const std::string& path, const std::vector<std::string>& records) {
    const std::string text = keyload::write_file(records, sha1);
    if (path.empty() || path == "-") {
        std::cout << text << std::flush;
        return;
    }
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    if (!(file << text << std::flush)) throw CtlError(kExitRefused, path + ": cannot be written");
}

}  // namespace sts6::ctl
