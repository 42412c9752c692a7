// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "firmware/keyload/cards.hpp"
#include "firmware/util/text_writer.hpp"
#include "firmware/util/vending_key.hpp"

namespace sts6::keyload {

/// The cards of a key record that this product knows.
struct KeyCards {
    KeyAttributes attributes;
    Kcv kcv{};
    bool has_unknown_tags = false;  ///< accepted and ignored: the scheme is extensible [C]
};

/// None when a mandatory attribute is missing or one is out of its constraints (docs/key-management.md 3.5):
/// status 94.
[[nodiscard]] std::optional<KeyCards> read_key_cards(const Cards& cards) noexcept;

/// In ascending order; CLU, SBM and SGN always, CLM and ULM where there is a limit.
void put_key_cards(TextWriter& out, const KeyAttributes& attributes, const Kcv& kcv) noexcept;

/// CLM in 0.00001 of the currency unit, floor(CLM x 10^5), exactly from the bits of the float32. None above
/// 10^13, for a negative value, negative zero, NaN or infinity.
[[nodiscard]] std::optional<std::uint64_t> currency_limit(std::uint32_t clm_bits) noexcept;

/// ULM in tenths of a unit.
[[nodiscard]] constexpr std::uint64_t unit_limit(std::uint32_t ulm_units) noexcept {
    return std::uint64_t{10} * ulm_units;
}

}  // namespace sts6::keyload
