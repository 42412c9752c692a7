// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/operations.hpp"

#include <array>

#include "firmware/util/wipe.hpp"

namespace sts6::p11 {
namespace {

using InitFunction = CK_RV (*)(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE);
using RunFunction = CK_RV (*)(CK_SESSION_HANDLE, CK_BYTE*, CK_ULONG, CK_BYTE*, CK_ULONG*);

CK_RV run(Session& session, CK_MECHANISM mechanism, InitFunction init, RunFunction run_once,
          CK_OBJECT_HANDLE key, std::span<const std::uint8_t> in, std::span<std::uint8_t> out) {
    CK_RV rv = init(session.handle(), &mechanism, key);
    if (rv == CKR_OPERATION_ACTIVE) {
        rv = session.reopen();
        if (rv == CKR_OK) rv = init(session.handle(), &mechanism, key);
    }
    if (rv != CKR_OK) return rv;

    CK_ULONG size = out.size();
    // Cryptoki does not say const; the input is read only.
    rv = run_once(session.handle(), const_cast<CK_BYTE*>(in.data()), in.size(), out.data(), &size);
    if (rv == CKR_OK && size != out.size()) rv = CKR_FUNCTION_FAILED;
    if (rv == CKR_OK) return CKR_OK;
    wipe(out.data(), out.size());
    static_cast<void>(session.reopen());
    return rv;
}

}  // namespace

CK_RV hmac_sha256(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t> data,
                  std::span<std::uint8_t, 32> mac) {
    return run(session, {CKM_SHA256_HMAC, nullptr, 0}, session.api().C_SignInit, session.api().C_Sign, key,
               data, mac);
}

CK_RV des3_encrypt(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t, 8> block,
                   std::span<std::uint8_t, 8> encrypted) {
    return run(session, {CKM_DES3_ECB, nullptr, 0}, session.api().C_EncryptInit, session.api().C_Encrypt, key,
               block, encrypted);
}

CK_RV hmac_sha384(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t> data,
                  std::span<std::uint8_t, 48> mac) {
    return run(session, {CKM_SHA384_HMAC, nullptr, 0}, session.api().C_SignInit, session.api().C_Sign, key,
               data, mac);
}

CK_RV aes_encrypt(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t> blocks,
                  std::span<std::uint8_t> encrypted) {
    return run(session, {CKM_AES_ECB, nullptr, 0}, session.api().C_EncryptInit, session.api().C_Encrypt, key,
               blocks, encrypted);
}

CK_RV aes_cbc_encrypt(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t> blocks,
                      std::span<std::uint8_t> encrypted) {
    std::array<std::uint8_t, 16> iv{};
    return run(session, {CKM_AES_CBC, iv.data(), iv.size()}, session.api().C_EncryptInit,
               session.api().C_Encrypt, key, blocks, encrypted);
}

CK_RV aes_decrypt(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t, 16> encrypted,
                  std::span<std::uint8_t, 16> block) {
    return run(session, {CKM_AES_ECB, nullptr, 0}, session.api().C_DecryptInit, session.api().C_Decrypt, key,
               encrypted, block);
}

CK_RV sha384_of_keys(Session& session, std::span<const std::uint8_t> head,
                     std::array<CK_OBJECT_HANDLE, 2> keys, std::span<const std::uint8_t> tail,
                     std::span<std::uint8_t, 48> digest) {
    const CK_FUNCTION_LIST& api = session.api();
    CK_MECHANISM mechanism{CKM_SHA384, nullptr, 0};
    CK_RV rv = api.C_DigestInit(session.handle(), &mechanism);
    if (rv == CKR_OPERATION_ACTIVE) {
        rv = session.reopen();
        if (rv == CKR_OK) rv = api.C_DigestInit(session.handle(), &mechanism);
    }
    if (rv != CKR_OK) return rv;
    // Cryptoki does not say const; the input is read only.
    const auto update = [&](std::span<const std::uint8_t> octets) {
        return api.C_DigestUpdate(session.handle(), const_cast<CK_BYTE*>(octets.data()), octets.size());
    };
    rv = update(head);
    for (const CK_OBJECT_HANDLE key : keys) {
        if (rv == CKR_OK) rv = api.C_DigestKey(session.handle(), key);
    }
    if (rv == CKR_OK && !tail.empty()) rv = update(tail);
    CK_ULONG size = digest.size();
    if (rv == CKR_OK) rv = api.C_DigestFinal(session.handle(), digest.data(), &size);
    if (rv == CKR_OK && size != digest.size()) rv = CKR_FUNCTION_FAILED;
    if (rv == CKR_OK) return CKR_OK;
    wipe(digest.data(), digest.size());
    static_cast<void>(session.reopen());
    return rv;
}

CK_RV image_of_zeros(Session& session, CK_OBJECT_HANDLE key, Dkga dkg, Secret<32>& image) {
    constexpr std::array<std::uint8_t, 8> kZeros{};
    if (dkg == Dkga::dkga04) return hmac_sha256(session, key, kZeros, image.octets());
    image.clear();
    return des3_encrypt(session, key, kZeros, image.octets().first<8>());
}

CkResult<Kcv> check_value(Session& session, CK_OBJECT_HANDLE key, Dkga dkg) {
    Secret<32> image;
    if (const CK_RV rv = image_of_zeros(session, key, dkg, image); rv != CKR_OK) return Unexpected{rv};
    const auto octets = image.octets();
    return Kcv{octets[0], octets[1], octets[2]};
}

}  // namespace sts6::p11
