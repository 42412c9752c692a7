// SPDX-License-Identifier: Apache-2.0
// Records and files of key management in words. No key of the KMC's is needed, or looked at.
#pragma once

#include <string_view>

#include "tools/kmc/report.hpp"

namespace sts6::kmc {

struct Description {
    Report report;
    bool sound = true;  ///< the trailer fits, every record is whole, every key fits its fingerprint
};

[[nodiscard]] Description describe(std::string_view file);

}  // namespace sts6::kmc
