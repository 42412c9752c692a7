// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/derivation_pool.hpp"

#include <algorithm>
#include <array>

#include "firmware/util/secret.hpp"
#include "firmware/util/wipe.hpp"
#include "src/pkcs11/operations.hpp"
#include "src/pkcs11/wrapping_key.hpp"

namespace sts6::p11 {
namespace {

CK_RV derive_dkga04(Session& session, const Derivation& derivation) {
    std::array<std::uint8_t, 32> mac{};
    const CK_RV rv = hmac_sha256(session, derivation.object, derivation.request->data, mac);
    if (rv != CKR_OK) return rv;  // mac is as it was
    derivation.result->key.clear();
    std::copy_n(mac.begin(), decoder_key_octets(derivation.request->ea),
                derivation.result->key.octets().begin());
    wipe(mac.data(), mac.size());
    return CKR_OK;
}

/// DES_VK(X) xor X xor VK. The token's own copy of VK may have its parity mended, so that the last VK is the
/// one of the wrapped key.
CK_RV derive_dkga02(Session& session, const Derivation& derivation) {
    const auto x = std::span(derivation.request->data).first<kDkg02Octets>();
    Secret<kDkg02Octets> vending_key;
    Secret<kDkg02Octets> encrypted;
    CK_RV rv = unwrap_key(session, derivation.wrapping_object, derivation.request->wrapped_key,
                          derivation.key->id, vending_key);
    if (rv == CKR_OK) rv = des3_encrypt(session, derivation.object, x, encrypted.octets());
    if (rv != CKR_OK) return rv;
    derivation.result->key.clear();
    for (std::size_t i = 0; i < x.size(); ++i) {
        derivation.result->key.octets()[i] =
            static_cast<std::uint8_t>(encrypted.octets()[i] ^ x[i] ^ vending_key.octets()[i]);
    }
    return CKR_OK;
}

CK_RV derive(Session& session, const Derivation& derivation) {
    return derivation.request->dkga == Dkga::dkga02 ? derive_dkga02(session, derivation)
                                                    : derive_dkga04(session, derivation);
}

}  // namespace

DerivationPool::~DerivationPool() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& helper : helpers_) helper.join();
}

CK_RV DerivationPool::open_sessions(Module& module, CK_SLOT_ID slot, unsigned count) {
    std::vector<Session> fresh;
    fresh.reserve(count);
    for (unsigned i = 0; i < count; ++i) {
        auto session = Session::open(module, slot, Access::read_only);
        if (!session) {
            sessions_.clear();
            return session.error();
        }
        fresh.push_back(std::move(*session));
    }
    sessions_ = std::move(fresh);
    while (helpers_.size() + 1 < count)
        helpers_.emplace_back(&DerivationPool::help, this, helpers_.size() + 1);
    return CKR_OK;
}

void DerivationPool::forget_dead_sessions() noexcept {
    for (Session& session : sessions_) session.forget_if_dead();
}

void DerivationPool::run(std::span<Derivation> derivations) {
    if (derivations.empty()) return;
    lost_ = CKR_OK;
    const std::size_t helpers = std::min(helpers_.size(), derivations.size() - 1);
    if (helpers == 0) {
        job_ = derivations;
        next_ = 0;
        work(session());
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        job_ = derivations;
        next_ = 0;
        wanted_ = helpers;
    }
    if (helpers == helpers_.size()) {
        wake_.notify_all();
    } else {
        for (std::size_t i = 0; i < helpers; ++i) wake_.notify_one();
    }
    work(session());
    std::unique_lock lock(mutex_);
    wanted_ = 0;  // whoever has not woken yet is not needed any more
    finished_.wait(lock, [this] { return active_ == 0; });
}

void DerivationPool::help(std::size_t session) {
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [this] { return stop_ || wanted_ > 0; });
        if (stop_) return;
        --wanted_;
        ++active_;
        lock.unlock();
        work(sessions_[session]);
        lock.lock();
        if (--active_ == 0) finished_.notify_one();
    }
}

void DerivationPool::work(Session& session) {
    for (std::size_t i = next_++; i < job_.size(); i = next_++) {
        Derivation& derivation = job_[i];
        derivation.rv = lost_;
        if (derivation.rv != CKR_OK) continue;
        derivation.rv = derive(session, derivation);
        if (fault_of(derivation.rv) == Fault::connection) lost_ = derivation.rv;
    }
}

}  // namespace sts6::p11
