// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/operations.hpp"

#include <array>

#include "firmware/util/wipe.hpp"

namespace sts6::p11 {
namespace {

using InitFunction = CK_RV (*)(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE);
using RunFunction = CK_RV (*)(CK_SESSION_HANDLE, CK_BYTE*, CK_ULONG, CK_BYTE*, CK_ULONG*);

CK_RV run(Session& session, CK_MECHANISM_TYPE type, InitFunction init, RunFunction run_once,
          CK_OBJECT_HANDLE key, std::span<const std::uint8_t> in, std::span<std::uint8_t> out) {
    CK_MECHANISM mechanism{type, nullptr, 0};
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
    return run(session, CKM_SHA256_HMAC, session.api().C_SignInit, session.api().C_Sign, key, data, mac);
}

CK_RV des3_encrypt(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t, 8> block,
                   std::span<std::uint8_t, 8> encrypted) {
    return run(session, CKM_DES3_ECB, session.api().C_EncryptInit, session.api().C_Encrypt, key, block,
               encrypted);
}

CK_RV aes_encrypt(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t, 16> block,
                  std::span<std::uint8_t, 16> encrypted) {
    return run(session, CKM_AES_ECB, session.api().C_EncryptInit, session.api().C_Encrypt, key, block,
               encrypted);
}

CK_RV aes_decrypt(Session& session, CK_OBJECT_HANDLE key, std::span<const std::uint8_t, 16> encrypted,
                  std::span<std::uint8_t, 16> block) {
    return run(session, CKM_AES_ECB, session.api().C_DecryptInit, session.api().C_Decrypt, key, encrypted,
               block);
}

CkResult<Kcv> check_value(Session& session, CK_OBJECT_HANDLE key, Dkga dkg) {
    constexpr std::array<std::uint8_t, 8> kZeros{};
    std::array<std::uint8_t, 32> out{};
    const CK_RV rv = dkg == Dkga::dkga04 ? hmac_sha256(session, key, kZeros, out)
                                         : des3_encrypt(session, key, kZeros, std::span(out).first<8>());
    const Kcv kcv{out[0], out[1], out[2]};
    wipe(out.data(), out.size());
    if (rv != CKR_OK) return Unexpected{rv};
    return kcv;
}

}  // namespace sts6::p11
