// SPDX-License-Identifier: Apache-2.0
// The OpenMetrics text, read back by a strict parser.
#include "src/daemon/metrics.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "tests/support/allocation_counter.hpp"
#include "tests/support/openmetrics.hpp"

namespace sts6 {
namespace {

using namespace std::chrono_literals;
using test::parse_openmetrics;
using Samples = std::map<std::string, std::string>;

constexpr std::string_view kCredit = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";

Samples samples_of(const CommandCounts& counts, const ModuleReading& module = {}) {
    return parse_openmetrics(openmetrics_text(counts, module));
}

RegisterRow key(std::uint16_t number, std::uint32_t sgc, std::uint8_t krn) {
    RegisterRow row;
    row.number = number;
    row.attributes.sgc = sgc;
    row.attributes.krn = krn;
    row.attributes.issue_until = civil_time(2026, 8, 1, 12, 0, 0);
    row.attributes.expiry = civil_time(1969, 12, 31, 23, 59, 59);
    return row;
}

std::string bucket(const char* bound) {
    return std::string("sts6_command_latency_seconds_bucket{le=\"") + bound + "\"}";
}

}  // namespace

TEST_CASE("metrics: a module that has done nothing") {
    const Samples samples = samples_of({});
    for (const auto& [name, value] : samples) {
        INFO(name);
        CHECK((value == "0" || name == "sts6_command_latency_seconds_sum"));
    }
    CHECK(samples.at("sts6_command_latency_seconds_sum") == "0.000000");
    CHECK(samples.at("sts6_batches_total") == "0");
    CHECK(samples.at("sts6_tokens_issued_total") == "0");
    CHECK(samples.at("sts6_hsm_connected") == "0");
    CHECK(samples.at(bucket("+Inf")) == "0");
}

TEST_CASE("metrics: commands by header and status, and nothing else of them") {
    CommandCounts counts;
    counts.add(kCredit, Status::successful, 1us);
    counts.add(kCredit, Status::successful, 1us);
    counts.add(kCredit, Status::key_issue_expired_error, 1us);
    counts.add("SM?DI", Status::app_error_state, 1us);
    counts.add("SM?DIgarbage 600727000000000009", Status::ptvd_nfields, 1us);
    for (const std::string_view unknown :
         {std::string_view(), std::string_view("SM"), std::string_view("SM?XX600727000000000009"),
          std::string_view("sm?vcN1~"), std::string_view("\"}\n600727000000000009"),
          std::string_view("\0\xFF\x80\n\r", 5)}) {
        counts.add(unknown, Status::invalid_request_header, 1us);
    }
    counts.add_batch();
    const std::string text = openmetrics_text(counts, {});
    CHECK(text.find("600727000000000009") == std::string::npos);
    CHECK(text.find("014EEC") == std::string::npos);
    const Samples samples = parse_openmetrics(text);
    const auto count = [&samples](const std::string& command, const std::string& status) {
        return samples.at("sts6_commands_total{command=\"" + command + "\",status=\"" + status + "\"}");
    };
    CHECK(count("SM?VC", "00") == "2");
    CHECK(count("SM?VC", "42") == "1");
    CHECK(count("SM?DI", "58") == "1");
    CHECK(count("SM?DI", "60") == "1");
    CHECK(count("other", "21") == "6");
    CHECK(samples.at("sts6_batches_total") == "1");
    std::size_t series = 0;
    for (const auto& [name, value] : samples) series += name.starts_with("sts6_commands_total") ? 1U : 0U;
    CHECK(series == 5);
}

TEST_CASE("metrics: every command and status has its place") {
    CommandCounts counts;
    for (const CommandRow& row : kCommandTable) {
        for (const StatusRow& status : kStatusTable) counts.add(row.header, status.status, 0us);
    }
    std::size_t series = 0;
    for (const auto& [name, value] : samples_of(counts)) {
        if (!name.starts_with("sts6_commands_total")) continue;
        ++series;
        CHECK(value == "1");
    }
    CHECK(series == kCommandTable.size() * kStatusTable.size());
}

TEST_CASE("metrics: a latency counts in the bucket that it does not exceed") {
    CommandCounts counts;
    for (const auto latency : {0us, 1000us, 1001us, 2000us, 4'000'000us, 4'000'001us, 3'600'000'000us}) {
        counts.add("SM?DI", Status::successful, latency);
    }
    const Samples samples = samples_of(counts);
    CHECK(samples.at(bucket("0.001")) == "2");
    CHECK(samples.at(bucket("0.002")) == "4");
    for (const char* bound : {"0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1.0", "2.0"})
        CHECK(samples.at(bucket(bound)) == "4");
    CHECK(samples.at(bucket("4.0")) == "5");
    CHECK(samples.at(bucket("+Inf")) == "7");
    CHECK(samples.at("sts6_command_latency_seconds_count") == "7");
    CHECK(samples.at("sts6_command_latency_seconds_sum") == "3608.004002");
}

TEST_CASE("metrics: counting allocates nothing") {
    CommandCounts counts;
    const std::size_t before = test::allocation_count();
    counts.add(kCredit, Status::successful, 1ms);
    counts.add("SM?XX", Status::invalid_request_header, 1ms);
    counts.add_batch();
    const std::size_t after = test::allocation_count();
    CHECK(after == before);
}

TEST_CASE("metrics: keys with what is left of their limits") {
    ModuleReading module;
    module.tokens_issued = std::numeric_limits<std::uint64_t>::max();
    module.registers = {key(1, 0, 1), key(4096, 999'999, 9)};
    module.registers[1].units_left = 123;
    module.registers[1].currency_left = 1'000'000'000'000'000'001;
    const Samples samples = samples_of({}, module);
    const std::string first = "{register=\"1\",sgc=\"0\",krn=\"1\"}";
    const std::string last = "{register=\"4096\",sgc=\"999999\",krn=\"9\"}";
    CHECK_FALSE(samples.contains("sts6_register_units_left" + first));
    CHECK_FALSE(samples.contains("sts6_register_currency_left" + first));
    CHECK(samples.at("sts6_register_units_left" + last) == "12.3");
    CHECK(samples.at("sts6_register_currency_left" + last) == "10000000000000.00001");
    for (const std::string& labels : {first, last}) {
        CHECK(samples.at("sts6_register_issue_until_timestamp_seconds" + labels) == "1785585600");
        CHECK(samples.at("sts6_register_expiry_timestamp_seconds" + labels) == "-1");
    }
    CHECK(samples.at("sts6_tokens_issued_total") == "18446744073709551615");
}

TEST_CASE("metrics: the audit log and the state") {
    ModuleReading module;
    module.audit.first = 11;
    module.audit.last = 30;
    module.audit.acknowledged = 25;
    module.error_state = true;
    Samples samples = samples_of({}, module);
    CHECK(samples.at("sts6_audit_records") == "20");
    CHECK(samples.at("sts6_audit_unacknowledged_records") == "5");
    CHECK(samples.at("sts6_error_state") == "1");
    CHECK(samples.at("sts6_tampered") == "0");
    CHECK(samples.at("sts6_hsm_connected") == "0");
    module = {};
    module.audit.first = 11;
    module.audit.last = 30;
    module.audit.acknowledged = 5;
    module.tampered = true;
    module.hsm_connected = true;
    samples = samples_of({}, module);
    CHECK(samples.at("sts6_audit_unacknowledged_records") == "20");
    CHECK(samples.at("sts6_error_state") == "0");
    CHECK(samples.at("sts6_tampered") == "1");
    CHECK(samples.at("sts6_hsm_connected") == "1");
}

// The parser itself: each of these must be refused, or the tests above prove nothing.
TEST_CASE("metrics: the check of the text fires") {
    const std::string head = "# TYPE a counter\n";
    CHECK(parse_openmetrics("# EOF\n").empty());
    CHECK(parse_openmetrics(head + "a_total 1\n# EOF\n").at("a_total") == "1");
    CHECK(parse_openmetrics(head + "# EOF\n").empty());
    for (const std::string& bad :
         {std::string(),
          std::string("# EOF"),
          std::string("\n# EOF\n"),
          head,
          head + "a_total 1\n",
          head + "a 1\n# EOF\n",
          head + "a_total -1\n# EOF\n",
          head + "a_total 1 \n# EOF\n",
          head + "a_total 1\na_total 1\n# EOF\n",
          head + "a_total\n# EOF\n",
          head + "b_total 1\n# EOF\n",
          head + head + "# EOF\n",
          std::string("a_total 1\n# EOF\n"),
          head + "# EOF\na_total 1\n# EOF\n",
          head + "a_total{b=\"\n\"} 1\n# EOF\n",
          head + "a_total{b=\"\"\"} 1\n# EOF\n",
          head + "a_total{b=\"\\\"} 1\n# EOF\n",
          head + "a_total{} 1\n# EOF\n",
          head + "a_total{b=\"1\",} 1\n# EOF\n",
          head + "# UNIT a seconds\n# EOF\n",
          head + "# HELP b text\n# EOF\n",
          head + "a_total 1\n# HELP a text\n# EOF\n",
          head + "# HELP a\n# EOF\n",
          std::string("# TYPE a gauge\na_total 1\n# EOF\n"),
          std::string("# TYPE a histogram\na_bucket{le=\"1.00\"} 1\na_bucket{le=\"+Inf\"} 1\na_count 1\n"
                      "a_sum 1\n# EOF\n"),
          std::string("# TYPE a histogram\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\na_count 1\n"
                      "a_sum 1\n# EOF\n"),
          std::string("# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 2\na_sum 1\n# EOF\n"),
          std::string("# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\n# EOF\n")}) {
        INFO(bad);
        CHECK_THROWS_AS(parse_openmetrics(bad), std::exception);
    }
}

}  // namespace sts6
