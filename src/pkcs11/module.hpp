// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "src/pkcs11/cryptoki.hpp"
#include "src/pkcs11/news.hpp"
#include "src/pkcs11/token_config.hpp"

struct PKCS11_ctx_st;  // of libp11

namespace sts6::p11 {

/// A slot with a token in it.
struct TokenSlot {
    CK_SLOT_ID slot = 0;
    CK_FLAGS flags = 0;
    std::string label;
    std::string manufacturer;
    std::string model;
    std::string serial;
    std::size_t pin_least = 0;
    std::size_t pin_most = 0;

    [[nodiscard]] bool is_initialised() const noexcept { return (flags & CKF_TOKEN_INITIALIZED) != 0; }
};

/// A loaded PKCS#11 library: the one owner of C_Initialize and C_Finalize in the process, so that several
/// users of one library share it. The library's code stays mapped after the last of them, since libraries
/// leave threads and exit handlers behind.
class Module {
  public:
    /// hsm_missing: no such file, or no PKCS#11 library; in_use: loaded already with other arguments.
    [[nodiscard]] static Result<std::shared_ptr<Module>> acquire(const TokenConfig& config);

    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;

    /// Read anew for each call: never a copy of the table.
    [[nodiscard]] const CK_FUNCTION_LIST& api() const noexcept { return *functions_; }

    /// Held round everything but the use of a key: some libraries (SoftHSM 2.6) do not survive sessions and
    /// objects coming and going on several threads at once. Never held by a caller of this room's functions.
    [[nodiscard]] std::unique_lock<std::mutex> management() { return std::unique_lock(management_); }

    [[nodiscard]] CkResult<std::vector<TokenSlot>> tokens();

    [[nodiscard]] const std::string& manufacturer() const noexcept { return manufacturer_; }
    /// Description and version.
    [[nodiscard]] const std::string& description() const noexcept { return description_; }

    /// Logs an error of the search for a token, unless it is no news.
    void complain(const std::string& line);
    [[nodiscard]] News& news() noexcept { return news_; }

    /// C_Initialize once more, after somebody else's C_Finalize. Every session and handle is void then.
    [[nodiscard]] CK_RV reinitialise();
    /// Counts the initialisations: a session of an earlier one is not to be closed, its number may be
    /// another's.
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

    /// The libp11 context over the same library, for set-up; made on first use, released with the module.
    /// Mind that releasing libp11's slots closes every session of these slots, ours too (libp11 0.4.12).
    [[nodiscard]] Result<PKCS11_ctx_st*> libp11();

  private:
    explicit Module(const TokenConfig& config, std::filesystem::path path);
    ~Module();
    static void release(Module* module);

    [[nodiscard]] Result<void> load();
    [[nodiscard]] CK_RV initialise();

    std::filesystem::path path_;
    std::filesystem::path softhsm_conf_;
    std::string init_args_;
    unsigned users_ = 0;
    void* library_ = nullptr;
    CK_FUNCTION_LIST* functions_ = nullptr;
    bool finalise_ = false;  ///< the initialisation is ours
    std::atomic<std::uint64_t> generation_{0};
    std::string manufacturer_;
    std::string description_;
    PKCS11_ctx_st* libp11_ = nullptr;
    std::mutex management_;
    News news_;
};

/// The one initialised token of that label. hsm_missing, with the reason in the log: none, or several.
[[nodiscard]] Result<TokenSlot> find_token(Module& module, const std::string& label);

/// Text of a Cryptoki structure, which is padded with blanks.
[[nodiscard]] std::string padded_text(const unsigned char* text, std::size_t size);

}  // namespace sts6::p11
