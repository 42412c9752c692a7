// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace sts6::test {

/// Reads OpenMetrics text (version 1.0.0) as a strict scraper does: sample, with its labels as written, to
/// value. Throws std::runtime_error with the line that is not well-formed or has no place where it stands.
std::map<std::string, std::string> parse_openmetrics(std::string_view text);

}  // namespace sts6::test
