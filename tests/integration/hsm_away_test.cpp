// SPDX-License-Identifier: Apache-2.0
// A daemon whose HSM goes away while clients vend, and comes back.
#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "tests/support/programs.hpp"
#include "tests/support/raw_link.hpp"
#include "tests/support/shimmed_token.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6 {
namespace {

using conform::LabModule;
using test::eventually;
using test::file_text;
using test::framed;
using test::RawLink;
using test::ShimmedToken;

// A published credit token (docs/protocol.md, SM?VC).
const std::string kCredit = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~DCC6\r";
const std::string kCreditToken = "SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\r";
constexpr unsigned long kGeneralError = 5;  // CKR_GENERAL_ERROR
const std::string kDeviceFailure = framed("SM!VC01");

/// Clients that ask for the same token for as long as they may.
class Clients {
  public:
    explicit Clients(const std::string& url) {
        for (std::size_t i = 0; i < kCount; ++i) threads_.emplace_back([this, url, i] { vend(url, i); });
    }
    Clients(const Clients&) = delete;
    Clients& operator=(const Clients&) = delete;
    ~Clients() { stop(); }
    void stop() {
        stop_ = true;
        for (std::thread& thread : threads_) {
            if (thread.joinable()) thread.join();
        }
    }

    struct Count {
        std::array<std::uint64_t, 4> tokens{};
        std::array<std::uint64_t, 4> failures{};
    };
    [[nodiscard]] Count count() const {
        Count count;
        for (std::size_t i = 0; i < kCount; ++i) {
            count.tokens.at(i) = tokens_.at(i);
            count.failures.at(i) = failures_.at(i);
        }
        return count;
    }
    /// Each client has got a token, or a failure, that it had not at `before`.
    [[nodiscard]] bool all_got_tokens_since(const Count& before) const {
        return all_more(count().tokens, before.tokens);
    }
    [[nodiscard]] bool all_failed_since(const Count& before) const {
        return all_more(count().failures, before.failures);
    }
    [[nodiscard]] std::uint64_t tokens() const {
        std::uint64_t sum = 0;
        for (const auto& one : tokens_) sum += one;
        return sum;
    }
    /// Answers that are neither that token nor status 01.
    [[nodiscard]] std::uint64_t others() const { return others_; }

  private:
    static constexpr std::size_t kCount = 4;

    static bool all_more(const std::array<std::uint64_t, kCount>& now,
                         const std::array<std::uint64_t, kCount>& before) {
        for (std::size_t i = 0; i < kCount; ++i) {
            if (now.at(i) <= before.at(i)) return false;
        }
        return true;
    }
    void vend(const std::string& url, std::size_t client) try {
        RawLink link(url);
        while (!stop_) {
            const std::string answer = link.ask(kCredit);
            if (answer == kCreditToken) {
                ++tokens_.at(client);
            } else if (answer == kDeviceFailure) {
                ++failures_.at(client);
            } else {
                ++others_;
            }
        }
    } catch (const std::exception&) {
        ++others_;  // a link that failed
    }

    std::array<std::atomic<std::uint64_t>, kCount> tokens_{};
    std::array<std::atomic<std::uint64_t>, kCount> failures_{};
    std::atomic<std::uint64_t> others_{0};
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

std::size_t occurrences(const std::string& text, std::string_view what) {
    std::size_t count = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
    return count;
}

std::vector<std::string> setup_options(const ShimmedToken& shimmed) {
    const auto pin = shimmed.token->directory.path() / "pin";
    test::write_text(pin, std::string(shimmed.token->pin.view()) + "\n");
    REQUIRE(::chmod(pin.c_str(), 0600) == 0);
    return {"--pkcs11-module", shimmed.token->config.module.string(),
            "--token-label",   shimmed.token->config.token_label,
            "--pin-file",      pin.string()};
}

}  // namespace

TEST_CASE("a daemon whose HSM goes away while clients vend, and comes back") {
    // Or is there, and every operation fails.
    const bool gone = GENERATE(true, false);
    ShimmedToken shimmed(test::softhsm_token());
    LabModule module(test::vector_pack(), setup_options(shimmed));
    module.start(std::nullopt);
    Clients clients(module.url());
    REQUIRE(eventually([&] { return clients.all_got_tokens_since({}); }));
    for (int time = 0; time < 3; ++time) {
        auto before = clients.count();
        if (gone) {
            shimmed.control.remove_device();
        } else {
            shimmed.control.fail("C_SignInit", kGeneralError, 1, shim::Control::kForEver);
        }
        REQUIRE(eventually([&] { return clients.all_failed_since(before); }));
        before = clients.count();
        REQUIRE(eventually([&] { return clients.all_failed_since(before); }));
        shimmed.control.clear();
        before = clients.count();
        REQUIRE(eventually([&] { return clients.all_got_tokens_since(before); }));
    }
    clients.stop();
    CHECK(clients.others() == 0);
    module.stop();
    // A vend that failed is not counted, and no token is that was not given out.
    CHECK(test::tokens_issued(module.dir()) == clients.tokens());
}

TEST_CASE("a daemon says in its log that its HSM is away, and that it is back") {
    ShimmedToken shimmed(test::softhsm_token());
    LabModule module(test::vector_pack(), setup_options(shimmed));
    module.start(std::nullopt);
    RawLink link(module.url());
    CHECK(link.ask(kCredit) == kCreditToken);
    CHECK(file_text(module.log()).find("is away") == std::string::npos);
    shimmed.control.remove_device();
    CHECK(link.ask(kCredit) == kDeviceFailure);
    CHECK(file_text(module.log()).find("PKCS#11 token 'sts6-test' is away") != std::string::npos);
    CHECK(file_text(module.log()).find("is back") == std::string::npos);
    const auto printed = [&module](const char* command) {
        return test::run_program("sts6ctl", {"--dir", module.dir().string(), command}).output;
    };
    CHECK(printed("status").find("\nWARNING: the HSM is away") != std::string::npos);
    CHECK(printed("metrics").find("\nsts6_hsm_connected 0\n") != std::string::npos);
    // Looked for again and again, which is no news.
    const auto looked = shimmed.control.calls("C_OpenSession");
    REQUIRE(eventually([&] {
        CHECK(link.ask(kCredit) == kDeviceFailure);
        return shimmed.control.calls("C_OpenSession") > looked + 5;
    }));
    CHECK(occurrences(file_text(module.log()), "is away") == 1);
    // What needs no key is answered all the same.
    CHECK(link.ask("SM?DI9A51\r").starts_with("SM!DI00"));
    shimmed.control.clear();
    REQUIRE(eventually([&] { return link.ask(kCredit) == kCreditToken; }));
    CHECK(file_text(module.log()).find("PKCS#11 token 'sts6-test' is back") != std::string::npos);
    CHECK(printed("status").find("WARNING: the HSM") == std::string::npos);
    CHECK(printed("metrics").find("\nsts6_hsm_connected 1\n") != std::string::npos);
    CHECK(shimmed.control.calls("C_Login") == 1);
    module.stop();
    CHECK(shimmed.control.sessions() == 0);
    CHECK(shimmed.control.left_open() == 0);
}

TEST_CASE("a daemon whose sessions are dropped vends on, and no client sees it") {
    ShimmedToken shimmed(test::softhsm_token());
    LabModule module(test::vector_pack(), setup_options(shimmed));
    module.start(std::nullopt);
    Clients clients(module.url());
    REQUIRE(eventually([&] { return clients.all_got_tokens_since({}); }));
    for (int time = 0; time < 10; ++time) {
        const auto logins = shimmed.control.calls("C_Login");
        shimmed.control.drop_sessions();
        // The daemon has noticed.
        REQUIRE(eventually([&] { return shimmed.control.calls("C_Login") > logins; }));
        const auto before = clients.count();
        REQUIRE(eventually([&] { return clients.all_got_tokens_since(before); }));
    }
    clients.stop();
    const auto count = clients.count();
    for (const std::uint64_t failures : count.failures) CHECK(failures == 0);
    CHECK(clients.others() == 0);
    module.stop();
    CHECK(test::tokens_issued(module.dir()) == clients.tokens());
}

}  // namespace sts6
