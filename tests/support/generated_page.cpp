// SPDX-License-Identifier: Apache-2.0
#include "tests/support/generated_page.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "tests/support/programs.hpp"

namespace sts6::test {

namespace {

constexpr std::string_view kEndMarker = "<!-- end of generated -->\n";

std::string start_marker(std::string_view name) {
    return "<!-- generated: " + std::string(name) + " -->\n";
}

}  // namespace

GeneratedPage::GeneratedPage(std::string_view name, std::span<const GeneratedBlock> blocks)
    : path_(std::filesystem::path(STS6_SOURCE_DIR) / "docs" / name),
      blocks_(blocks),
      text_(file_text(path_)) {
}

std::string GeneratedPage::problem() {
    for (const auto& found : {difference(), odd_markers(), blind_spot()}) {
        if (!found.empty()) return path_.string() + ": " + found;
    }
    return {};
}

std::string GeneratedPage::regenerated(std::string text) const {
    for (const GeneratedBlock& block : blocks_) {
        const std::string marker = start_marker(block.name);
        const std::size_t start = text.find(marker);
        const std::size_t from = start + marker.size();
        const std::size_t to = start == std::string::npos ? start : text.find(kEndMarker, from);
        if (to == std::string::npos) throw std::runtime_error(path_.string() + " lacks " + marker);
        text.replace(from, to - from, block.render());
    }
    return text;
}

std::string GeneratedPage::difference() {
    std::string expected = regenerated(text_);
    if (text_ == expected) return {};
    const char* const update = std::getenv("STS6_UPDATE_DOCS");  // NOLINT(concurrency-mt-unsafe): one thread
    if (update != nullptr && std::string_view(update) == "1") {
        write_text(path_, expected);
        text_ = std::move(expected);
        std::cerr << path_.string() << " was rewritten\n";
        return {};
    }
    const auto have = lines_of(text_);
    const auto want = lines_of(expected);
    const auto [is, should] = std::mismatch(have.begin(), have.end(), want.begin(), want.end());
    return "line " + std::to_string(is - have.begin() + 1) + " is\n" + (is == have.end() ? "missing" : *is) +
           "\nand should be\n" + (should == want.end() ? "gone" : *should) + "\n(STS6_UPDATE_DOCS=1)";
}

/// Every part stands there once, and no other.
std::string GeneratedPage::odd_markers() const {
    for (const GeneratedBlock& block : blocks_) {
        if (count_of(text_, start_marker(block.name)) != 1) return "not once: " + std::string(block.name);
    }
    const bool all_known = count_of(text_, "<!-- generated: ") == blocks_.size() &&
                           count_of(text_, kEndMarker) == blocks_.size();
    return all_known ? "" : "a marker of no part";
}

/// A stale line in any part is noticed.
std::string GeneratedPage::blind_spot() const {
    for (const GeneratedBlock& block : blocks_) {
        const std::string marker = start_marker(block.name);
        std::string stale = text_;
        stale.insert(stale.find(marker) + marker.size(), "| stale |\n");
        if (regenerated(stale) != text_) return "a stale line is not noticed: " + std::string(block.name);
    }
    return {};
}

std::size_t count_of(std::string_view text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

}  // namespace sts6::test
