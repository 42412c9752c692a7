// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "tools/bench/benches.hpp"
#include "tools/bench/load.hpp"
#include "tools/bench/measure.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::bench {

namespace {

constexpr std::size_t kClients = 64;
constexpr int kRounds = 5;
constexpr std::chrono::milliseconds kRoundTime{1500};
// A published credit token of every pack with register 1 (docs/protocol.md, SM?VC).
constexpr const char* kRequest = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~DCC6\r";
constexpr const char* kAnswer = "SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\r";

struct Percentiles {
    double p50_us = 0;
    double p99_us = 0;
};

/// Appends of one page, each made durable, to a file beside the module's database.
Percentiles time_fdatasync(const std::filesystem::path& file) {
    const int descriptor = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (descriptor < 0) throw std::runtime_error(file.string() + " cannot be written");
    const std::string page(4096, 'x');
    std::vector<double> times;
    const auto end = std::chrono::steady_clock::now() + kRoundTime;
    while (std::chrono::steady_clock::now() < end) {
        times.push_back(nanoseconds(1,
                                    [&](std::size_t) {
                                        if (write(descriptor, page.data(), page.size()) !=
                                                static_cast<ssize_t>(page.size()) ||
                                            fdatasync(descriptor) != 0)
                                            throw std::runtime_error(file.string() + " cannot be written");
                                    }) /
                        1000);
    }
    close(descriptor);
    unlink(file.c_str());
    std::ranges::sort(times);
    return {times[times.size() / 2], times[times.size() * 99 / 100]};
}

struct Round {
    Percentiles disk;
    LoadResult echo_one;
    LoadResult echo_many;
    LoadResult one;
    LoadResult many;
};

template <class Figure>
double median_of(const std::vector<Round>& rounds, Figure figure) {
    std::vector<double> values;
    for (const Round& round : rounds) values.push_back(figure(round));
    return median(values);
}

void report(const std::vector<Round>& rounds) {
    const Round& last = rounds.back();
    std::printf(
        "fdatasync of a page: p50 %.0f us, p99 %.0f us; echo: one client p50 %.0f us, %zu clients p99 "
        "%.0f us\n",
        last.disk.p50_us, last.disk.p99_us, last.echo_one.p50_us, kClients, last.echo_many.p99_us);
    std::printf(
        "durable SM?VC: one client %.0f tokens/s, p50 %.0f us; %zu clients %.0f tokens/s, p50 %.0f us, "
        "p99 %.0f us\n",
        last.one.per_second, last.one.p50_us, kClients, last.many.per_second, last.many.p50_us,
        last.many.p99_us);
    std::printf(
        "durable SM?VC: p50 of one client against fdatasync + echo: %.2f (to hold: 1.3); rate of %zu clients "
        "against one: %.1f (to hold: 10); p99 of %zu clients against 3 fdatasync + echo: %.2f (to hold: 1)\n",
        median_of(rounds, [](const Round& r) { return r.one.p50_us / (r.disk.p50_us + r.echo_one.p50_us); }),
        kClients, median_of(rounds, [](const Round& r) { return r.many.per_second / r.one.per_second; }),
        kClients, median_of(rounds, [](const Round& r) {
            return r.many.p99_us / (3 * r.disk.p99_us + r.echo_many.p99_us);
        }));
}

}  // namespace

void bench_vend(const std::filesystem::path& pack) {
    // Before the first thread of this process: the server is a fork of it.
    const EchoServer echo_server;
    conform::LabModule module(pack);
    module.start(std::nullopt);
    const Load vend_one{
        .port = static_cast<std::uint16_t>(std::stoul(module.url().substr(module.url().rfind(':') + 1))),
        .connections = 1,
        .duration = kRoundTime,
        .request = kRequest,
        .answer_prefix = kAnswer};
    Load vend_many = vend_one;
    vend_many.connections = kClients;
    Load echo_one = vend_one;
    echo_one.port = echo_server.port();
    echo_one.answer_prefix = "SM?VC";
    Load echo_many = echo_one;
    echo_many.connections = kClients;
    std::vector<Round> rounds;
    for (int i = 0; i < kRounds; ++i) {
        Round round;
        round.disk = time_fdatasync(module.dir() / "state" / "fdatasync");
        round.echo_one = run_load(echo_one);
        round.one = run_load(vend_one);
        round.echo_many = run_load(echo_many);
        round.many = run_load(vend_many);
        rounds.push_back(round);
    }
    module.stop();
    report(rounds);
}

}  // namespace sts6::bench
