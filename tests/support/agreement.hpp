// SPDX-License-Identifier: Apache-2.0
// A key agreement with keys that the token holds, and what may be wrong with it.
#pragma once

#include <algorithm>
#include <span>
#include <string>

#include "tests/support/raw_session.hpp"
#include "tests/support/software_kmc.hpp"

namespace sts6::test {

template <std::size_t N>
std::array<std::uint8_t, N> fixed(const Octets& octets) {
    std::array<std::uint8_t, N> out{};
    REQUIRE(octets.size() == N);
    std::copy(octets.begin(), octets.end(), out.begin());
    return out;
}

template <class T>
T got(const Result<T>& result) {
    REQUIRE(result);
    return *result;
}

/// All that goes into agree(), by value, so that a test can change it.
struct Agreement {
    KeyId static_key{};
    KeyId ephemeral_key{};
    EcPoint peer{};
    Octets other_info;
    Octets mac_data;
    std::array<std::uint8_t, 24> mac_tag{};

    [[nodiscard]] Result<KeyId> with(Hsm& hsm) const {
        return hsm.agree({static_key, ephemeral_key, peer, other_info, mac_data, mac_tag});
    }
};

/// All that goes into load_key().
struct Sealed {
    KeyId kek{};
    std::array<std::uint8_t, 12> nonce{};
    Octets associated_data;
    Octets sealed;

    [[nodiscard]] Result<LoadedKey> into(Hsm& hsm) const {
        return hsm.load_key({kek, nonce, associated_data, sealed});
    }
};

/// Two key pairs of the token and a KMC that has answered.
struct Partners {
    explicit Partners(Hsm& hsm) {
        const auto own = hsm.generate_ec_key(EcKeyUse::agreement);
        const auto fresh = hsm.generate_ec_key(EcKeyUse::ephemeral);
        REQUIRE(own);
        REQUIRE(fresh);
        static_key = *own;
        ephemeral_key = *fresh;
        response = kmc.respond(fresh->point, own->point, random_octets(500), random_octets(300));
    }
    [[nodiscard]] Agreement agreement() const {
        return {static_key.id,       ephemeral_key.id,  kmc.public_key(),
                response.other_info, response.mac_data, response.mac_tag};
    }
    /// A vending key as the KMC would send it.
    [[nodiscard]] Sealed seal(const KeyId& kek, const Octets& key, std::size_t data_octets = 200) const {
        const Octets nonce = random_octets(12);
        Sealed made{.kek = kek,
                    .nonce = fixed<12>(nonce),
                    .associated_data = random_octets(data_octets),
                    .sealed = {}};
        made.sealed = sealed_by_openssl(response.kek, nonce, made.associated_data, key);
        return made;
    }

    SoftwareKmc kmc;
    EcKey static_key;
    EcKey ephemeral_key;
    Response response;
};

inline std::string label_of(const TestToken& token, const char* kind, const KeyId& id) {
    return token.config.object_prefix + kind + hex(id);
}

}  // namespace sts6::test
