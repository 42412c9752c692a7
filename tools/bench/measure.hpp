// SPDX-License-Identifier: Apache-2.0
// Times that are compared within one run, round by round in turn, since a machine's speed drifts.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace sts6::bench {

/// Nanoseconds of one call of `work`, averaged over `count` calls.
template <class Work>
double nanoseconds(std::size_t count, Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < count; ++i) work(i);
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    return spent.count() / static_cast<double>(count);
}

inline double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// Round by round.
inline std::vector<double> ratio_of(const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
    return ratios;
}

/// Keeps a result from being computed for nothing and then left out by the compiler.
template <class T>
void keep(const T& value) {
    asm volatile("" : : "r"(&value) : "memory");
}

}  // namespace sts6::bench
