// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/ccm.hpp"

#include "firmware/util/bytes.hpp"

namespace sts6::p11::ccm {
namespace {

constexpr std::size_t kLengthOctets = 15 - kNonce;
constexpr std::uint8_t kCounterFlags = kLengthOctets - 1;
constexpr std::uint8_t kMacFlags = 8 * ((kTag - 2) / 2) + kCounterFlags;
constexpr std::uint8_t kHasAssociatedData = 0x40;

/// The block that carries the nonce: a counter, or a length.
void put_nonce_block(ByteWriter& out, std::uint8_t flags, std::span<const std::uint8_t, kNonce> nonce,
                     std::size_t number) {
    out.put_be(flags, 1);
    out.put(nonce);
    out.put_be(number, kLengthOctets);
}

void fill_block(ByteWriter& out) {
    const std::size_t used = out.written().size();
    for (std::size_t i = used; i < whole_blocks(used); ++i) out.put_be(0, 1);
}

}  // namespace

std::span<std::uint8_t> counter_blocks(std::span<const std::uint8_t, kNonce> nonce,
                                       std::size_t payload_octets,
                                       std::span<std::uint8_t, kMostCounterOctets> out) noexcept {
    ByteWriter writer(out);
    for (std::size_t i = 0; i <= whole_blocks(payload_octets) / kBlock; ++i) {
        put_nonce_block(writer, kCounterFlags, nonce, i);
    }
    return out.first(writer.written().size());
}

std::span<std::uint8_t> mac_blocks(std::span<const std::uint8_t, kNonce> nonce,
                                   std::span<const std::uint8_t> associated_data,
                                   std::span<const std::uint8_t> payload,
                                   std::span<std::uint8_t, kMostMacOctets> out) noexcept {
    ByteWriter writer(out);
    const bool has_data = !associated_data.empty();
    put_nonce_block(writer, kMacFlags | (has_data ? kHasAssociatedData : 0), nonce, payload.size());
    if (has_data) {
        writer.put_be(associated_data.size(), 2);
        writer.put(associated_data);
        fill_block(writer);
    }
    writer.put(payload);
    fill_block(writer);
    return out.first(writer.written().size());
}

}  // namespace sts6::p11::ccm
