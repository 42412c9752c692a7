// SPDX-License-Identifier: Apache-2.0
#include "firmware/module/module.hpp"

#include <algorithm>

#include "firmware/module/handlers.hpp"

namespace sts6 {

namespace {

// A host clock further behind the time mark than this was set back (docs/key-management.md).
constexpr std::chrono::seconds kClockTolerance{60};

}  // namespace

Result<Register*, Status> ModuleContext::usable_register(std::uint32_t number) noexcept {
    Register* found = registers.find(number);
    if (found == nullptr) return Unexpected{Status::register_empty};
    if (!slots.is_active(found->row.slot)) return Unexpected{Status::kmc_key_state_error};
    if (found->health == Register::Health::unchecked) {
        const auto kcv = hsm.check_value(found->key);
        // An HSM that is away says nothing about the key: it is checked at the next use.
        if (!kcv && kcv.error() != Errc::key_missing) return Unexpected{Status::device_failure};
        const bool sound = kcv && *kcv == found->row.kcv;
        found->health = sound ? Register::Health::sound : Register::Health::quarantined;
        if (!sound) audit_quarantine(*found);
    }
    if (found->health == Register::Health::quarantined) return Unexpected{Status::device_failure};
    return found;
}

void ModuleContext::audit_quarantine(const Register& found) noexcept {
    audit.add(AuditEvent::register_quarantined, [&found](TextWriter& text) { put_register(text, found); });
}

void put_register(TextWriter& text, const Register& key_register) noexcept {
    const RegisterRow& row = key_register.row;
    text.put("REG").number(row.number).put(";SGC").number(row.attributes.sgc, 10);
    text.put(";KRN").number(row.attributes.krn).put(";");
}

Module::Module(const ModuleSettings& settings, Hsm& hsm, Store& store, Clock& clock, Random& random)
    : settings_(settings),
      store_(store),
      clock_(clock),
      context_{.settings = settings_,
               .hsm = hsm,
               .store = store,
               .random = random,
               .registers = registers_,
               .slots = slots_,
               .staged = staged_,
               .state = state_,
               .audit = audit_,
               .doomed = doomed_,
               .verify_limit = verify_limit_,
               .now = {.time = {}, .tid_window_days = settings_.tid_window_days},
               .store_error = {}} {
}

Result<void> Module::start(std::span<const SelfTest> self_tests) {
    if (!std::ranges::all_of(self_tests, [](const SelfTest& test) { return test.passes(); })) {
        latch_error_state();
        return {};
    }
    if (const auto loaded = load(); !loaded) return loaded;
    audit_.set_time(now());
    if (const auto reconciled = reconcile(); !reconciled) return reconciled;
    return audit_start();
}

/// What the store holds; also when it could not hold what memory does.
Result<void> Module::load() {
    const auto state = store_.load_state();
    if (!state) return Unexpected{state.error()};
    const bool tampered = state_.tampered;
    state_ = *state;
    // Latched also when it could not be recorded.
    state_.tampered = state_.tampered || tampered;
    registers_.clear();
    slots_.clear();
    staged_.clear();
    audit_.clear();
    doomed_.clear();
    context_.store_error.reset();
    if (const auto loaded = load_slots(); !loaded) return loaded;
    return load_registers();
}

/// A start may have more to tell than one commit takes: of a load that gave up many keys, of a lost token.
Result<void> Module::make_audit_room() noexcept {
    if (audit_.entries().size() < AuditList::kMost) return {};
    const auto done = store_.commit(state_, audit_.entries());
    if (done) audit_.clear();
    return done;
}

Result<void> Module::audit_start() noexcept {
    for (std::uint32_t number = 1; number <= settings_.registers; ++number) {
        const Register* found = registers_.find(number);
        if (found == nullptr || found->health != Register::Health::quarantined) continue;
        if (const auto room = make_audit_room(); !room) return room;
        context_.audit_quarantine(*found);
    }
    if (const auto room = make_audit_room(); !room) return room;
    audit_.add(AuditEvent::started, [this](TextWriter& text) {
        text.put("FWI").put(settings_.firmware_id.view());
        text.put(state_.running ? ";STP0;" : ";STP1;").put(settings_.hsm.view());
    });
    state_.running = true;
    return commit_changes({});
}

Result<void> Module::load_slots() {
    for (std::uint8_t number = 1; number <= SlotTable::kMost; ++number) {
        const auto slot = store_.load_slot(number);
        if (!slot) return Unexpected{slot.error()};
        if (slot->has_value()) slots_.set(**slot);
    }
    std::uint16_t last = 0;
    for (;;) {
        const auto staged = store_.load_next_staged(last);
        if (!staged) return Unexpected{staged.error()};
        if (!staged->has_value()) return {};
        staged_.set(**staged);
        last = (*staged)->row.number;
    }
}

Result<void> Module::load_registers() {
    std::uint16_t last = 0;
    for (;;) {
        const auto row = store_.load_next_register(last);
        if (!row) return Unexpected{row.error()};
        if (!row->has_value()) return {};
        last = (*row)->number;
        if (last > settings_.registers) return Unexpected{Errc::invalid_argument};
        Register& loaded = registers_.set(**row);
        const auto key = context_.hsm.find_key(loaded.row.key, loaded.row.attributes.dkg);
        if (key) {
            loaded.key = *key;
        } else {
            loaded.health = Register::Health::quarantined;
        }
    }
}

bool Module::is_referenced(const KeyId& id) noexcept {
    const auto names = [&id](const auto& key) { return key.row.key == id; };
    return id == state_.agreement_key.id || registers_.find_if(names) != nullptr ||
           staged_.find_if(names) != nullptr || slots_.find_if([&id](const Slot& slot) {
               return id == slot.session.ephemeral.id || id == slot.session.kek;
           }) != nullptr;
}

/// A key that no row names is what a stop in the middle of a command left behind.
Result<void> Module::reconcile() {
    std::array<KeyId, 64> ids{};
    for (std::size_t index = 0;; index += ids.size()) {
        const auto count = context_.hsm.list_keys(index, ids);
        if (!count) return Unexpected{count.error()};
        for (const KeyId& id : std::span(ids).first(*count)) {
            if (!is_referenced(id)) doomed_.add(id);
        }
        if (*count < ids.size()) break;
    }
    for (const KeyId& id : doomed_.ids()) {
        if (const auto gone = context_.hsm.destroy_key(id); !gone) return gone;
        if (const auto room = make_audit_room(); !room) return room;
        audit_.add(AuditEvent::orphan_destroyed, [&id](TextWriter& text) { text.put("KEY").hex(id); });
    }
    doomed_.clear();
    return {};
}

void Module::execute(std::span<Exchange* const> batch) noexcept {
    const auto alone = [](const Exchange* exchange) {
        const CommandRow* row = find_command(exchange->message);
        return row != nullptr && row->role == LinkRole::full;
    };
    while (!batch.empty()) {
        const auto next = std::ranges::find_if(batch, alone);
        const auto together = static_cast<std::size_t>(next - batch.begin());
        const std::size_t count = std::max<std::size_t>(together, 1);
        execute_together(batch.first(count));
        batch = batch.subspan(count);
    }
}

/// What a commit's end means to the module.
Result<void> Module::finish(Result<void> committed) noexcept {
    // Without room nothing was written: the module goes on with what the store holds.
    if (!committed && committed.error() == Errc::storage_full && load()) return committed;
    if (!committed) latch_error_state();
    return committed;
}

Result<void> Module::administer(AuditEvent event, std::string_view text) noexcept {
    if (in_error_state()) return Unexpected{Errc::storage_failed};
    update_time();
    audit_.add(event, [text](TextWriter& entry) { entry.put(text.substr(0, AuditEntry::kLongestText)); });
    return finish(commit_changes({}));
}

Result<void> Module::tamper(std::string_view text) noexcept {
    state_.tampered = true;
    return administer(AuditEvent::tampered, text);
}

Result<void> Module::zeroise(std::string_view text) noexcept {
    if (in_error_state()) return Unexpected{Errc::storage_failed};
    // The keys first: whatever happens afterwards, they are gone, and this can be done again.
    if (const auto gone = context_.hsm.destroy_all_keys(); !gone) return gone;
    for (std::uint16_t number = 1; number <= RegisterTable::kMost; ++number) {
        if (registers_.find(number) != nullptr) context_.put(store_.remove_register(number));
    }
    for (std::uint8_t number = 1; number <= SlotTable::kMost; ++number)
        context_.put(store_.remove_slot(number));
    context_.put(store_.remove_all_staged());
    context_.put(store_.remove_all_approvals());
    registers_.clear();
    slots_.clear();
    staged_.clear();
    state_.phase = Phase::manufacturing;
    state_.smid = {};
    state_.smid_firmware = {};
    state_.agreement_key = {};
    state_.instruction_key = {};
    state_.tokens_issued = 0;
    state_.tampered = false;
    return administer(AuditEvent::zeroised, text);
}

Result<void> Module::keep_time(std::chrono::seconds age) noexcept {
    update_time();
    if (in_error_state() || settings_.clock_is_preset || context_.now.time - state_.time_mark < age)
        return {};
    state_.time_mark = context_.now.time;
    return finish(store_.commit(state_, {}));
}

Result<void> Module::stop() noexcept {
    if (!state_.running) return {};
    state_.running = false;
    return administer(AuditEvent::stopped, "");
}

void Module::execute_together(std::span<Exchange* const> batch) noexcept {
    const auto commands = std::span(commands_).first(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
        commands[i] = Command{};
        commands[i].exchange = batch[i];
    }
    if (!in_error_state()) {
        update_time();
        for (Command& command : commands) check(command);
        derive_and_build(commands);
        static_cast<void>(commit_batch(commands));
    }
    if (in_error_state()) {
        for (const Command& command : commands) {
            command.exchange->answer.set_link_error(Status::app_error_state);
        }
    }
}

Result<void> Module::commit_batch(std::span<Command> commands) noexcept {
    const auto first_change = std::ranges::find_if(commands, &Command::changes_state);
    const auto committed = finish(commit_changes(commands));
    if (committed || in_error_state()) return committed;
    // What was read behind a change may be of it.
    for (Command& command : std::span(first_change, commands.end())) {
        if (!command.exchange->answer.is_link_error()) command.refuse(Status::device_failure);
    }
    return committed;
}

void Module::update_time() noexcept {
    const CivilTime host = clock_.now();
    if (settings_.clock_is_preset) {
        context_.now.time = host;
        audit_.set_time(host);
        return;
    }
    context_.now.time = std::max(host, state_.time_mark);
    audit_.set_time(context_.now.time);
    const bool behind = host + kClockTolerance < state_.time_mark;
    if (behind && !context_.clock_behind) {
        audit_.add(AuditEvent::clock_behind, [](TextWriter&) {});
    }
    context_.clock_behind = behind;
}

void Module::check(Command& command) noexcept {
    Exchange& exchange = *command.exchange;
    const CommandRow* row = find_command(exchange.message);
    if (state_.tampered && (row == nullptr || !row->exists_in(Phase::tampered))) {
        exchange.answer.set_link_error(Status::tampered_state);
        return;
    }
    const bool known = row != nullptr && row->exists_in(state_.phase) && !row->is_link_command() &&
                       (row->role == LinkRole::vend || exchange.role == LinkRole::full);
    if (!known) {
        exchange.answer.set_link_error(Status::invalid_request_header);
        return;
    }
    if (exchange.expired) {
        command.refuse(Status::device_failure);
        return;
    }
    const auto fields =
        parse_fields(exchange.message.substr(row->header.size()), row->fields, settings_.registers);
    if (!fields) {
        command.refuse(fields.error());
        return;
    }
    if (row->effect == Effect::audited && store_.audit_room() < AuditList::kMost) {
        // What cannot be recorded is not done.
        command.refuse(Status::device_failure);
        return;
    }
    command.fields = *fields;
    command.handler = find_handler(row->id);
    command.handler->check(context_, command);
    // The row says what an accepted command changes; one that waits for its keys is accepted too.
    const bool accepted = command.derivation_count != 0 || exchange.answer.status() == Status::successful;
    command.changes_state = accepted && row->effect != Effect::reads;
}

void Module::derive_and_build(std::span<Command> commands) noexcept {
    std::size_t count = 0;
    for (const Command& command : commands) {
        for (std::size_t i = 0; i < command.derivation_count; ++i)
            requests_[count++] = command.derivations[i];
    }
    if (count == 0) return;
    auto results = std::span(results_).first(count);
    context_.hsm.decoder_keys(std::span(requests_).first(count), results);
    for (Command& command : commands) {
        const auto keys = results.first(command.derivation_count);
        results = results.subspan(keys.size());
        if (!keys.empty()) build(command, keys);
    }
}

void Module::build(Command& command, std::span<DerivationResult> keys) noexcept {
    if (std::ranges::any_of(keys, [](const DerivationResult& result) { return result.error.has_value(); })) {
        command.handler->undo(context_, command);
        command.changes_state = false;
        command.refuse(Status::device_failure);
    } else {
        command.handler->build(context_, command, keys);
    }
    for (DerivationResult& result : keys) result.key.clear();
}

void Module::put_debits(std::span<const Command> commands) noexcept {
    for (const Command& command : commands) {
        Register* key_register = command.changes_state ? command.key_register : nullptr;
        if (key_register == nullptr || !key_register->debited) continue;
        key_register->debited = false;
        context_.put(store_.put_counters(key_register->row));
    }
}

Result<void> Module::commit_changes(std::span<const Command> commands) noexcept {
    if (audit_.overflow()) return Unexpected{Errc::storage_failed};
    if (audit_.empty() && !context_.store_error && std::ranges::none_of(commands, &Command::changes_state))
        return {};
    if (!settings_.clock_is_preset) state_.time_mark = context_.now.time;
    put_debits(commands);
    if (context_.store_error) return Unexpected{*context_.store_error};
    if (const auto committed = store_.commit(state_, audit_.entries()); !committed) return committed;
    audit_.clear();
    for (const KeyId& id : doomed_.ids()) {
        // One that stays behind is an orphan at the next start.
        static_cast<void>(context_.hsm.destroy_key(id));
    }
    doomed_.clear();
    return {};
}

}  // namespace sts6
