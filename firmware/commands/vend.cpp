// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/vend.hpp"

#include <limits>

#include "firmware/commands/meter_key.hpp"
#include "firmware/sts/amount.hpp"
#include "firmware/sts/token.hpp"

namespace sts6::commands {

namespace {

// The fields of SM?VC and SM?VM after the register.
constexpr std::size_t kPanField = 1;
constexpr std::size_t kTiField = 2;
constexpr std::size_t kEaField = 3;
constexpr std::size_t kTctField = 4;
constexpr std::size_t kSubclassField = 5;
constexpr std::size_t kAmountField = 6;
constexpr std::size_t kTidField = 7;

constexpr std::uint32_t kCurrencyAmountLimit = 1U << 20U;

bool is_credit_subclass(std::uint32_t subclass) noexcept {
    return sts::has_tid_layout(sts::kClassCredit, subclass);
}

bool is_management_subclass(std::uint32_t subclass) noexcept {
    return sts::has_tid_layout(sts::kClassManagement, subclass);
}

/// The amount field, or none when its length does not fit the SubClass: two octets, for currency three with
/// the top four bits 0.
std::optional<std::uint32_t> amount_of(const Fields& fields, bool currency) noexcept {
    const auto value = static_cast<std::uint32_t>(fields.octets_be(kAmountField));
    if (fields.octet_count(kAmountField) != (currency ? 3U : 2U)) return std::nullopt;
    if (currency && value >= kCurrencyAmountLimit) return std::nullopt;
    return value;
}

struct TokenKind {
    unsigned token_class;
    bool (*subclass_exists)(std::uint32_t) noexcept;
    const policy::Checks& checks;
};

constexpr TokenKind kCredit{sts::kClassCredit, is_credit_subclass, policy::kRules.credit};
constexpr TokenKind kManagement{sts::kClassManagement, is_management_subclass, policy::kRules.management};

policy::Amount credit_amount(bool currency, std::uint32_t field) noexcept {
    if (!currency)
        return {.negative = false, .magnitude = sts::decode_units(static_cast<std::uint16_t>(field))};
    const sts::Currency value = sts::decode_currency(field);
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    return {.negative = value.negative,
            .magnitude = value.magnitude > kMost ? kMost : static_cast<std::uint64_t>(value.magnitude)};
}

/// The order of the checks is that of docs/protocol.md.
std::optional<Status> prepare(ModuleContext& context, Command& command, const TokenKind& kind) noexcept {
    const Fields& fields = command.fields;
    const auto meter = find_meter_key(context, fields);
    if (!meter) return meter.error();
    command.key_register = meter->key_register;
    if (context.clock_behind) return Status::device_failure;

    const std::uint32_t subclass = fields.number(kSubclassField);
    const auto derivation = derivation_for(*meter, fields.number(kTiField), fields.number(kEaField));
    if (!derivation) return derivation.error();
    if (fields.number(kTctField) > kMostTct || !kind.subclass_exists(subclass))
        return Status::key_param_error;
    const bool currency = sts::is_currency_credit(kind.token_class, subclass);
    const auto amount = amount_of(fields, currency);
    if (!amount) return Status::ptvd_range;

    const auto tid = static_cast<std::uint32_t>(fields.octets_be(kTidField));
    const policy::TokenRequest request{.subclass = subclass, .tct = fields.number(kTctField), .tid = tid};
    if (const auto refusal = policy::check_token(policy::kRules, kind.checks,
                                                 meter->key_register->row.attributes, request, context.now)) {
        return refusal;
    }
    if (kind.token_class == sts::kClassCredit) {
        const RegisterRow& row = meter->key_register->row;
        const auto debit =
            policy::debit_for(policy::kRules, {.units = row.units_left, .currency = row.currency_left},
                              subclass, credit_amount(currency, *amount));
        if (!debit) return debit.error();
        command.debit = *debit;
    }
    const auto rnd = context.random.token_nibble();
    if (!rnd) return Status::device_failure;

    command.clear = kind.token_class == sts::kClassCredit
                        ? sts::credit_token(subclass, *rnd, tid, *amount)
                        : sts::management_token(subclass, *rnd, tid, *amount);
    command.ea = derivation->ea;
    command.derive(*derivation);
    return std::nullopt;
}

void debit(Register& key_register, const policy::Debit& debit) noexcept {
    // Only a counter that exists is debited.
    if (debit.units != 0) *key_register.row.units_left -= debit.units;
    if (debit.currency != 0) *key_register.row.currency_left -= debit.currency;
    key_register.debited = key_register.debited || debit.units != 0 || debit.currency != 0;
}

void check(ModuleContext& context, Command& command, const TokenKind& kind) noexcept {
    if (const auto refusal = prepare(context, command, kind)) {
        if (command.key_register != nullptr) audit_refusal(context, *command.key_register, *refusal);
        command.refuse(*refusal);
        return;
    }
    debit(*command.key_register, command.debit);
    ++context.state.tokens_issued;
}

void audit_token(ModuleContext& context, const Command& command) noexcept {
    const auto event = command.clear.token_class == sts::kClassCredit ? AuditEvent::credit_vended
                                                                      : AuditEvent::management_vended;
    context.audit.add(event, [&command](TextWriter& text) {
        const Fields& fields = command.fields;
        put_register(text, *command.key_register);
        text.put("PAN").put(fields.text(kPanField));
        text.put(";SCL").number(fields.number(kSubclassField));
        text.put(";AMT").put(fields.text(kAmountField)).put(";TID").put(fields.text(kTidField)).put(";");
        if (command.debit.units != 0) text.put("DUL").number(command.debit.units).put(";");
        if (command.debit.currency != 0) text.put("DCL").number(command.debit.currency).put(";");
    });
}

}  // namespace

void check_credit(ModuleContext& context, Command& command) noexcept {
    check(context, command, kCredit);
}

void check_management(ModuleContext& context, Command& command) noexcept {
    check(context, command, kManagement);
}

void build_token(ModuleContext& context, Command& command, std::span<const DerivationResult> keys) noexcept {
    const sts::TokenNumber token =
        sts::seal_token(command.clear, command.ea, keys[0].key.octets(), context.settings.sta_tables);
    audit_token(context, command);
    const auto hex = token.hex();
    const auto digits = token.decimal();
    command.succeed(
        command.body().printable({hex.data(), hex.size()}).printable({digits.data(), digits.size()}));
}

void undo_token(ModuleContext& context, Command& command) noexcept {
    if (command.debit.units != 0) *command.key_register->row.units_left += command.debit.units;
    if (command.debit.currency != 0) *command.key_register->row.currency_left += command.debit.currency;
    --context.state.tokens_issued;
}

}  // namespace sts6::commands
