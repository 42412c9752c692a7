// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/key_change.hpp"

#include <algorithm>

#include "firmware/commands/meter_key.hpp"
#include "firmware/sts/key_change.hpp"
#include "firmware/sts/token.hpp"

namespace sts6::commands {

namespace {

constexpr std::size_t kOldRegisterField = 0;
constexpr std::size_t kNewRegisterField = 1;
constexpr std::size_t kPanField = 2;
constexpr std::size_t kOldTiField = 3;
constexpr std::size_t kEaField = 4;
constexpr std::size_t kTctField = 5;
constexpr std::size_t kNewTiField = 6;
constexpr std::size_t kTokensField = 7;

/// The order of the checks is that of docs/protocol.md.
std::optional<Status> prepare(ModuleContext& context, Command& command) noexcept {
    const Fields& fields = command.fields;
    const auto pan = sts::Pan::parse(fields.text(kPanField));
    if (!pan) return Status::invalid_pan_error;
    const std::uint32_t old_number = fields.number(kOldRegisterField);
    const std::uint32_t new_number = fields.number(kNewRegisterField);
    if (context.registers.find(old_number) == nullptr || context.registers.find(new_number) == nullptr) {
        return Status::register_empty;
    }
    const auto old_register = context.usable_register(old_number);
    if (!old_register) return old_register.error();
    const auto new_register = context.usable_register(new_number);
    if (!new_register) return new_register.error();
    if (context.clock_behind) return Status::device_failure;

    const KeyAttributes& old_key = (*old_register)->row.attributes;
    const KeyAttributes& new_key = (*new_register)->row.attributes;
    const std::uint32_t old_ti = fields.number(kOldTiField);
    const std::uint32_t new_ti = fields.number(kNewTiField);
    // A change between EA07 and EA11 has no set: both keys take the same EA.
    const auto ea = ea_for(fields.number(kEaField), old_key.dkg);
    if (!ea || !ea_for(fields.number(kEaField), new_key.dkg) || old_ti > kMostTi || new_ti > kMostTi ||
        fields.number(kTctField) > kMostTct) {
        return Status::key_param_error;
    }
    if (!sts::is_key_change_set(*ea, fields.number(kTokensField))) return Status::invalid_num_tokens;
    if (const auto refusal =
            policy::check_key_change(policy::kRules.key_change, {(*old_register)->row.slot, old_key},
                                     {(*new_register)->row.slot, new_key}, context.now)) {
        audit_refusal(context, **old_register, *refusal);
        audit_refusal(context, **new_register, *refusal);
        return refusal;
    }
    command.key_register = *old_register;
    command.ea = *ea;
    command.set_size = fields.number(kTokensField);
    command.new_key = {.kt = new_key.ktc,
                       .ken = new_key.ken,
                       .krn = new_key.krn,
                       .ti = static_cast<std::uint8_t>(new_ti),
                       .sgc = new_key.sgc,
                       .rollover = new_key.base_date != old_key.base_date};
    command.derive(decoder_key_request(**old_register, *pan, static_cast<std::uint8_t>(old_ti), *ea));
    command.derive(decoder_key_request(**new_register, *pan, static_cast<std::uint8_t>(new_ti), *ea));
    return std::nullopt;
}

}  // namespace

void check_key_change(ModuleContext& context, Command& command) noexcept {
    if (const auto refusal = prepare(context, command)) {
        command.refuse(*refusal);
        return;
    }
    ++context.state.tokens_issued;
}

void build_key_change(ModuleContext& context, Command& command,
                      std::span<const DerivationResult> keys) noexcept {
    const sts::KeyChangeSet set(command.new_key, keys[1].key.octets(), command.ea, command.set_size);
    std::array<char, sts::KeyChangeSet::kMost * sts::TokenNumber::kHexDigits> hex{};
    std::array<char, sts::KeyChangeSet::kMost * sts::TokenNumber::kDecimalDigits> decimal{};
    auto hex_end = hex.begin();
    auto decimal_end = decimal.begin();
    for (const sts::ClearToken& clear : set.tokens()) {
        const sts::TokenNumber token =
            sts::seal_token(clear, command.ea, keys[0].key.octets(), context.settings.sta_tables);
        hex_end = std::ranges::copy(token.hex(), hex_end).out;
        decimal_end = std::ranges::copy(token.decimal(), decimal_end).out;
    }
    context.audit.add(AuditEvent::key_change_vended, [&command](TextWriter& text) {
        const Fields& fields = command.fields;
        put_register(text, *command.key_register);
        text.put("NEW").number(fields.number(kNewRegisterField)).put(";PAN").put(fields.text(kPanField));
        text.put(";SET").number(command.set_size).put(";");
    });
    command.succeed(command.body()
                        .number(command.new_key.rollover ? 1 : 0)
                        .number(command.set_size)
                        .printable({hex.begin(), hex_end})
                        .printable({decimal.begin(), decimal_end}));
}

void undo_key_change(ModuleContext& context, Command&) noexcept {
    --context.state.tokens_issued;
}

}  // namespace sts6::commands
