// SPDX-License-Identifier: Apache-2.0
#include "tools/kmc/report.hpp"

#include <algorithm>
#include <string_view>

#include <nlohmann/json.hpp>

namespace sts6::kmc {

namespace {

using nlohmann::ordered_json;

std::string words_of(const Report::Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    if (const auto* number = std::get_if<std::uint64_t>(&value)) return std::to_string(*number);
    if (const auto* yes = std::get_if<bool>(&value)) return *yes ? "yes" : "no";
    std::string text;
    for (const std::string& item : *std::get_if<std::vector<std::string>>(&value)) {
        text += (text.empty() ? "" : ", ") + item;
    }
    return text;
}

std::string key_of(std::string name) {
    std::ranges::replace(name, ' ', '_');
    return name;
}

ordered_json tree_of(const Report& report) {
    ordered_json tree = ordered_json::object();
    for (const auto& [name, value] : report.fields) {
        std::visit([&member = tree[key_of(name)]](const auto& content) { member = content; }, value);
    }
    if (report.list_name.empty()) return tree;
    ordered_json& list = tree[key_of(report.list_name)] = ordered_json::array();
    for (const Report& entry : report.list) list.push_back(tree_of(entry));
    return tree;
}

}  // namespace

std::string in_words(const Report& report) {
    std::string text;
    for (const auto& [name, value] : report.fields) text += name + ": " + words_of(value) + "\n";
    for (const Report& entry : report.list) {
        std::string_view bullet = "- ";
        for (const auto& [name, value] : entry.fields) {
            text += std::string(bullet) + name + ": " + words_of(value) + "\n";
            bullet = "  ";
        }
    }
    return text;
}

std::string in_json(const Report& report) {
    return tree_of(report).dump() + "\n";
}

}  // namespace sts6::kmc
