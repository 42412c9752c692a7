// SPDX-License-Identifier: Apache-2.0
// Any text as a token, and any content behind a right CRC, under any key, algorithm and table set.
//
// Input: flags, 16 octets of key, one that decides the table set, then the text.
#include "firmware/sts/token.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firmware/sts/amount.hpp"
#include "firmware/sts/key_change.hpp"
#include "firmware/sts/misty1.hpp"
#include "firmware/sts/pan.hpp"
#include "firmware/sts/sta.hpp"
#include "firmware/sts/tid.hpp"
#include "sts6/ptvd.hpp"
#include "tests/fuzz/harness.hpp"

namespace sts6::fuzz {
namespace {

using namespace sts;

template <std::size_t N>
std::array<std::uint8_t, N> permutation(Sequence& choices) {
    std::array<std::uint8_t, N> result{};
    for (std::size_t i = 0; i < N; ++i) result[i] = static_cast<std::uint8_t>(i);
    for (std::size_t i = N; i > 1; --i) {
        std::swap(result[i - 1], result[choices.below(static_cast<std::uint32_t>(i))]);
    }
    return result;
}

struct Setup {
    Ea ea = Ea::sta;
    BaseDate base_date = BaseDate::y1993;
    std::array<std::uint8_t, 16> key{};
    StaTables tables = kSampleStaTables;
};

Setup setup_of(Choices& choices) {
    Setup setup;
    const unsigned flags = choices.octet();
    if ((flags & 1U) != 0) setup.ea = Ea::misty1;
    setup.base_date = static_cast<BaseDate>((flags >> 1U) % 3);
    for (std::uint8_t& octet : setup.key) octet = choices.octet();
    if (const unsigned seed = choices.octet(); seed != 0) {
        Sequence sequence(seed);
        const auto first = permutation<16>(sequence);
        const auto second = permutation<16>(sequence);
        const auto tables = StaTables::make(first, second, permutation<64>(sequence));
        require(tables.has_value(), "permutations are a table set");
        setup.tables = *tables;
    }
    return setup;
}

std::uint64_t decrypt(const Setup& setup, std::uint64_t block) {
    if (setup.ea == Ea::misty1) return misty1_decrypt(setup.key, block);
    const auto key = std::span(setup.key).first<kStaKeyOctets>();
    const std::uint64_t clear = sta_decrypt(setup.tables, key, block);
    require(clear == sta_decrypt_portable(setup.tables, key, block), "the portable cipher is the same");
    require(block == sta_encrypt_portable(setup.tables, key, clear), "the portable cipher has its inverse");
    return clear;
}

void check_amount(const TokenFields& fields) {
    if (fields.is_currency()) {
        require(fields.amount < 1U << 20U, "a currency field has 20 bits");
        const Currency amount = decode_currency(fields.amount);
        const bool negative_zero = fields.amount == 1U << 19U;
        require(encode_currency(amount) == (negative_zero ? 0 : fields.amount),
                "a currency amount has one field");
        return;
    }
    require(fields.amount <= 0xFFFF, "a unit field has 16 bits");
    const std::uint32_t units = decode_units(static_cast<std::uint16_t>(fields.amount));
    require(units <= kMostUnits && encode_units(units) == fields.amount, "a unit amount has one field");
}

/// What a token says is in range, and makes the same clear block again where it says everything.
void check_fields(const Setup& setup, const TokenFields& fields, const ClearToken& clear) {
    require(fields.token_class == clear.token_class && fields.subclass == clear.block >> 60U,
            "class and SubClass are those of the block");
    if (!fields.has_tid()) {
        require(fields.rnd == 0 && fields.tid == 0 && fields.amount == 0, "an unknown body is not shown");
        const std::uint64_t body = (clear.block >> 16U) & 0xFFFFFFFFFFFU;
        require(clear_token(fields.token_class, fields.subclass, body).block == clear.block, "the CRC");
        return;
    }
    require(fields.rnd <= 15 && fields.tid <= kMostTid, "RND and TID are in range");
    const auto rnd = static_cast<std::uint8_t>(fields.rnd);
    const ClearToken again = fields.token_class == kClassCredit
                                 ? credit_token(fields.subclass, rnd, fields.tid, fields.amount)
                                 : management_token(fields.subclass, rnd, fields.tid, fields.amount);
    require(again.token_class == clear.token_class && again.block == clear.block,
            "the fields are those of the token");
    const auto tid = tid_of(time_of_tid(fields.tid, setup.base_date), setup.base_date);
    require(tid == (is_reserved_tid(fields.tid) ? fields.tid + 1 : fields.tid), "a TID is a time");
    check_amount(fields);
}

void check_token(const Setup& setup, const TokenNumber& token) {
    const auto hex = token.hex();
    const auto decimal = token.decimal();
    require(TokenNumber::parse({hex.data(), hex.size()}) == token, "17 digits are the token");
    require(TokenNumber::parse({decimal.data(), decimal.size()}) == token, "20 digits are the token");

    const bool clear_on_paper = token.token_class() == kClassMeterTest;
    const ClearToken clear{token.token_class(),
                           clear_on_paper ? token.block() : decrypt(setup, token.block())};
    if (clear_on_paper) {
        require(TokenNumber(clear.token_class, clear.block) == token, "class 1 is its own block");
    } else {
        require(seal_token(clear, setup.ea, setup.key, setup.tables) == token, "what opens is sealed again");
    }
    const auto opened = open_token(token, setup.ea, setup.key, setup.tables);
    require(opened.has_value() == read_block(clear).has_value(), "the CRC decides");
    if (opened) check_fields(setup, *opened, clear);
}

/// Past the CRC: any class, SubClass and body, made into a token and read.
void check_content(const Setup& setup, std::uint64_t content) {
    const auto token_class = static_cast<unsigned>(content >> 62U);
    const auto subclass = static_cast<unsigned>(content >> 56U) & 0xFU;
    const ClearToken clear = clear_token(token_class, subclass, content & 0xFFFFFFFFFFFU);
    const TokenNumber token = token_class == kClassMeterTest
                                  ? TokenNumber(token_class, clear.block)
                                  : seal_token(clear, setup.ea, setup.key, setup.tables);
    require(open_token(token, setup.ea, setup.key, setup.tables).has_value(), "a right CRC opens");
    check_token(setup, token);
}

void check_key_change(const Setup& setup, std::uint64_t content) {
    const NewKey fields{.kt = static_cast<KeyType>(content & 3U),
                        .ken = static_cast<std::uint8_t>(content >> 2U),
                        .krn = static_cast<std::uint8_t>(1 + (content >> 10U) % 9),
                        .ti = static_cast<std::uint8_t>((content >> 14U) % 100),
                        .sgc = static_cast<std::uint32_t>((content >> 21U) % 1000000),
                        .rollover = content >> 63U != 0};
    constexpr unsigned kSubclasses[] = {3, 4, 8, 9};
    for (std::uint32_t size = 0; size <= 5; ++size) {
        if (!is_key_change_set(setup.ea, size)) continue;
        const KeyChangeSet set(fields, setup.key, setup.ea, size);
        require(set.tokens().size() == size && size <= std::size(kSubclasses), "the size of a set");
        for (std::size_t i = 0; i < size; ++i) {
            const auto read = read_block(set.tokens()[i]);
            require(read && read->token_class == kClassManagement && read->subclass == kSubclasses[i],
                    "a key change token");
            check_token(setup, seal_token(set.tokens()[i], setup.ea, setup.key, setup.tables));
        }
    }
}

void check_text(const Setup& setup, std::string_view text) {
    const auto token = TokenNumber::parse(text);
    // Written twice in the program: for the field check of SM?VT, and to read the number.
    require(token.has_value() == ptvd::is_token(text), "a token is what the grammar says");
    if (token) check_token(setup, *token);

    const auto pan = Pan::parse(text);
    require(!pan || pan->text() == text, "a PAN is its text");
    const auto meter = Pan::of_meter_number(text);
    require(!meter || (Pan::parse(meter->text()) == meter && meter->text().find(text) != text.npos),
            "a meter number has its PAN");
    for (const unsigned decimals : {0U, 1U, 5U}) {
        const auto amount = parse_decimal(text, decimals);
        const auto field = amount ? encode_currency(*amount) : std::nullopt;
        if (!field) continue;
        const Currency kept = decode_currency(*field);
        require(kept.negative ? amount->negative && kept.magnitude <= amount->magnitude
                              : amount->negative || kept.magnitude >= amount->magnitude,
                "currency is rounded towards plus infinity");
    }
}

}  // namespace
}  // namespace sts6::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sts6::fuzz;
    Choices choices(data, size);
    const Setup setup = setup_of(choices);
    // A copy of just its length, so that AddressSanitizer sees a read beyond it.
    const std::vector<char> text(choices.rest().begin(), choices.rest().end());
    check_text(setup, {text.data(), text.size()});

    std::uint64_t content = 0;
    for (int i = 0; i < 8; ++i) content = (content << 8U) | choices.octet();
    check_content(setup, content);
    check_key_change(setup, content);
    return 0;
}
