// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/sta_tables_file.hpp"

#include <algorithm>
#include <fstream>
#include <optional>

#include <nlohmann/json.hpp>

#include "firmware/sts/sta.hpp"
#include "firmware/util/bytes.hpp"
#include "sts6/hex.hpp"

namespace sts6 {

namespace {

constexpr std::size_t kLongestName = 16;

template <std::size_t N>
std::array<std::uint8_t, N> octets_of(const nlohmann::json& list) {
    if (list.size() != N) throw std::out_of_range("length");
    std::array<std::uint8_t, N> octets{};
    for (std::size_t i = 0; i < N; ++i) {
        // The library would round 1.5 to 1.
        if (!list.at(i).is_number_integer()) throw std::out_of_range("type");
        const auto value = list.at(i).get<std::int64_t>();
        if (value < 0 || value > 255) throw std::out_of_range("value");
        octets[i] = static_cast<std::uint8_t>(value);
    }
    return octets;
}

std::array<std::uint8_t, 8> hex_octets(const nlohmann::json& text) {
    std::array<std::uint8_t, 8> octets{};
    if (!read_hex(text.get<std::string>(), octets)) throw std::out_of_range("hexadecimal");
    return octets;
}

bool is_name(const std::string& name) {
    return !name.empty() && name.size() <= kLongestName &&
           std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

bool known_answer_holds(const sts::StaTables& tables, const nlohmann::json& answer) {
    const auto key = hex_octets(answer.at("key"));
    const std::uint64_t block = load_be(hex_octets(answer.at("block")));
    const std::uint64_t cipher = load_be(hex_octets(answer.at("cipher")));
    return sts::sta_encrypt(tables, key, block) == cipher && sts::sta_decrypt(tables, key, cipher) == block;
}

}  // namespace

Outcome<NamedStaTables> read_sta_tables(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file) return fail(Errc::not_found, path.string() + ": cannot be read");
    const auto refuse = [&path](const char* why) {
        return fail(Errc::malformed, path.string() + ": " + why);
    };
    try {
        const auto json = nlohmann::json::parse(file);
        if (json.at("schema") != "sts6.sta-tables/1") return refuse("not of schema sts6.sta-tables/1");
        const auto name = json.at("name").get<std::string>();
        if (!is_name(name)) return refuse("the name must be 1 to 16 of a-z and 0-9");
        if (name == NamedStaTables{}.name) return refuse("this name is that of the built-in tables");
        const auto tables = sts::StaTables::make(octets_of<16>(json.at("substitution_1")),
                                                 octets_of<16>(json.at("substitution_2")),
                                                 octets_of<64>(json.at("permutation")));
        if (!tables) return refuse("a table is no permutation");
        if (!known_answer_holds(*tables, json.at("known_answer")))
            return refuse("the known answer does not hold");
        return NamedStaTables{name, *tables};
    } catch (const std::exception&) {
        // The library's message may quote the file.
        return refuse("does not follow the schema sts6.sta-tables/1");
    }
}

}  // namespace sts6
