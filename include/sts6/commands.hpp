// SPDX-License-Identifier: Apache-2.0
// The command table (`commands.def`) and the field grammar its rows are written in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sts6 {

/// A PTVD type letter (docs/protocol.md, Fields).
enum class FieldType : char { number = 'N', printable = 'P', octets = 'H', date_time = 'D' };

/// What a field's range check means beyond min and max.
enum class RangeRule : std::uint8_t {
    plain,            ///< number: min..max; printable: characters; octets: octet count
    register_number,  ///< 1 to the configured number of registers
    pan,              ///< any length passes: the command's own check answers 76
    token,            ///< 17 hexadecimal or 20 decimal digits, below 2^66
};

struct FieldSpec {
    FieldType type;
    const char* name;
    std::uint32_t min;
    std::uint32_t max;
    RangeRule rule = RangeRule::plain;
    bool optional = false;
};

enum class CommandId : std::uint8_t {
#define STS6_COMMAND(name, ...) name,
#include "sts6/commands.def"
#undef STS6_COMMAND
};

/// A module is in one phase; a row names the set in which its command exists. `tampered` takes the place of
/// either while that state is latched.
enum class Phase : std::uint8_t { manufacturing = 1, operational = 2, tampered = 4 };

/// What a link may do. `full` includes `vend`.
enum class LinkRole : std::uint8_t { vend, full };

enum class Effect : std::uint8_t { reads, durable, audited };

struct CommandRow {
    CommandId id;
    std::string_view header;  ///< five characters, as requested: "SM?VC"
    std::uint8_t ins;
    std::uint8_t phases;
    LinkRole role;
    Effect effect;
    std::uint16_t response_bound;
    const char* mark;
    const char* title;
    std::span<const FieldSpec> fields;

    [[nodiscard]] constexpr bool is_link_command() const noexcept { return header.starts_with("GL"); }
    [[nodiscard]] constexpr bool exists_in(Phase phase) const noexcept {
        return (phases & static_cast<std::uint8_t>(phase)) != 0;
    }
};

namespace grammar {

constexpr FieldSpec number(const char* name, std::uint32_t min = 0, std::uint32_t max = 0xFFFFFFFF) {
    return {FieldType::number, name, min, max};
}
constexpr FieldSpec number(const char* name, RangeRule rule) {
    return {FieldType::number, name, 1, 0xFFFFFFFF, rule};
}
constexpr FieldSpec printable(const char* name, std::uint32_t min, std::uint32_t max,
                              RangeRule rule = RangeRule::plain) {
    return {FieldType::printable, name, min, max, rule};
}
constexpr FieldSpec octets(const char* name, std::uint32_t min, std::uint32_t max) {
    return {FieldType::octets, name, min, max};
}
constexpr FieldSpec date_time(const char* name) {
    return {FieldType::date_time, name, 14, 14};
}
constexpr FieldSpec optional(FieldSpec field) {
    field.optional = true;
    return field;
}

inline constexpr FieldSpec kRegister = number("register", RangeRule::register_number);
inline constexpr FieldSpec kPan = printable("PAN", 18, 18, RangeRule::pan);
// TI, EA, TCT and SubClass take any number: the command judges them (40).
inline constexpr FieldSpec kTi = number("TI");
inline constexpr FieldSpec kEa = number("EA");
inline constexpr FieldSpec kTct = number("TCT");
inline constexpr FieldSpec kOptionalTct = optional(kTct);
inline constexpr FieldSpec kSubclass = number("SubClass");
inline constexpr FieldSpec kAmount = octets("amount", 2, 3);
inline constexpr FieldSpec kTid = octets("TID", 1, 3);
inline constexpr FieldSpec kToken = printable("token", 17, 20, RangeRule::token);
inline constexpr FieldSpec kRecord = printable("record", 1, 1024);
inline constexpr FieldSpec kKmcid = printable("KMCID", 1, 160);

inline constexpr std::uint8_t kNoPhase = 0;
inline constexpr std::uint8_t kManufacturing = static_cast<std::uint8_t>(Phase::manufacturing);
inline constexpr std::uint8_t kOperational = static_cast<std::uint8_t>(Phase::operational);
inline constexpr std::uint8_t kUntampered = kManufacturing | kOperational;
inline constexpr std::uint8_t kAnyPhase = kUntampered | static_cast<std::uint8_t>(Phase::tampered);

template <class... Specs>
constexpr std::array<FieldSpec, sizeof...(Specs)> fields(Specs... specs) {
    return {specs...};
}

#define STS6_COMMAND(name, letters, ins, phases, role, effect, bound, mark, title, ...) \
    inline constexpr auto k_##name##_fields = fields(__VA_ARGS__);
#include "sts6/commands.def"
#undef STS6_COMMAND

}  // namespace grammar

inline constexpr std::array kCommandTable = {
#define STS6_COMMAND(name, letters, ins, phases, role, effect, bound, mark, title, ...) \
    CommandRow{CommandId::name, letters, ins,  grammar::phases, LinkRole::role,         \
               Effect::effect,  bound,   mark, title,           grammar::k_##name##_fields},
#include "sts6/commands.def"
#undef STS6_COMMAND
};

/// The most fields that any request has.
inline constexpr std::size_t kMaxFields = [] {
    std::size_t most = 0;
    for (const CommandRow& row : kCommandTable) most = row.fields.size() > most ? row.fields.size() : most;
    return most;
}();

constexpr const CommandRow& command_row(CommandId id) noexcept {
    return kCommandTable[static_cast<std::size_t>(id)];
}

/// The row whose header the message starts with, or null.
constexpr const CommandRow* find_command(std::string_view message) noexcept {
    for (const CommandRow& row : kCommandTable) {
        if (message.starts_with(row.header)) return &row;
    }
    return nullptr;
}

}  // namespace sts6
