// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sts6::conform {

enum class Verdict : std::uint8_t { passed, failed, skipped };

struct CaseResult {
    std::string pack;
    std::string id;
    Verdict verdict = Verdict::passed;
    std::string reason;  ///< empty when passed
};

struct Report {
    std::vector<CaseResult> cases;
    std::vector<std::string> firmware;  ///< the FirmwareIDs that were tested; they name the EA07 table set

    [[nodiscard]] std::size_t count(Verdict verdict) const;
};

/// {"passed":n,"failed":n,"skipped":n,"firmware":[...],"cases":[{"pack","id","result","reason"}]}
std::string to_json(const Report& report);
std::string to_junit(const Report& report);

/// For a person: the cases that failed, why cases were skipped, the counts.
std::string to_text(const Report& report);

}  // namespace sts6::conform
