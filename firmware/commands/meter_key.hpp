// SPDX-License-Identifier: Apache-2.0
// What SM?VC, SM?VM and SM?VT have in common: which meter key is meant.
#pragma once

#include <cstdint>
#include <optional>

#include "firmware/module/command.hpp"
#include "firmware/sts/decoder_key.hpp"
#include "firmware/sts/pan.hpp"

namespace sts6::commands {

/// A register and the meter that a request names.
struct MeterKey {
    Register* key_register = nullptr;
    sts::Pan pan;
};

/// The decoder key of `meter` under a key register, TI and EA. Precondition: they go together.
DerivationRequest decoder_key_request(const Register& key_register, const sts::Pan& pan, std::uint8_t ti,
                                      Ea ea) noexcept;

/// EA 7 or 11, when it goes with the key's algorithm (tokens.md 3.5).
std::optional<Ea> ea_for(std::uint32_t number, Dkga dkg) noexcept;

inline constexpr std::uint32_t kMostTi = 99;
inline constexpr std::uint32_t kMostTct = 99;

/// Reads PAN (76) and register (22, 01) from fields 0 and 1, in the order of docs/protocol.md.
Result<MeterKey, Status> find_meter_key(ModuleContext& context, const Fields& fields) noexcept;

/// The derivation of the meter's decoder key. 40 when TI is above 99 or EA does not go with the key
/// (docs/tokens.md 3.5).
Result<DerivationRequest, Status> derivation_for(const MeterKey& meter, std::uint32_t ti,
                                                 std::uint32_t ea) noexcept;

/// A limit that is used up (31) and an issue date that has passed (42) are audited when they first refuse.
void audit_refusal(ModuleContext& context, Register& key_register, Status refusal) noexcept;

}  // namespace sts6::commands
