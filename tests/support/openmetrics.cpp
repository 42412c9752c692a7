// SPDX-License-Identifier: Apache-2.0
#include "tests/support/openmetrics.hpp"

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace sts6::test {

namespace {

const std::regex kType("# TYPE ([a-z][a-z0-9_]*) (counter|gauge|histogram)");
const std::regex kUnit("# UNIT ([a-z][a-z0-9_]*) ([a-z]+)");
const std::regex kHelp("# HELP ([a-z][a-z0-9_]*) ([ -~]+)");
const std::regex kSample(
    R"re(([a-z][a-z0-9_]*)(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? (-?[0-9]+(\.[0-9]+)?))re");
const std::regex kBound(R"re(\{le="(\+Inf|[0-9]+\.(0|[0-9]*[1-9]))"\})re");

class Parser {
  public:
    std::map<std::string, std::string> parse(std::string_view text) {
        constexpr std::string_view kEnd = "# EOF\n";
        if (!text.ends_with(kEnd)) throw std::runtime_error("no # EOF at the end");
        std::istringstream lines{std::string(text.substr(0, text.size() - kEnd.size()))};
        while (std::getline(lines, line_)) {
            if (std::regex_match(line_, match_, kType)) {
                begin_family();
            } else if (std::regex_match(line_, match_, kUnit)) {
                check(match_[1] == name_ && name_.ends_with("_" + match_[2].str()));
            } else if (std::regex_match(line_, match_, kHelp)) {
                check(match_[1] == name_ && !has_samples_);
            } else if (std::regex_match(line_, match_, kSample)) {
                take_sample();
            } else {
                check(false);
            }
        }
        end_family();
        return std::move(samples_);
    }

  private:
    void check(bool holds) const {
        if (!holds) throw std::runtime_error("malformed: " + line_);
    }

    void begin_family() {
        end_family();
        name_ = match_[1];
        type_ = match_[2];
        has_samples_ = false;
        buckets_.clear();
        check(families_.insert(name_).second);
    }

    void take_sample() {
        const std::string name = match_[1];
        const std::string labels = match_[2];
        check(name.starts_with(name_));
        const std::string suffix = name.substr(name_.size());
        const bool bucket = suffix == "_bucket";
        if (type_ == "counter") check(suffix == "_total" && match_[4].str()[0] != '-');
        if (type_ == "gauge") check(suffix.empty());
        if (type_ == "histogram") check(bucket || suffix == "_count" || suffix == "_sum");
        if (bucket) {
            check(std::regex_match(labels, kBound));
            buckets_.push_back(std::stoull(match_[4].str()));
        }
        check(samples_.emplace(name + labels, match_[4]).second);
        has_samples_ = true;
    }

    void end_family() const {
        if (type_ != "histogram") return;
        check(std::is_sorted(buckets_.begin(), buckets_.end()));
        check(samples_.at(name_ + "_bucket{le=\"+Inf\"}") == samples_.at(name_ + "_count"));
        check(samples_.contains(name_ + "_sum"));
    }

    std::string line_;
    std::smatch match_;
    std::string name_ = "a family";  // no sample comes before one
    std::string type_;
    bool has_samples_ = false;
    std::vector<unsigned long long> buckets_;
    std::set<std::string> families_;
    std::map<std::string, std::string> samples_;
};

}  // namespace

std::map<std::string, std::string> parse_openmetrics(std::string_view text) {
    return Parser().parse(text);
}

}  // namespace sts6::test
