// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace sts6::p11 {

/// What a token really does, found by known-answer tests at login, never from its mechanism list.
struct Capabilities {
    bool hmac_native_20 = false;  ///< HMAC-SHA-256 with a 20-octet key as it is
    bool hmac_padded_32 = false;  ///< HMAC-SHA-256 with a 20-octet key, zeros behind it to 32
    bool des3_kkk = false;        ///< single DES as triple DES with three equal keys
    bool aes_256 = false;         ///< an AES-256 key made in the token encrypts a block and decrypts it
    bool copy_object = false;     ///< a key copied to another object computes the same
    bool random = false;
    bool session_copies = false;  ///< keys are used through copies; also a matter of speed (quirks.hpp)
    /// The above for people, one line each, with the token's reason where it refused.
    std::vector<std::string> lines;
};

}  // namespace sts6::p11
