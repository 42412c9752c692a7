// SPDX-License-Identifier: Apache-2.0
// docs/protocol.md against the program: its tables are rendered from commands.def and status.def, and the
// frames it works out are checked. STS6_UPDATE_DOCS=1 rewrites the tables instead of comparing them.
#include <array>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "sts6/commands.hpp"
#include "sts6/frame.hpp"
#include "sts6/hex.hpp"
#include "sts6/ptvd.hpp"
#include "sts6/status.hpp"
#include "tests/support/generated_page.hpp"

namespace sts6 {
namespace {

using test::count_of;

std::string range_text(const FieldSpec& field) {
    switch (field.rule) {
        case RangeRule::register_number:
            return "";
        case RangeRule::pan:
            return " (18 digits)";
        case RangeRule::token:
            return " (17 hexadecimal or 20 decimal digits)";
        case RangeRule::plain:
            break;
    }
    std::string_view unit;
    if (field.type == FieldType::octets) unit = field.max == 1 ? " octet" : " octets";
    if (field.type == FieldType::printable) unit = field.max == 1 ? " character" : " characters";
    const bool unbounded = field.type == FieldType::number && field.min == 0 && field.max == 0xFFFFFFFF;
    if (unbounded || field.type == FieldType::date_time) return "";
    std::string text = " (" + std::to_string(field.min);
    if (field.max == field.min + 1) text += " or " + std::to_string(field.max);
    if (field.max > field.min + 1) text += " to " + std::to_string(field.max);
    return text + std::string(unit) + ")";
}

std::string fields_text(const CommandRow& row) {
    if (row.is_link_command()) return "fixed width";
    std::string text;
    for (const FieldSpec& field : row.fields) {
        if (!text.empty()) text += ", ";
        if (field.optional) text += "[";
        text += std::string("`") + static_cast<char>(field.type) + "` " + field.name + range_text(field);
        if (field.optional) text += "]";
    }
    return text.empty() ? "none" : text;
}

std::string_view phases_text(const CommandRow& row) {
    const bool manufacturing = row.exists_in(Phase::manufacturing);
    if (row.exists_in(Phase::tampered)) return "any, also tampered";
    if (manufacturing && row.exists_in(Phase::operational)) return "any";
    return manufacturing ? "manufacturing" : "operational";
}

std::string_view role_text(LinkRole role) {
    return role == LinkRole::full ? "full" : "vend";
}

std::string ins_text(const CommandRow& row) {
    if (row.ins == 0) return "-";
    return {hex_digit(row.ins >> 4U), hex_digit(row.ins)};
}

std::string render_commands() {
    std::ostringstream out;
    out << "| command | what it does | request body | phase | link role | changes state | longest answer | "
           "INS | mark |\n"
           "|---|---|---|---|---|---|---|---|---|\n";
    for (const CommandRow& row : kCommandTable) {
        if (row.phases == 0) continue;
        out << "| `" << row.header << "` | " << row.title << " | " << fields_text(row) << " | "
            << phases_text(row) << " | " << role_text(row.role) << " | "
            << (row.effect == Effect::reads ? "no" : "yes") << " | " << row.response_bound << " | "
            << ins_text(row) << " | " << row.mark << " |\n";
    }
    return out.str();
}

std::string render_commands_not_built() {
    std::ostringstream out;
    out << "| command | what it will do | INS | mark |\n|---|---|---|---|\n";
    for (const CommandRow& row : kCommandTable) {
        if (row.phases != 0) continue;
        out << "| `" << row.header << "` | " << row.title << " | " << ins_text(row) << " | " << row.mark
            << " |\n";
    }
    return out.str();
}

std::string render_statuses() {
    std::ostringstream out;
    out << "| code | name in the program | meaning |\n|---|---|---|\n";
    for (const StatusRow& row : kStatusTable) {
        const auto code = status_code(row.status);
        out << "| " << std::string_view(code.data(), code.size()) << " | `" << row.name << "` | "
            << row.meaning << " |\n";
    }
    return out.str();
}

constexpr std::array kBlocks = {
    test::GeneratedBlock{"commands", render_commands},
    test::GeneratedBlock{"commands not built", render_commands_not_built},
    test::GeneratedBlock{"statuses", render_statuses},
};

test::GeneratedPage protocol_page() {
    return {"protocol.md", kBlocks};
}

std::string read_page() {
    return protocol_page().text();
}

// The frames that the page works out: lines that start with "> " or "< ", up to the first space after.
std::vector<std::string> worked_frames(const std::string& page, std::string_view direction) {
    std::vector<std::string> frames;
    bool in_block = false;
    for (const std::string& line : test::lines_of(page)) {
        if (line.starts_with("```")) in_block = !in_block;
        if (!in_block || !line.starts_with(direction)) continue;
        const std::string rest = line.substr(direction.size());
        frames.push_back(rest.substr(0, rest.find("  ")));
    }
    return frames;
}

}  // namespace

TEST_CASE("protocol page: the tables are those of the program") {
    CHECK(protocol_page().problem() == "");
}

TEST_CASE("protocol page: a command is in one table") {
    for (const CommandRow& row : kCommandTable) {
        INFO(row.header);
        const std::string cell = "| `" + std::string(row.header) + "` |";
        CHECK(count_of(render_commands(), cell) == (row.phases != 0 ? 1 : 0));
        CHECK(count_of(render_commands_not_built(), cell) == (row.phases != 0 ? 0 : 1));
    }
}

TEST_CASE("protocol page: worked requests are requests that the program takes") {
    const auto frames = worked_frames(read_page(), "> ");
    CHECK(frames.size() >= 8);
    for (const std::string& frame : frames) {
        INFO(frame);
        const auto message = frame::check(frame);
        REQUIRE(message);
        const CommandRow* row = find_command(*message);
        REQUIRE(row != nullptr);
        CHECK(row->phases != 0);
        if (row->is_link_command()) continue;
        CHECK(parse_fields(message->substr(frame::kHeaderLength), row->fields, 64));
    }
}

TEST_CASE("protocol page: worked answers are well formed and within their bounds") {
    const auto frames = worked_frames(read_page(), "< ");
    CHECK(frames.size() >= 8);
    for (const std::string& frame : frames) {
        INFO(frame);
        const auto message = frame::check(frame);
        REQUIRE(message);
        REQUIRE(message->size() >= frame::kHeaderLength + 2);
        CHECK((*message)[2] == '!');
        CHECK(find_status(message->substr(frame::kHeaderLength, 2)));
        std::string request(message->substr(0, frame::kHeaderLength));
        request[2] = '?';
        const CommandRow* row = find_command(request);
        CHECK((row != nullptr || request == "GL?ER"));
        if (row == nullptr || row->is_link_command()) continue;
        CHECK(frame.size() <= row->response_bound);
        std::array<PtvdField, kMaxFields> fields{};
        CHECK(split_fields(message->substr(frame::kHeaderLength + 2), fields));
    }
}

TEST_CASE("protocol page: every command that is built has its answer described, with a heading of its own") {
    const std::string page = read_page();
    for (const CommandRow& row : kCommandTable) {
        INFO(row.header);
        const std::string heading = "### `" + std::string(row.header) + "`";
        CHECK(count_of(page, heading) == (row.phases != 0 ? 1 : 0));
    }
}

TEST_CASE("protocol page: the marks are explained") {
    const std::string page = read_page();
    for (const char* const mark : {"| [A] |", "| [B] |", "| [C] |", "| [P] |"}) {
        INFO(mark);
        CHECK(count_of(page, mark) >= 1);
    }
    CHECK(page.find("reconstructed") != std::string::npos);
}

}  // namespace sts6
