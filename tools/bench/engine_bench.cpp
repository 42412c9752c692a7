// SPDX-License-Identifier: Apache-2.0
// One compression is the kernel to compare with, and only the low-level functions give it.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <array>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include <openssl/sha.h>

#include "firmware/sts/decoder_key.hpp"
#include "firmware/sts/misty1.hpp"
#include "firmware/sts/sta.hpp"
#include "firmware/sts/token.hpp"
#include "firmware/util/bytes.hpp"
#include "tools/bench/benches.hpp"
#include "tools/bench/measure.hpp"

namespace sts6::bench {

namespace {

constexpr std::size_t kBlock = SHA256_CBLOCK;
constexpr std::size_t kDigest = SHA256_DIGEST_LENGTH;
constexpr int kRounds = 9;
constexpr std::size_t kPerRound = 200'000;

/// HMAC-SHA-256 with the two states after the key kept: one derivation is two compressions.
class MemoryKey {
  public:
    explicit MemoryKey(std::span<const std::uint8_t> key) {
        inner_ = after_pad(key, 0x36);
        outer_ = after_pad(key, 0x5C);
    }

    void derive(std::span<const std::uint8_t, sts::kDkga04DataOctets> data,
                std::span<std::uint8_t, kDigest> out) const {
        std::array<std::uint8_t, kBlock> block{};
        std::copy(data.begin(), data.end(), block.begin());
        const Words inner = finish(inner_, block, data.size());
        std::array<std::uint8_t, kBlock> digest{};
        write_words(inner, std::span(digest).first<kDigest>());
        write_words(finish(outer_, digest, kDigest), out);
    }

  private:
    using Words = std::array<SHA_LONG, 8>;

    /// One compression; the rest of the context is not read.
    static Words compress(const Words& state, const std::array<std::uint8_t, kBlock>& block) {
        SHA256_CTX context;
        std::copy(state.begin(), state.end(), std::begin(context.h));
        SHA256_Transform(&context, block.data());
        Words result;
        std::copy(std::begin(context.h), std::end(context.h), result.begin());
        return result;
    }
    static Words after_pad(std::span<const std::uint8_t> key, std::uint8_t pad) {
        std::array<std::uint8_t, kBlock> block{};
        std::copy(key.begin(), key.end(), block.begin());
        for (std::uint8_t& octet : block) octet ^= pad;
        SHA256_CTX context;
        SHA256_Init(&context);
        Words initial;
        std::copy(std::begin(context.h), std::end(context.h), initial.begin());
        return compress(initial, block);
    }
    /// The last block of a message of one key block and `size` octets more.
    static Words finish(const Words& state, std::array<std::uint8_t, kBlock>& block, std::size_t size) {
        block[size] = 0x80;
        store_be((kBlock + size) * 8, std::span(block).last<8>());
        return compress(state, block);
    }
    static void write_words(const Words& words, std::span<std::uint8_t, kDigest> out) {
        for (std::size_t i = 0; i < words.size(); ++i) {
            const std::uint32_t swapped = __builtin_bswap32(words[i]);
            std::memcpy(&out[4 * i], &swapped, sizeof swapped);
        }
    }

    Words inner_;
    Words outer_;
};

/// EA07 as it is usually written: a table per nibble, a loop over the permutation.
class TableSta {
  public:
    explicit TableSta(const sts::StaTables& tables) : direction_(tables.encryption()) {
        for (unsigned bit = 0; bit < 64; ++bit) {
            unsigned in_nibble = 0;
            while ((1U << in_nibble) != direction_.source_bit[bit % 4][bit / 4]) ++in_nibble;
            const unsigned source = direction_.source_nibble[bit % 4][bit / 4] * 4U + in_nibble;
            for (unsigned value = 0; value < 16; ++value) {
                if (((value >> (source % 4)) & 1U) != 0)
                    permuted_[source / 4][value] |= std::uint64_t{1} << bit;
            }
        }
    }
    [[nodiscard]] std::uint64_t encrypt(std::span<const std::uint8_t, 8> key, std::uint64_t block) const {
        std::uint64_t round_key = std::rotr(~load_be(key), 12);
        for (unsigned round = 0; round < 16; ++round) {
            std::uint64_t out = 0;
            for (unsigned n = 0; n < 16; ++n) {
                const bool set = ((round_key >> (4 * n + 3)) & 1U) != 0;
                const auto& table = set ? direction_.when_set : direction_.when_clear;
                out |= permuted_[n][table[(block >> (4 * n)) & 0xFU]];
            }
            block = out;
            round_key = std::rotl(round_key, 1);
        }
        return block;
    }

  private:
    sts::StaTables::Direction direction_;
    std::array<std::array<std::uint64_t, 16>, 16> permuted_{};
};

sts::DecoderKeyParameters meter(Ea ea) {
    return {.kt = KeyType::dutk,
            .sgc = 201457,
            .ti = 1,
            .krn = 1,
            .pan = sts::Pan::parse("600727000000000009").value(),
            .ea = ea,
            .base_date = BaseDate::y2014};
}

constexpr std::array<std::uint8_t, 20> kVendingKey = {0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB,
                                                      0xAB, 0x94, 0x94, 0x94, 0x94, 0x94, 0x94,
                                                      0x94, 0x94, 0x01, 0x23, 0x45, 0x67};

std::array<char, 20> make_token(const MemoryKey& key, const sts::DecoderKeyParameters& parameters,
                                std::uint32_t tid, std::uint32_t amount) {
    std::array<std::uint8_t, sts::kDkga04DataOctets> data{};
    sts::dkga04_data(parameters, data);
    std::array<std::uint8_t, kDigest> mac{};
    key.derive(data, mac);
    const auto clear = sts::credit_token(0, 5, tid, amount);
    return sts::seal_token(clear, parameters.ea, std::span(mac).first<16>(), sts::kSampleStaTables).decimal();
}

void bench_token(Ea ea) {
    const MemoryKey key(kVendingKey);
    const auto known = make_token(key, meter(Ea::misty1), 0x014EEC, 1);
    if (std::string_view(known.data(), known.size()) != "58625789986991357486") {
        throw std::runtime_error("the engine makes a wrong token");
    }
    const sts::DecoderKeyParameters parameters = meter(ea);
    const std::array<std::uint8_t, kBlock> block{};
    SHA256_CTX state;
    SHA256_Init(&state);
    std::array<std::uint8_t, 16> cipher_key{};
    std::vector<double> whole;
    std::vector<double> kernels;
    for (int round = 0; round < kRounds; ++round) {
        whole.push_back(nanoseconds(kPerRound, [&](std::size_t i) {
            keep(make_token(key, parameters, 0x014EEC, static_cast<std::uint32_t>(i & 0x3FFFU)));
        }));
        const double compression =
            nanoseconds(kPerRound, [&](std::size_t) { SHA256_Transform(&state, block.data()); });
        const double cipher = nanoseconds(kPerRound, [&](std::size_t i) {
            cipher_key[i % 16] ^= static_cast<std::uint8_t>(i);
            keep(ea == Ea::sta ? sts::sta_encrypt(sts::kSampleStaTables, std::span(cipher_key).first<8>(), i)
                               : sts::misty1_encrypt(cipher_key, i));
        });
        const double digits =
            nanoseconds(kPerRound, [&](std::size_t i) { keep(sts::TokenNumber(0, i << 40U).decimal()); });
        kernels.push_back(2 * compression + cipher + digits);
    }
    std::printf(
        "engine EA%02u: %.2f M tokens/s, %.0f ns a token; its kernels alone %.0f ns: ratio %.2f (to hold: "
        "0.75)\n",
        static_cast<unsigned>(ea), 1000 / median(whole), median(whole), median(kernels),
        median(ratio_of(kernels, whole)));
}

void bench_sta() {
    const TableSta tables(sts::kSampleStaTables);
    std::array<std::uint8_t, 8> key{};
    std::vector<double> vector;
    std::vector<double> portable;
    std::vector<double> table;
    for (int round = 0; round < kRounds; ++round) {
        std::uint64_t chain = 0x0B19EB230100C207;
        std::uint64_t other = chain;
        vector.push_back(nanoseconds(
            kPerRound, [&](std::size_t) { chain = sts::sta_encrypt(sts::kSampleStaTables, key, chain); }));
        table.push_back(nanoseconds(kPerRound, [&](std::size_t) { other = tables.encrypt(key, other); }));
        if (chain != other) throw std::runtime_error("the two EA07 versions differ");
        portable.push_back(nanoseconds(kPerRound / 20, [&](std::size_t) {
            chain = sts::sta_encrypt_portable(sts::kSampleStaTables, key, chain);
        }));
        key[0] ^= static_cast<std::uint8_t>(chain);
    }
    std::printf(
        "EA07 block: %.0f ns without secret look-ups, %.0f ns with tables: ratio %.2f; portable %.0f ns\n",
        median(vector), median(table), median(table) / median(vector), median(portable));
}

}  // namespace

void bench_engine() {
    bench_token(Ea::misty1);
    bench_token(Ea::sta);
    bench_sta();
}

}  // namespace sts6::bench
