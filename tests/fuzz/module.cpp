// SPDX-License-Identifier: Apache-2.0
// Commands behind a right CRC through link, dispatcher and handlers of a module on fake ports.
//
// Input, in lines: the letters of the setup; then messages without CRC. An empty line executes what has come
// as one batch, and "@CCYYMMDDhhmmss" sets the clock.
#include "firmware/module/module.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "firmware/commands/link.hpp"
#include "src/links/message_protocol.hpp"
#include "tests/fuzz/answer.hpp"
#include "tests/support/fake_ports.hpp"

namespace sts6::fuzz {
namespace {

constexpr std::size_t kMostLines = 100;
constexpr std::size_t kMostInBatch = 8;

constexpr Status kOnlyInLinkErrors[] = {Status::checksum_error, Status::invalid_request_header,
                                        Status::tampered_state, Status::app_error_state};
/// What the tables of docs/protocol.md name for the commands that are built.
constexpr Status kRefusals[] = {
    Status::device_failure,           Status::format_error,       Status::key_type_error,
    Status::register_empty,           Status::key_param_error,    Status::key_change_not_allowed,
    Status::key_expired_error,        Status::ptvd_nfields,       Status::ptvd_fieldtype,
    Status::key_issue_expired_error,  Status::ptvd_encoding,      Status::ptvd_range,
    Status::key_not_yet_active,       Status::tid_out_of_window,  Status::subclass_not_allowed,
    Status::invalid_pan_error,        Status::invalid_num_tokens, Status::kmc_key_state_error,
    Status::kek_slot_not_found_error, Status::df_format_error,    Status::invalid_instruction};

bool contains(std::span<const Status> set, Status status) {
    return std::ranges::find(set, status) != set.end();
}

/// docs/tokens.md 3.3
constexpr std::array<std::uint8_t, 20> kVendingKey = {0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB,
                                                      0xAB, 0x94, 0x94, 0x94, 0x94, 0x94, 0x94,
                                                      0x94, 0x94, 0x01, 0x23, 0x45, 0x67};

/// One key in registers of all kinds.
struct Registers {
    Registers() {
        test::FakeHsm hsm;
        hsm.add_key(KeyId{1}, kVendingKey);
        RegisterRow& first = add(1);
        first.slot = 1;
        first.key = KeyId{1};
        first.kcv = *hsm.check_value(KeyHandle{0});
        first.attributes = {.sgc = 201457,
                            .base_date = BaseDate::y2014,
                            .active_from = civil_time(1993, 1, 1),
                            .expiry = civil_time(2099, 1, 1),
                            .issue_until = civil_time(2099, 1, 1),
                            .clm_bits = std::nullopt,
                            .ulm_units = std::nullopt,
                            .sgn = {}};
        KeyAttributes& newer = add(2).attributes;
        newer.sgc = 203557;
        newer.krn = 6;
        newer.base_date = BaseDate::y2035;
        RegisterRow& old_algorithm = add(3);
        old_algorithm.attributes.dkg = Dkga::dkga02;
        old_algorithm.wrapped_key = WrappedKey{1, 2, 3};
        add(4).attributes.ktc = KeyType::ddtk;
        add(5).attributes.ktc = KeyType::dctk;
        add(6).attributes.ken = 1;
        add(7).attributes.issue_until = civil_time(2014, 2, 1);
        add(8).attributes.active_from = civil_time(2014, 4, 1);
        add(9).attributes.cluster = 1;
        add(10).attributes.sbm = 0x0012;
        add(11).kcv[1] ^= 1U;
        add(12).key = KeyId{2};  // not in the HSM
        add_longest();
    }
    RegisterRow& add(std::uint16_t number) {
        RegisterRow& row = rows[number] = rows[1];
        row.number = number;
        return row;
    }
    void add_longest() {
        KeyAttributes& longest = add(64).attributes;
        longest.sgc = 999999;
        longest.krn = 9;
        longest.cluster = 0xFFFFFFFF;
        longest.clm_bits = 0xFFFFFFFF;
        longest.ulm_units = 0xFFFFFFFF;
        require(longest.sgn.assign(std::string(40, 'n')), "a name of 40 characters");
    }

    std::map<std::uint16_t, RegisterRow> rows;
};

/// The module with its ports, as the letters of the setup have it.
class Bench {
  public:
    explicit Bench(std::string_view letters) {
        static const Registers registers;
        const auto has = [letters](char letter) { return letters.find(letter) != std::string_view::npos; };
        hsm_.add_key(KeyId{1}, kVendingKey);
        store_.registers = registers.rows;
        store_.slots[1] = test::active_slot();
        store_.state.phase = has('m') ? Phase::manufacturing : Phase::operational;
        const std::string longest(40, 'I');
        require(store_.state.module_id.assign(longest) && store_.state.hardware_id.assign(longest) &&
                    settings_.firmware_id.assign(longest),
                "identities of 40 characters");
        settings_.tid_window_days = has('w') ? 7 : 0;
        settings_.lab = has('l');
        settings_.clock_is_preset = has('p');
        role_ = has('f') ? LinkRole::full : LinkRole::vend;
        if (has('h')) hsm_.fail_every = 3;
        if (has('k')) hsm_.check_value_error = Errc::hsm_failed;
        random_.fails = has('r');
        module().emplace(settings_, hsm_, store_, clock_, random_);
        const SelfTest failing{.name = "fails", .passes = []() noexcept { return false; }};
        require(module()->start({&failing, has('s') ? 1U : 0U}).has_value(), "the module starts");
        // A start commits, too.
        if (has('c')) store_.commit_error = Errc::storage_failed;
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;
    ~Bench() {
        module().reset();
        for (auto& link : links()) link.reset();
    }

    void set_clock(std::string_view text) {
        if (const auto time = parse_civil_time(text)) clock_.time = *time;
    }

    /// The answers, header to body, to a batch whose commands came on a link each.
    std::vector<std::string> execute(const std::vector<std::string_view>& messages) {
        std::vector<Exchange*> batch;
        std::vector<std::string> sent(messages.size());
        for (std::size_t i = 0; i < messages.size(); ++i) {
            Link& link = links()[i].emplace(services_, role_);
            const LinkStep step = link.receive(messages[i]);
            if (step.kind == LinkStep::Kind::send) sent[i] = step.octets;
            if (step.kind == LinkStep::Kind::command) batch.push_back(&link.exchange);
        }
        execute_batch(batch);
        for (std::size_t i = 0; i < messages.size(); ++i) {
            Link& link = *links()[i];
            if (link.protocol.in_progress()) sent[i] = link.protocol.release(link.exchange);
            const ReadAnswer answer = read_answer(sent[i], true);
            check_answer(messages[i], answer);
            sent[i] = answer.message;
        }
        return sent;
    }

    /// Audit entries since the batch began that no change of state comes with.
    [[nodiscard]] std::size_t told_alone() const {
        std::size_t count = 0;
        for (const AuditEvent event : {AuditEvent::limit_exhausted, AuditEvent::issue_until_passed,
                                       AuditEvent::register_quarantined, AuditEvent::clock_behind}) {
            count += static_cast<std::size_t>(std::ranges::count_if(
                store_.audit,
                [event](const std::string& entry) { return entry.starts_with(audit_event_text(event)); }));
        }
        return count;
    }

  private:
    struct Link {
        Link(const LinkServices& services, LinkRole role) : protocol(services, role) {}
        LinkStep receive(std::string_view message) {
            const std::string octets = envelope_of(line_of(message));
            const auto space = protocol.input_space();
            require(octets.size() <= space.size(), "a message fits an empty link");
            std::ranges::copy(octets, space.begin());
            protocol.received(octets.size());
            return protocol.next(exchange);
        }
        MessageProtocol protocol;
        Exchange exchange;
    };
    // Large, so they stay where they are from one input to the next.
    static std::optional<Module>& module() {
        static std::optional<Module> module;
        return module;
    }
    static std::array<std::optional<Link>, kMostInBatch>& links() {
        static std::array<std::optional<Link>, kMostInBatch> links;
        return links;
    }

    void execute_batch(const std::vector<Exchange*>& batch) {
        const ModuleState before = store_.state;
        const std::size_t commits = store_.commits;
        store_.audit.clear();
        const bool was_latched = module()->in_error_state();
        module()->execute(batch);

        std::size_t changes = 0;
        std::size_t due = 0;  // commits: one for commands that go together, one for each that goes alone
        bool together = false;
        for (const Exchange* exchange : batch) {
            const Answer& answer = exchange->answer;
            const bool error_state = answer.is_link_error() && answer.status() == Status::app_error_state;
            // What was durable before it is answered as it was.
            require(!error_state || module()->in_error_state(), "only the error state answers like that");
            require(error_state || !was_latched, "the error state answers everything");
            const CommandRow* row = find_command(exchange->message);
            const bool alone = row != nullptr && row->role == LinkRole::full;
            const bool done = !answer.is_link_error() && answer.status() == Status::successful;
            const bool changed = done && row != nullptr && row->effect != Effect::reads;
            // A key record that is none is told of in the audit.
            const bool told = row != nullptr && row->id == CommandId::key_load &&
                              answer.status() == Status::df_format_error;
            changes += changed ? 1 : 0;
            due += (alone ? changed || told : changed && !together) ? 1 : 0;
            together = !alone && (together || changed);
        }
        require(!was_latched || module()->in_error_state(), "the error state is latched");
        require(!was_latched || store_.commits == commits, "nothing is committed in the error state");
        const std::size_t made = store_.commits - commits;
        // What is only told of may need a commit of its own.
        require(module()->in_error_state() || (made >= due && made <= due + told_alone()),
                "what changes or is told of is committed, and nothing else");
        require(store_.state.tokens_issued == before.tokens_issued + changes, "each token made is counted");
        const bool marked = made != 0 && !settings_.clock_is_preset && !module()->in_error_state();
        require(
            store_.state.time_mark == (marked ? std::max(clock_.time, before.time_mark) : before.time_mark),
            "the time mark rises with a commit");
        require(store_.state.phase == before.phase && store_.state.profile == before.profile &&
                    store_.state.module_id == before.module_id &&
                    store_.state.hardware_id == before.hardware_id,
                "vending changes nothing else");
    }

    void check_answer(std::string_view message, const ReadAnswer& answer) const {
        if (answer.is_link_error) {
            require(contains(kOnlyInLinkErrors, answer.status) && answer.body.empty(), "a GL!ER");
            return;
        }
        const CommandRow* row = find_command(message);
        require(row != nullptr && row->exists_in(store_.state.phase), "a command that exists");
        require(answer.header.substr(0, 2) == row->header.substr(0, 2) &&
                    answer.header.substr(3) == row->header.substr(3),
                "an answer has the header of its request");
        require(answer.message.size() + 4 <= row->response_bound, "an answer keeps to its row's bound");
        if (answer.status != Status::successful) {
            const bool extended = answer.status == Status::sts_extended_error;
            require(extended || (contains(kRefusals, answer.status) && answer.body.empty()), "a refusal");
            require(!extended || (answer.body.starts_with('P') && answer.body.ends_with('~')), "a text");
        } else if (!row->is_link_command()) {
            check_fields(answer.body);
        }
    }

    static void check_fields(std::string_view body) {
        std::array<PtvdField, 8> fields;
        const auto count = split_fields(body, fields);
        require(count.has_value(), "an answer's body is made of fields");
        for (const PtvdField& field : std::span(fields).first(*count)) {
            const FieldSpec any{static_cast<FieldType>(field.type), "", 0, 0};
            require(ptvd::follows_grammar(any, field.value), "an answer's fields follow the grammar");
        }
    }

    test::FakeHsm hsm_;
    test::FakeStore store_;
    test::FakeClock clock_;
    test::FakeRandom random_;
    ModuleSettings settings_;
    CommandQueue queue_;  // unused: it is for those that move a link's octets
    LinkServices services_{queue_, &commands::answer_link_command, [] { return module()->in_error_state(); },
                           false};
    LinkRole role_ = LinkRole::vend;
};

std::vector<std::string_view> fields_of(std::string_view body) {
    std::vector<std::string_view> fields;
    for (std::size_t at = 0; at < body.size();) {
        const std::size_t end = body.find('~', at);
        require(end != std::string_view::npos, "a field ends");
        fields.push_back(body.substr(at, end - at));
        at = end + 1;
    }
    return fields;
}

std::string upper_case(std::string_view text) {
    std::string upper(text);
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return upper;
}

/// A token that was made, as SM?VT is asked about it and as it answers.
struct Verification {
    std::string request;
    std::string answer;
};

/// From an accepted SM?VC, SM?VM or SM?VK and its answer.
std::vector<Verification> verifications_of(std::string_view request, std::string_view answer) {
    const bool key_change = request.starts_with("SM?VK");
    const bool credit = request.starts_with("SM?VC");
    if (!answer.substr(5).starts_with("00") || (!key_change && !credit && !request.starts_with("SM?VM"))) {
        return {};
    }
    const auto asked = fields_of(request.substr(5));
    const auto made = fields_of(answer.substr(7));
    require(made.size() == (key_change ? 4U : 2U), "the fields of a token");
    const std::string_view hex = made[made.size() - 2].substr(1);
    const std::string_view decimal = made.back().substr(1);
    const std::size_t count = decimal.size() / 20;
    require(key_change ? made[1] == asked[7] : count == 1, "the number of tokens");
    if (key_change) {
        // Register 2 alone has another base date.
        require((made[0] == "N1") == ((asked[0] == "N2") != (asked[1] == "N2")), "rollover");
    }
    require(decimal.size() == count * 20 && hex.size() == count * 17, "the digits of a token");

    std::vector<Verification> found;
    for (std::size_t i = 0; i < count; ++i) {
        const auto token = sts::TokenNumber::parse(decimal.substr(i * 20, 20));
        require(token && token == sts::TokenNumber::parse(hex.substr(i * 17, 17)), "one token, two forms");
        std::string asks = "SM?VT";
        for (const std::size_t field :
             key_change ? std::array<std::size_t, 4>{0, 2, 3, 4} : std::array<std::size_t, 4>{0, 1, 2, 3}) {
            asks.append(asked[field]).append("~");
        }
        asks.append("P").append(decimal.substr(i * 20, 20)).append("~");
        std::string says = "SM!VT00N0~";
        if (key_change) {
            constexpr std::string_view kSubclasses[] = {"3", "4", "8", "9"};
            require(i < std::size(kSubclasses), "four tokens at most");
            says.append("N2~N").append(kSubclasses[i]).append("~H0000~H000000~");
        } else {
            const std::string tid = upper_case(asked[7].substr(1));
            says.append(credit ? "N0~" : "N2~").append(asked[5]).append("~");
            says.append(upper_case(asked[6])).append("~H").append(6 - tid.size(), '0').append(tid) += '~';
        }
        found.push_back({asks, says});
    }
    return found;
}

void run_batch(Bench& bench, std::vector<std::string_view>& messages) {
    const auto answers = bench.execute(messages);
    for (std::size_t i = 0; i < messages.size(); ++i) {
        for (const Verification& verification : verifications_of(messages[i], answers[i])) {
            const std::string answer = bench.execute({verification.request})[0];
            // The key may be away by now, or failed verifications have used the allowance up.
            require(answer == verification.answer || answer == "SM!VT01", "SM?VT reads what was made");
        }
    }
    messages.clear();
}

}  // namespace
}  // namespace sts6::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sts6::fuzz;
    std::string_view rest = Choices(data, size).rest();
    const auto next_line = [&rest] {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        return line;
    };
    Bench bench(next_line());
    std::vector<std::string_view> batch;
    for (std::size_t lines = 0; lines < kMostLines && !rest.empty(); ++lines) {
        const std::string_view line = next_line().substr(0, kLongestMessage - 4);
        if (line.starts_with('@')) {
            bench.set_clock(line.substr(1));
        } else if (!line.empty()) {
            batch.push_back(line);
        }
        if (line.empty() || batch.size() == kMostInBatch) run_batch(bench, batch);
    }
    run_batch(bench, batch);
    return 0;
}
