// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "firmware/ports/hsm.hpp"
#include "src/pkcs11/key_catalogue.hpp"
#include "src/pkcs11/session.hpp"

namespace sts6::p11 {

/// One derivation to do in the token.
struct Derivation {
    const DerivationRequest* request;
    DerivationResult* result;  ///< its key is written on CKR_OK, its error never
    KeyEntry* key;
    CK_OBJECT_HANDLE object;
    CK_OBJECT_HANDLE wrapping_object;  ///< DKGA02 only
    CK_RV rv;  ///< the outcome; of a wrapped key that is not this key's, CKR_WRAPPED_KEY_INVALID
};

/// Does derivations over several sessions at once: the calling thread with the first, helper threads with the
/// others. One session, or one derivation, involves no other thread.
class DerivationPool {
  public:
    DerivationPool() = default;
    DerivationPool(const DerivationPool&) = delete;
    DerivationPool& operator=(const DerivationPool&) = delete;
    ~DerivationPool();

    /// Opens the sessions, in the place of those there are; the helpers start with the first success. On
    /// failure there are none.
    [[nodiscard]] CK_RV open_sessions(Module& module, CK_SLOT_ID slot, unsigned count);
    /// Before sessions are opened anew: those that the token no longer knows must not be closed.
    void forget_dead_sessions() noexcept;

    /// Sets the outcome of each. When the connection is lost, what is not yet under way gets that fault
    /// untried.
    void run(std::span<Derivation> derivations);

    /// The calling thread's session. Precondition: open_sessions() succeeded.
    [[nodiscard]] Session& session() noexcept { return sessions_.front(); }

  private:
    void help(std::size_t session);
    void work(Session& session);

    std::vector<Session> sessions_;
    std::vector<std::thread> helpers_;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable finished_;
    std::size_t wanted_ = 0;  ///< helpers that may still join
    std::size_t active_ = 0;  ///< helpers at work
    bool stop_ = false;

    std::span<Derivation> job_;
    std::atomic<std::size_t> next_{0};
    std::atomic<CK_RV> lost_{CKR_OK};  ///< the fault that stops the job
};

}  // namespace sts6::p11
