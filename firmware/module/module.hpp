// SPDX-License-Identifier: Apache-2.0
// The security module: its state and the dispatcher through which every command goes.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>

#include "firmware/module/command.hpp"
#include "firmware/module/self_test.hpp"
#include "firmware/ports/clock.hpp"
#include "firmware/ports/exchange.hpp"
#include "firmware/ports/store.hpp"

namespace sts6 {

/// One thread calls start() and execute(); in_error_state() may be called from any thread. The object is
/// large (4096 registers and a batch): not for a stack.
class Module {
  public:
    static constexpr std::size_t kMaxBatch = 128;

    /// The references must outlive the module.
    Module(const ModuleSettings& settings, Hsm& hsm, Store& store, Clock& clock, Random& random);

    /// Runs the self-test, reads the stored state, destroys the keys that no row of it names, and audits the
    /// start. A failing
    /// self-test latches the error state and is no error here: the module then answers GL!ER58 to everything.
    /// Errors: those of the store and of the HSM; invalid_argument when a register is stored beyond the
    /// configured number.
    [[nodiscard]] Result<void> start(std::span<const SelfTest> self_tests = kSelfTests);

    /// Executes at most kMaxBatch commands in their order and fills in every answer. Returns when what they
    /// changed is durable; when that fails the error state is latched and every answer that depends on it is
    /// GL!ER58. Without room on the disk nothing has changed instead, what depends on a change is answered
    /// 01, and the next batch may find room. Vending commands share a commit, each command of key management
    /// has its own. Allocates nothing.
    void execute(std::span<Exchange* const> batch) noexcept;

    // Between two calls of execute(), on its thread. What fails in them fails as a command's commit does:
    // storage_full, and nothing has changed; otherwise the error state is latched.

    /// Makes what officers have put into the store durable, with its audit entry.
    [[nodiscard]] Result<void> administer(AuditEvent event, std::string_view text) noexcept;

    /// Latches the tampered state: it ends when the module is zeroised.
    [[nodiscard]] Result<void> tamper(std::string_view text) noexcept;

    /// Destroys every key of the module in the PKCS#11 token, looks whether any is left, and forgets
    /// registers, slots, approved KMCs and identity: the module is in its manufacturing phase again. The
    /// audit and the officers stay. An error of the HSM: some keys may be gone, nothing is forgotten.
    [[nodiscard]] Result<void> zeroise(std::string_view text) noexcept;

    /// Commits the time mark when it is `age` old; nothing when it is younger.
    [[nodiscard]] Result<void> keep_time(std::chrono::seconds age) noexcept;

    /// Audits a clean stop. Nothing is executed afterwards.
    [[nodiscard]] Result<void> stop() noexcept;

    /// Latched until the process ends.
    [[nodiscard]] bool in_error_state() const noexcept {
        return error_state_.load(std::memory_order_acquire);
    }
    [[nodiscard]] Phase phase() const noexcept { return state_.phase; }
    [[nodiscard]] const ModuleState& state() const noexcept { return state_; }
    [[nodiscard]] const ModuleSettings& settings() const noexcept { return settings_; }
    /// Null when the register is empty. On the thread of execute(), valid until its next call.
    [[nodiscard]] const Register* find_register(std::uint32_t number) noexcept {
        return registers_.find(number);
    }
    /// Whether the host clock was too far behind the time mark to vend, when module time was last asked for.
    [[nodiscard]] bool clock_is_behind() const noexcept { return context_.clock_behind; }
    /// Module time. On the thread of execute().
    [[nodiscard]] CivilTime now() noexcept {
        update_time();
        return context_.now.time;
    }

  private:
    [[nodiscard]] Result<void> load();
    [[nodiscard]] Result<void> load_registers();
    [[nodiscard]] Result<void> load_slots();
    [[nodiscard]] Result<void> make_audit_room() noexcept;
    [[nodiscard]] Result<void> audit_start() noexcept;
    [[nodiscard]] Result<void> finish(Result<void> committed) noexcept;
    [[nodiscard]] Result<void> reconcile();
    [[nodiscard]] bool is_referenced(const KeyId& id) noexcept;
    void execute_together(std::span<Exchange* const> batch) noexcept;
    void check(Command& command) noexcept;
    void derive_and_build(std::span<Command> commands) noexcept;
    void build(Command& command, std::span<DerivationResult> keys) noexcept;
    void put_debits(std::span<const Command> commands) noexcept;
    [[nodiscard]] Result<void> commit_changes(std::span<const Command> commands) noexcept;
    [[nodiscard]] Result<void> commit_batch(std::span<Command> commands) noexcept;
    void update_time() noexcept;
    void latch_error_state() noexcept { error_state_.store(true, std::memory_order_release); }

    ModuleSettings settings_;
    Store& store_;
    Clock& clock_;
    ModuleState state_;
    RegisterTable registers_;
    SlotTable slots_;
    StagedTable staged_;
    AuditList audit_;
    DoomedKeys doomed_;
    VerifyLimit verify_limit_;
    ModuleContext context_;
    std::atomic<bool> error_state_ = false;

    std::array<Command, kMaxBatch> commands_{};
    std::array<DerivationRequest, kMaxBatch * Command::kMostDerivations> requests_{};
    std::array<DerivationResult, kMaxBatch * Command::kMostDerivations> results_{};
};

}  // namespace sts6
