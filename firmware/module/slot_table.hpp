// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "firmware/ports/store.hpp"

namespace sts6 {

/// The KMCs that this module has keys of, or has asked for keys.
class SlotTable {
  public:
    static constexpr std::size_t kMost = 4;

    /// Precondition: 1 <= slot.number <= kMost.
    void set(const Slot& slot) noexcept { places_[slot.number - 1U] = slot; }
    void remove(std::uint8_t number) noexcept { places_[number - 1U].reset(); }
    void clear() noexcept { places_.fill(std::nullopt); }

    /// The slot of a KMC, or null.
    [[nodiscard]] Slot* find(std::string_view kmc_operator, std::string_view kmc_name) noexcept {
        return find_if([&](const Slot& slot) {
            return slot.kmc_operator.view() == kmc_operator && slot.kmc_name.view() == kmc_name;
        });
    }
    /// The one slot that is loading, or null.
    [[nodiscard]] Slot* loading() noexcept {
        return find_if([](const Slot& slot) { return slot.session.state == LoadSession::State::loading; });
    }
    /// The first slot that passes the test, or null.
    template <class Test>
    [[nodiscard]] Slot* find_if(Test test) noexcept {
        for (auto& place : places_) {
            if (place && test(*place)) return &*place;
        }
        return nullptr;
    }
    /// The number of a free slot, or none.
    [[nodiscard]] std::optional<std::uint8_t> free_number() const noexcept {
        for (std::size_t i = 0; i < kMost; ++i) {
            if (!places_[i]) return static_cast<std::uint8_t>(i + 1);
        }
        return std::nullopt;
    }
    [[nodiscard]] bool is_active(std::uint8_t number) const noexcept {
        return number >= 1 && number <= kMost && places_[number - 1U] && places_[number - 1U]->active;
    }

  private:
    std::array<std::optional<Slot>, kMost> places_{};
};

}  // namespace sts6
