// SPDX-License-Identifier: Apache-2.0
#include "firmware/keyload/cards.hpp"

#include <algorithm>

namespace sts6::keyload {

namespace {

constexpr std::size_t kTagLength = 3;

bool is_tag(std::string_view tag) noexcept {
    return tag.size() == kTagLength && std::ranges::all_of(tag, [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool is_value(std::string_view value) noexcept {
    return std::ranges::all_of(value, [](char c) { return c >= ' ' && c <= '}' && c != '|' && c != '#'; });
}

}  // namespace

Result<Cards> Cards::parse(std::string_view text) noexcept {
    Cards cards(text);
    if (!text.empty() && text.back() != ';') return Unexpected{Errc::malformed};
    while (const auto card = cards.take()) {
        if (!is_tag(card->tag) || !is_value(card->value) || cards.find(card->tag))
            return Unexpected{Errc::malformed};
    }
    return Cards(text);
}

std::optional<std::string_view> Cards::find(std::string_view tag) const noexcept {
    Cards cards = *this;
    while (const auto card = cards.take()) {
        if (card->tag == tag) return card->value;
    }
    return std::nullopt;
}

std::optional<Card> Cards::take() noexcept {
    if (rest_.empty()) return std::nullopt;
    const std::string_view card = rest_.substr(0, rest_.find(';'));
    rest_.remove_prefix(std::min(card.size() + 1, rest_.size()));
    return Card{card.substr(0, kTagLength), card.substr(std::min(kTagLength, card.size()))};
}

}  // namespace sts6::keyload
