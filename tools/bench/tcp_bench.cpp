// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>

#include "tools/bench/benches.hpp"
#include "tools/bench/load.hpp"
#include "tools/bench/measure.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::bench {

namespace {

constexpr int kRounds = 5;
constexpr std::size_t kConnections = 64;
constexpr std::chrono::milliseconds kRoundTime{1500};
constexpr const char* kRequest = "SM?DI9A51\r";

}  // namespace

void bench_tcp(const std::filesystem::path& pack) {
    // Before the first thread of this process: the server is a fork of it.
    const EchoServer echo_server;
    conform::LabModule module(pack);
    module.start(std::nullopt);
    const auto module_port =
        static_cast<std::uint16_t>(std::stoul(module.url().substr(module.url().rfind(':') + 1)));
    const Load echo{.port = echo_server.port(),
                    .connections = kConnections,
                    .duration = kRoundTime,
                    .request = kRequest,
                    .answer_prefix = "SM?DI"};
    Load identify = echo;
    identify.port = module_port;
    identify.answer_prefix = "SM!DI00";
    std::vector<double> rates;
    std::vector<double> tails;
    LoadResult last_echo;
    LoadResult last_module;
    for (int round = 0; round < kRounds; ++round) {
        last_echo = run_load(echo);
        last_module = run_load(identify);
        rates.push_back(last_module.per_second / last_echo.per_second);
        tails.push_back(last_module.p99_us / last_echo.p99_us);
    }
    module.stop();
    std::printf(
        "TCP, %zu connections, SM?DI: %.1f k/s, p50 %.0f us, p99 %.0f us; echo %.1f k/s, p50 %.0f us, p99 "
        "%.0f us\n",
        kConnections, last_module.per_second / 1000, last_module.p50_us, last_module.p99_us,
        last_echo.per_second / 1000, last_echo.p50_us, last_echo.p99_us);
    std::printf("TCP against echo: rate ratio %.2f (to hold: 0.70), p99 ratio %.2f (to hold: 1.5)\n",
                median(rates), median(tails));
}

}  // namespace sts6::bench
