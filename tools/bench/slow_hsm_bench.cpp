// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>

#include "tools/bench/benches.hpp"
#include "tools/bench/load.hpp"
#include "tools/bench/measure.hpp"
#include "tools/bench/softhsm.hpp"
#include "tools/conform/lab_module.hpp"
#include "tools/shim/control.hpp"

namespace sts6::bench {

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kCallMicroseconds = 2000;
constexpr const char* kSessions = "16";
constexpr std::size_t kClients = 64;
constexpr int kRounds = 5;
constexpr std::chrono::milliseconds kRoundTime{2000};
// A published credit token of every pack with register 1 (docs/protocol.md, SM?VC).
constexpr const char* kRequest = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~DCC6\r";
constexpr const char* kAnswer = "SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\r";

}  // namespace

void bench_slow_hsm(const fs::path& pack) {
    const conform::TemporaryDirectory place;
    const p11::TokenConfig token = make_softhsm_token(place.path());
    shim::Control control(place.path() / "shim", token.module);
    const fs::path pin = write_pin_file(place.path());
    conform::LabModule module(pack, {"--pkcs11-module", conform::program_path("sts6-pkcs11-shim.so"),
                                     "--token-label", token.token_label, "--pin-file", pin.string()});
    conform::set_option(module.dir() / "sts6d.toml", "sessions", kSessions);
    module.start(std::nullopt);
    control.delay(kCallMicroseconds);
    Load one{.port = static_cast<std::uint16_t>(std::stoul(module.url().substr(module.url().rfind(':') + 1))),
             .connections = 1,
             .duration = kRoundTime,
             .request = kRequest,
             .answer_prefix = kAnswer};
    Load many = one;
    many.connections = kClients;
    std::vector<double> ratios;
    LoadResult last_one;
    LoadResult last_many;
    for (int round = 0; round < kRounds; ++round) {
        last_one = run_load(one);
        last_many = run_load(many);
        ratios.push_back(last_many.per_second / last_one.per_second);
    }
    module.stop();
    std::printf(
        "HSM of 2 ms a signature, %s sessions: one client %.0f tokens/s, p50 %.1f ms; %zu clients %.0f "
        "tokens/s, p50 %.1f ms, p99 %.1f ms\n",
        kSessions, last_one.per_second, last_one.p50_us / 1000, kClients, last_many.per_second,
        last_many.p50_us / 1000, last_many.p99_us / 1000);
    std::printf("HSM of 2 ms a signature, %zu clients against one: ratio %.1f (to hold: 8)\n", kClients,
                median(ratios));
}

}  // namespace sts6::bench
