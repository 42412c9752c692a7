// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/firmware_identity.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>

#include <openssl/evp.h>

namespace sts6 {

namespace {

struct FreeDigest {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

Outcome<void> hash_program(ModuleSettings& settings) {
    constexpr const char* kProgram = "/proc/self/exe";
    const auto failed = [] { return fail(Errc::io_failed, std::string(kProgram) + ": cannot be hashed"); };
    std::ifstream file(kProgram, std::ios::binary);
    const std::unique_ptr<EVP_MD_CTX, FreeDigest> digest(EVP_MD_CTX_new());
    if (!file || !digest || EVP_DigestInit_ex(digest.get(), EVP_sha384(), nullptr) != 1) return failed();
    std::array<char, 65536> part{};
    while (file.read(part.data(), part.size()), file.gcount() > 0) {
        if (EVP_DigestUpdate(digest.get(), part.data(), static_cast<std::size_t>(file.gcount())) != 1) {
            return failed();
        }
    }
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> hash{};
    if (EVP_DigestFinal_ex(digest.get(), hash.data(), nullptr) != 1) return failed();
    std::copy_n(hash.begin(), settings.firmware_hash.size(), settings.firmware_hash.begin());
    return {};
}

}  // namespace

Outcome<void> identify_firmware(std::string_view table_set, ModuleSettings& settings) {
    const std::string id =
        "STS6-" + std::string(kVersion) + "-" + std::string(table_set) + (settings.lab ? "-LAB" : "");
    if (!settings.firmware_id.assign(id))
        return fail(Errc::invalid_argument, "the FirmwareID is too long: " + id);
    return hash_program(settings);
}

}  // namespace sts6
