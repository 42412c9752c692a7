// SPDX-License-Identifier: Apache-2.0
#include "tools/kmc/state_text.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "firmware/keyload/attributes.hpp"
#include "tools/kmc/kmc_error.hpp"
#include "tools/kmc/text.hpp"

namespace sts6::kmc {

namespace {

using nlohmann::json;

constexpr const char* kSchema = "sts6.kmc-state/1";

/// A tree whose strings are wiped when it goes.
struct SecretTree {
    json tree;

    SecretTree() = default;
    SecretTree(const SecretTree&) = delete;
    SecretTree& operator=(const SecretTree&) = delete;
    ~SecretTree() { wipe_strings(tree); }

    static void wipe_strings(json& node) noexcept {
        if (auto* text = node.get_ptr<std::string*>()) wipe(text->data(), text->size());
        if (node.is_structured()) {
            for (json& child : node) wipe_strings(child);
        }
    }
};

[[noreturn]] void damaged_state(const std::string& what) {
    damaged("the state file is damaged: " + what);
}

void require(bool ok, const char* what) {
    if (!ok) damaged_state(what);
}

const std::string& text_of(const json& node, const char* name) {
    return node.at(name).get_ref<const std::string&>();
}

json to_json(const VendingKey& key) {
    json node = {
        {"cards", written([&](TextWriter& out) { keyload::put_key_cards(out, key.attributes, key.kcv); })},
        {"value", hex_text(key.octets())}};
    if (key.refresh_days) node["refresh_days"] = *key.refresh_days;
    if (!key.modules.empty()) node["security_modules"] = key.modules;
    return node;
}

VendingKey key_from(const json& node) {
    const auto cards = keyload::Cards::parse(text_of(node, "cards"));
    const auto parsed = cards ? keyload::read_key_cards(*cards) : std::nullopt;
    require(parsed.has_value(), "the attributes of a vending key");
    VendingKey key;
    key.attributes = parsed->attributes;
    key.kcv = parsed->kcv;
    const auto octets = std::span(key.value.octets()).first(vending_key_octets(key.attributes.dkg));
    require(read_hex(text_of(node, "value"), octets) && check_value(key.attributes.dkg, octets) == key.kcv,
            "a vending key does not have its check value");
    if (node.contains("refresh_days")) key.refresh_days = node.at("refresh_days").get<std::uint32_t>();
    if (node.contains("security_modules")) {
        key.modules = node.at("security_modules").get<std::vector<std::string>>();
        // Nobody's key must not become everybody's.
        require(!key.modules.empty(), "a vending key is for no security module");
    }
    return key;
}

void read_key_pair(Kmc& kmc, const json& tree) {
    kmc.record = text_of(tree, "record");
    const auto record = keyload::parse_kmc_key(kmc.record);
    const auto point = record ? keyload::read_point(record->point) : std::nullopt;
    require(point.has_value(), "the KMC's record");
    kmc.key.public_key = *point;
    require(read_hex(text_of(tree, "private_key"), kmc.key.private_key.octets()) && is_key_pair(kmc.key) &&
                fingerprint(*point) == record->kmcid.fingerprint,
            "the KMC's key is not that of its record");
}

void read_modules(Kmc& kmc, const json& tree) {
    for (const json& node : tree.at("security_modules")) {
        const auto& text = node.get_ref<const std::string&>();
        const auto record = keyload::parse_sm_key(text);
        require(record.has_value(), "the record of a security module");
        const std::string name = std::string(record->smid.issuer) + ":" + std::string(record->smid.unique);
        require(kmc.modules.emplace(name, text).second, "a security module comes twice");
    }
}

Answer answer_from(const json& node) {
    Answer answer;
    require(read_hex(text_of(node, "request_sha384"), answer.request) &&
                read_hex(text_of(node, "ephemeral_key_sha384"), answer.ephemeral_key),
            "a digest of a request");
    answer.file = text_of(node, "file");
    require(keyload::read_file(answer.file, sha1).fault == keyload::FileFault::none, "a response");
    return answer;
}

Kmc kmc_from(const json& tree) {
    if (text_of(tree, "schema") != kSchema) {
        damaged("the state file is no " + std::string(kSchema) + "; another version has written it");
    }
    Kmc kmc;
    read_key_pair(kmc, tree);
    read_modules(kmc, tree);
    for (const json& node : tree.at("keys")) {
        VendingKey key = key_from(node);
        const KeyName name{key.attributes.sgc, key.attributes.krn};
        require(kmc.keys.emplace(name, std::move(key)).second, "a vending key comes twice");
    }
    for (const json& node : tree.at("responses")) kmc.answers.push_back(answer_from(node));
    return kmc;
}

}  // namespace

StateText to_state_text(const Kmc& kmc) {
    SecretTree secret;
    json& tree = secret.tree;
    tree = {{"schema", kSchema},
            {"record", kmc.record},
            {"security_modules", json::array()},
            {"keys", json::array()},
            {"responses", json::array()}};
    tree["private_key"] = hex_text(kmc.key.private_key.octets());
    for (const auto& [name, record] : kmc.modules) tree["security_modules"].push_back(record);
    for (const auto& [name, key] : kmc.keys) tree["keys"].push_back(to_json(key));
    for (const Answer& answer : kmc.answers) {
        tree["responses"].push_back({{"request_sha384", hex_text(answer.request)},
                                     {"ephemeral_key_sha384", hex_text(answer.ephemeral_key)},
                                     {"file", answer.file}});
    }
    return StateText(tree.dump(1));
}

Kmc from_state_text(std::string_view text) {
    SecretTree secret;
    try {
        secret.tree = json::parse(text);
        return kmc_from(secret.tree);
    } catch (const json::exception&) {
        // Its own text would quote the file.
        damaged_state("it is no JSON of the kind that this program writes");
    }
}

}  // namespace sts6::kmc
