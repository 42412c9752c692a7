// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/meter_key.hpp"

namespace sts6::commands {

namespace {

constexpr std::size_t kRegisterField = 0;
constexpr std::size_t kPanField = 1;
constexpr std::uint32_t kMostTi = 99;

std::optional<Ea> ea_of(std::uint32_t number, Dkga dkg) noexcept {
    if (number == static_cast<std::uint32_t>(Ea::sta)) return Ea::sta;
    if (number == static_cast<std::uint32_t>(Ea::misty1) && dkg == Dkga::dkga04) return Ea::misty1;
    return std::nullopt;
}

}  // namespace

Result<MeterKey, Status> find_meter_key(ModuleContext& context, const Fields& fields) noexcept {
    const auto pan = sts::Pan::parse(fields.text(kPanField));
    if (!pan) return Unexpected{Status::invalid_pan_error};
    const auto found = context.usable_register(fields.number(kRegisterField));
    if (!found) return Unexpected{found.error()};
    return MeterKey{*found, *pan};
}

Result<DerivationRequest, Status> derivation_for(const MeterKey& meter, std::uint32_t ti,
                                                 std::uint32_t ea) noexcept {
    const KeyAttributes& key = meter.key_register->row.attributes;
    const auto algorithm = ea_of(ea, key.dkg);
    if (!algorithm || ti > kMostTi) return Unexpected{Status::key_param_error};
    const sts::DecoderKeyParameters parameters{.kt = key.ktc,
                                               .sgc = key.sgc,
                                               .ti = static_cast<std::uint8_t>(ti),
                                               .krn = key.krn,
                                               .pan = meter.pan,
                                               .ea = *algorithm,
                                               .base_date = key.base_date};
    DerivationRequest request{.key = meter.key_register->key, .dkga = key.dkg, .ea = *algorithm, .data = {}};
    if (key.dkg == Dkga::dkga04) {
        sts::dkga04_data(parameters, request.data);
    } else {
        sts::dkga02_data(parameters, std::span(request.data).first<sts::kDkga02DataOctets>());
    }
    return request;
}

}  // namespace sts6::commands
