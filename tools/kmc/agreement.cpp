// SPDX-License-Identifier: Apache-2.0
#include "tools/kmc/agreement.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "tools/kmc/text.hpp"

namespace sts6::kmc {

namespace profile = keyload::profile1;

namespace {

Octets whole(const ByteWriter& out) {
    if (out.overflow()) throw std::length_error("an identifier is longer than an identifier may be");
    return out.written();
}

}  // namespace

SessionKeys derive_keys(const Secret<kScalarOctets>& ze, const Secret<kScalarOctets>& zs,
                        const profile::Parties& parties) {
    Secret<4 + 2 * kScalarOctets + profile::kMostOtherInfo> input;
    ByteWriter out(input.octets());
    out.put_be(1, 4);  // the counter of the first and only round
    out.put(ze.octets());
    out.put(zs.octets());
    profile::put_other_info(out, parties);
    Sha384Digest derived = sha384(whole(out));
    SessionKeys keys;
    std::copy_n(derived.begin(), profile::kMacKeyOctets, keys.mac_key.octets().begin());
    std::copy_n(derived.begin() + profile::kMacKeyOctets, profile::kKekOctets, keys.kek.octets().begin());
    wipe(derived.data(), derived.size());
    return keys;
}

keyload::MacTag confirmation(const SessionKeys& keys, const profile::Parties& parties,
                             std::string_view body) {
    std::array<std::uint8_t, profile::kMostMacData> buffer{};
    ByteWriter out(buffer);
    profile::put_mac_data(out, parties, body);
    const Sha384Digest mac = hmac_sha384(keys.mac_key.octets(), whole(out));
    keyload::MacTag tag{};
    std::copy_n(mac.begin(), tag.size(), tag.begin());
    return tag;
}

std::string key_record(const SessionKeys& keys, const keyload::MacTag& mac_tag, const keyload::Nonce& nonce,
                       std::string_view cards, Octets value) {
    const std::string body = written([&](TextWriter& out) { keyload::put_key_body(out, nonce, cards); });
    std::array<std::uint8_t, profile::kMostAssociatedData> buffer{};
    ByteWriter associated(buffer);
    profile::put_associated_data(associated, mac_tag, body);
    std::array<std::uint8_t, keyload::kMostSealedOctets> room{};
    const auto sealed = std::span(room).first(value.size() + keyload::kCcmTagOctets);
    seal_ccm(keys.kek.octets(), nonce, whole(associated), value, sealed);
    return written([&](TextWriter& out) { keyload::put_key(out, body, sealed); });
}

}  // namespace sts6::kmc
