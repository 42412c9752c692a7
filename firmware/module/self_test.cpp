// SPDX-License-Identifier: Apache-2.0
// The known answers are those of docs/tokens.md, RFC 2994 and the worked example of IEC 62055-41.
#include "firmware/module/self_test.hpp"

#include <algorithm>
#include <cstdint>

#include "firmware/sts/amount.hpp"
#include "firmware/sts/crc.hpp"
#include "firmware/sts/decoder_key.hpp"
#include "firmware/sts/misty1.hpp"
#include "firmware/sts/sta.hpp"
#include "firmware/sts/token.hpp"
#include "sts6/frame.hpp"
#include "sts6/hex.hpp"

namespace sts6::self_test {

namespace {

template <std::size_t N>
std::array<std::uint8_t, (N - 1) / 2> octets(const char (&hex)[N]) noexcept {
    std::array<std::uint8_t, (N - 1) / 2> out{};
    if (!read_hex({hex, N - 1}, out)) out.fill(0);
    return out;
}

std::optional<sts::DecoderKeyParameters> parameters(std::uint32_t sgc, Ea ea) noexcept {
    const auto pan = sts::Pan::parse("600727000000000009");
    if (!pan) return std::nullopt;
    return sts::DecoderKeyParameters{.kt = KeyType::dutk,
                                     .sgc = sgc,
                                     .ti = 1,
                                     .krn = 1,
                                     .pan = *pan,
                                     .ea = ea,
                                     .base_date = BaseDate::y2014};
}

}  // namespace

bool link_crc() noexcept {
    return crc16_arc("123456789") == 0xBB3D;
}

bool token_crc() noexcept {
    // Class and block bits 63..16 of the official example: 00 00 4A 2D 90 0F F2.
    constexpr std::uint64_t kTop48 = 0x004A2D900FF2;
    return sts::token_crc(0, kTop48) == 0x0FFA && sts::token_crc_c(0, kTop48) == 0x7BC4;
}

bool misty1() noexcept {
    const auto key = octets("00112233445566778899AABBCCDDEEFF");
    const std::uint64_t sealed = sts::misty1_encrypt(key, 0x0123456789ABCDEF);
    return sealed == 0x8B1DA5F56AB3D07C && sts::misty1_decrypt(key, sealed) == 0x0123456789ABCDEF;
}

bool sta_sample() noexcept {
    const auto key = octets("0ABC12DEF3456789");
    const std::uint64_t sealed = sts::sta_encrypt(sts::kSampleStaTables, key, 0x0B19EB230100C207);
    return sealed == 0xC45ED1619406DF95 &&
           sts::sta_decrypt(sts::kSampleStaTables, key, sealed) == 0x0B19EB230100C207;
}

bool decoder_key_data() noexcept {
    const auto legacy = parameters(123456, Ea::sta);
    const auto current = parameters(201457, Ea::misty1);
    if (!legacy || !current) return false;
    std::array<std::uint8_t, sts::kDkga02DataOctets> x{};
    sts::dkga02_data(*legacy, x);
    std::array<std::uint8_t, sts::kDkga04DataOctets> d{};
    sts::dkga04_data(*current, d);
    return x == octets("2151356011FFFFFF") && d == octets(
                                                       "04023034023134023131023031000406323031343537013201311"
                                                       "23630303732373030303030303030303030390000"
                                                       "0080");
}

bool amounts() noexcept {
    return sts::encode_units(20000) == 0x416A && sts::encode_units(180223) == 0x8000 &&
           sts::encode_units(1818623) == 0xC000 && sts::decode_units(0x8000) == 180224;
}

bool token() noexcept {
    const auto key = octets("929BD3A415C9420A05EC5EE9F3CE91C3");
    const auto sealed =
        sts::seal_token(sts::credit_token(0, 5, 0x014EEC, 1), Ea::misty1, key, sts::kSampleStaTables);
    const auto digits = sealed.decimal();
    if (std::string_view(digits.data(), digits.size()) != "58625789986991357486") return false;
    const auto opened = sts::open_token(sealed, Ea::misty1, key, sts::kSampleStaTables);
    return opened && opened->amount == 1 && opened->tid == 0x014EEC;
}

}  // namespace sts6::self_test
