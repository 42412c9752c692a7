// SPDX-License-Identifier: Apache-2.0
// PTVD fields: each type's grammar at its borders, the order of the checks 60 to 63, and random damage
// against a second reading of sm-protocol 2 that shares no code with the first.
#include "sts6/ptvd.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace sts6 {
namespace {

using namespace std::string_literals;

constexpr std::uint32_t kRegisters = 64;

template <std::size_t N>
Status status_of(std::string_view body, const std::array<FieldSpec, N>& fields) {
    const auto parsed = parse_fields(body, fields, kRegisters);
    return parsed ? Status::successful : parsed.error();
}

Status status_of(std::string_view body, const FieldSpec& field) {
    return status_of(body, std::array{field});
}

Status status_of(std::string_view body, CommandId command) {
    const auto parsed = parse_fields(body, command_row(command).fields, kRegisters);
    return parsed ? Status::successful : parsed.error();
}

constexpr std::string_view kCredit = "N1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";
constexpr std::string_view kVerify = "N1~P600727000000000009~N1~N11~P58625789986991357486~";
constexpr std::string_view kVerifyWithTct = "N1~P600727000000000009~N1~N11~N2~P58625789986991357486~";
constexpr std::string_view kKeyChange = "N1~N1~P600727000000000009~N1~N11~N2~N2~N4~";

std::string initialisation() {
    return "PPrism~PSOFTSM01~PHW-1~D20240229000000~H04" + std::string(192, 'A') + "~";
}

// A second reading of the page.
class Oracle {
  public:
    static Status judge(const std::string& body, std::span<const FieldSpec> grammar,
                        std::uint32_t registers) {
        std::vector<std::string> fields;
        std::string field;
        for (const char c : body) {
            if (c == '~') {
                fields.push_back(field);
                field.clear();
            } else {
                field += c;
            }
        }
        if (!field.empty()) return Status::ptvd_nfields;

        std::vector<FieldSpec> specs(grammar.begin(), grammar.end());
        if (fields.size() + 1 == specs.size()) {
            const auto optional =
                std::find_if(specs.begin(), specs.end(), [](const auto& s) { return s.optional; });
            if (optional != specs.end()) specs.erase(optional);
        }
        if (fields.size() != specs.size()) return Status::ptvd_nfields;

        Status worst = Status::successful;
        const auto report = [&worst](Status status) {
            if (worst == Status::successful || status < worst) worst = status;
        };
        for (std::size_t i = 0; i < fields.size(); ++i) {
            const char letter = static_cast<char>(specs[i].type);
            if (fields[i].empty() || fields[i][0] != letter) {
                report(Status::ptvd_fieldtype);
                continue;
            }
            const std::string value = fields[i].substr(1);
            if (!well_formed(letter, value)) {
                report(Status::ptvd_encoding);
            } else if (!in_range(specs[i], value, registers)) {
                report(Status::ptvd_range);
            }
        }
        return worst;
    }

  private:
    static bool only(const std::string& value, std::string_view alphabet) {
        return value.find_first_not_of(alphabet) == std::string::npos;
    }
    static bool well_formed(char letter, const std::string& value) {
        constexpr std::string_view kDigits = "0123456789";
        switch (letter) {
            case 'N':
                if (value.empty() || !only(value, kDigits)) return false;
                if (value[0] == '0') return value == "0";
                return value.size() < 10 || (value.size() == 10 && value <= "4294967295");
            case 'P':
                return std::all_of(value.begin(), value.end(), [](char c) {
                    const auto code = static_cast<unsigned char>(c);
                    return code >= 0x20 && code <= 0x7E && code != 0x7E;
                });
            case 'H':
                return value.size() % 2 == 0 && only(value, "0123456789abcdefABCDEF");
            default:
                return value.size() == 14 && only(value, kDigits) && is_date(value);
        }
    }
    static bool is_date(const std::string& value) {
        const auto part = [&value](std::size_t at, std::size_t count) {
            return std::stoi(value.substr(at, count));
        };
        const int year = part(0, 4);
        const int month = part(4, 2);
        const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        const std::array<int, 13> days = {0, 31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        if (month < 1 || month > 12) return false;
        const int day = part(6, 2);
        return day >= 1 && day <= days.at(static_cast<std::size_t>(month)) && part(8, 2) < 24 &&
               part(10, 2) < 60 && part(12, 2) < 60;
    }
    static bool in_range(const FieldSpec& spec, const std::string& value, std::uint32_t registers) {
        switch (spec.rule) {
            case RangeRule::pan:
                return true;
            case RangeRule::token:
                return is_token(value);
            case RangeRule::register_number: {
                const auto number = std::stoull(value);
                return number != 0 && number <= registers;
            }
            case RangeRule::plain:
                break;
        }
        if (spec.type == FieldType::date_time) return true;
        const std::uint64_t measure = spec.type == FieldType::number   ? std::stoull(value)
                                      : spec.type == FieldType::octets ? value.size() / 2
                                                                       : value.size();
        return spec.min <= measure && measure <= spec.max;
    }
    static bool is_token(const std::string& value) {
        if (value.size() == 17) {
            return only(value, "0123456789abcdefABCDEF") && std::stoull(value.substr(0, 1), nullptr, 16) <= 3;
        }
        if (value.size() != 20 || !only(value, "0123456789")) return false;
        // 2^66 = 7378697629 4838206464, in two halves of ten digits.
        const std::uint64_t high = std::stoull(value.substr(0, 10));
        const std::uint64_t low = std::stoull(value.substr(10));
        return high < 7378697629U || (high == 7378697629U && low < 4838206464U);
    }
};

}  // namespace

TEST_CASE("N: decimal without leading zeros, at most 2^32-1") {
    const FieldSpec field = grammar::number("n");
    for (const std::string_view good : {"0", "1", "9", "10", "999999999", "4294967294", "4294967295"}) {
        INFO(good);
        CHECK(status_of("N" + std::string(good) + "~", field) == Status::successful);
    }
    for (const std::string_view bad : {"",
                                       "00",
                                       "01",
                                       "007",
                                       "4294967296",
                                       "4294967300",
                                       "9999999999",
                                       "04294967295",
                                       "18446744073709551616",
                                       "18446744073709551617",
                                       "-1",
                                       "+1",
                                       "-0",
                                       " 1",
                                       "1 ",
                                       "1.0",
                                       "1e3",
                                       "0x1",
                                       "A",
                                       "1N",
                                       "\xB1",
                                       "1,0"}) {
        INFO(bad);
        CHECK(status_of("N" + std::string(bad) + "~", field) == Status::ptvd_encoding);
    }
    CHECK(status_of("N1\0~"s, field) == Status::ptvd_encoding);
}

TEST_CASE("N: the field's range") {
    const FieldSpec field = grammar::number("n", 5, 10);
    CHECK(status_of("N4~", field) == Status::ptvd_range);
    CHECK(status_of("N5~", field) == Status::successful);
    CHECK(status_of("N10~", field) == Status::successful);
    CHECK(status_of("N11~", field) == Status::ptvd_range);
    CHECK(status_of("N4294967295~", field) == Status::ptvd_range);
    CHECK(status_of("N4294967296~", field) == Status::ptvd_encoding);
}

TEST_CASE("N: a register is 1 to the configured number") {
    CHECK(status_of("N0~", grammar::kRegister) == Status::ptvd_range);
    CHECK(status_of("N1~", grammar::kRegister) == Status::successful);
    CHECK(status_of("N64~", grammar::kRegister) == Status::successful);
    CHECK(status_of("N65~", grammar::kRegister) == Status::ptvd_range);
    CHECK(status_of("N4294967295~", grammar::kRegister) == Status::ptvd_range);
    constexpr std::array kFields = {grammar::kRegister};
    CHECK(parse_fields("N4096~", kFields, 4096));
    CHECK_FALSE(parse_fields("N4097~", kFields, 4096));
    CHECK_FALSE(parse_fields("N1~", kFields, 0));
}

TEST_CASE("P: every octet alone") {
    const FieldSpec field = grammar::printable("p", 1, 1);
    for (unsigned octet = 0; octet < 256; ++octet) {
        const char c = static_cast<char>(octet);
        if (c == '~') continue;
        INFO("octet " << octet);
        const bool good = octet >= 0x20 && octet <= 0x7D;
        CHECK(status_of("P"s + c + "~", field) == (good ? Status::successful : Status::ptvd_encoding));
    }
    // x7E ends the field, so that it can never be in one; a writer must know.
    CHECK(status_of("P~~", field) == Status::ptvd_nfields);
    CHECK_FALSE(ptvd::is_printable("~"));
    CHECK_FALSE(ptvd::is_printable("SOFT~SM01"));
    CHECK(ptvd::is_printable(""));
}

TEST_CASE("P: length") {
    const FieldSpec field = grammar::printable("p", 2, 4);
    CHECK(status_of("P~", field) == Status::ptvd_range);
    CHECK(status_of("Pa~", field) == Status::ptvd_range);
    CHECK(status_of("Pab~", field) == Status::successful);
    CHECK(status_of("Pabcd~", field) == Status::successful);
    CHECK(status_of("Pabcde~", field) == Status::ptvd_range);
    CHECK(status_of("P\x1F"
                    "abcde~",
                    field) == Status::ptvd_encoding);
    CHECK(status_of("P    ~", field) == Status::successful);
}

TEST_CASE("P: a PAN of any length is the command's to judge") {
    for (const std::string_view pan :
         {"", "1", "60072700000000000", "600727000000000009", "6007270000000000099", "PAN"}) {
        CHECK(status_of("P" + std::string(pan) + "~", grammar::kPan) == Status::successful);
    }
    CHECK(status_of("P60072700000000000\x7F~", grammar::kPan) == Status::ptvd_encoding);
}

TEST_CASE("P: a token in either form is below 2^66") {
    for (const std::string_view good :
         {"00000000000000000", "32D98A5616345BE2E", "32d98a5616345be2e", "3FFFFFFFFFFFFFFFF",
          "00000000000000000000", "58625789986991357486", "73786976294838206463", "73786976294838199999",
          "73786976293999999999"}) {
        INFO(good);
        CHECK(status_of("P" + std::string(good) + "~", grammar::kToken) == Status::successful);
    }
    for (const std::string_view bad : {"",
                                       "0",
                                       "40000000000000000",
                                       "4FFFFFFFFFFFFFFFF",
                                       "FFFFFFFFFFFFFFFFF",
                                       "3FFFFFFFFFFFFFFF",
                                       "3FFFFFFFFFFFFFFFG",
                                       "G2D98A5616345BE2E",
                                       "32D98A5616345BE2E0",
                                       "0032D98A5616345BE2E",
                                       "73786976294838206464",
                                       "73786976294838206465",
                                       "73786976294838210000",
                                       "73786976300000000000",
                                       "80000000000000000000",
                                       "99999999999999999999",
                                       "5862578998699135748",
                                       "586257899869913574860",
                                       "5862578998699135748A",
                                       "58625789986991357 86",
                                       "5862-5789-9869-9135-7486",
                                       "-8625789986991357486",
                                       "+8625789986991357486"}) {
        INFO(bad);
        CHECK(status_of("P" + std::string(bad) + "~", grammar::kToken) == Status::ptvd_range);
    }
    CHECK(status_of("P5862578998699135748\x80~", grammar::kToken) == Status::ptvd_encoding);
}

TEST_CASE("H: an even number of hexadecimal digits in either case") {
    const FieldSpec field = grammar::octets("h", 2, 3);
    for (const std::string_view good : {"0000", "FFFF", "ffff", "aBcD", "014EEC", "014eec"}) {
        CHECK(status_of("H" + std::string(good) + "~", field) == Status::successful);
    }
    for (const std::string_view bad : {"0", "000", "00000", "000G", "00 0", "0x00", "+000", "-100", "000g",
                                       "00:0", "00@0", "00`0", "00/0", "000\xB0"}) {
        INFO(bad);
        CHECK(status_of("H" + std::string(bad) + "~", field) == Status::ptvd_encoding);
    }
    for (const std::string_view bad : {"", "00", "00000000", "0000000000"}) {
        INFO(bad);
        CHECK(status_of("H" + std::string(bad) + "~", field) == Status::ptvd_range);
    }
}

TEST_CASE("H: octet counts of amount and TID") {
    for (std::size_t count = 0; count <= 5; ++count) {
        const std::string body = "H" + std::string(2 * count, '0') + "~";
        INFO(body);
        CHECK((status_of(body, grammar::kAmount) == Status::successful) == (count == 2 || count == 3));
        CHECK((status_of(body, grammar::kTid) == Status::successful) == (count >= 1 && count <= 3));
    }
}

TEST_CASE("D: fourteen digits that are a date and a time") {
    const FieldSpec field = grammar::date_time("d");
    for (const std::string_view good :
         {"20140301130000", "20240229235959", "20000229000000", "00000101000000", "99991231235959"}) {
        INFO(good);
        CHECK(status_of("D" + std::string(good) + "~", field) == Status::successful);
    }
    for (const std::string_view bad :
         {"", "2014030113000", "201403011300000", "20140301T130000", "20140301130000Z", "20230229000000",
          "19000229000000", "20141301000000", "20140001000000", "20140100000000", "20140132000000",
          "20140431000000", "20140301240000", "20140301236000", "20140301235960", "2014030113000A",
          " 0140301130000", "-0140301130000"}) {
        INFO(bad);
        CHECK(status_of("D" + std::string(bad) + "~", field) == Status::ptvd_encoding);
    }
}

TEST_CASE("the worked bodies are taken and their fields read") {
    const auto credit = parse_fields(kCredit, command_row(CommandId::vend_credit).fields, kRegisters);
    REQUIRE(credit);
    CHECK(credit->number(0) == 1);
    CHECK(credit->text(1) == "600727000000000009");
    CHECK(credit->number(3) == 11);
    CHECK(credit->octet_count(6) == 2);
    CHECK(credit->octets_be(6) == 1);
    CHECK(credit->octet_count(7) == 3);
    CHECK(credit->octets_be(7) == 0x014EEC);
    CHECK(status_of("N6~P600727000000000009~N1~N11~N2~N0~H0001~H01E0~", CommandId::vend_credit) ==
          Status::successful);
    CHECK(status_of("N1~P600727000000000009~N1~N11~N2~N4~H000001~H6D6F51~", CommandId::vend_credit) ==
          Status::successful);
    CHECK(status_of("N1~P600727000000000009~N1~N11~N2~N1~HFFFF~H522A0B~", CommandId::vend_management) ==
          Status::successful);
    CHECK(status_of(kKeyChange, CommandId::vend_key_change) == Status::successful);
    CHECK(status_of(initialisation(), CommandId::manufacture_init) == Status::successful);
    CHECK(status_of("", CommandId::identify) == Status::successful);
}

TEST_CASE("an optional field is absent when there is one field less") {
    const auto fields = command_row(CommandId::verify_token).fields;
    const auto without = parse_fields(kVerify, fields, kRegisters);
    REQUIRE(without);
    CHECK_FALSE(without->present(4));
    CHECK(without->number(4) == 0);
    CHECK(without->text(5) == "58625789986991357486");
    const auto with = parse_fields(kVerifyWithTct, fields, kRegisters);
    REQUIRE(with);
    CHECK(with->present(4));
    CHECK(with->number(4) == 2);
    CHECK(with->text(5) == "58625789986991357486");
    // The count alone decides which field is which.
    CHECK(status_of("N1~P1~N1~N11~N2~", CommandId::verify_token) == Status::ptvd_fieldtype);
    CHECK(status_of("N1~P1~N1~N11~P58625789986991357486~P~", CommandId::verify_token) ==
          Status::ptvd_fieldtype);
    CHECK(status_of("N1~P1~N1~N11~", CommandId::verify_token) == Status::ptvd_nfields);
    CHECK(status_of(std::string(kVerifyWithTct) + "N1~", CommandId::verify_token) == Status::ptvd_nfields);
}

TEST_CASE("60: the count of fields and the last '~'") {
    CHECK(status_of("", CommandId::vend_credit) == Status::ptvd_nfields);
    CHECK(status_of("~", CommandId::identify) == Status::ptvd_nfields);
    CHECK(status_of("N1~", CommandId::identify) == Status::ptvd_nfields);
    CHECK(status_of(" ", CommandId::identify) == Status::ptvd_nfields);
    CHECK(status_of(std::string(kCredit) + "~", CommandId::vend_credit) == Status::ptvd_nfields);
    CHECK(status_of(std::string(kCredit) + " ", CommandId::vend_credit) == Status::ptvd_nfields);
    CHECK(status_of(std::string(kCredit) + "N1~", CommandId::vend_credit) == Status::ptvd_nfields);
    CHECK(status_of(std::string(10000, '~'), CommandId::vend_credit) == Status::ptvd_nfields);
    CHECK(status_of(std::string(10000, 'N'), CommandId::vend_credit) == Status::ptvd_nfields);
}

TEST_CASE("61: a lone '~' is a field without its letter, not a missing field") {
    CHECK(status_of("~", grammar::number("n")) == Status::ptvd_fieldtype);
    CHECK(status_of("~~~~~~~~", CommandId::vend_credit) == Status::ptvd_fieldtype);
}

TEST_CASE("61: every letter but the field's own is the wrong one") {
    const FieldSpec field = grammar::number("n");
    for (unsigned octet = 0; octet < 256; ++octet) {
        const char c = static_cast<char>(octet);
        if (c == 'N' || c == '~') continue;
        INFO("octet " << octet);
        CHECK(status_of(c + "1~"s, field) == Status::ptvd_fieldtype);
    }
}

TEST_CASE("60 comes before 61, 61 over all fields before 62, 62 over all before 63") {
    constexpr std::array kFields = {grammar::number("a", 5, 9), grammar::octets("b", 1, 1),
                                    grammar::printable("c", 1, 1)};
    // Of each field, one variant that is good, out of range, ill-formed and of the wrong type.
    const std::array<std::array<std::string, 4>, 3> variants = {{
        {"N5~", "N4~", "N05~", "X5~"},
        {"H00~", "H0000~", "H0~", "N00~"},
        {"Pa~", "Pab~", "P\x7F~", "pa~"},
    }};
    constexpr std::array kBySeverity = {Status::successful, Status::ptvd_range, Status::ptvd_encoding,
                                        Status::ptvd_fieldtype};
    for (std::size_t a = 0; a < 4; ++a) {
        for (std::size_t b = 0; b < 4; ++b) {
            for (std::size_t c = 0; c < 4; ++c) {
                const std::string body = variants[0][a] + variants[1][b] + variants[2][c];
                INFO(body);
                CHECK(status_of(body, kFields) == kBySeverity.at(std::max({a, b, c})));
                CHECK(status_of(body + "N1~", kFields) == Status::ptvd_nfields);
                CHECK(status_of(body.substr(0, body.size() - 1), kFields) == Status::ptvd_nfields);
                CHECK(status_of(variants[0][a] + variants[1][b], kFields) == Status::ptvd_nfields);
            }
        }
    }
}

TEST_CASE("no proper prefix of a body is a body, but for the optional field's") {
    const std::array<std::pair<CommandId, std::string>, 5> bodies = {{
        {CommandId::vend_credit, std::string(kCredit)},
        {CommandId::vend_key_change, std::string(kKeyChange)},
        {CommandId::verify_token, std::string(kVerify)},
        {CommandId::verify_token, std::string(kVerifyWithTct)},
        {CommandId::manufacture_init, initialisation()},
    }};
    for (const auto& [command, body] : bodies) {
        CHECK(status_of(body, command) == Status::successful);
        for (std::size_t size = 0; size < body.size(); ++size) {
            const std::string prefix = body.substr(0, size);
            INFO(prefix);
            // Five fields of six are the form without TCT, whose fifth is a token.
            const bool shorter_form = command == CommandId::verify_token && prefix.ends_with('~') &&
                                      std::ranges::count(prefix, '~') == 5;
            CHECK(status_of(prefix, command) ==
                  (shorter_form ? Status::ptvd_fieldtype : Status::ptvd_nfields));
        }
    }
}

namespace {

// Bodies near the grammar: a valid one of a random command, damaged up to three times.
class BodyMaker {
  public:
    explicit BodyMaker(std::uint32_t seed) : random_(seed) {}

    std::size_t below(std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
    }

    std::string make(const CommandRow& row) {
        std::vector<std::string> fields;
        for (const FieldSpec& spec : row.fields) {
            if (!spec.optional || below(2) == 0) fields.push_back(valid(spec));
        }
        const std::size_t damages = below(4);
        for (std::size_t i = 0; i < damages && !fields.empty(); ++i) damage_field(fields);
        std::string body;
        for (const std::string& field : fields) body += field + "~";
        if (below(4) == 0) damage_octet(body);
        return body;
    }

  private:
    std::string digits(std::size_t count) {
        std::string text(count, '0');
        for (char& c : text) c = static_cast<char>('0' + below(10));
        return text;
    }
    std::string valid(const FieldSpec& spec) {
        const std::string letter(1, static_cast<char>(spec.type));
        if (spec.rule == RangeRule::token) return letter + (below(2) ? "3F" + digits(15) : "7" + digits(19));
        if (spec.rule == RangeRule::register_number) return letter + std::to_string(1 + below(kRegisters));
        switch (spec.type) {
            case FieldType::number:
                return letter + std::to_string(below(below(2) ? 10 : 0x100000000));
            case FieldType::printable:
                return letter + digits(spec.min + below(std::min<std::size_t>(spec.max - spec.min, 20) + 1));
            case FieldType::octets:
                return letter + digits(2 * (spec.min + below(spec.max - spec.min + 1)));
            case FieldType::date_time:
                break;
        }
        return letter + "20240" + std::to_string(1 + below(9)) + std::to_string(10 + below(22)) + "1" +
               digits(1) + std::to_string(10 + below(50)) + "59";
    }
    void damage_field(std::vector<std::string>& fields) {
        const std::array edges = {"N0"s,
                                  "N00"s,
                                  "N4294967295"s,
                                  "N4294967296"s,
                                  "N65"s,
                                  "N"s,
                                  "P"s,
                                  "P\x7D"s,
                                  "P\x7F"s,
                                  "H"s,
                                  "H0"s,
                                  "H00"s,
                                  "H0000"s,
                                  "H00000000"s,
                                  "H0g"s,
                                  "D20230229000000"s,
                                  "D20240229240000"s,
                                  "P73786976294838206463"s,
                                  "P73786976294838206464"s,
                                  "P3FFFFFFFFFFFFFFFF"s,
                                  "P40000000000000000"s,
                                  ""s,
                                  "\0"s};
        const std::size_t at = below(fields.size());
        switch (below(6)) {
            case 0:
                fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(at));
                break;
            case 1:
                fields.insert(fields.begin() + static_cast<std::ptrdiff_t>(at), fields[at]);
                break;
            case 2:
                std::swap(fields[at], fields[below(fields.size())]);
                break;
            case 3:
                damage_octet(fields[at]);
                break;
            default:
                fields[at] = edges.at(below(edges.size()));
        }
    }
    void damage_octet(std::string& text) {
        const std::size_t at = below(text.size() + 1);
        const char c = below(2) ? "~NPHD0129afAF \x7F"[below(15)] : static_cast<char>(below(256));
        if (at == text.size() || below(3) == 0) {
            text.insert(at, 1, c);
        } else if (below(2) == 0) {
            text.erase(at, 1);
        } else {
            text[at] = c;
        }
    }

    std::mt19937 random_;
};

}  // namespace

TEST_CASE("random damage: every body is judged as the page says") {
    constexpr int kRounds = 150000;
    const auto seed = Catch::rngSeed();
    INFO("seed " << seed << "; repeat with --rng-seed " << seed);
    BodyMaker maker(seed);
    std::array<int, 5> seen{};
    // Bodies of commands without fields have little to say: one row of them is enough.
    std::vector<const CommandRow*> rows = {&command_row(CommandId::identify)};
    for (const CommandRow& row : kCommandTable) {
        if (!row.fields.empty()) rows.push_back(&row);
    }
    for (int round = 0; round < kRounds; ++round) {
        const CommandRow& row = *rows[maker.below(rows.size())];
        const std::string body = maker.make(row);
        const auto parsed = parse_fields(body, row.fields, kRegisters);
        const Status status = parsed ? Status::successful : parsed.error();
        if (status != Oracle::judge(body, row.fields, kRegisters)) {
            INFO(row.header << " '" << body << "' judged " << status_name(status));
            FAIL_CHECK("not what the page says");
        }
        ++seen.at(parsed ? 0 : static_cast<std::size_t>(status) - 0x5F);
        if (!parsed) continue;
        std::string again;
        for (std::size_t i = 0; i < row.fields.size(); ++i) {
            if (!parsed->present(i)) continue;
            again += static_cast<char>(row.fields[i].type) + std::string(parsed->text(i)) + "~";
        }
        if (again != body) FAIL_CHECK("fields of '" << body << "' read as '" << again << "'");
    }
    // The generator reaches every verdict often, or the comparison would say little.
    for (const int count : seen) CHECK(count > kRounds / 200);
}

TEST_CASE("a response body is split without a grammar") {
    std::array<PtvdField, 5> fields{};
    REQUIRE(split_fields("N0~N0~N0~H0001~H014EEC~", fields) == 5);
    CHECK(fields[0].type == 'N');
    CHECK(fields[0].value == "0");
    CHECK(fields[4].type == 'H');
    CHECK(fields[4].value == "014EEC");
    REQUIRE(split_fields("P~PA B~", fields) == 2);
    CHECK(fields[0].value.empty());
    CHECK(fields[1].value == "A B");
    CHECK(split_fields("", fields) == 0);
    CHECK_FALSE(split_fields("~", fields));
    CHECK_FALSE(split_fields("N1", fields));
    CHECK_FALSE(split_fields("N1~N2", fields));
    CHECK_FALSE(split_fields("N1~~N2~", fields));
    CHECK_FALSE(split_fields("N1~N2~N3~N4~N5~N6~", fields));
    CHECK_FALSE(split_fields("N1~", {}));
}

TEST_CASE("written fields are what the page works out") {
    std::array<char, 64> buffer{};
    CHECK(PtvdWriter(buffer).printable("SOFTSM01").printable("STS6-001").written() == "PSOFTSM01~PSTS6-001~");
    constexpr std::array<std::uint8_t, 3> kTid = {0x01, 0x4E, 0xEC};
    CHECK(PtvdWriter(buffer).number(0).octets_be(1, 2).octets(kTid).written() == "N0~H0001~H014EEC~");
    CHECK(PtvdWriter(buffer).number(4294967295).number(10).number(9).written() == "N4294967295~N10~N9~");
    CHECK(PtvdWriter(buffer).date_time(civil_time(2014, 3, 1, 13, 0)).written() == "D20140301130000~");
    CHECK(PtvdWriter(buffer).printable("").octets({}).written() == "P~H~");
    CHECK(PtvdWriter(buffer).octets_be(0x123456, 1).octets_be(0xFEDCBA9876543210, 8).written() ==
          "H56~HFEDCBA9876543210~");
    CHECK(PtvdWriter(buffer).written().empty());
}

TEST_CASE("a field that does not fit is left out whole and remembered") {
    std::array<char, 8> buffer{};
    for (std::size_t size = 0; size <= buffer.size(); ++size) {
        buffer.fill('#');
        PtvdWriter writer{std::span(buffer).first(size)};
        writer.number(1).number(23);  // 3 and 4 characters
        CHECK(writer.written() == std::string_view(size < 3 ? "" : size < 7 ? "N1~" : "N1~N23~"));
        CHECK(writer.overflow() == (size < 7));
        for (std::size_t i = size; i < buffer.size(); ++i) CHECK(buffer[i] == '#');
    }
    PtvdWriter writer{std::span(buffer).first(5)};
    writer.printable("too long").number(1);
    // What comes after a lost field would be read in its place.
    CHECK(writer.written().empty());
    CHECK(writer.overflow());
    PtvdWriter others{std::span(buffer).first(5)};
    CHECK(others.octets(std::array<std::uint8_t, 2>{}).overflow());
    PtvdWriter dates{std::span(buffer)};
    CHECK(dates.date_time(civil_time(2014, 1, 1)).overflow());
    PtvdWriter numbers{std::span<char>()};
    CHECK(numbers.octets_be(0, 1).overflow());
}

TEST_CASE("written fields are read back") {
    constexpr std::array kFields = {grammar::number("a"), grammar::printable("b", 0, 99),
                                    grammar::octets("c", 0, 99), grammar::date_time("d")};
    std::array<char, 200> buffer{};
    constexpr std::array<std::uint8_t, 4> kOctets = {0x00, 0x7F, 0x80, 0xFF};
    const CivilTime time = civil_time(2024, 2, 29, 23, 59, 59);
    const auto body =
        PtvdWriter(buffer).number(4294967295).printable(" !}").octets(kOctets).date_time(time).written();
    const auto fields = parse_fields(body, kFields, kRegisters);
    REQUIRE(fields);
    CHECK(fields->number(0) == 4294967295);
    CHECK(fields->text(1) == " !}");
    CHECK(fields->octets_be(2) == 0x007F80FF);
    CHECK(parse_civil_time(fields->text(3)) == time);
}

}  // namespace sts6
