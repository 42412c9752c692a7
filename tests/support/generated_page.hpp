// SPDX-License-Identifier: Apache-2.0
// Pages of docs/ with parts that are rendered from the program's own tables. STS6_UPDATE_DOCS=1 rewrites
// them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sts6::test {

/// Stands between "<!-- generated: NAME -->" and "<!-- end of generated -->".
struct GeneratedBlock {
    std::string_view name;
    std::string (*render)();
};

/// Functions throw std::runtime_error when a marker is missing.
class GeneratedPage {
  public:
    /// A page of docs/.
    GeneratedPage(std::string_view name, std::span<const GeneratedBlock> blocks);

    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    /// What is wrong with the page, in words: a part that is not as it would be rendered (which is rewritten
    /// when that is asked for), a part that stands there twice, a check that would not notice. Empty when
    /// nothing is.
    [[nodiscard]] std::string problem();

  private:
    [[nodiscard]] std::string regenerated(std::string text) const;
    [[nodiscard]] std::string difference();
    [[nodiscard]] std::string odd_markers() const;
    [[nodiscard]] std::string blind_spot() const;

    std::filesystem::path path_;
    std::span<const GeneratedBlock> blocks_;
    std::string text_;
};

[[nodiscard]] std::size_t count_of(std::string_view text, std::string_view part);
[[nodiscard]] std::vector<std::string> lines_of(const std::string& text);

}  // namespace sts6::test
