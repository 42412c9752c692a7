// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/pkcs11/key_catalogue.hpp"

namespace sts6::p11 {

/// Session copies of token keys, made at a key's first use, the least recently used one given up when there
/// are too many. They belong to one session and serve all.
class SessionCopies {
  public:
    static constexpr std::size_t kMost = 1024;

    explicit SessionCopies(bool enabled) : enabled_(enabled) { copied_.reserve(enabled ? kMost : 0); }

    /// What is used after this call stays until the next one.
    void begin_batch() noexcept { batch_start_ = now_ + 1; }

    /// The handle to use the key by: its copy, or the token object itself where no copy is to be had.
    [[nodiscard]] CK_OBJECT_HANDLE use(const Session& owner, TokenKey& entry);

    void drop(const Session& owner, TokenKey& entry);
    /// After the owning session went: the copies went with it.
    void forget_all() noexcept;

  private:
    [[nodiscard]] CK_OBJECT_HANDLE make(const Session& owner, TokenKey& entry);
    [[nodiscard]] bool make_room(const Session& owner);

    bool enabled_;
    std::vector<TokenKey*> copied_;  ///< those that have a copy
    std::uint64_t now_ = 0;          ///< counts uses
    std::uint64_t batch_start_ = 1;
};

}  // namespace sts6::p11
