// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sts6::p11 {

/// How a token agrees on keys, the better ways last.
enum class KeyAgreement : std::uint8_t {
    none,
    z_in_process,  ///< the shared secrets are read from the token and hashed in the process
    digest_key,    ///< the token hashes them by C_DigestKey; the MacKey and the KEK are in the process
    derive_chain,  ///< the token derives the KEK from them: nothing leaves it
};

/// What a token really does, found by known-answer tests at login, never from its mechanism list.
struct Capabilities {
    bool hmac_native_20 = false;  ///< HMAC-SHA-256 with a 20-octet key as it is
    bool hmac_padded_32 = false;  ///< HMAC-SHA-256 with a 20-octet key, zeros behind it to 32
    bool des3_kkk = false;        ///< single DES as triple DES with three equal keys
    bool aes_256 = false;         ///< an AES-256 key made in the token encrypts a block and decrypts it
    bool copy_object = false;     ///< a key copied to another object computes the same
    bool random = false;
    bool ec_p384 = false;  ///< key pairs that the token makes and keeps
    KeyAgreement key_agreement = KeyAgreement::none;
    bool aes_192_ccm = false;     ///< composed of AES-ECB and AES-CBC, with a KEK of that agreement
    bool session_copies = false;  ///< keys are used through copies; also a matter of speed (quirks.hpp)
    /// The above for people, one line each, with the token's reason where it refused.
    std::vector<std::string> lines;
};

}  // namespace sts6::p11
