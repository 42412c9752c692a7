// SPDX-License-Identifier: Apache-2.0
// The command table against sm-protocol 1, 3 and 5, which are written down here a second time.
#include "sts6/commands.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "sts6/frame.hpp"

namespace sts6 {
namespace {

constexpr std::uint8_t kNever = 0;
constexpr std::uint8_t kOperational = static_cast<std::uint8_t>(Phase::operational);
constexpr std::uint8_t kManufacturing = static_cast<std::uint8_t>(Phase::manufacturing);
constexpr std::uint8_t kUntampered = static_cast<std::uint8_t>(Phase::manufacturing) | kOperational;
constexpr std::uint8_t kAlways = kUntampered | static_cast<std::uint8_t>(Phase::tampered);

struct Expected {
    unsigned ins;
    std::string_view field_types;  ///< type letters; lower case = optional
    std::string_view mark;
    LinkRole role;
    Effect effect;
    std::uint8_t phases;  ///< what is built today
};

constexpr auto kVend = LinkRole::vend;
constexpr auto kFull = LinkRole::full;
constexpr auto kReads = Effect::reads;
constexpr auto kAudited = Effect::audited;

const std::map<std::string_view, Expected>& page() {
    static const std::map<std::string_view, Expected> rows = {
        {"GL?EC", {0x00, "", "[A]", kVend, kReads, kAlways}},
        {"GL?RR", {0x00, "", "[B]", kVend, kReads, kAlways}},
        {"GL?RS", {0x00, "", "[B/P]", kVend, kReads, kAlways}},
        {"SM?DI", {0x20, "", "[A]", kVend, kReads, kAlways}},
        {"SM?QI", {0x22, "", "[B]", kVend, kReads, kUntampered}},
        {"SM?QD", {0x24, "", "[B]", kVend, kReads, kUntampered}},
        {"SM?GA", {0x26, "N", "[A/P]", kVend, kReads, kOperational}},
        {"SM?VC", {0x10, "NPNNNNHH", "[A]", kVend, kAudited, kOperational}},
        {"SM?VM", {0x12, "NPNNNNHH", "[A]", kVend, kAudited, kOperational}},
        {"SM?VK", {0x14, "NNPNNNNN", "[A]", kVend, kAudited, kOperational}},
        {"SM?VT", {0x16, "NPNNnP", "[B/P]", kVend, kReads, kOperational}},
        {"SM?CQ", {0x28, "", "[C/P]", kVend, kReads, kOperational}},
        {"SM?KC", {0x30, "P", "[C/P]", kFull, kAudited, kOperational}},
        {"SM?KR", {0x32, "P", "[C/P]", kFull, kAudited, kOperational}},
        {"SM?KL", {0x34, "P", "[C/P]", kFull, kAudited, kOperational}},
        {"SM?KF", {0x36, "P", "[C/P]", kFull, kAudited, kOperational}},
        {"SM?KX", {0x38, "P", "[C/P]", kFull, kAudited, kOperational}},
        {"SM?CI", {0x40, "PH", "[C/P]", kFull, kAudited, kNever}},
        {"SM?QL", {0x42, "N", "[C/P]", kVend, kReads, kAlways}},
        {"SM?MI", {0x50, "PPPDH", "[P]", kFull, kAudited, kManufacturing}},
        {"SM?MF", {0x52, "", "[P]", kFull, kAudited, kManufacturing}},
        // Named by the standard; without a key entry device they only answer 53, on any link.
        {"SM?ML", {0x00, "", "[C]", kVend, kReads, kNever}},
        {"SM?MG", {0x00, "", "[C]", kVend, kReads, kNever}},
        {"SM?MK", {0x00, "", "[C]", kVend, kReads, kNever}},
    };
    return rows;
}

std::string field_types(const CommandRow& row) {
    std::string types;
    for (const FieldSpec& field : row.fields) {
        const char letter = static_cast<char>(field.type);
        types += field.optional ? static_cast<char>(letter - 'A' + 'a') : letter;
    }
    return types;
}

// Longest answers, from header to CRC, field by field.
constexpr std::size_t kFixed = frame::kHeaderLength + 2 + frame::kCrcLength;
constexpr std::size_t number(std::size_t digits) {
    return digits + 2;
}
constexpr std::size_t text(std::size_t characters) {
    return characters + 2;
}
constexpr std::size_t octets(std::size_t count) {
    return 2 * count + 2;
}
constexpr std::size_t kIdent = 40;     // docs/key-management.md
constexpr std::size_t kDate = 17;      // CCYYMMDDThhmmssZ and ':'
constexpr std::size_t kRecord = 1024;  // docs/key-management.md: a line
constexpr std::size_t kSmid = sizeof("SMID.1:") - 1 + 2 * (kIdent + 1) + kDate + 16 + 1 + 4;

const std::map<std::string_view, std::size_t>& longest_answers() {
    static const std::map<std::string_view, std::size_t> bounds = {
        {"GL?EC", kFixed + 3 + 999},
        {"GL?RR", frame::kLongest},
        {"GL?RS", kFixed},
        {"SM?DI", kFixed + text(kIdent) + text(kIdent)},
        {"SM?QI", kFixed + text(kSmid) + text(kIdent) + text(kIdent) + octets(8)},
        {"SM?QD", kFixed + text(14) + number(10)},
        {"SM?GA", kFixed + text(235)},
        {"SM?VC", kFixed + text(17) + text(20)},
        {"SM?VM", kFixed + text(17) + text(20)},
        {"SM?VK", kFixed + number(1) + number(1) + text(std::size_t{4} * 17) + text(std::size_t{4} * 20)},
        {"SM?VT", kFixed + number(2) + number(1) + number(2) + octets(3) + octets(3)},
        {"SM?CQ", kFixed + number(10) + number(10)},
        {"SM?KR", kFixed + number(1)},
        {"SM?KL", kFixed + number(4) + text(6)},
        {"SM?KF", kFixed + number(4) + number(4)},
        {"SM?KX", kFixed},
        {"SM?CI", kFixed},
        {"SM?MF", kFixed},
        {"SM?ML", kFixed},
        {"SM?MG", kFixed},
        {"SM?MK", kFixed},
    };
    return bounds;
}

}  // namespace

TEST_CASE("the command table is the protocol page's") {
    CHECK(kCommandTable.size() == page().size());
    for (const CommandRow& row : kCommandTable) {
        INFO(row.header);
        REQUIRE(page().count(row.header) == 1);
        const Expected& expected = page().at(row.header);
        CHECK(row.ins == expected.ins);
        CHECK(field_types(row) == expected.field_types);
        CHECK(row.mark == expected.mark);
        CHECK(row.role == expected.role);
        CHECK(row.effect == expected.effect);
        CHECK(row.phases == expected.phases);
        CHECK_FALSE(std::string_view(row.title).empty());
    }
}

TEST_CASE("a header and an instruction stand for one command") {
    std::set<std::string_view> headers;
    std::set<unsigned> instructions;
    std::size_t with_apdu = 0;
    for (const CommandRow& row : kCommandTable) {
        INFO(row.header);
        headers.insert(row.header);
        CHECK(row.header.size() == frame::kHeaderLength);
        CHECK((row.header.starts_with("GL?") || row.header.starts_with("SM?")));
        CHECK(row.header[3] >= 'A');
        CHECK(row.header[3] <= 'Z');
        CHECK(row.header[4] >= 'A');
        CHECK(row.header[4] <= 'Z');
        CHECK(row.is_link_command() == row.header.starts_with("GL"));
        // ISO 7816-4: an INS is even; 6x and 9x are status words.
        CHECK(row.ins % 2 == 0);
        CHECK((row.ins < 0x60 || row.ins > 0x9F));
        if (row.is_link_command()) CHECK(row.ins == 0);
        if (row.ins == 0) continue;
        instructions.insert(row.ins);
        ++with_apdu;
    }
    CHECK(headers.size() == kCommandTable.size());
    CHECK(instructions.size() == with_apdu);
    CHECK(with_apdu == 18);
}

TEST_CASE("a row is found by its id and by its header") {
    for (const CommandRow& row : kCommandTable) {
        CHECK(&command_row(row.id) == &row);
        CHECK(find_command(row.header) == &row);
        CHECK(find_command(std::string(row.header) + "N1~") == &row);
        CHECK(find_command(row.header.substr(0, 4)) == nullptr);
        std::string answer(row.header);
        answer[2] = '!';
        CHECK(find_command(answer) == nullptr);
        std::string lower(row.header);
        lower[4] = static_cast<char>(lower[4] - 'A' + 'a');
        CHECK(find_command(lower) == nullptr);
        CHECK(find_command(" " + std::string(row.header)) == nullptr);
    }
    CHECK(find_command("") == nullptr);
    CHECK(find_command("SM?ZZ") == nullptr);
    CHECK(find_command("GL?VC") == nullptr);
    CHECK(find_command("SM?EC") == nullptr);
}

TEST_CASE("a row exists in the phases it names") {
    CHECK(command_row(CommandId::identify).exists_in(Phase::manufacturing));
    CHECK(command_row(CommandId::identify).exists_in(Phase::operational));
    CHECK_FALSE(command_row(CommandId::vend_credit).exists_in(Phase::manufacturing));
    CHECK(command_row(CommandId::vend_credit).exists_in(Phase::operational));
    CHECK_FALSE(command_row(CommandId::manual_key_load).exists_in(Phase::manufacturing));
    CHECK_FALSE(command_row(CommandId::manual_key_load).exists_in(Phase::operational));
}

TEST_CASE("no answer is longer than its bound, and none longer than a message") {
    for (const CommandRow& row : kCommandTable) {
        INFO(row.header);
        CHECK(row.response_bound >= kFixed);
        CHECK(row.response_bound <= frame::kLongest);
        const auto longest = longest_answers().find(row.header);
        if (longest != longest_answers().end()) {
            CHECK(row.response_bound == longest->second);
        } else {
            CHECK(row.response_bound >= kFixed + text(kRecord));  // KC, MI: a record; QL: an entry
        }
    }
    constexpr std::string_view kFourTokens =
        "SM!VK00N0~N4~P0357DBF341198EC87026BE76CBB15E21E03A373495B96D43D66107F184C6D6B59AFA~"
        "P03854447086453451911027917994362424611526711807032935397719019019128690902932218~94DE";
    CHECK(kFourTokens.size() == command_row(CommandId::vend_key_change).response_bound);
}

TEST_CASE("the answers that a one-octet length must carry fit its envelope") {
    for (const std::string_view letters : {"DI", "QI", "QD", "GA", "VC", "VM", "VK", "VT", "CQ"}) {
        const CommandRow* row = find_command("SM?" + std::string(letters));
        REQUIRE(row != nullptr);
        INFO(row->header);
        CHECK(frame::kEnvelopeMagic.size() + row->response_bound + 1 <= 255);
    }
}

TEST_CASE("field grammars are sound") {
    std::size_t most = 0;
    for (const CommandRow& row : kCommandTable) {
        INFO(row.header);
        most = std::max(most, row.fields.size());
        std::set<std::string_view> names;
        for (const FieldSpec& field : row.fields) {
            INFO(field.name);
            names.insert(field.name);
            CHECK(field.min <= field.max);
            CHECK_FALSE(std::string_view(field.name).empty());
            const bool is_number = field.type == FieldType::number;
            const bool is_text = field.type == FieldType::printable;
            if (field.rule == RangeRule::register_number) CHECK(is_number);
            if (field.rule == RangeRule::pan || field.rule == RangeRule::token) CHECK(is_text);
        }
        CHECK(names.size() == row.fields.size());
        // One more would make "which one is missing" a guess.
        CHECK(std::count_if(row.fields.begin(), row.fields.end(),
                            [](const FieldSpec& field) { return field.optional; }) <= 1);
        if (row.is_link_command()) CHECK(row.fields.empty());
    }
    CHECK(kMaxFields == most);
    CHECK(kMaxFields == 8);
}

TEST_CASE("fields that the command judges take any value of their type") {
    for (const char* const name : {"TI", "EA", "TCT", "SubClass"}) {
        const auto fields = command_row(CommandId::vend_credit).fields;
        const auto field = std::find_if(fields.begin(), fields.end(), [name](const FieldSpec& spec) {
            return spec.name == std::string_view(name);
        });
        REQUIRE(field != fields.end());
        CHECK(field->min == 0);
        CHECK(field->max == 0xFFFFFFFF);
        CHECK(field->rule == RangeRule::plain);
    }
    const FieldSpec& count = command_row(CommandId::vend_key_change).fields[7];
    CHECK(count.min == 0);
    CHECK(count.max == 0xFFFFFFFF);
}

}  // namespace sts6
