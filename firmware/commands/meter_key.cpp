// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/meter_key.hpp"

namespace sts6::commands {

namespace {

constexpr std::size_t kRegisterField = 0;
constexpr std::size_t kPanField = 1;
}  // namespace

std::optional<Ea> ea_for(std::uint32_t number, Dkga dkg) noexcept {
    if (number == static_cast<std::uint32_t>(Ea::sta)) return Ea::sta;
    if (number == static_cast<std::uint32_t>(Ea::misty1) && dkg == Dkga::dkga04) return Ea::misty1;
    return std::nullopt;
}

DerivationRequest decoder_key_request(const Register& key_register, const sts::Pan& pan, std::uint8_t ti,
                                      Ea ea) noexcept {
    const KeyAttributes& key = key_register.row.attributes;
    const sts::DecoderKeyParameters parameters{.kt = key.ktc,
                                               .sgc = key.sgc,
                                               .ti = ti,
                                               .krn = key.krn,
                                               .pan = pan,
                                               .ea = ea,
                                               .base_date = key.base_date};
    DerivationRequest request{
        .key = key_register.key, .dkga = key.dkg, .ea = ea, .data = {}, .wrapped_key = {}};
    if (key.dkg == Dkga::dkga04) {
        sts::dkga04_data(parameters, request.data);
    } else {
        sts::dkga02_data(parameters, std::span(request.data).first<sts::kDkga02DataOctets>());
        // The store has one for every such row; a block of nothing opens to no key.
        request.wrapped_key = key_register.row.wrapped_key.value_or(WrappedKey{});
    }
    return request;
}

Result<MeterKey, Status> find_meter_key(ModuleContext& context, const Fields& fields) noexcept {
    const auto pan = sts::Pan::parse(fields.text(kPanField));
    if (!pan) return Unexpected{Status::invalid_pan_error};
    const auto found = context.usable_register(fields.number(kRegisterField));
    if (!found) return Unexpected{found.error()};
    return MeterKey{*found, *pan};
}

Result<DerivationRequest, Status> derivation_for(const MeterKey& meter, std::uint32_t ti,
                                                 std::uint32_t ea) noexcept {
    const auto algorithm = ea_for(ea, meter.key_register->row.attributes.dkg);
    if (!algorithm || ti > kMostTi) return Unexpected{Status::key_param_error};
    return decoder_key_request(*meter.key_register, meter.pan, static_cast<std::uint8_t>(ti), *algorithm);
}

void audit_refusal(ModuleContext& context, Register& key_register, Status refusal) noexcept {
    const auto once = [&](bool& told, AuditEvent event) {
        if (told) return;
        told = true;
        context.audit.add(event, [&](TextWriter& text) { put_register(text, key_register); });
    };
    if (refusal == Status::insufficient_credit_balance) {
        once(key_register.told_exhausted, AuditEvent::limit_exhausted);
    } else if (refusal == Status::key_issue_expired_error &&
               context.now.time > key_register.row.attributes.issue_until) {
        once(key_register.told_issue_until, AuditEvent::issue_until_passed);
    }
}

}  // namespace sts6::commands
