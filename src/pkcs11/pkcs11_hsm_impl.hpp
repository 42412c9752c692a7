// SPDX-License-Identifier: Apache-2.0
// What is behind Pkcs11Hsm. Vending, login and recovery are in pkcs11_hsm.cpp, key management is in
// pkcs11_hsm_keys.cpp.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/pkcs11/connection.hpp"
#include "src/pkcs11/derivation_pool.hpp"
#include "src/pkcs11/kek.hpp"
#include "src/pkcs11/key_catalogue.hpp"
#include "src/pkcs11/pkcs11_hsm.hpp"
#include "src/pkcs11/retry_delay.hpp"
#include "src/pkcs11/session_copies.hpp"

namespace sts6::p11 {

class Pkcs11Hsm::Impl {
  public:
    Impl(Connection connection, Capabilities found, const TokenConfig& config)
        : capabilities(std::move(found)),
          connection_(std::move(connection)),
          catalogue_(config.object_prefix),
          copies_(capabilities.session_copies),
          session_count_(config.sessions),
          sync_dir_(config.sync_dir) {
        const TokenSlot& token = connection_.token();
        identity = {token.label, token.manufacturer, token.model, token.serial,
                    connection_.module().description()};
        constexpr std::size_t kUsualBatch = 256;
        derivations_.reserve(kUsualBatch);
    }

    [[nodiscard]] Result<void> start();
    void destroy_half_made();

    [[nodiscard]] Result<KeyHandle> find_key(const KeyId& id, Dkga dkg);
    [[nodiscard]] Result<Kcv> check_value(KeyHandle key);
    void decoder_keys(std::span<const DerivationRequest> requests, std::span<DerivationResult> results);
    [[nodiscard]] Result<void> random(std::span<std::uint8_t> out);
    [[nodiscard]] Result<LoadedKey> create_vending_key(Dkga dkg, std::span<const std::uint8_t> key);
    [[nodiscard]] bool has_wrapping_key() noexcept;
    [[nodiscard]] Result<void> destroy_wrapping_key();
    [[nodiscard]] Result<std::vector<KeyId>> vending_keys();

    // pkcs11_hsm_keys.cpp
    [[nodiscard]] Result<void> adopt(std::string_view module_id);
    [[nodiscard]] Result<EcKey> generate_ec_key(EcKeyUse use);
    [[nodiscard]] Result<KeyId> agree(const AgreementRequest& request);
    [[nodiscard]] Result<LoadedKey> load_key(const SealedKey& sealed);
    [[nodiscard]] Result<bool> is_same_key(const KeyReference& a, const KeyReference& b);
    [[nodiscard]] Result<void> destroy_key(const KeyId& id);
    [[nodiscard]] Result<void> destroy_all_keys();
    [[nodiscard]] Result<std::size_t> list_keys(std::size_t index, std::span<KeyId> ids);

    const Capabilities capabilities;
    TokenIdentity identity;
    std::atomic<bool> connected{true};

  private:
    [[nodiscard]] bool ready() { return connected || recover(); }
    bool recover();
    void recovered();
    [[nodiscard]] Result<void> restore();
    [[nodiscard]] CK_RV refresh();
    [[nodiscard]] CK_RV finish_key();
    template <class F>
    [[nodiscard]] CK_RV attempt(F operation);

    [[nodiscard]] bool serves(Dkga dkg) const noexcept {
        return dkg == Dkga::dkga04 || (capabilities.des3_kkk && capabilities.aes_256);
    }
    [[nodiscard]] std::optional<Errc> wrapping_key_refusal();
    [[nodiscard]] std::optional<Errc> refusal(KeyEntry& entry, Dkga dkg);
    [[nodiscard]] std::optional<Errc> verify(KeyEntry& entry);
    [[nodiscard]] Result<Derivation> plan(const DerivationRequest& request, DerivationResult& result);
    void settle();
    void retry();
    void report(CK_RV rv);

    [[nodiscard]] CK_RV provide_wrapping_key();
    [[nodiscard]] CkResult<WrappedKey> wrap(std::span<const std::uint8_t> key, const KeyId& id);
    [[nodiscard]] CK_RV make_key(Dkga dkg, std::span<const std::uint8_t> key, const Kcv& kcv,
                                 LoadedKey& made);

    [[nodiscard]] CkResult<CK_OBJECT_HANDLE> find_one(std::string_view kind, const KeyId& id);
    [[nodiscard]] CK_RV make_ec_key(EcKeyUse use, EcKey& made);
    [[nodiscard]] CK_RV make_kek(const AgreementRequest& request, KeyId& id);
    [[nodiscard]] CK_RV open_with_kek(const SealedKey& sealed, Payload& payload);
    [[nodiscard]] CK_RV compare(KeyEntry& a, KeyEntry& b, const KeyReference& first,
                                const KeyReference& second, bool& same);
    [[nodiscard]] std::optional<Errc> unusable(const KeyEntry* entry) const noexcept;
    [[nodiscard]] Errc failed(const char* what, CK_RV rv);
    [[nodiscard]] Result<void> destroy(std::span<const std::string> labels);
    [[nodiscard]] CK_RV list();

    // In this order: sessions are closed before the library goes.
    Connection connection_;
    DerivationPool pool_;
    KeyCatalogue catalogue_;
    SessionCopies copies_;
    unsigned session_count_;
    std::filesystem::path sync_dir_;

    std::vector<std::string> unfinished_;  ///< labels of keys whose making failed: they may be in the token
    std::vector<KeyId> listed_;            ///< of list_keys()
    std::vector<Derivation> derivations_;  ///< what is left to do of the batch; kept for its capacity
    RetryDelay recovery_;
    CK_RV last_reported_ = CKR_OK;
    RetryDelay::Clock::time_point next_report_;
};

/// Runs an operation that answers a CKR, and once more after a recovery when that may help.
template <class F>
CK_RV Pkcs11Hsm::Impl::attempt(F operation) {
    if (!ready()) return CKR_DEVICE_REMOVED;
    CK_RV rv = operation();
    if (is_curable(rv)) {
        if (fault_of(rv) == Fault::connection) connected = false;
        if (!recover()) return rv;
        rv = operation();
        if (fault_of(rv) == Fault::connection) connected = false;
    }
    if (!is_curable(rv)) recovered();
    return rv;
}

}  // namespace sts6::p11
