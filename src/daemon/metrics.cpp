// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/metrics.hpp"

#include <algorithm>
#include <utility>

#include "firmware/util/decimal_text.hpp"

namespace sts6 {

namespace {

constexpr unsigned kMillisecondDecimals = 3;
constexpr unsigned kMicrosecondDecimals = 6;

/// A metric family after the other; a unit is the end of its family's name.
class Exposition {
  public:
    void family(std::string_view name, std::string_view type, std::string_view help,
                std::string_view unit = {}) {
        name_ = "sts6_" + std::string(name);
        line("# TYPE " + name_ + " " + std::string(type));
        if (!unit.empty()) line("# UNIT " + name_ + " " + std::string(unit));
        line("# HELP " + name_ + " " + std::string(help));
    }
    void sample(std::string_view suffix, std::string_view labels, std::string_view value) {
        line(name_ + std::string(suffix) + (labels.empty() ? "" : "{" + std::string(labels) + "}") + " " +
             std::string(value));
    }
    void counter(std::string_view name, std::string_view help, std::uint64_t value) {
        family(name, "counter", help);
        sample("_total", "", std::to_string(value));
    }
    void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
        family(name, "gauge", help);
        sample("", "", std::to_string(value));
    }
    [[nodiscard]] std::string finish() {
        line("# EOF");
        return std::move(text_);
    }

  private:
    void line(const std::string& text) { text_ += text + "\n"; }

    std::string text_;
    std::string name_;
};

/// A bucket's bound in seconds as OpenMetrics wants it: no zeros at its end but the one behind the point.
std::string bound_text(std::uint32_t milliseconds) {
    std::string text = decimal_text(milliseconds, kMillisecondDecimals);
    while (text.ends_with('0') && !text.ends_with(".0")) text.pop_back();
    return text;
}

void put_commands(Exposition& out, const CommandCounts& counts) {
    out.family("commands", "counter", "Commands answered, by header and status.");
    for (std::size_t row = 0; row < CommandCounts::kRows; ++row) {
        const std::string_view header = row < kCommandTable.size() ? kCommandTable[row].header : "other";
        for (const StatusRow& status : kStatusTable) {
            const std::uint64_t count = counts.count(row, status.status);
            if (count == 0) continue;
            const auto code = status_code(status.status);
            out.sample("_total",
                       "command=\"" + std::string(header) + "\",status=\"" +
                           std::string(code.data(), code.size()) + "\"",
                       std::to_string(count));
        }
    }
    out.family("command_latency_seconds", "histogram", "From a command's arrival to its answer's release.",
               "seconds");
    std::uint64_t so_far = 0;
    for (std::size_t i = 0; i < counts.latencies().size(); ++i) {
        so_far += counts.latencies()[i];
        const std::string bound =
            i < CommandCounts::kBounds.size() ? bound_text(CommandCounts::kBounds[i]) : "+Inf";
        out.sample("_bucket", "le=\"" + bound + "\"", std::to_string(so_far));
    }
    out.sample("_count", "", std::to_string(so_far));
    out.sample("_sum", "",
               decimal_text(static_cast<std::uint64_t>(counts.latency_sum().count()), kMicrosecondDecimals));
    out.counter("batches", "Batches that the module has executed.", counts.batches());
}

std::string seconds_text(CivilTime time) {
    return std::to_string(time.time_since_epoch().count());
}

void put_registers(Exposition& out, const std::vector<RegisterRow>& registers) {
    const auto each = [&](auto value_of) {
        for (const RegisterRow& row : registers) {
            const std::string value = value_of(row);
            if (value.empty()) continue;
            out.sample("",
                       "register=\"" + std::to_string(row.number) + "\",sgc=\"" +
                           std::to_string(row.attributes.sgc) + "\",krn=\"" +
                           std::to_string(row.attributes.krn) + "\"",
                       value);
        }
    };
    out.family("register_units_left", "gauge", "What is left of the key's ULM; none for a key without.");
    each([](const RegisterRow& row) {
        return row.units_left ? decimal_text(*row.units_left, kUnitDecimals) : std::string();
    });
    out.family("register_currency_left", "gauge", "What is left of the key's CLM; none for a key without.");
    each([](const RegisterRow& row) {
        return row.currency_left ? decimal_text(*row.currency_left, kCurrencyDecimals) : std::string();
    });
    out.family("register_issue_until_timestamp_seconds", "gauge", "IUT of the key, in Unix time.", "seconds");
    each([](const RegisterRow& row) { return seconds_text(row.attributes.issue_until); });
    out.family("register_expiry_timestamp_seconds", "gauge", "EXP of the key, in Unix time.", "seconds");
    each([](const RegisterRow& row) { return seconds_text(row.attributes.expiry); });
}

}  // namespace

void CommandCounts::add(std::string_view message, Status status, std::chrono::microseconds latency) noexcept {
    const CommandRow* found = find_command(message);
    const std::size_t row = found != nullptr ? static_cast<std::size_t>(found->id) : kRows - 1;
    ++counts_[row][static_cast<std::uint8_t>(status)];
    const auto* bound = std::ranges::find_if(
        kBounds, [latency](std::uint32_t most) { return latency <= std::chrono::milliseconds{most}; });
    ++latencies_[static_cast<std::size_t>(bound - kBounds.begin())];
    latency_sum_ += latency;
}

ModuleReading read_module(Module& module, Store& store, bool hsm_connected) {
    ModuleReading reading;
    reading.tokens_issued = module.state().tokens_issued;
    for (std::uint32_t number = 1; number <= module.settings().registers; ++number) {
        const Register* found = module.find_register(number);
        if (found != nullptr) reading.registers.push_back(found->row);
    }
    reading.audit = store.audit_head();
    reading.error_state = module.in_error_state();
    reading.tampered = module.state().tampered;
    reading.hsm_connected = hsm_connected;
    return reading;
}

std::string openmetrics_text(const CommandCounts& counts, const ModuleReading& module) {
    Exposition out;
    put_commands(out, counts);
    out.counter("tokens_issued", "Tokens and sets of key change tokens since initialisation.",
                module.tokens_issued);
    put_registers(out, module.registers);
    out.gauge("audit_records", "Records that the audit log keeps.", module.audit.records());
    out.gauge("audit_unacknowledged_records", "Records of it that nobody has acknowledged.",
              module.audit.unacknowledged());
    out.gauge("error_state", "1 in the error state: every command is answered GL!ER58.",
              module.error_state ? 1 : 0);
    out.gauge("tampered", "1 when tampered, until the module is zeroised.", module.tampered ? 1 : 0);
    out.gauge("hsm_connected", "0 while the HSM is away.", module.hsm_connected ? 1 : 0);
    return out.finish();
}

}  // namespace sts6
