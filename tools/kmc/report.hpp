// SPDX-License-Identifier: Apache-2.0
// What a command has to say, for people or as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sts6::kmc {

struct Report {
    using Value = std::variant<std::string, std::uint64_t, bool, std::vector<std::string>>;

    std::vector<std::pair<std::string, Value>> fields;
    std::string list_name;  ///< of `list`; empty = there is none
    std::vector<Report> list;

    void add(std::string name, Value value) { fields.emplace_back(std::move(name), std::move(value)); }
};

/// "name: value" lines; each entry of the list begins with a "- ".
[[nodiscard]] std::string in_words(const Report& report);
/// One object in one line; names have '_' for their spaces.
[[nodiscard]] std::string in_json(const Report& report);

}  // namespace sts6::kmc
