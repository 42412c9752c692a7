// SPDX-License-Identifier: Apache-2.0
// A KMC as JSON, `sts6.kmc-state/1` (docs/kmc.md).
#pragma once

#include <string>
#include <string_view>

#include "tools/kmc/kmc.hpp"

namespace sts6::kmc {

/// The text of a state, wiped when it goes: it holds keys in clear.
class StateText {
  public:
    explicit StateText(std::string text) noexcept : text_(std::move(text)) {}
    StateText(const StateText&) = delete;
    StateText& operator=(const StateText&) = delete;
    ~StateText() { wipe(text_.data(), text_.size()); }

    [[nodiscard]] std::string_view view() const noexcept { return text_; }

  private:
    std::string text_;
};

[[nodiscard]] StateText to_state_text(const Kmc& kmc);
/// kExitIntegrity for what no to_state_text() has made.
[[nodiscard]] Kmc from_state_text(std::string_view text);

}  // namespace sts6::kmc
