// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/verify.hpp"

#include "firmware/commands/meter_key.hpp"
#include "firmware/sts/token.hpp"

namespace sts6::commands {

namespace {

constexpr std::size_t kTiField = 2;
constexpr std::size_t kEaField = 3;
constexpr std::size_t kTctField = 4;
constexpr std::size_t kTokenField = 5;

std::uint32_t result_code(Status result) noexcept {
    const auto value = static_cast<std::uint32_t>(result);
    return (value >> 4U) * 10 + (value & 0xFU);
}

/// 80 before 42 before 41 (docs/protocol.md).
Status judge(const ModuleContext& context, const KeyAttributes& key, const sts::TokenFields& token) noexcept {
    if (token.token_class == sts::kClassMeterTest) return Status::successful;
    if (token.token_class == sts::kClassCredit && policy::never_credits(policy::kRules, key.ktc)) {
        return Status::ddtk_credit_error;
    }
    const policy::TokenRequest request{.subclass = token.subclass, .tid = token.tid};
    const auto& rules = policy::kRules;
    const auto& checks = token.has_tid() ? rules.verification : rules.verification_without_tid;
    return policy::check_token(rules, checks, key, request, context.now).value_or(Status::successful);
}

void answer_damaged(Command& command) noexcept {
    command.succeed(command.body().number(result_code(Status::token_crc_error)));
}

void answer_token(const ModuleContext& context, Command& command, const sts::TokenFields& token) noexcept {
    // Amount and TID are zero where the layout has none: class 1, and key change tokens, whose body is key
    // material.
    const std::size_t amount_octets = token.is_currency() ? 3 : 2;
    const Status result = judge(context, command.key_register->row.attributes, token);
    command.succeed(command.body()
                        .number(result_code(result))
                        .number(token.token_class)
                        .number(token.subclass)
                        .octets_be(token.amount, amount_octets)
                        .octets_be(token.tid, 3));
}

bool verification_allowed(ModuleContext& context) noexcept {
    return context.settings.lab || context.verify_limit.allows(context.now.time);
}

std::optional<Status> prepare(ModuleContext& context, Command& command) noexcept {
    const Fields& fields = command.fields;
    const auto meter = find_meter_key(context, fields);
    if (!meter) return meter.error();
    const auto derivation = derivation_for(*meter, fields.number(kTiField), fields.number(kEaField));
    if (!derivation) return derivation.error();
    if (fields.present(kTctField) && fields.number(kTctField) > kMostTct) return Status::key_param_error;
    // The grammar has checked the token.
    const auto token = sts::TokenNumber::parse(fields.text(kTokenField));
    if (!token) return Status::ptvd_range;

    command.key_register = meter->key_register;
    command.ea = derivation->ea;
    command.received = *token;
    if (token->token_class() != sts::kClassMeterTest) command.derive(*derivation);
    return std::nullopt;
}

}  // namespace

void check_verify(ModuleContext& context, Command& command) noexcept {
    if (const auto refusal = prepare(context, command)) {
        command.refuse(*refusal);
        return;
    }
    if (command.derivation_count == 0) {
        const auto token = sts::open_unencrypted(command.received);
        token ? answer_token(context, command, *token) : answer_damaged(command);
        return;
    }
    if (!verification_allowed(context)) command.refuse(Status::device_failure);
}

void build_verify(ModuleContext& context, Command& command, std::span<const DerivationResult> keys) noexcept {
    // Again, since commands before this one in the batch may have used the allowance up: a good token tells
    // as much then as a bad one.
    if (!verification_allowed(context)) {
        command.refuse(Status::device_failure);
        return;
    }
    const auto token =
        sts::open_token(command.received, command.ea, keys[0].key.octets(), context.settings.sta_tables);
    if (token) {
        answer_token(context, command, *token);
        return;
    }
    if (!context.settings.lab && context.verify_limit.spend(context.now.time))
        context.audit.add(AuditEvent::failed_verifications, [](TextWriter&) {});
    answer_damaged(command);
}

void undo_verify(ModuleContext&, Command&) noexcept {
    // A verification reserves nothing.
}

}  // namespace sts6::commands
