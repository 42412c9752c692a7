// SPDX-License-Identifier: Apache-2.0
// The seam to durable state.
#pragma once

#include <cstdint>
#include <optional>

#include "firmware/ports/hsm.hpp"
#include "firmware/util/vending_key.hpp"
#include "sts6/civil_time.hpp"
#include "sts6/commands.hpp"
#include "sts6/result.hpp"

namespace sts6 {

/// A vending key register that holds a key.
struct RegisterRow {
    std::uint16_t number = 0;  ///< 1..4096
    KeyId key{};
    std::optional<WrappedKey> wrapped_key;  ///< of a DKG 02 key, and of no other
    Kcv kcv{};
    KeyAttributes attributes;
};

/// What a module was set up as; it never changes afterwards. Lab: fixed RND, no TID window, test keys.
enum class Profile : std::uint8_t { production = 1, demo = 2, lab = 3 };

/// The module's own row: what every commit writes.
struct ModuleState {
    Profile profile = Profile::production;
    Phase phase = Phase::manufacturing;
    FixedText<40> module_id;
    FixedText<40> hardware_id;
    std::uint64_t tokens_issued = 0;  ///< VC, VM and VK sets since initialisation
    CivilTime time_mark{};            ///< highest module time that was committed
};

class Store {
  public:
    Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    virtual ~Store() = default;

    [[nodiscard]] virtual Result<ModuleState> load_state() = 0;

    /// The register with the lowest number above `after`, or none: called from 0 on, it reads all of them.
    [[nodiscard]] virtual Result<std::optional<RegisterRow>> load_next_register(std::uint16_t after) = 0;

    /// Makes the state durable in one transaction, before it returns. A failure is final: the caller latches
    /// its error state and does not try again.
    [[nodiscard]] virtual Result<void> commit(const ModuleState& state) = 0;
};

}  // namespace sts6
