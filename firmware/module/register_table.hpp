// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "firmware/ports/hsm.hpp"
#include "firmware/ports/store.hpp"

namespace sts6 {

/// A vending key register as the running module holds it.
struct Register {
    enum class Health : std::uint8_t {
        unchecked,  ///< the key's check value is compared at first use
        sound,
        quarantined,  ///< key missing or not the one that was registered: status 01
    };
    RegisterRow row;
    KeyHandle key{};
    Health health = Health::unchecked;
    bool debited = false;  ///< in this batch: the counters are not stored yet
    // Audited once while the key is in force: whoever tries on and on does not fill the log.
    bool told_exhausted = false;
    bool told_issue_until = false;
};

/// Registers 1..4096, most of them empty.
class RegisterTable {
  public:
    static constexpr std::size_t kMost = 4096;

    /// Precondition: 1 <= row.number <= kMost.
    Register& set(const RegisterRow& row) noexcept {
        return places_[row.number - 1U].emplace(Register{.row = row});
    }

    void remove(std::uint16_t number) noexcept { places_[number - 1U].reset(); }
    void clear() noexcept { places_.fill(std::nullopt); }

    /// Null when the register is empty or out of range.
    [[nodiscard]] Register* find(std::uint32_t number) noexcept {
        if (number < 1 || number > kMost || !places_[number - 1]) return nullptr;
        return &*places_[number - 1];
    }

    /// The first register that passes the test, or null.
    template <class Test>
    [[nodiscard]] Register* find_if(Test test) noexcept {
        for (auto& place : places_) {
            if (place && test(*place)) return &*place;
        }
        return nullptr;
    }

  private:
    std::array<std::optional<Register>, kMost> places_{};
};

/// The keys of the load that is not finished, each in the place of its register.
class StagedTable {
  public:
    /// Precondition: 1 <= key.row.number <= RegisterTable::kMost.
    void set(const StagedKey& key) noexcept { places_[key.row.number - 1U] = key; }
    [[nodiscard]] const StagedKey* find(std::uint32_t number) const noexcept {
        return places_[number - 1U] ? &*places_[number - 1U] : nullptr;
    }
    template <class Test>
    [[nodiscard]] const StagedKey* find_if(Test test) const noexcept {
        for (const auto& place : places_) {
            if (place && test(*place)) return &*place;
        }
        return nullptr;
    }
    void clear() noexcept { places_.fill(std::nullopt); }

  private:
    std::array<std::optional<StagedKey>, RegisterTable::kMost> places_{};
};

}  // namespace sts6
