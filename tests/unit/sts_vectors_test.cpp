// SPDX-License-Identifier: Apache-2.0
// The published and random vectors of tests/data/vectors against firmware/sts. What needs the operational
// EA07 tables is skipped, with a warning, where they are not at hand: STS6_STA_TABLES names the file, else
// ../shared/licensed/sta-tables-operational.json beside the source tree is tried. Their content is never
// printed.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "firmware/sts/amount.hpp"
#include "firmware/sts/crc.hpp"
#include "firmware/sts/misty1.hpp"
#include "firmware/sts/sta.hpp"
#include "firmware/sts/tid.hpp"
#include "firmware/sts/token.hpp"
#include "tests/unit/sts_test_support.hpp"

namespace sts6::sts {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSkipReason = "the operational STA tables are not at hand (STS6_STA_TABLES)";

json read_json(const fs::path& path) {
    std::ifstream file(path);
    return json::parse(file);
}

/// The parser's own messages would quote the file.
json read_licensed(const fs::path& path) {
    std::ifstream file(path);
    json content = json::parse(file, nullptr, false);
    if (content.is_discarded()) throw std::runtime_error("the operational STA tables are not JSON");
    return content;
}

std::optional<StaTables> load_tables(const fs::path& path) {
    const json file = read_licensed(path);
    if (file.at("schema") != "sts6.sta-tables/1") return std::nullopt;
    return StaTables::make(file.at("substitution_1").get<StaTables::Substitution>(),
                           file.at("substitution_2").get<StaTables::Substitution>(),
                           file.at("permutation").get<StaTables::Permutation>());
}

std::optional<fs::path> operational_tables_path() {
    const char* named = std::getenv("STS6_STA_TABLES");
    for (const fs::path& path :
         {fs::path(named != nullptr ? named : ""),
          fs::path(STS6_SOURCE_DIR) / "../shared/licensed/sta-tables-operational.json"}) {
        if (fs::is_regular_file(path) && std::ifstream(path)) return path;
    }
    return std::nullopt;
}

/// None when there is no file. One that is there and does not serve is a failure, no reason to skip.
const std::optional<StaTables>& operational_tables() {
    static const std::optional<StaTables> tables = []() -> std::optional<StaTables> {
        const auto path = operational_tables_path();
        if (!path) return std::nullopt;
        auto loaded = load_tables(*path);
        if (!loaded) throw std::runtime_error("the operational STA tables are not valid");
        return loaded;
    }();
    return tables;
}

struct Tally {
    std::size_t checked = 0;
    std::size_t skipped = 0;
};

void report(const std::string& what, const Tally& tally) {
    if (tally.skipped != 0) {
        WARN(what << ": " << tally.checked << " checked, " << tally.skipped << " SKIPPED: " << kSkipReason);
    }
}

struct Pack {
    std::string file;
    json content;
    std::map<int, json> registers;
};

std::vector<Pack> packs() {
    std::vector<Pack> result;
    for (const auto& entry : fs::directory_iterator(fs::path(STS6_SOURCE_DIR) / "tests/data/vectors")) {
        if (entry.path().extension() != ".json") continue;
        Pack pack{entry.path().filename().string(), read_json(entry.path()), {}};
        if (pack.content.value("schema", "") != "sts6.vectors/1") continue;
        for (const json& reg : pack.content.at("registers")) pack.registers[reg.at("register")] = reg;
        result.push_back(std::move(pack));
    }
    std::ranges::sort(result, {}, &Pack::file);
    return result;
}

std::uint32_t hex_number(const json& text) {
    return static_cast<std::uint32_t>(std::stoul(text.get<std::string>(), nullptr, 16));
}

/// The tables that a case names; for EA11, which uses none, any.
const StaTables* tables_of(const json& test_case) {
    const std::string name = test_case.value("sta_tables", "");
    if (name == "operational") return operational_tables() ? &*operational_tables() : nullptr;
    if (name != "sample" && !name.empty()) throw std::invalid_argument("unknown tables " + name);
    return &kSampleStaTables;
}

BaseDate base_date_of(const json& year) {
    const auto base_date = base_date_of_year(year.get<int>());
    if (!base_date) throw std::invalid_argument("unknown base date");
    return *base_date;
}

std::array<std::uint8_t, 16> decoder_key_of(const json& reg, const json& test_case) {
    const auto pan = Pan::parse(test_case.at("pan").get<std::string>());
    REQUIRE(pan);
    const DecoderKeyParameters parameters{
        .kt = static_cast<KeyType>(reg.at("kt").get<int>()),
        .sgc = static_cast<std::uint32_t>(std::stoul(reg.at("sgc").get<std::string>())),
        .ti = test_case.at("ti").get<std::uint8_t>(),
        .krn = reg.at("krn").get<std::uint8_t>(),
        .pan = *pan,
        .ea = static_cast<Ea>(test_case.at("ea").get<int>()),
        .base_date = base_date_of(reg.at("base_date"))};
    return test::derive_decoder_key(static_cast<Dkga>(reg.at("dkga").get<int>()),
                                    test::octets_of(reg.at("vk_hex").get<std::string>()), parameters);
}

/// "2014-03-01 13:00", with or without seconds.
CivilTime time_of(const json& text) {
    std::string digits;
    for (const char c : text.get<std::string>()) {
        if (c >= '0' && c <= '9') digits.push_back(c);
    }
    if (digits.size() == 12) digits += "00";
    const auto time = parse_civil_time(digits);
    REQUIRE(time);
    return *time;
}

/// "1.82044E+14", as the test specifications print large amounts, without its exponent.
std::string plain_decimal(std::string text) {
    const std::size_t e = text.find('E');
    if (e == std::string::npos) return text;
    const auto exponent = std::stoul(text.substr(e + 1));
    text.resize(e);
    const std::size_t point = text.find('.');
    const std::size_t decimals = point == std::string::npos ? 0 : text.size() - point - 1;
    if (decimals > exponent) throw std::invalid_argument("a fraction is left");
    std::erase(text, '.');
    return text.append(exponent - decimals, '0');
}

/// The coded field of an amount that a person gives. Finer than a tenth is rounded up, as the vectors do.
std::optional<std::uint32_t> amount_field(const std::string& amount, unsigned subclass) {
    const auto value = parse_decimal(plain_decimal(amount), 5);
    if (!value) return std::nullopt;
    if (is_currency_credit(kClassCredit, subclass)) return encode_currency(*value);
    if (value->negative) return std::nullopt;
    return encode_units(static_cast<std::uint64_t>((value->magnitude + 9999) / 10000));
}

std::string decimal_of(const TokenNumber& token) {
    return test::text_of(token.decimal());
}

void check_token(const json& test_case, const std::array<std::uint8_t, 16>& key, const StaTables& tables,
                 std::uint8_t rnd) {
    const bool credit = test_case.at("kind") == "credit";
    const unsigned subclass = test_case.at("subclass");
    const std::uint32_t tid = hex_number(test_case.at("tid"));
    const std::uint32_t value = hex_number(test_case.at("value"));
    const Ea ea = static_cast<Ea>(test_case.at("ea").get<int>());
    const ClearToken clear =
        credit ? credit_token(subclass, rnd, tid, value) : management_token(subclass, rnd, tid, value);
    const auto expected = test_case.at("expect").at(0).get<std::string>();
    CHECK(decimal_of(seal_token(clear, ea, key, tables)) == expected);

    const auto token = TokenNumber::parse(expected);
    REQUIRE(token);
    const auto fields = open_token(*token, ea, key, tables);
    REQUIRE(fields);
    CHECK(fields->token_class == (credit ? kClassCredit : kClassManagement));
    CHECK(fields->subclass == subclass);
    CHECK(fields->rnd == (fields->is_currency() ? 0 : rnd));
    CHECK(fields->tid == tid);
    CHECK(fields->amount == value);
}

/// What a person gives instead of the coded fields, and for a refusal its reason.
void check_fields(const json& test_case, const json& reg) {
    const std::uint32_t tid = hex_number(test_case.at("tid"));
    if (test_case.contains("issued")) {
        CHECK(tid_of(time_of(test_case.at("issued")), base_date_of(reg.at("base_date"))) == tid);
    }
    if (test_case.contains("amount")) {
        CHECK(amount_field(test_case.at("amount"), test_case.at("subclass")) ==
              hex_number(test_case.at("value")));
    }
    if (test_case.contains("expect_status")) {
        CHECK(test_case.at("expect_status") == "41");  // the key has expired: KEN against the TID
        CHECK(tid >> 16U > reg.at("ken").get<std::uint32_t>());
    }
}

void check_tokens_of(const Pack& pack, Tally& tally) {
    for (const json& test_case : pack.content.at("cases")) {
        const std::string kind = test_case.at("kind");
        if (kind != "credit" && kind != "management") continue;
        INFO(pack.file << ' ' << test_case.at("id"));
        const json& reg = pack.registers.at(test_case.at("register"));
        check_fields(test_case, reg);
        const StaTables* tables = tables_of(test_case);
        if (tables == nullptr) {
            ++tally.skipped;
            continue;
        }
        ++tally.checked;
        // A refused token is the policy's affair: there is nothing to build.
        if (test_case.contains("expect_status")) continue;
        const auto rnd = test_case.value("rnd", pack.content.at("rnd").get<unsigned>());
        check_token(test_case, decoder_key_of(reg, test_case), *tables, static_cast<std::uint8_t>(rnd));
    }
}

void check_key_changes_of(const Pack& pack, Tally& tally) {
    constexpr unsigned kPrintOrder[] = {3, 4, 8, 9};
    for (const json& test_case : pack.content.at("cases")) {
        if (test_case.at("kind") != "key_change" || !test_case.contains("expect")) continue;
        INFO(pack.file << ' ' << test_case.at("id"));
        const StaTables* tables = tables_of(test_case);
        ++(tables == nullptr ? tally.skipped : tally.checked);
        if (tables == nullptr) continue;
        const auto key = decoder_key_of(pack.registers.at(test_case.at("register")), test_case);
        for (std::size_t i = 0; i < test_case.at("expect").size(); ++i) {
            const json& digits = test_case.at("expect").at(i);
            if (digits.is_null()) continue;
            const auto token = TokenNumber::parse(digits.get<std::string>());
            REQUIRE(token);
            const auto fields =
                open_token(*token, static_cast<Ea>(test_case.at("ea").get<int>()), key, *tables);
            REQUIRE(fields);
            CHECK(fields->token_class == kClassManagement);
            CHECK(fields->subclass == kPrintOrder[i]);
            CHECK_FALSE(fields->has_tid());
            CHECK(fields->tid == 0);
            CHECK(fields->amount == 0);
        }
    }
}

void check_meter_test(const json& test_case) {
    const unsigned subclass = test_case.at("subclass");
    const std::uint64_t control = std::stoull(test_case.at("control").get<std::string>(), nullptr, 16);
    const std::uint64_t mfr = std::stoull(test_case.at("mfr").get<std::string>());
    const std::uint64_t top48 =
        (std::uint64_t{subclass} << 44U) | (control << (subclass == 1 ? 16U : 8U)) | mfr;
    const auto expected = test_case.at("expect").at(0).get<std::string>();
    CHECK(decimal_of({kClassMeterTest, (top48 << 16U) | token_crc(kClassMeterTest, top48)}) == expected);
    const auto token = TokenNumber::parse(expected);
    REQUIRE(token);
    const auto fields = open_unencrypted(*token);
    REQUIRE(fields);
    CHECK(fields->token_class == kClassMeterTest);
    CHECK(fields->subclass == subclass);
    CHECK_FALSE(fields->has_tid());
}

std::uint64_t hex64(const json& text) {
    return std::stoull(text.get<std::string>(), nullptr, 16);
}

std::uint32_t primitive_value(const json& fields) {
    for (const char* watts : {"mpl_w", "mppul_w"}) {
        if (fields.contains(watts)) return encode_units(fields.at(watts).get<std::uint64_t>()).value();
    }
    for (const char* plain : {"register", "rate", "pad", "wm_factor"}) {
        if (fields.contains(plain)) return fields.at(plain).get<std::uint32_t>();
    }
    return amount_field(fields.at("amount"), 0).value();
}

/// A token from its decoder key. Precondition: the operational tables are there.
std::string token_with_key(const json& token) {
    const bool credit = token.at("class") == kClassCredit;
    const unsigned subclass = token.at("subclass");
    const auto rnd = token.at("rnd").get<std::uint8_t>();
    const std::uint32_t value = primitive_value(token.at("fields"));
    const auto tid =
        token.contains("tid")
            ? token.at("tid").get<std::uint32_t>()
            : tid_of(time_of(token.at("issue_datetime")), base_date_of(token.at("base_date"))).value();
    std::array<std::uint8_t, 16> key{};
    store_be(hex64(token.at("decoder_key")), std::span(key).first<8>());
    const ClearToken clear =
        credit ? credit_token(subclass, rnd, tid, value) : management_token(subclass, rnd, tid, value);
    return decimal_of(
        seal_token(clear, static_cast<Ea>(token.at("ea").get<int>()), key, operational_tables().value()));
}

std::string primitive_crc(const json& fields) {
    const std::uint64_t bits50 = hex64(fields.at("bits50"));
    const auto token_class = static_cast<unsigned>(bits50 >> 48U);
    const std::uint16_t crc =
        fields.value("currency", false) ? token_crc_c(token_class, bits50) : token_crc(token_class, bits50);
    return test::hex_of(std::uint64_t{crc}).substr(12);
}

std::string primitive_decoder_key(const json& fields) {
    json reg = fields;
    reg["vk_hex"] = fields.at("vudk_hex");
    reg["base_date"] = fields.value("base_date", 1993);
    const auto key = decoder_key_of(reg, fields);
    return test::hex_of(std::span(key).first<8>());
}

/// What the case's operation gives; none for a case that the absent tables hold up.
std::optional<std::string> primitive_result(const json& test_case) {
    const std::string op = test_case.at("op");
    if (op == "token_with_key") {
        return operational_tables() ? std::optional(token_with_key(test_case.at("fields"))) : std::nullopt;
    }
    const json& fields = test_case.at("fields");
    if (op == "crc16") return primitive_crc(fields);
    if (op == "decoder_key") return primitive_decoder_key(fields);
    if (op == "luhn") return std::to_string(luhn_check_digit(fields.at("digits").get<std::string>()));
    const auto key = test::octets_of(fields.at("key").get<std::string>());
    const std::uint64_t plain = hex64(fields.at("plain"));
    if (op == "misty1_encrypt") {
        return test::hex_of(misty1_encrypt(std::span(key).first<kMisty1KeyOctets>(), plain));
    }
    const auto short_key = std::span(key).first<8>();
    if (op == "des_encrypt") return test::hex_of(test::des_encrypt(short_key, plain));
    REQUIRE(op == "sta_encrypt");
    REQUIRE(fields.at("tables") == "iec_sample");
    return test::hex_of(sta_encrypt(kSampleStaTables, short_key, plain));
}

}  // namespace

TEST_CASE("vectors: the operational tables hold their own known answer") {
    const auto path = operational_tables_path();
    if (!path) {
        WARN("SKIPPED: " << kSkipReason);
        return;
    }
    // Compared inside a function, so that a failure prints no value.
    const auto holds = [&path] {
        const json answer = read_licensed(*path).at("known_answer");
        std::array<std::uint8_t, 8> key{};
        store_be(hex64(answer.at("key")), key);
        return sta_encrypt(operational_tables().value(), key, hex64(answer.at("block"))) ==
                   hex64(answer.at("cipher")) &&
               sta_decrypt(operational_tables().value(), key, hex64(answer.at("cipher"))) ==
                   hex64(answer.at("block"));
    };
    CHECK(holds());
}

TEST_CASE("vectors: primitives") {
    const json file = read_json(fs::path(STS6_SOURCE_DIR) / "tests/data/vectors/primitives.json");
    REQUIRE(file.at("schema") == "sts6.primitives/1");
    Tally tally;
    for (const json& test_case : file.at("cases")) {
        INFO(test_case.at("id"));
        const auto result = primitive_result(test_case);
        ++(result ? tally.checked : tally.skipped);
        if (result) CHECK(*result == test_case.at("expect").get<std::string>());
    }
    CHECK(tally.checked + tally.skipped >= 22);
    report("primitives.json", tally);
}

TEST_CASE("vectors: credit and management tokens of every pack") {
    Tally total;
    for (const Pack& pack : packs()) {
        Tally tally;
        check_tokens_of(pack, tally);
        report(pack.file, tally);
        total.checked += tally.checked;
        total.skipped += tally.skipped;
    }
    CHECK(total.checked + total.skipped >= 735);  // an empty folder passes nothing
}

TEST_CASE("vectors: key-change tokens open under the current key") {
    Tally total;
    for (const Pack& pack : packs()) {
        Tally tally;
        check_key_changes_of(pack, tally);
        report(pack.file + ", key changes", tally);
        total.checked += tally.checked;
        total.skipped += tally.skipped;
    }
    CHECK(total.checked + total.skipped >= 110);
}

TEST_CASE("vectors: meter tests and wrong DRNs need no key") {
    std::size_t meter_tests = 0;
    std::size_t drns = 0;
    for (const Pack& pack : packs()) {
        for (const json& test_case : pack.content.at("cases")) {
            INFO(pack.file << ' ' << test_case.at("id"));
            if (test_case.at("kind") == "meter_test") {
                check_meter_test(test_case);
                ++meter_tests;
            } else if (test_case.at("kind") == "check_drn") {
                CHECK_FALSE(is_drn(test_case.at("drn").get<std::string>()));
                ++drns;
            }
        }
    }
    CHECK(meter_tests >= 45);
    CHECK(drns >= 4);
}

}  // namespace sts6::sts
