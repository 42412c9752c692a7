// SPDX-License-Identifier: Apache-2.0
// A module on a file system that is really full.
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "sts6/client.hpp"
#include "tests/crash/books.hpp"
#include "tests/crash/site.hpp"

namespace sts6::crash {

namespace {

/// A file system of 8 MiB.
class SmallDisk {
  public:
    explicit SmallDisk(const std::filesystem::path& place) : place_(place) {
        std::filesystem::create_directory(place_);
        mounted_ = ::mount("sts6", place_.c_str(), "tmpfs", 0, "size=8m,mode=0700") == 0;
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
    ~SmallDisk() {
        if (mounted_) ::umount2(place_.c_str(), MNT_DETACH);
    }
    [[nodiscard]] bool mounted() const { return mounted_; }
    /// To the last octet.
    void fill() const {
        const int file = ::open(filler().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        REQUIRE(file >= 0);
        const std::string block(4096, 'x');
        for (std::size_t size = block.size(); size > 0;) {
            if (::write(file, block.data(), size) < 0) size /= 2;
        }
        const int reason = errno;
        ::close(file);
        REQUIRE(reason == ENOSPC);
    }
    void empty() const { std::filesystem::remove(filler()); }

  private:
    [[nodiscard]] std::filesystem::path filler() const { return place_ / "filler"; }

    std::filesystem::path place_;
    bool mounted_ = false;
};

constexpr const char* kFull = "disk is full";
constexpr const char* kRoom = "the disk has room again";

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t times = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
    return times;
}

/// A client's next token: its code.
std::string vend(Client& client, Ledger& ledger) {
    const Ledger::Next next = ledger.next();
    const auto answer = client.exchange(next.command);
    REQUIRE(answer);
    if (answer->ok()) ledger.acknowledge(next.tid);
    return answer->code;
}

}  // namespace

TEST_CASE("on a full disk a module refuses, says so once, and vends again when there is room") {
    const conform::TemporaryDirectory place;
    const SmallDisk disk(place.path() / "disk");
    if (!disk.mounted()) {
        WARN("SKIPPED: only root can mount a small file system");
        return;
    }
    Site site(place.path(), place.path() / "disk" / "m");
    load_limited_key(site);
    const Counters initial = counters_of(site);
    Ledger ledger;
    auto client = Client::connect(site.url(), {.timeout_ms = 60'000});
    REQUIRE(client);
    for (int time = 1; time <= 2; ++time) {
        INFO("time " << time);
        disk.fill();
        // A commit of fewer pages may still fit where another did not: until none of each kind does.
        int refused = 0;
        for (int i = 0; i < 3000 && refused < 3; ++i)
            refused = vend(*client, ledger) == "01" ? refused + 1 : 0;
        REQUIRE(refused == 3);
        const Counters before = counters_of(site);
        const std::size_t told = count(site.log(), kFull);
        CHECK(told > 0);
        CHECK(count(site.log(), kRoom) == told - 1);
        for (int i = 0; i < 9; ++i) CHECK(vend(*client, ledger) == "01");
        CHECK(counters_of(site) == before);
        CHECK(site.ask("SM?KCP" + site.kmc_record() + "~") == "SM!KC01");
        CHECK(count(site.log(), kFull) == told);
        disk.empty();
        // More than a write-ahead log holds.
        for (int i = 0; i < 400; ++i) REQUIRE(vend(*client, ledger) == "00");
        CHECK(count(site.log(), kFull) == told);
        CHECK(count(site.log(), kRoom) == told);
    }
    REQUIRE(site.load());

    disk.fill();
    site.kill();
    // It may come up on what it has, or say what it lacks.
    if (site.try_start()) {
        site.kill();
    } else {
        const std::string log = site.log();
        INFO(log);
        CHECK((count(log, kFull) + count(log, "No space left on device")) > 0);
    }
    disk.empty();
    const Counters left = ledger.check(site.audit(), initial);
    site.start();
    const Counters now = counters_of(site);
    CHECK(now.tokens == left.tokens);
    auto again = Client::connect(site.url());
    REQUIRE(again);
    CHECK(vend(*again, ledger) == "00");
    site.kill();
    const Objects objects = compare_objects(site);
    CHECK(objects.orphans.empty());
    CHECK(objects.lost.empty());
}

}  // namespace sts6::crash
