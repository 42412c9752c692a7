// SPDX-License-Identifier: Apache-2.0
// A module that vends, and is killed: at random, and before each of its calls that write to the database.
#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "sts6/client.hpp"
#include "tests/crash/books.hpp"
#include "tests/crash/site.hpp"
#include "tests/crash/strace.hpp"

namespace sts6::crash {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kClients = 8;
constexpr int kKillsOfOneModule = 50;
const Words kDatabaseCalls = {"pwrite64", "fdatasync", "fsync", "ftruncate"};

/// One module that is killed again and again, and what it did meanwhile.
struct Killed {
    int kills = 0;
    int at_start = 0;
    std::size_t acknowledged = 0;
    std::size_t in_flight = 0;
    std::vector<Clock::duration> served;
};

/// Starts it and kills it before it is ready, or soon after.
void kill_at_start(Site& site, std::mt19937& random) {
    site.spawn();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 200'000));
    site.kill();
}

/// Lets clients vend until a random moment, and kills it. `left` is what the counters must be before.
void kill_at_work(Site& site, Ledger& ledger, const Counters& left, std::mt19937& random, Killed& done) {
    site.start();
    CHECK(counters_of(site) == left);
    const std::size_t enough = ledger.acknowledged() + 1 + random() % 200;
    Clients clients(site, ledger, kClients);
    CHECK(test::eventually([&] { return ledger.acknowledged() >= enough; }));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    site.kill();
    const auto first = clients.first_answer();
    REQUIRE(first);
    done.served.push_back(*first - site.spawned());
    CHECK(clients.refused() == 0);
}

void kill_one_module(int kills, std::mt19937& random, Killed& done) {
    const conform::TemporaryDirectory place;
    Site site(place.path());
    load_limited_key(site);
    const Counters initial = counters_of(site);
    site.kill();
    Ledger ledger;
    Counters left = initial;
    for (int i = 0; i < kills; ++i) {
        INFO("kill " << done.kills + 1);
        if (random() % 5 == 0) {
            kill_at_start(site, random);
            ++done.at_start;
        } else {
            kill_at_work(site, ledger, left, random, done);
        }
        ++done.kills;
        left = ledger.check(site.audit(), initial, &done.in_flight);
    }
    site.start();
    CHECK(counters_of(site) == left);
    site.stop();
    CHECK(ledger.check(site.audit(), initial) == left);
    done.acknowledged += ledger.acknowledged();
}

void kill_at_random(int kills) {
    std::mt19937 random(20261126);
    Killed done;
    std::size_t in_flight = 0;
    while (done.kills < kills) {
        done.in_flight = 0;
        kill_one_module(std::min(kKillsOfOneModule, kills - done.kills), random, done);
        in_flight += done.in_flight;
    }
    say(std::to_string(done.kills) + " kills at random, " + std::to_string(done.at_start) +
        " of them at a start; " + std::to_string(done.acknowledged) + " tokens acknowledged, " +
        std::to_string(in_flight) + " made without an answer; first token after a kill " +
        spread(done.served));
}

/// A module whose write-ahead log is about to be written back, to return to.
class Script {
  public:
    Script() : site_(place_.path()) {
        load_limited_key(site_);
        initial_ = counters_of(site_);
        const auto log = site_.dir() + "/state/module.db-wal";
        auto client = Client::connect(site_.url());
        REQUIRE(client);
        // SQLite's frames have 24 octets before a page of 4096, and 1000 of them are written back.
        while (std::filesystem::file_size(log) < 970 * 4120) REQUIRE(vend(*client) == "00");
        site_.kill();
        site_.save("vended");
        ledger_.check(site_.audit(), initial_);
    }

    Site& site() { return site_; }
    /// A new daemon of the saved module.
    void begin() {
        site_.restore("vended");
        site_.start();
        ledger_now_.emplace(ledger_);
    }
    /// The answers' codes: to the first that is not 00, or one that is missing; "GL" for a link error.
    std::string vend_all(int most = 16) {
        auto client = Client::connect(site_.url(), {.timeout_ms = 60'000});
        if (!client) return "";
        for (int i = 0; i < most; ++i) {
            const std::string code = vend(*client);
            if (code != "00") return code;
        }
        return "00";
    }
    std::string vend(Client& client) {
        const Ledger::Next next = ledger().next();
        const auto answer = client.exchange(next.command);
        if (!answer) return "";
        if (answer->ok()) ledger().acknowledge(next.tid);
        return answer->link_error ? "GL" + answer->code : answer->code;
    }
    /// The dead module's audit, then the counters of one that is started again, which vends.
    void check_books() {
        std::size_t in_flight = 0;
        const Counters left = ledger().check(site_.audit(), initial_, &in_flight);
        CHECK(in_flight <= 1);
        site_.start();
        CHECK(counters_of(site_) == left);
        CHECK(vend_all(3) == "00");
        site_.kill();
    }
    [[nodiscard]] std::string strace_log() const { return site_.path("strace"); }
    /// What the script calls from its first command on.
    std::vector<Point> points(const Words& calls) {
        begin();
        std::filesystem::remove(strace_log());
        Strace strace(site_.pid(), strace_words(calls, strace_log()));
        REQUIRE(vend_all() == "00");
        strace.detach();
        site_.stop();
        return points_of(strace_log());
    }

  private:
    Ledger& ledger() { return ledger_now_ ? *ledger_now_ : ledger_; }

    conform::TemporaryDirectory place_;
    Site site_;
    Counters initial_;
    Ledger ledger_;
    std::optional<Ledger> ledger_now_;
};

std::string text_of(const Point& point) {
    return point.call + " " + std::to_string(point.number);
}

void kill_at_each_write(std::size_t most) {
    if (cannot_trace()) return;
    Script script;
    const auto points = script.points(kDatabaseCalls);
    // Sixteen commits, a page and a synchronisation each at least, and a write-back among them.
    CHECK(points.size() > 60);
    std::size_t killed = 0;
    const auto chosen = some_of(points, most);
    for (const Point& point : chosen) {
        INFO(text_of(point));
        script.begin();
        Strace strace(script.site().pid(), strace_words({point, "signal=KILL"}, script.strace_log()));
        const std::string last = script.vend_all();
        CHECK((last.empty() || last == "00"));
        killed += last.empty() ? 1 : 0;
        script.site().kill();
        script.check_books();
    }
    CHECK(killed == chosen.size());
    say(std::to_string(killed) + " kills at " + std::to_string(points.size()) +
        " points of a vending script");
}

void fail_each_write(std::size_t most) {
    if (cannot_trace()) return;
    Script script;
    const auto points = some_of(script.points(kDatabaseCalls), most);
    std::size_t refused = 0;
    std::size_t latched = 0;
    for (const Point& point : points) {
        for (const char* error : {"ENOSPC", "EIO"}) {
            INFO(text_of(point) << " " << error);
            const bool full = point.call == "pwrite64" && error == std::string("ENOSPC");
            script.begin();
            Strace strace(script.site().pid(),
                          strace_words({point, "error=" + std::string(error), full}, script.strace_log()));
            const std::string first = script.vend_all();
            if (full) {
                // No room is a refusal as long as it lasts, and costs nothing.
                REQUIRE(first == "01");
                const Counters before = counters_of(script.site());
                for (int i = 0; i < 3; ++i) CHECK(script.vend_all(1) == "01");
                CHECK(counters_of(script.site()) == before);
                strace.detach();
                CHECK(script.vend_all() == "00");
                ++refused;
            } else {
                // Whatever the disk kept of it, nothing more is vended.
                REQUIRE(first == "GL58");
                CHECK(script.vend_all(1) == "GL58");
                strace.detach();
                CHECK(script.site().ask("SM?DI") == "GL!ER58");
                ++latched;
            }
            script.site().kill();
            script.check_books();
        }
    }
    say(std::to_string(refused) + " times ENOSPC refused and " + std::to_string(latched) +
        " times an error latched");
}

}  // namespace

TEST_CASE("some random kills under load") {
    kill_at_random(12);
}
TEST_CASE("1000 random kills under load", "[.][full]") {
    kill_at_random(1000);
}

TEST_CASE("kills at some writes and synchronisations of a vending script") {
    kill_at_each_write(4);
}
TEST_CASE("a kill at every write and synchronisation of a vending script", "[.][full]") {
    kill_at_each_write(0);
}

TEST_CASE("errors of the disk at some writes and synchronisations") {
    fail_each_write(2);
}
TEST_CASE("an error of the disk at every write and synchronisation", "[.][full]") {
    fail_each_write(0);
}

}  // namespace sts6::crash
