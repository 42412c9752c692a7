// SPDX-License-Identifier: Apache-2.0
// A PKCS#11 token behind the shim (tools/shim/control.hpp), which makes it slow, failing or gone.
#pragma once

#include <filesystem>
#include <memory>
#include <utility>

#include "tests/support/test_token.hpp"
#include "tools/shim/control.hpp"

namespace sts6::test {

struct ShimmedToken {
    /// From here on its configuration names the shim; the token was made without it.
    explicit ShimmedToken(std::unique_ptr<TestToken> made)
        : token(std::move(made)), control(token->directory.path() / "shim", token->config.module) {
        token->config.module = std::filesystem::path(STS6_BIN_DIR) / "sts6-pkcs11-shim.so";
    }

    std::unique_ptr<TestToken> token;
    shim::Control control;
};

}  // namespace sts6::test
