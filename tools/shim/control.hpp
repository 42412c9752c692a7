// SPDX-License-Identifier: Apache-2.0
// How a test or a benchmark tells the PKCS#11 shim what to do, in its own process or in a daemon's: a file
// that both map, named by an environment variable.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sts6::shim {

inline constexpr const char* kControlVariable = "STS6_SHIM_CONTROL";

/// The Cryptoki functions that can be made to fail, and are counted. All others go straight to the token.
inline constexpr std::array<std::string_view, 31> kCalls = {"C_Initialize",
                                                            "C_Finalize",
                                                            "C_GetInfo",
                                                            "C_GetSlotList",
                                                            "C_GetTokenInfo",
                                                            "C_OpenSession",
                                                            "C_CloseSession",
                                                            "C_GetSessionInfo",
                                                            "C_Login",
                                                            "C_CreateObject",
                                                            "C_CopyObject",
                                                            "C_DestroyObject",
                                                            "C_GetAttributeValue",
                                                            "C_FindObjectsInit",
                                                            "C_FindObjects",
                                                            "C_FindObjectsFinal",
                                                            "C_GenerateKey",
                                                            "C_GenerateKeyPair",
                                                            "C_DeriveKey",
                                                            "C_DigestInit",
                                                            "C_DigestUpdate",
                                                            "C_DigestKey",
                                                            "C_DigestFinal",
                                                            "C_GenerateRandom",
                                                            "C_SignInit",
                                                            "C_Sign",
                                                            "C_EncryptInit",
                                                            "C_Encrypt",
                                                            "C_DecryptInit",
                                                            "C_Decrypt",
                                                            "C_CloseAllSessions"};

constexpr std::size_t call_index(std::string_view name) {
    std::size_t index = 0;
    while (index < kCalls.size() && kCalls.at(index) != name) ++index;
    return index < kCalls.size() ? index : throw std::invalid_argument("no such call");
}

/// What stands in the file.
struct Shared {
    /// How calls number `first` to `last` of one function end, counted from 1.
    struct Rule {
        std::atomic<std::uint64_t> calls{0};
        std::atomic<std::uint64_t> first{std::numeric_limits<std::uint64_t>::max()};
        std::atomic<std::uint64_t> last{0};
        std::atomic<std::uint64_t> answer{0};
        std::atomic<bool> removes{false};   ///< the first of them takes the device away
        std::atomic<bool> executes{false};  ///< the token executes it, and its answer is lost
    };

    std::array<char, 256> module{};          ///< the wrapped library
    std::atomic<std::uint32_t> delay_us{0};  ///< of C_Sign, C_Encrypt and C_Decrypt
    std::atomic<bool> removed{false};
    std::atomic<std::uint32_t> drops{0};
    std::atomic<std::int64_t> sessions{0};
    std::atomic<std::int64_t> session_objects{0};
    std::atomic<std::int64_t> left_open{0};  ///< sessions, at C_Finalize
    std::array<Rule, kCalls.size()> rules{};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

/// The file as it is mapped.
class Mapping {
  public:
    /// Throws std::runtime_error.
    Mapping(const std::filesystem::path& path, bool create) {
        const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
        void* memory = MAP_FAILED;
        if (file >= 0 && (!create || ::ftruncate(file, sizeof(Shared)) == 0)) {
            memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        }
        if (file >= 0) ::close(file);
        if (memory == MAP_FAILED) throw std::runtime_error("the shim's control file " + path.string());
        shared_ = create ? new (memory) Shared : static_cast<Shared*>(memory);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping() { ::munmap(shared_, sizeof(Shared)); }

    [[nodiscard]] Shared& shared() const noexcept { return *shared_; }

  private:
    Shared* shared_;
};

/// The shim's control: made before the library is loaded, by this process or one that it starts. One at a
/// time.
class Control {
  public:
    static constexpr std::uint64_t kForEver = std::numeric_limits<std::uint64_t>::max();

    Control(const std::filesystem::path& file, const std::filesystem::path& wrapped) : mapping_(file, true) {
        const std::string name = wrapped.string();
        if (name.size() >= shared().module.size()) throw std::runtime_error("the path of a PKCS#11 module");
        name.copy(shared().module.data(), name.size());
        ::setenv(kControlVariable, file.c_str(), 1);
    }
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;
    ~Control() { ::unsetenv(kControlVariable); }

    void delay(std::uint32_t microseconds) { shared().delay_us = microseconds; }
    /// Calls number `first` to `last` of `call` from here on answer `rv` and never reach the token.
    void fail(std::string_view call, unsigned long rv, std::uint64_t first = 1, std::uint64_t last = 0) {
        set(call, rv, first, last == 0 ? first : last);
    }
    /// Call number `which` is executed, and its answer lost: `rv` stands in its place.
    void lose_answer(std::string_view call, unsigned long rv, std::uint64_t which) {
        rule(call).executes = true;
        set(call, rv, which, which);
    }
    /// Call number `which` finds the device gone, and so does every call after it.
    void remove_at(std::string_view call, unsigned long rv, std::uint64_t which) {
        rule(call).removes = true;
        set(call, rv, which, which);
    }
    /// The device goes and comes back; what it held of sessions and their objects is gone with it.
    void remove_device(bool removed = true) { shared().removed = removed; }
    /// All sessions end, and the login with them.
    void drop_sessions() { ++shared().drops; }
    /// No failure, no delay; calls are counted from 0 again.
    void clear() {
        for (Shared::Rule& one : shared().rules) {
            one.first = kForEver;
            one.last = 0;
            one.removes = false;
            one.executes = false;
            one.calls = 0;
        }
        shared().removed = false;
        shared().delay_us = 0;
    }

    [[nodiscard]] std::uint64_t calls(std::string_view call) const {
        return shared().rules.at(call_index(call)).calls;
    }
    /// Open now.
    [[nodiscard]] std::int64_t sessions() const { return shared().sessions; }
    /// Open at the last C_Finalize.
    [[nodiscard]] std::int64_t left_open() const { return shared().left_open; }
    [[nodiscard]] std::int64_t session_objects() const { return shared().session_objects; }

  private:
    [[nodiscard]] Shared& shared() const noexcept { return mapping_.shared(); }
    [[nodiscard]] Shared::Rule& rule(std::string_view call) { return shared().rules.at(call_index(call)); }
    void set(std::string_view call, unsigned long rv, std::uint64_t first, std::uint64_t last) {
        Shared::Rule& one = rule(call);
        one.first = kForEver;
        one.calls = 0;
        one.answer = rv;
        one.last = last;
        one.first = first;
    }

    Mapping mapping_;
};

}  // namespace sts6::shim
