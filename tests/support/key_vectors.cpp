// SPDX-License-Identifier: Apache-2.0
#include "tests/support/key_vectors.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string_view>

#include <nlohmann/json.hpp>

#include "sts6/hex.hpp"

namespace sts6::test {
namespace {

using nlohmann::json;

Octets octets_of(const json& object, const char* name) {
    const auto text = object.at(name).get<std::string>();
    Octets octets(text.size() / 2);
    if (!read_hex(text, octets)) throw std::runtime_error(std::string(name) + " is not hexadecimal");
    return octets;
}

json read_json(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    return json::parse(file);
}

std::optional<json> wycheproof(std::string_view name) {
    const char* named = std::getenv("STS6_WYCHEPROOF");
    const std::filesystem::path directory =
        named != nullptr ? std::filesystem::path(named)
                         : std::filesystem::path(STS6_SOURCE_DIR) / "../shared/vectors/wycheproof";
    if (!std::filesystem::exists(directory / name)) return std::nullopt;
    return read_json(directory / name);
}

std::string name_of(const json& test) {
    return std::to_string(test.at("tcId").get<int>()) + " " + test.at("comment").get<std::string>();
}

}  // namespace

Profile1Vectors profile1_vectors() {
    const auto path =
        std::filesystem::path(STS6_SOURCE_DIR) / "tests/data/vectors/key-management-profile-1.json";
    const json file = read_json(path);
    Profile1Vectors vectors{.static_secret = octets_of(file, "ds_sm"),
                            .ephemeral_secret = octets_of(file, "de_sm"),
                            .static_point = octets_of(file, "qs_sm"),
                            .ephemeral_point = octets_of(file, "qe_sm"),
                            .peer = octets_of(file, "qs_kmc"),
                            .other_info = octets_of(file, "other_info"),
                            .mac_key = octets_of(file, "mac_key"),
                            .kek = octets_of(file, "kek"),
                            .mac_data = octets_of(file, "mac_data"),
                            .mac_tag = octets_of(file, "mac_tag"),
                            .records = {}};
    for (const json& record : file.at("keys")) {
        vectors.records.push_back({octets_of(record, "vk"), octets_of(record, "nonce"),
                                   octets_of(record, "aad"), octets_of(record, "ciphertext_tag"),
                                   octets_of(record, "kcv")});
    }
    return vectors;
}

std::vector<CcmCase> wycheproof_ccm() {
    std::vector<CcmCase> cases;
    const auto file = wycheproof("aes_ccm_test.json");
    if (!file) return cases;
    for (const json& group : file->at("testGroups")) {
        if (group.at("keySize") != 192 || group.at("ivSize") != 96 || group.at("tagSize") != 128) continue;
        for (const json& test : group.at("tests")) {
            CcmCase made{.name = name_of(test),
                         .key = octets_of(test, "key"),
                         .nonce = octets_of(test, "iv"),
                         .associated_data = octets_of(test, "aad"),
                         .payload = octets_of(test, "msg"),
                         .sealed = octets_of(test, "ct"),
                         .valid = test.at("result") == "valid"};
            const Octets tag = octets_of(test, "tag");
            made.sealed.insert(made.sealed.end(), tag.begin(), tag.end());
            cases.push_back(std::move(made));
        }
    }
    return cases;
}

std::vector<EcdhCase> wycheproof_ecdh() {
    std::vector<EcdhCase> cases;
    const auto file = wycheproof("ecdh_secp384r1_ecpoint_test.json");
    if (!file) return cases;
    for (const json& group : file->at("testGroups")) {
        for (const json& test : group.at("tests")) {
            const auto& flags = test.at("flags");
            cases.push_back({.name = name_of(test),
                             .peer = octets_of(test, "public"),
                             .secret = octets_of(test, "private"),
                             .shared = octets_of(test, "shared"),
                             .valid = test.at("result") == "valid",
                             .doubling = !flags.empty() && flags.front() == "EdgeCaseDoubling"});
        }
    }
    return cases;
}

}  // namespace sts6::test
