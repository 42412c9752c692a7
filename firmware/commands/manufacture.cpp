// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/manufacture.hpp"

#include <algorithm>
#include <array>

#include "firmware/keyload/records.hpp"
#include "firmware/keyload/text.hpp"

namespace sts6::commands {

namespace {

constexpr std::size_t kManufacturerField = 0;
constexpr std::size_t kModuleIdField = 1;
constexpr std::size_t kHardwareIdField = 2;
constexpr std::size_t kInstructionKeyField = 4;

std::optional<Status> prepare(ModuleContext& context, const Fields& fields) noexcept {
    if (!context.state.smid.empty()) return Status::invalid_instruction;
    for (const std::size_t field : {kManufacturerField, kModuleIdField, kHardwareIdField}) {
        if (!keyload::is_ident(fields.text(field))) return Status::invalid_instruction;
    }
    EcPoint& instruction_key = context.state.instruction_key;
    if (!read_hex(fields.text(kInstructionKeyField), instruction_key) ||
        !context.hsm.is_valid_point(instruction_key)) {
        return Status::invalid_instruction;
    }
    const std::string_view module_id = fields.text(kModuleIdField);
    if (context.state.module_id.view() != module_id) {
        const auto adopted = context.hsm.adopt(module_id);
        if (!adopted) {
            return adopted.error() == Errc::already_exists ? Status::invalid_instruction
                                                           : Status::device_failure;
        }
        // The grammar has checked the lengths.
        static_cast<void>(context.state.module_id.assign(module_id));
        // Whose the pair is that comes next is durable before there is one: after a stop in between, the
        // next start finds it and destroys it.
        context.put(context.store.commit(context.state, {}));
    }
    static_cast<void>(context.state.hardware_id.assign(fields.text(kHardwareIdField)));
    return context.store_error ? std::optional(Status::device_failure) : std::nullopt;
}

}  // namespace

void initialise(ModuleContext& context, Command& command) noexcept {
    const EcPoint before = context.state.instruction_key;
    if (const auto refusal = prepare(context, command.fields)) {
        context.state.instruction_key = before;
        command.refuse(*refusal);
        return;
    }
    const auto key = context.hsm.generate_ec_key(EcKeyUse::agreement);
    const auto digest = key ? context.hsm.sha384(key->point) : Result<Sha384>{Unexpected{key.error()}};
    if (!digest) {
        if (key) context.doomed.add(key->id);
        command.refuse(Status::device_failure);
        return;
    }
    keyload::Identifier smid{.text = {},
                             .issuer = command.fields.text(kManufacturerField),
                             .unique = context.state.module_id.view(),
                             .created = context.now.time};
    std::copy_n(digest->begin(), smid.fingerprint.size(), smid.fingerprint.begin());
    std::array<char, keyload::kLongestIdentifier> smid_buffer{};
    TextWriter smid_text(smid_buffer);
    keyload::put_identifier(smid_text, keyload::kSmidType, smid);

    context.state.agreement_key = *key;
    static_cast<void>(context.state.smid.assign(smid_text.written()));
    context.state.smid_firmware = context.settings.firmware_id;
    context.audit.add(AuditEvent::initialised, [&](TextWriter& text) { text.put(smid_text.written()); });
    std::array<char, keyload::kLongestRecord> record{};
    TextWriter record_text(record);
    keyload::put_sm_key(record_text, {.smid = {.text = smid_text.written()},
                                      .firmware_id = context.settings.firmware_id.view(),
                                      .hardware_id = context.state.hardware_id.view(),
                                      .key = key->point});
    command.succeed(command.body().printable(record_text.written()));
}

void finish_manufacturing(ModuleContext& context, Command& command) noexcept {
    if (context.state.smid.empty()) {
        command.refuse(Status::invalid_instruction);
        return;
    }
    context.state.phase = Phase::operational;
    context.audit.add(AuditEvent::manufactured,
                      [&](TextWriter& text) { text.put(context.state.smid.view()); });
    command.succeed(command.body());
}

}  // namespace sts6::commands
