// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "src/pkcs11/pin.hpp"
#include "src/pkcs11/token_config.hpp"

namespace sts6::test {

/// A directory under the system's temporary one, removed with all that is in it.
class TokenDirectory {
  public:
    TokenDirectory();
    TokenDirectory(const TokenDirectory&) = delete;
    TokenDirectory& operator=(const TokenDirectory&) = delete;
    ~TokenDirectory();
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  private:
    std::filesystem::path path_;
};

/// A PKCS#11 token of a test's own, with what it takes to use it.
struct TestToken {
    TokenDirectory directory;
    p11::TokenConfig config;
    p11::Pin so_pin = p11::Pin::from_text("so-pin-12345678");
    p11::Pin pin = p11::Pin::from_text("user-pin-87654321");
};

/// A SoftHSM whose one slot is blank: config.token_label is the label that it shall get.
[[nodiscard]] std::unique_ptr<TestToken> blank_softhsm_token();

/// The same, initialised by the product's own set-up. Throws std::runtime_error when that fails.
[[nodiscard]] std::unique_ptr<TestToken> softhsm_token();

}  // namespace sts6::test
