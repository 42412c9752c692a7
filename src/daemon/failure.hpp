// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "sts6/errc.hpp"
#include "sts6/result.hpp"

namespace sts6 {

/// Why a set-up or a start did not succeed, in words for the person who asked for it.
struct Failure {
    Errc code = Errc::invalid_argument;
    std::string text;
};

template <class T>
using Outcome = Result<T, Failure>;

inline Unexpected<Failure> fail(Errc code, std::string text) {
    return Unexpected{Failure{code, std::move(text)}};
}

/// "<what>: <the error's text>"
inline Unexpected<Failure> fail_at(const std::string& what, Errc code) {
    return fail(code, what + ": " + errc_text(code));
}

}  // namespace sts6
