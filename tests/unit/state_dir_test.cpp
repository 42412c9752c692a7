// SPDX-License-Identifier: Apache-2.0
// A state directory: whose it is, what is refused, and that one process has it at a time.
#include "src/daemon/state_dir.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <catch2/catch.hpp>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/conform/child_process.hpp"

namespace sts6 {
namespace {

namespace fs = std::filesystem;

constexpr fs::perms kOwnerFile = fs::perms::owner_read | fs::perms::owner_write;

/// A state directory as set-up leaves it, as far as check() can see.
class Place {
  public:
    Place() {
        make_directory(root());
        for (const char* name : {"state", "pins", "hsm", "hsm/tokens"}) make_directory(root() / name);
        for (const char* name : {"sts6d.toml", "state/module.db", "pins/user.pin", "hsm/tokens/object"}) {
            std::ofstream(root() / name) << "x";
            fs::permissions(root() / name, kOwnerFile);
        }
    }
    [[nodiscard]] fs::path root() const { return dir_.path() / "module"; }
    [[nodiscard]] fs::path outside() const { return dir_.path(); }
    [[nodiscard]] StateDir dir() const { return StateDir(root()); }

  private:
    static void make_directory(const fs::path& path) {
        fs::create_directory(path);
        fs::permissions(path, fs::perms::owner_all);
    }

    conform::TemporaryDirectory dir_;
};

void check_refused(const Outcome<void>& outcome, Errc code, const fs::path& named) {
    REQUIRE_FALSE(outcome);
    CAPTURE(outcome.error().text);
    CHECK(outcome.error().code == code);
    CHECK(outcome.error().text.starts_with(named.string() + " "));
}

/// Another process that holds the lock until it is killed.
class Holder {
  public:
    explicit Holder(const StateDir& dir) {
        std::array<int, 2> ends{};
        if (pipe(ends.data()) != 0) throw std::runtime_error("pipe");
        pid_ = fork();
        if (pid_ < 0) throw std::runtime_error("fork");
        if (pid_ == 0) {
            const auto lock = StateLock::take(dir);
            const char taken = lock ? 'y' : 'n';
            if (write(ends[1], &taken, 1) != 1) _exit(1);
            for (;;) pause();
        }
        close(ends[1]);
        char taken = 0;
        has_lock_ = read(ends[0], &taken, 1) == 1 && taken == 'y';
        close(ends[0]);
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() { end(); }

    [[nodiscard]] bool has_lock() const { return has_lock_; }
    void end() {
        if (pid_ <= 0) return;
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

  private:
    pid_t pid_ = -1;
    bool has_lock_ = false;
};

}  // namespace

TEST_CASE("state dir: where things are") {
    const StateDir dir("/var/lib/m");
    CHECK(dir.root() == "/var/lib/m");
    CHECK(dir.config_file() == "/var/lib/m/sts6d.toml");
    CHECK(dir.database() == "/var/lib/m/state/module.db");
    CHECK(dir.lock_file() == "/var/lib/m/state/lock");
    CHECK(dir.pins() == "/var/lib/m/pins");
    CHECK(dir.hsm() == "/var/lib/m/hsm");
    CHECK(StateDir("m").root() == fs::current_path() / "m");
}

TEST_CASE("state dir: one for its owner only is accepted") {
    const Place place;
    CHECK(place.dir().check());
    fs::permissions(place.root() / "pins/user.pin", fs::perms::owner_read);
    CHECK(place.dir().check());
}

TEST_CASE("state dir: any right of group or others on any entry is refused") {
    const Place place;
    for (const char* name : {"", "state", "pins", "hsm", "hsm/tokens", "sts6d.toml", "state/module.db",
                             "pins/user.pin", "hsm/tokens/object"}) {
        const fs::path path = *name == '\0' ? place.root() : place.root() / name;
        const fs::perms before = fs::status(path).permissions();
        for (const fs::perms right :
             {fs::perms::group_read, fs::perms::group_write, fs::perms::group_exec, fs::perms::others_read,
              fs::perms::others_write, fs::perms::others_exec}) {
            fs::permissions(path, before | right);
            check_refused(place.dir().check(), Errc::permission, path);
        }
        fs::permissions(path, before);
        CHECK(place.dir().check());
    }
}

TEST_CASE("state dir: an entry of somebody else is refused") {
    if (geteuid() != 0) {
        WARN("SKIPPED: only root can give a file away");
        return;
    }
    constexpr uid_t kSomebody = 12345;
    const Place place;
    for (const char* name : {"hsm/tokens/object", "pins", "sts6d.toml"}) {
        const fs::path path = place.root() / name;
        REQUIRE(chown(path.c_str(), kSomebody, static_cast<gid_t>(-1)) == 0);
        check_refused(place.dir().check(), Errc::permission, path);
        REQUIRE(chown(path.c_str(), 0, static_cast<gid_t>(-1)) == 0);
    }
    REQUIRE(chown(place.root().c_str(), kSomebody, static_cast<gid_t>(-1)) == 0);
    check_refused(place.dir().check(), Errc::permission, place.root());
}

TEST_CASE("state dir: a symbolic link in it is refused") {
    const Place place;
    const fs::path link = place.root() / "pins" / "so.pin";
    SECTION("to a file that others can read") {
        std::ofstream(place.outside() / "pin") << "1234";
        fs::permissions(place.outside() / "pin", kOwnerFile | fs::perms::others_read);
        fs::create_symlink(place.outside() / "pin", link);
    }
    SECTION("to a directory") {
        fs::create_directory_symlink(place.outside(), link);
    }
    SECTION("to an entry of its own") {
        fs::create_symlink("user.pin", link);
    }
    SECTION("to nothing") {
        fs::create_symlink("none", link);
    }
    SECTION("to itself") {
        fs::create_symlink("so.pin", link);
    }
    check_refused(place.dir().check(), Errc::permission, link);
}

TEST_CASE("state dir: a link that leads to it does not hide its access rights") {
    const Place place;
    const fs::path link = place.outside() / "current";
    fs::create_directory_symlink(place.root(), link);
    CHECK(StateDir(link).check());
    fs::permissions(place.root(), fs::perms::owner_all | fs::perms::others_read);
    check_refused(StateDir(link).check(), Errc::permission, link);
}

TEST_CASE("state dir: what is none is refused") {
    const Place place;
    const fs::path none = place.outside() / "none";
    check_refused(StateDir(none).check(), Errc::not_found, none);
    const fs::path file = place.root() / "sts6d.toml";
    check_refused(StateDir(file).check(), Errc::not_found, file);
    const fs::path dangling = place.outside() / "dangling";
    fs::create_symlink("none", dangling);
    check_refused(StateDir(dangling).check(), Errc::not_found, dangling);
}

TEST_CASE("state dir: a set-up that was not finished is refused") {
    const Place place;
    fs::remove(place.root() / "sts6d.toml");
    check_refused(place.dir().check(), Errc::malformed, place.root());
    fs::create_directory(place.root() / "sts6d.toml");
    fs::permissions(place.root() / "sts6d.toml", fs::perms::owner_all);
    check_refused(place.dir().check(), Errc::malformed, place.root());
}

TEST_CASE("state lock: one at a time within a process") {
    const Place place;
    {
        auto first = StateLock::take(place.dir());
        REQUIRE(first);
        const auto second = StateLock::take(place.dir());
        REQUIRE_FALSE(second);
        CHECK(second.error().code == Errc::in_use);
        CHECK(second.error().text.find(place.root().string()) != std::string::npos);
        // What the lock was moved to holds it.
        const std::optional<StateLock> moved(std::move(*first));
        CHECK_FALSE(StateLock::take(place.dir()));
    }
    CHECK(StateLock::take(place.dir()));
    CHECK(place.dir().check());
}

TEST_CASE("state lock: one at a time among processes, free when its holder is killed") {
    const Place place;
    Holder holder(place.dir());
    REQUIRE(holder.has_lock());
    const auto refused = StateLock::take(place.dir());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::in_use);
    holder.end();
    const auto taken = StateLock::take(place.dir());
    REQUIRE(taken);
    const Holder other(place.dir());
    CHECK_FALSE(other.has_lock());
}

TEST_CASE("state lock: what cannot be a lock file is refused") {
    const Place place;
    SECTION("a symbolic link") {
        fs::create_symlink(place.outside() / "target", place.dir().lock_file());
        const auto lock = StateLock::take(place.dir());
        REQUIRE_FALSE(lock);
        CHECK(lock.error().code == Errc::io_failed);
        CHECK_FALSE(fs::exists(place.outside() / "target"));
    }
    SECTION("a directory") {
        fs::create_directory(place.dir().lock_file());
        const auto lock = StateLock::take(place.dir());
        REQUIRE_FALSE(lock);
        CHECK(lock.error().code == Errc::io_failed);
    }
    SECTION("no place for one") {
        fs::remove_all(place.root() / "state");
        const auto lock = StateLock::take(place.dir());
        REQUIRE_FALSE(lock);
        CHECK(lock.error().code == Errc::io_failed);
    }
}

}  // namespace sts6
