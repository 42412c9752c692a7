// SPDX-License-Identifier: Apache-2.0
// Internal errors (`errc.def`). A wire status (`status.hpp`) and an exit code are other families.
#pragma once

#include <cstdint>

namespace sts6 {

enum class Errc : std::uint8_t {
#define STS6_ERRC(name, text) name,
#include "sts6/errc.def"
#undef STS6_ERRC
};

constexpr const char* errc_name(Errc errc) noexcept {
    switch (errc) {
#define STS6_ERRC(name, text) \
    case Errc::name:          \
        return #name;
#include "sts6/errc.def"
#undef STS6_ERRC
    }
    return "unknown";
}

constexpr const char* errc_text(Errc errc) noexcept {
    switch (errc) {
#define STS6_ERRC(name, text) \
    case Errc::name:          \
        return text;
#include "sts6/errc.def"
#undef STS6_ERRC
    }
    return "unknown error";
}

}  // namespace sts6
