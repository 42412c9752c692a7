// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "src/pkcs11/pin.hpp"
#include "src/pkcs11/token_config.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6::test {

/// A PKCS#11 token of a test's own, with what it takes to use it.
struct TestToken {
    conform::TemporaryDirectory directory;
    p11::TokenConfig config;
    p11::Pin so_pin = p11::Pin::from_text("so-pin-12345678");
    p11::Pin pin = p11::Pin::from_text("user-pin-87654321");

    [[nodiscard]] bool is_nss() const noexcept { return !config.init_args.empty(); }
};

/// A SoftHSM whose one slot is blank: config.token_label is the label that it shall get.
[[nodiscard]] std::unique_ptr<TestToken> blank_softhsm_token();

/// The same, initialised by the product's own set-up. Throws std::runtime_error when that fails.
[[nodiscard]] std::unique_ptr<TestToken> softhsm_token();

/// NSS softokn over a database made by certutil. Throws std::runtime_error when that fails.
[[nodiscard]] std::unique_ptr<TestToken> nss_token();

/// Every token that the tests of behaviour run on, for GENERATE.
inline constexpr std::unique_ptr<TestToken> (*kTokenMakers[])() = {&softhsm_token, &nss_token};

}  // namespace sts6::test
