// SPDX-License-Identifier: Apache-2.0
#include "tests/support/software_hsm.hpp"

#include <stdexcept>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>

namespace sts6::test {

namespace {

void require(bool holds, const char* what) {
    if (!holds) throw std::runtime_error(std::string("OpenSSL: ") + what);
}

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

/// Null when OpenSSL refuses the point.
Key public_key(const EcPoint& point) {
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
        EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), &EVP_PKEY_CTX_free);
    std::string group = "P-384";
    EcPoint copy = point;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy.data(), copy.size()),
        OSSL_PARAM_construct_end()};
    EVP_PKEY* key = nullptr;
    if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        return {nullptr, &EVP_PKEY_free};
    }
    return {key, &EVP_PKEY_free};
}

EcPoint point_of(const EVP_PKEY* key) {
    EcPoint point{};
    std::size_t size = 0;
    require(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(),
                                            &size) == 1 &&
                size == point.size(),
            "public key");
    return point;
}

}  // namespace

EcPair::EcPair() : key_(EVP_EC_gen("P-384"), &EVP_PKEY_free) {
    require(key_ != nullptr, "key pair");
    point_ = point_of(key_.get());
}

EcPair::EcPair(std::span<const std::uint8_t> secret, const EcPoint& point)
    : key_(nullptr, &EVP_PKEY_free), point_(point) {
    const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
        BN_bin2bn(secret.data(), static_cast<int>(secret.size()), nullptr), &BN_free);
    const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> build(OSSL_PARAM_BLD_new(),
                                                                                &OSSL_PARAM_BLD_free);
    OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-384", 0);
    OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_PRIV_KEY, number.get());
    OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
    const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> parameters(
        OSSL_PARAM_BLD_to_param(build.get()), &OSSL_PARAM_free);
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
        EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), &EVP_PKEY_CTX_free);
    EVP_PKEY* key = nullptr;
    require(EVP_PKEY_fromdata_init(context.get()) == 1 &&
                EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parameters.get()) == 1,
            "private key");
    key_.reset(key);
}

Octets EcPair::agree(const EcPoint& peer) const {
    const Key other = public_key(peer);
    require(other != nullptr, "peer's point");
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
        EVP_PKEY_CTX_new(key_.get(), nullptr), &EVP_PKEY_CTX_free);
    Octets secret(48);
    std::size_t size = secret.size();
    require(EVP_PKEY_derive_init(context.get()) == 1 &&
                EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1 &&
                EVP_PKEY_derive(context.get(), secret.data(), &size) == 1 && size == secret.size(),
            "agreement");
    return secret;
}

bool is_on_curve(const EcPoint& point) {
    const Key key = public_key(point);
    if (key == nullptr) return false;
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
        EVP_PKEY_CTX_new(key.get(), nullptr), &EVP_PKEY_CTX_free);
    return EVP_PKEY_public_check(context.get()) == 1;
}

Sha384 sha384_of(std::span<const std::uint8_t> octets) {
    Sha384 digest{};
    SHA384(octets.data(), octets.size(), digest.data());
    return digest;
}

Octets hmac_sha384(std::span<const std::uint8_t> key, std::span<const std::uint8_t> data) {
    Octets mac(48);
    require(HMAC(EVP_sha384(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), mac.data(),
                 nullptr) != nullptr,
            "HMAC");
    return mac;
}

namespace {

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

Cipher ccm(bool seal, std::span<const std::uint8_t> key, std::span<const std::uint8_t> nonce,
           std::span<const std::uint8_t> associated, std::size_t size, std::uint8_t* tag) {
    Cipher context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
    const int encrypts = seal ? 1 : 0;
    int ignored = 0;
    require(EVP_CipherInit_ex(context.get(), EVP_aes_192_ccm(), nullptr, nullptr, nullptr, encrypts) == 1 &&
                EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN, static_cast<int>(nonce.size()),
                                    nullptr) == 1 &&
                EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 &&
                EVP_CipherInit_ex(context.get(), nullptr, nullptr, key.data(), nonce.data(), encrypts) == 1 &&
                EVP_CipherUpdate(context.get(), nullptr, &ignored, nullptr, static_cast<int>(size)) == 1 &&
                EVP_CipherUpdate(context.get(), nullptr, &ignored, associated.data(),
                                 static_cast<int>(associated.size())) == 1,
            "CCM");
    return context;
}

}  // namespace

Octets ccm_seal(std::span<const std::uint8_t> key, std::span<const std::uint8_t> nonce,
                std::span<const std::uint8_t> associated, std::span<const std::uint8_t> text) {
    const Cipher context = ccm(true, key, nonce, associated, text.size(), nullptr);
    Octets sealed(text.size() + 16);
    int size = 0;
    require(
        EVP_CipherUpdate(context.get(), sealed.data(), &size, text.data(), static_cast<int>(text.size())) ==
                1 &&
            EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, 16, sealed.data() + text.size()) == 1,
        "CCM");
    return sealed;
}

Octets ccm_open(std::span<const std::uint8_t> key, std::span<const std::uint8_t> nonce,
                std::span<const std::uint8_t> associated, std::span<const std::uint8_t> sealed) {
    if (sealed.size() <= 16) return {};
    Octets tag(sealed.end() - 16, sealed.end());
    const auto encrypted = sealed.first(sealed.size() - 16);
    const Cipher context = ccm(false, key, nonce, associated, encrypted.size(), tag.data());
    Octets text(encrypted.size());
    int size = 0;
    if (EVP_CipherUpdate(context.get(), text.data(), &size, encrypted.data(),
                         static_cast<int>(encrypted.size())) != 1) {
        return {};
    }
    return text;
}

Kcv kcv_of(std::span<const std::uint8_t> key) {
    std::array<std::uint8_t, 32> out{};
    const std::array<std::uint8_t, 8> zeros{};
    if (key.size() == 8) {
        std::array<std::uint8_t, 24> three{};
        for (std::size_t i = 0; i < three.size(); ++i) three[i] = key[i % 8];
        const Cipher context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
        int size = 0;
        require(EVP_EncryptInit_ex(context.get(), EVP_des_ede3_ecb(), nullptr, three.data(), nullptr) == 1 &&
                    EVP_EncryptUpdate(context.get(), out.data(), &size, zeros.data(), 8) == 1,
                "DES");
    } else {
        require(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), zeros.data(), zeros.size(),
                     out.data(), nullptr) != nullptr,
                "HMAC");
    }
    return {out[0], out[1], out[2]};
}

Octets derive_keys(const Octets& ze, const Octets& zs, std::span<const std::uint8_t> other_info) {
    Octets input = {0, 0, 0, 1};
    input.insert(input.end(), ze.begin(), ze.end());
    input.insert(input.end(), zs.begin(), zs.end());
    input.insert(input.end(), other_info.begin(), other_info.end());
    const Sha384 digest = sha384_of(input);
    return {digest.begin(), digest.end()};
}

KeyId SoftwareHsm::new_id() {
    KeyId id{};
    id.back() = ++last_id_;
    return id;
}

Result<KeyHandle> SoftwareHsm::find_key(const KeyId& id, Dkga dkg) {
    const auto found = vending_keys.find(id);
    if (found == vending_keys.end()) return Unexpected{Errc::key_missing};
    if (found->second.size() != vending_key_octets(dkg)) return Unexpected{Errc::key_mismatch};
    handles.push_back(id);
    return static_cast<KeyHandle>(handles.size() - 1);
}

Result<Kcv> SoftwareHsm::check_value(KeyHandle key) {
    if (away) return Unexpected{Errc::hsm_failed};
    const auto found = vending_keys.find(handles.at(static_cast<std::size_t>(key)));
    if (found == vending_keys.end()) return Unexpected{Errc::key_missing};
    return kcv_of(found->second);
}

void SoftwareHsm::decoder_keys(std::span<const DerivationRequest> requests,
                               std::span<DerivationResult> results) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const auto found = vending_keys.find(handles.at(static_cast<std::size_t>(requests[i].key)));
        results[i].error = away ? std::optional(Errc::hsm_failed) : std::nullopt;
        if (found == vending_keys.end()) results[i].error = Errc::key_missing;
        if (results[i].error) continue;
        std::array<std::uint8_t, 32> mac{};
        HMAC(EVP_sha256(), found->second.data(), static_cast<int>(found->second.size()),
             requests[i].data.data(), requests[i].data.size(), mac.data(), nullptr);
        std::copy_n(mac.begin(), 16, results[i].key.octets().begin());
    }
}

Result<void> SoftwareHsm::adopt(std::string_view module_id) {
    if (away) return Unexpected{Errc::hsm_failed};
    if (size() != 0) return Unexpected{Errc::already_exists};
    owner = module_id;
    return {};
}

Result<EcKey> SoftwareHsm::generate_ec_key(EcKeyUse) {
    if (away) return Unexpected{Errc::hsm_failed};
    const KeyId id = new_id();
    const auto [made, is_new] = pairs.try_emplace(id);
    return EcKey{id, made->second.point()};
}

Result<KeyId> SoftwareHsm::agree(const AgreementRequest& request) {
    if (away) return Unexpected{Errc::hsm_failed};
    const auto ephemeral = pairs.find(request.ephemeral_key);
    const auto fixed = pairs.find(request.static_key);
    if (ephemeral == pairs.end() || fixed == pairs.end()) return Unexpected{Errc::key_missing};
    const Octets keys = derive_keys(ephemeral->second.agree(request.peer), fixed->second.agree(request.peer),
                                    request.other_info);
    const Octets mac = hmac_sha384(std::span(keys).first(24), request.mac_data);
    if (!std::equal(request.mac_tag.begin(), request.mac_tag.end(), mac.begin()))
        return Unexpected{Errc::key_mismatch};
    const KeyId id = new_id();
    keks[id] = Octets(keys.begin() + 24, keys.end());
    return id;
}

Result<LoadedKey> SoftwareHsm::load_key(const SealedKey& sealed) {
    if (away) return Unexpected{Errc::hsm_failed};
    const auto kek = keks.find(sealed.kek);
    if (kek == keks.end()) return Unexpected{Errc::key_missing};
    const Octets key = ccm_open(kek->second, sealed.nonce, sealed.associated_data, sealed.sealed);
    if (key.empty()) return Unexpected{Errc::key_mismatch};
    if (key.size() != 8 && key.size() != 20) return Unexpected{Errc::malformed};
    LoadedKey loaded;
    loaded.id = new_id();
    loaded.dkg = key.size() == 8 ? Dkga::dkga02 : Dkga::dkga04;
    loaded.kcv = kcv_of(key);
    if (key.size() == 8) {
        loaded.wrapped_key.emplace();
        std::copy(key.begin(), key.end(), loaded.wrapped_key->begin());
    }
    vending_keys[loaded.id] = key;
    return loaded;
}

Result<bool> SoftwareHsm::is_same_key(const KeyReference& a, const KeyReference& b) {
    if (away) return Unexpected{Errc::hsm_failed};
    const auto first = vending_keys.find(handles.at(static_cast<std::size_t>(a.key)));
    const auto second = vending_keys.find(handles.at(static_cast<std::size_t>(b.key)));
    if (first == vending_keys.end() || second == vending_keys.end()) return Unexpected{Errc::key_missing};
    return first->second == second->second;
}

Result<void> SoftwareHsm::destroy_key(const KeyId& id) {
    if (away) return Unexpected{Errc::hsm_failed};
    const auto gone = pairs.erase(id) + keks.erase(id) + vending_keys.erase(id);
    return gone != 0 ? Result<void>{} : Unexpected{Errc::key_missing};
}

Result<std::size_t> SoftwareHsm::list_keys(std::size_t index, std::span<KeyId> ids) {
    std::vector<KeyId> all;
    for (const auto& [id, pair] : pairs) all.push_back(id);
    for (const auto& [id, kek] : keks) all.push_back(id);
    for (const auto& [id, key] : vending_keys) all.push_back(id);
    std::size_t count = 0;
    while (count < ids.size() && index + count < all.size()) {
        ids[count] = all[index + count];
        ++count;
    }
    return count;
}

}  // namespace sts6::test
