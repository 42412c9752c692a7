// SPDX-License-Identifier: Apache-2.0
// What a command handler sees: the module's state, and one command on its way through the three steps of a
// batch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "firmware/module/register_table.hpp"
#include "firmware/module/settings.hpp"
#include "firmware/module/slot_table.hpp"
#include "firmware/module/verify_limit.hpp"
#include "firmware/policy/policy.hpp"
#include "firmware/ports/exchange.hpp"
#include "firmware/ports/hsm.hpp"
#include "firmware/ports/random.hpp"
#include "firmware/sts/key_change.hpp"
#include "firmware/sts/token_block.hpp"
#include "sts6/ptvd.hpp"

namespace sts6 {

/// Keys that go once the batch that gave them up is durable.
class DoomedKeys {
  public:
    void add(const KeyId& id) noexcept {
        // What does not fit is an orphan at the next start.
        if (size_ < ids_.size()) ids_[size_++] = id;
    }
    [[nodiscard]] std::span<const KeyId> ids() const noexcept { return std::span(ids_).first(size_); }
    void clear() noexcept { size_ = 0; }

  private:
    std::array<KeyId, 2 * RegisterTable::kMost + 16> ids_{};
    std::size_t size_ = 0;
};

/// Of an audit entry: which key.
void put_register(TextWriter& text, const Register& key_register) noexcept;

/// The state that handlers read and change. A change is durable once the batch is committed.
struct ModuleContext {
    const ModuleSettings& settings;
    Hsm& hsm;
    Store& store;
    Random& random;
    RegisterTable& registers;
    SlotTable& slots;
    StagedTable& staged;
    ModuleState& state;
    AuditList& audit;  ///< of this batch; an entry makes it one that is committed
    DoomedKeys& doomed;
    VerifyLimit& verify_limit;
    policy::Now now;            ///< of this batch
    bool clock_behind = false;  ///< the host clock is too far behind the time mark to vend
    /// Why a change could not be put: the batch fails as a failed commit does.
    std::optional<Errc> store_error;

    /// For what Store's changes return.
    void put(const Result<void>& done) noexcept {
        if (!done && !store_error) store_error = done.error();
    }

    /// The register's key if it can be used: empty 22, parent slot not active 26, quarantined 01. Compares
    /// the check value at first use.
    [[nodiscard]] Result<Register*, Status> usable_register(std::uint32_t number) noexcept;
    void audit_quarantine(const Register& found) noexcept;
};

struct Handler;

/// One command in a batch.
struct Command {
    Exchange* exchange = nullptr;
    const Handler* handler = nullptr;
    Fields fields;
    Register* key_register = nullptr;

    /// What check() leaves for build(): the clear token of VC and VM, the received token of VT, the fields of
    /// the new key and the size of the set of VK.
    Ea ea = Ea::misty1;
    sts::ClearToken clear{};
    policy::Debit debit{};
    sts::TokenNumber received{};
    sts::NewKey new_key{};
    std::uint32_t set_size = 0;

    /// The decoder keys that build() needs: one, for a key change the current one and then the new one.
    static constexpr std::size_t kMostDerivations = 2;
    std::array<DerivationRequest, kMostDerivations> derivations{};
    std::size_t derivation_count = 0;

    bool changes_state = false;

    void refuse(Status status) noexcept {
        exchange->answer.set_status(status);
        derivation_count = 0;
    }
    /// EE with its text.
    void refuse(std::string_view text) noexcept {
        refuse(Status::sts_extended_error);
        const PtvdWriter extended = body().printable(text);
        exchange->answer.set_body_size(extended.written().size());
    }
    void derive(const DerivationRequest& request) noexcept { derivations[derivation_count++] = request; }
    [[nodiscard]] PtvdWriter body() noexcept { return PtvdWriter(exchange->answer.body_buffer()); }
    /// Answers 00 with the fields written so far.
    void succeed(const PtvdWriter& body) noexcept {
        exchange->answer.set_status(Status::successful);
        exchange->answer.set_body_size(body.written().size());
    }
};

/// The code of a row of the command table. check() either answers, or reserves what the command takes and
/// asks for decoder keys; build() then makes the answer, with the keys in the order asked for; undo() takes
/// the reservation back when the derivation failed.
struct Handler {
    CommandId id;
    void (*check)(ModuleContext&, Command&) noexcept;
    void (*build)(ModuleContext&, Command&, std::span<const DerivationResult> keys) noexcept;
    void (*undo)(ModuleContext&, Command&) noexcept;
};

}  // namespace sts6
