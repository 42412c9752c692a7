// SPDX-License-Identifier: Apache-2.0
#include "tools/conform/pack.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

namespace sts6::conform {

namespace {

using nlohmann::json;

constexpr std::pair<const char*, CaseKind> kKinds[] = {
    {"credit", CaseKind::credit},         {"management", CaseKind::management},
    {"key_change", CaseKind::key_change}, {"meter_test", CaseKind::meter_test},
    {"check_drn", CaseKind::check_drn},
};

CaseKind kind_of(const std::string& name) {
    for (const auto& [known, kind] : kKinds) {
        if (name == known) return kind;
    }
    return CaseKind::unknown;
}

std::uint32_t read_sgc(const std::string& text) {
    std::uint32_t sgc = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sgc);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::runtime_error("sgc is no number");
    return sgc;
}

PackRegister read_register(const json& source) {
    return {.number = source.at("register").get<std::uint32_t>(),
            .dkga = source.at("dkga").get<unsigned>(),
            .ktc = source.at("kt").get<unsigned>(),
            .sgc = read_sgc(source.at("sgc").get<std::string>()),
            .krn = source.at("krn").get<unsigned>(),
            .ken = source.at("ken").get<unsigned>(),
            .base_date = source.at("base_date").get<unsigned>(),
            .value = source.value("vk_hex", std::string())};
}

void read_meter_fields(const json& source, Case& test) {
    test.register_number = source.at("register").get<std::uint32_t>();
    test.pan = source.at("pan").get<std::string>();
    test.ti = source.at("ti").get<unsigned>();
    test.ea = source.at("ea").get<unsigned>();
}

void read_token_fields(const json& source, Case& test) {
    read_meter_fields(source, test);
    test.subclass = source.at("subclass").get<unsigned>();
    test.tid = source.at("tid").get<std::string>();
    test.value = source.at("value").get<std::string>();
}

/// "CCYY-MM-DD hh:mm[:ss]"
std::string module_time(const std::string& issued) {
    std::string digits;
    for (const char c : issued) {
        if (c >= '0' && c <= '9') digits += c;
    }
    if (digits.size() == 12) digits += "00";
    if (digits.size() != 14) throw std::runtime_error("issued is no date and time");
    return digits.substr(0, 8) + "T" + digits.substr(8) + "Z";
}

void read_key_change(const json& source, Case& test) {
    read_meter_fields(source, test);
    test.new_register = source.at("new_register").get<std::uint32_t>();
    test.new_ti = source.at("new_ti").get<unsigned>();
    test.set_size = source.at("tokens").get<unsigned>();
    if (source.contains("issued")) test.module_time = module_time(source.at("issued").get<std::string>());
}

std::uint64_t read_hex_number(const std::string& text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc() || end != text.data() + text.size()) {
        throw std::runtime_error("a meter test's field is no hexadecimal number");
    }
    return value;
}

void read_meter_test(const json& source, Case& test) {
    test.subclass = source.at("subclass").get<unsigned>();
    test.control = read_hex_number(source.at("control").get<std::string>());
    test.mfr_code = static_cast<unsigned>(read_hex_number(source.at("mfr").get<std::string>()));
}

Case read_case(const json& source, unsigned pack_rnd) {
    Case test;
    test.id = source.at("id").get<std::string>();
    test.kind_name = source.at("kind").get<std::string>();
    test.kind = kind_of(test.kind_name);
    test.sta_tables = source.value("sta_tables", std::string());
    test.rnd = source.value("rnd", pack_rnd);
    if (source.contains("expect_status")) test.expect_status = source.at("expect_status").get<std::string>();
    for (const json& token : source.value("expect", json::array())) {
        test.tokens.push_back(token.is_null() ? std::nullopt : std::optional(token.get<std::string>()));
    }
    if (test.kind == CaseKind::credit || test.kind == CaseKind::management) read_token_fields(source, test);
    if (test.kind == CaseKind::key_change) read_key_change(source, test);
    if (test.kind == CaseKind::meter_test) read_meter_test(source, test);
    if (test.kind == CaseKind::check_drn) test.drn = source.at("drn").get<std::string>();
    return test;
}

}  // namespace

const PackRegister* Pack::find_register(std::uint32_t number) const {
    const auto found = std::ranges::find(registers, number, &PackRegister::number);
    return found == registers.end() ? nullptr : &*found;
}

std::optional<Pack> read_pack(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path.string() + ": cannot be read");
    Pack pack{.name = path.filename().string(), .path = path, .registers = {}, .cases = {}};
    try {
        const json source = json::parse(file);
        if (!source.is_object() || source.value("schema", json()) != "sts6.vectors/1") return std::nullopt;
        for (const json& entry : source.at("registers")) pack.registers.push_back(read_register(entry));
        const auto rnd = source.at("rnd").get<unsigned>();
        for (const json& entry : source.at("cases")) pack.cases.push_back(read_case(entry, rnd));
    } catch (const json::parse_error& error) {
        // The library's own message quotes what it has read last, which may be a key.
        throw std::runtime_error(path.string() + ": no JSON, at octet " + std::to_string(error.byte));
    } catch (const std::exception& error) {
        throw std::runtime_error(path.string() + ": " + error.what());
    }
    return pack;
}

}  // namespace sts6::conform
