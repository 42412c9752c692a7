// SPDX-License-Identifier: Apache-2.0
#include "firmware/keyload/profile1.hpp"

#include "firmware/keyload/text.hpp"

namespace sts6::keyload::profile1 {

namespace {

constexpr std::uint32_t kDerivedBits = 384;
constexpr std::string_view kConfirmationMessage = "KC_1_V";

static_assert(kLongestRecord == 1024);

template <class Octets>
void put_lv(ByteWriter& out, const Octets& octets) noexcept {
    out.put_be(octets.size(), 4);
    out.put(octets);
}

}  // namespace

void put_other_info(ByteWriter& out, const Parties& parties) noexcept {
    put_lv(out, kAlgorithmId);
    put_lv(out, parties.smid);
    put_lv(out, parties.sm_static);
    put_lv(out, parties.sm_ephemeral);
    put_lv(out, parties.kmcid);
    put_lv(out, parties.kmc_static);
    out.put_be(kDerivedBits, 4);
}

void put_mac_data(ByteWriter& out, const Parties& parties, std::string_view body) noexcept {
    out.put(kConfirmationMessage);
    put_lv(out, parties.kmcid);
    put_lv(out, parties.smid);
    put_lv(out, std::string_view());
    put_lv(out, parties.sm_ephemeral);
    put_lv(out, body);
}

void put_associated_data(ByteWriter& out, const MacTag& mac_tag, std::string_view body) noexcept {
    out.put(mac_tag);
    out.put(body);
}

}  // namespace sts6::keyload::profile1
