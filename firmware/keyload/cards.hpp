// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "sts6/result.hpp"

namespace sts6::keyload {

/// One attribute: a tag of three upper-case letters and its value.
struct Card {
    std::string_view tag;
    std::string_view value;
};

/// The attributes of a record, "ACT20160425T114321Z;BDT19930101T000000Z;...": every card ends in ';'
/// (docs/key-management.md 3.1). Any order is read, ascending tags are written.
class Cards {
  public:
    /// malformed: a card without ';' or tag, a character that no value may have, a tag that comes twice.
    [[nodiscard]] static Result<Cards> parse(std::string_view text) noexcept;

    /// The value of a tag.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view tag) const noexcept;

    /// Takes the first card off; none at the end. For a walk over all of them, on a copy.
    [[nodiscard]] std::optional<Card> take() noexcept;

  private:
    explicit Cards(std::string_view text) noexcept : rest_(text) {}

    std::string_view rest_;
};

}  // namespace sts6::keyload
