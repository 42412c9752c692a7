// SPDX-License-Identifier: Apache-2.0
#include "tools/conform/report.hpp"

#include <algorithm>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

namespace sts6::conform {

namespace {

const char* verdict_name(Verdict verdict) {
    switch (verdict) {
        case Verdict::passed:
            return "passed";
        case Verdict::failed:
            return "failed";
        case Verdict::skipped:
            return "skipped";
    }
    return "failed";
}

std::string xml_text(const std::string& text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                // XML 1.0 has no way to write other control characters.
                out += static_cast<unsigned char>(c) >= ' ' || c == '\n' ? c : '?';
        }
    }
    return out;
}

}  // namespace

std::size_t Report::count(Verdict verdict) const {
    return static_cast<std::size_t>(std::ranges::count(cases, verdict, &CaseResult::verdict));
}

std::string to_json(const Report& report) {
    nlohmann::ordered_json json;
    for (const Verdict verdict : {Verdict::passed, Verdict::failed, Verdict::skipped}) {
        json[verdict_name(verdict)] = report.count(verdict);
    }
    json["firmware"] = report.firmware;
    json["cases"] = nlohmann::ordered_json::array();
    for (const CaseResult& result : report.cases) {
        json["cases"].push_back({{"pack", result.pack},
                                 {"id", result.id},
                                 {"result", verdict_name(result.verdict)},
                                 {"reason", result.reason}});
    }
    // A file name may be any octets.
    return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string to_junit(const Report& report) {
    std::ostringstream out;
    out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"sts6-conform\" tests=\""
        << report.cases.size() << "\" failures=\"" << report.count(Verdict::failed) << "\" skipped=\""
        << report.count(Verdict::skipped) << "\">\n";
    for (const CaseResult& result : report.cases) {
        out << " <testcase classname=\"" << xml_text(result.pack) << "\" name=\"" << xml_text(result.id)
            << "\"";
        if (result.verdict == Verdict::passed) {
            out << "/>\n";
            continue;
        }
        const char* element = result.verdict == Verdict::failed ? "failure" : "skipped";
        out << "><" << element << " message=\"" << xml_text(result.reason) << "\"/></testcase>\n";
    }
    out << "</testsuite>\n";
    return out.str();
}

std::string to_text(const Report& report) {
    std::ostringstream out;
    for (const std::string& firmware : report.firmware) out << "tested: " << firmware << "\n";
    std::map<std::string, std::size_t> skipped;
    for (const CaseResult& result : report.cases) {
        if (result.verdict == Verdict::failed)
            out << "FAILED " << result.pack << " " << result.id << ": " << result.reason << "\n";
        if (result.verdict == Verdict::skipped) ++skipped[result.reason];
    }
    for (const auto& [reason, count] : skipped) out << "skipped " << count << ": " << reason << "\n";
    out << report.count(Verdict::passed) << " passed, " << report.count(Verdict::failed) << " failed, "
        << report.count(Verdict::skipped) << " skipped\n";
    return out.str();
}

}  // namespace sts6::conform
