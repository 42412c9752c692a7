// SPDX-License-Identifier: Apache-2.0
// What the fuzz harnesses share. docs/testing.md says how they are run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

/// One input. libFuzzer calls it, or replay.cpp with the files of the corpus.
// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace sts6::fuzz {

/// A broken invariant ends the process: that is what a fuzzer and the replay see.
inline void require(bool holds, const char* invariant) noexcept {
    if (holds) return;
    std::fprintf(stderr, "broken: %s\n", invariant);
    std::abort();
}

/// Takes the harness's own choices from the front of an input; 0 when there is no more.
class Choices {
  public:
    Choices(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

    std::uint8_t octet() noexcept {
        if (rest_.empty()) return 0;
        const std::uint8_t taken = rest_.front();
        rest_ = rest_.subspan(1);
        return taken;
    }
    [[nodiscard]] std::string_view rest() const noexcept {
        return {reinterpret_cast<const char*>(rest_.data()), rest_.size()};
    }

  private:
    std::span<const std::uint8_t> rest_;
};

/// Small numbers that a few octets of the input decide.
class Sequence {
  public:
    explicit Sequence(std::uint32_t seed) : state_(seed) {}
    /// 0..limit-1
    std::uint32_t below(std::uint32_t limit) noexcept {
        state_ = state_ * 1664525U + 1013904223U;
        return (state_ >> 8U) % limit;
    }

  private:
    std::uint32_t state_;
};

}  // namespace sts6::fuzz
