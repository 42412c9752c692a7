// SPDX-License-Identifier: Apache-2.0
// A module that loads keys, or starts with a load half done, and is killed before each of its calls that
// write to a file. SoftHSM's own files are among them.
#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "firmware/ports/audit.hpp"
#include "tests/crash/site.hpp"
#include "tests/crash/strace.hpp"

namespace sts6::crash {

namespace {

const Words kFileCalls = {"write",  "pwrite64", "ftruncate", "rename",
                          "unlink", "fsync",    "fdatasync", "syncfs"};

// The published key of register 2 in Appendix C of STS 531-1-11, and its token.
const std::string kKey04 = "ABABABABABABABAB949494949494949401234567";
const std::string kToken04 = "SM!VC00P32D98A5616345BE2E~P58625789986991357486~";

struct Outcome {
    int points = 0;
    int killed = 0;
    int old_set = 0;
    int new_set = 0;
    int orphans = 0;      ///< objects that a kill left behind
    int quarantined = 0;  ///< registers whose key a kill has damaged
    int litter = 0;       ///< files of SoftHSM that stay behind and hold nothing
    std::vector<Clock::duration> ready;
};

std::string credit(unsigned number, const std::string& key) {
    // A key of DKG 02 goes with EA 07 only.
    const std::string ea = key.starts_with("123456.") ? "7" : "11";
    return "SM?VCN" + std::to_string(number) + "~P600727000000000009~N1~N" + ea + "~N2~N0~H0001~H014EEC~";
}

/// A site whose KMC has one set of keys loaded, and another to load.
class Loads {
  public:
    explicit Loads(bool refresh) : site_(place_.path()) {
        site_.add_key(
            {"--sgc", "201457", "--krn", "1", "--dkg", "04", "--base-date", "2014", "--value", kKey04});
        if (refresh) {
            add_third("203557");
            REQUIRE(site_.load());
            site_.kmc({"revoke", "--sgc", "203557", "--krn", "6"});
        }
        site_.add_key({"--sgc", "123456", "--krn", "1", "--dkg", "02", "--base-date", "1993", "--value",
                       "ABABABABABABABAB"});
        add_third("204557");
        old_ = site_.registers();
        learn_tokens();
        site_.kill();
        site_.save("old");
        site_.restore("old");
        site_.start();
        REQUIRE(site_.load());
        new_ = site_.registers();
        CHECK(new_.size() == 3);
        CHECK(new_ != old_);
        learn_tokens();
        site_.kill();
    }

    Site& site() { return site_; }

    /// Every call of a load.
    std::vector<Point> points_of_load() {
        begin();
        Strace strace(site_.pid(), strace_words(kFileCalls, strace_log()));
        REQUIRE(site_.load());
        strace.detach();
        site_.kill();
        return points_of(strace_log());
    }
    void kill_in_load(const Point& point, Outcome& outcome) {
        begin();
        Strace strace(site_.pid(), strace_words({point, "signal=KILL"}, strace_log()));
        // What the last command leaves to do after its answer may be where it ends.
        const bool loaded = site_.load();
        if (loaded && site_.try_ask("SM?DI")) {
            site_.kill();
        } else {
            ++outcome.killed;
        }
        ++outcome.points;
        check(loaded, outcome);
    }

    /// With what there is of a load at this call, the start to come has to destroy an object.
    void begin_at(const Point& point) {
        begin();
        Strace strace(site_.pid(), strace_words({point, "signal=KILL"}, strace_log()));
        REQUIRE_FALSE(site_.load());
        site_.kill();
    }
    std::vector<Point> points_of_start() {
        site_.spawn(under(strace_words(kFileCalls, strace_log())));
        const pid_t first_thread = site_.pid();
        REQUIRE(site_.wait_ready());
        site_.kill();
        return points_of(strace_log(), first_thread);
    }
    void kill_in_start(const Point& point, Outcome& outcome) {
        if (!site_.try_start(under(strace_words({point, "signal=KILL"}, strace_log())))) ++outcome.killed;
        site_.kill();
        ++outcome.points;
        check(false, outcome);
    }
    /// Old or new and nothing between; then a load to its end.
    void check(bool loaded, Outcome& outcome);

  private:
    void begin() {
        site_.restore("old");
        site_.start();
        std::filesystem::remove(strace_log());
    }
    void add_third(const std::string& sgc) {
        site_.add_key({"--sgc", sgc, "--krn", "6", "--dkg", "04", "--base-date", "2035", "--value", kKey04,
                       "--ulm", "1000", "--clm", "2000"});
    }
    static Words under(Words strace) {
        // The daemon is this program's child, and strace is not in between.
        strace.insert(strace.end(), {"-f", "-D"});
        return strace;
    }
    [[nodiscard]] std::string strace_log() const { return site_.path("strace"); }
    void learn_tokens() {
        for (const auto& [number, key] : site_.registers()) {
            const std::string token = site_.ask(credit(number, key));
            REQUIRE(token.starts_with("SM!VC00"));
            if (key.starts_with("201457.")) CHECK(token == kToken04);
            const auto [at, first] = tokens_.emplace(key, token);
            CHECK(at->second == token);
        }
    }
    /// Registers that answer 01. Any other token than the key's is wrong.
    [[nodiscard]] std::vector<unsigned> vend_each(const Registers& registers) const {
        std::vector<unsigned> refused;
        for (const auto& [number, key] : registers) {
            const std::string token = site_.ask(credit(number, key));
            if (token == "SM!VC01") {
                refused.push_back(number);
            } else {
                CHECK(token == tokens_.at(key));
            }
        }
        return refused;
    }

    conform::TemporaryDirectory place_;
    Site site_;
    Registers old_;
    Registers new_;
    std::map<std::string, std::string> tokens_;
};

void Loads::check(bool loaded, Outcome& outcome) {
    outcome.orphans += static_cast<int>(compare_objects(site_).orphans.size());
    site_.start();
    outcome.ready.push_back(site_.ready() - site_.spawned());
    const Registers held = site_.registers();
    CHECK((held == new_ || (held == old_ && !loaded)));
    ++(held == new_ ? outcome.new_set : outcome.old_set);
    const auto refused = vend_each(held);
    outcome.quarantined += static_cast<int>(refused.size());
    site_.kill();

    const Objects objects = compare_objects(site_);
    CAPTURE(objects.orphans, objects.lost);
    CHECK(objects.orphans.empty());
    outcome.litter += static_cast<int>(objects.litter);
    CHECK(objects.lost.size() <= refused.size());
    const auto audit = site_.audit();
    const std::string event = std::to_string(static_cast<unsigned>(AuditEvent::register_quarantined));
    for (const unsigned number : refused) {
        const std::string told = event + " REG" + std::to_string(number) + ";";
        CHECK(std::ranges::any_of(audit, [&](const std::string& one) { return one.starts_with(told); }));
    }

    site_.start();
    REQUIRE(site_.load());
    CHECK(site_.registers() == new_);
    CHECK(vend_each(new_).empty());
    site_.kill();
    const Objects left = compare_objects(site_);
    CAPTURE(left.orphans, left.lost);
    CHECK(left.orphans.empty());
    CHECK(left.lost.empty());
}

void say_outcome(const std::string& what, std::size_t points, const Outcome& outcome) {
    say(std::to_string(outcome.killed) + " kills at " + std::to_string(points) + " points of " + what + ": " +
        std::to_string(outcome.old_set) + " times the old keys, " + std::to_string(outcome.new_set) +
        " times the new ones, " + std::to_string(outcome.orphans) + " objects left behind, " +
        std::to_string(outcome.quarantined) + " registers quarantined, " + std::to_string(outcome.litter) +
        " dead files; ready again " + spread(outcome.ready));
}

void kill_in_loads(bool refresh, std::size_t most) {
    if (cannot_trace()) return;
    Loads loads(refresh);
    const auto points = loads.points_of_load();
    // Seven commands with a commit each, an object made in five of them and some destroyed.
    CHECK(points.size() > 40);
    Outcome outcome;
    for (const Point& point : some_of(points, most)) {
        INFO(point.call << " " << point.number);
        loads.kill_in_load(point, outcome);
    }
    // A call more or less is the scheduler's; most must be where they were counted.
    CHECK(outcome.killed * 10 >= outcome.points * 9);
    say_outcome(refresh ? "a refresh" : "a first load", points.size(), outcome);
}

void kill_in_starts(std::size_t most) {
    if (cannot_trace()) return;
    Loads loads(true);
    // A key object was made, and the commit that names it was not. Before it the ephemeral key and the KEK
    // were made and the former destroyed.
    const Point between{"syncfs", 4};
    loads.begin_at(between);
    CHECK(compare_objects(loads.site()).orphans.size() == 1);
    loads.site().save("half");
    const auto points = loads.points_of_start();
    CHECK(points.size() > 10);
    Outcome outcome;
    for (const Point& point : some_of(points, most)) {
        INFO(point.call << " " << point.number);
        loads.site().restore("half");
        loads.kill_in_start(point, outcome);
    }
    CHECK(outcome.killed * 10 >= outcome.points * 9);
    say_outcome("a start", points.size(), outcome);
}

}  // namespace

TEST_CASE("kills at some writes of a refresh") {
    kill_in_loads(true, 4);
}
TEST_CASE("a kill at every write of a first load", "[.][full]") {
    kill_in_loads(false, 0);
}
TEST_CASE("a kill at every write of a refresh", "[.][full]") {
    kill_in_loads(true, 0);
}
TEST_CASE("kills at some writes of a start") {
    kill_in_starts(3);
}
TEST_CASE("a kill at every write of a start", "[.][full]") {
    kill_in_starts(0);
}

}  // namespace sts6::crash
