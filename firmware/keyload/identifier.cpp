// SPDX-License-Identifier: Apache-2.0
#include "firmware/keyload/identifier.hpp"

#include "firmware/keyload/text.hpp"

namespace sts6::keyload {

namespace {

std::string_view take_field(std::string_view& rest) noexcept {
    const std::size_t end = rest.find(':');
    const std::string_view field = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    return field;
}

}  // namespace

Result<Identifier> parse_identifier(std::string_view text, std::string_view type) noexcept {
    const auto content = without_crc(text, ':');
    if (!content) return Unexpected{Errc::malformed};
    std::string_view rest = *content;
    if (take_field(rest) != type) return Unexpected{Errc::malformed};
    Identifier identifier{.text = text, .issuer = take_field(rest), .unique = take_field(rest)};
    const auto created = parse_date(take_field(rest));
    const std::string_view fingerprint = take_field(rest);
    if (!rest.empty() || !created || !is_ident(identifier.issuer) || !is_ident(identifier.unique) ||
        !read_upper_hex(fingerprint, identifier.fingerprint)) {
        return Unexpected{Errc::malformed};
    }
    identifier.created = *created;
    return identifier;
}

void put_identifier(TextWriter& out, std::string_view type, const Identifier& identifier) noexcept {
    std::array<char, kLongestIdentifier> buffer{};
    TextWriter text(buffer);
    text.put(type).put(":").put(identifier.issuer).put(":").put(identifier.unique).put(":");
    put_date(text, identifier.created);
    text.put(":").hex(identifier.fingerprint).put(":");
    put_crc(text);
    out.put(text.written());
}

}  // namespace sts6::keyload
