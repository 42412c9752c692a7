// SPDX-License-Identifier: Apache-2.0
// Many clients on one limit.
#include <array>
#include <atomic>
#include <cstdint>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "sts6/client.hpp"
#include "tests/crash/site.hpp"

namespace sts6::crash {

namespace {

constexpr std::size_t kClients = 64;
constexpr std::uint64_t kLimitTenths = 5000;  // ULM 500

/// Vends 1 to 9 tenths at a time, and then 1 at a time, until even that is refused. Gives what it was given.
std::uint64_t vend_until_refused(const std::string& url, std::size_t first_amount,
                                 std::atomic<bool>& failed) {
    auto client = Client::connect(url, {.timeout_ms = 60'000});
    std::uint64_t given = 0;
    std::size_t amount = first_amount;
    while (client) {
        const auto answer = client->exchange("SM?VCN1~P600727000000000009~N1~N11~N2~N0~H000" +
                                             std::to_string(amount) + "~H014EEC~");
        if (!answer) break;
        if (answer->ok()) {
            given += amount;
        } else if (answer->code != "31") {
            break;
        } else if (amount == 1) {
            return given;
        } else {
            amount = 1;
        }
    }
    failed = true;
    return given;
}

std::uint64_t debited(const std::vector<std::string>& audit) {
    std::uint64_t sum = 0;
    for (const std::string& line : audit) {
        const std::size_t at = line.find(";DUL");
        if (at != std::string::npos) sum += std::stoull(line.substr(at + 4));
    }
    return sum;
}

}  // namespace

TEST_CASE("64 clients are given a limit to its last tenth, and the audit says the same") {
    const conform::TemporaryDirectory place;
    Site site(place.path());
    site.add_key({"--sgc", "201457", "--krn", "1", "--dkg", "04", "--base-date", "2014", "--ulm", "500",
                  "--value", "ABABABABABABABAB949494949494949401234567"});
    REQUIRE(site.load());
    std::array<std::uint64_t, kClients> given{};
    std::atomic<bool> failed = false;
    std::vector<std::thread> clients;
    for (std::size_t i = 0; i < kClients; ++i) {
        clients.emplace_back([&, i] { given[i] = vend_until_refused(site.url(), 1 + i % 9, failed); });
    }
    for (std::thread& client : clients) client.join();
    CHECK_FALSE(failed);
    CHECK(std::accumulate(given.begin(), given.end(), std::uint64_t{0}) == kLimitTenths);
    CHECK(site.ask("SM?GAN1~").ends_with(";XUL0~"));
    site.kill();
    CHECK(debited(site.audit()) == kLimitTenths);
}

}  // namespace sts6::crash
