// SPDX-License-Identifier: Apache-2.0
// The firmware's ports without a system behind them, for unit tests of the module.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "firmware/ports/clock.hpp"
#include "firmware/ports/hsm.hpp"
#include "firmware/ports/random.hpp"
#include "firmware/ports/store.hpp"

namespace sts6::test {

/// Derives with OpenSSL from 20-octet keys, as DKGA04 does, whatever it is asked for; can be told to fail.
/// Allocates nothing while it derives.
class FakeHsm : public Hsm {
  public:
    void add_key(const KeyId& id, const std::array<std::uint8_t, 20>& key) { keys_.push_back({id, key}); }

    Result<KeyHandle> find_key(const KeyId& id, Dkga) override {
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            if (keys_[i].id == id) return static_cast<KeyHandle>(i);
        }
        return Unexpected{Errc::key_missing};
    }
    Result<Kcv> check_value(KeyHandle key) override {
        ++check_values;
        if (check_value_error) return Unexpected{*check_value_error};
        const std::array<std::uint8_t, 8> zeros{};
        const auto mac = hmac(key, zeros);
        return Kcv{mac[0], mac[1], mac[2]};
    }
    void decoder_keys(std::span<const DerivationRequest> requests,
                      std::span<DerivationResult> results) override {
        ++derivation_calls;
        for (std::size_t i = 0; i < requests.size(); ++i) {
            last_request = requests[i];
            results[i].error = fail_every != 0 && ++derivations % fail_every == 0
                                   ? std::optional(Errc::hsm_failed)
                                   : std::nullopt;
            if (results[i].error) continue;
            const auto mac = hmac(requests[i].key, requests[i].data);
            std::copy_n(mac.begin(), 16, results[i].key.octets().begin());
        }
    }

    // Key management is what software_hsm.hpp has.
    Result<void> adopt(std::string_view) override { return Unexpected{Errc::unsupported}; }
    Result<EcKey> generate_ec_key(EcKeyUse) override { return Unexpected{Errc::unsupported}; }
    bool is_valid_point(const EcPoint&) override { return false; }
    Result<Sha384> sha384(std::span<const std::uint8_t>) override { return Unexpected{Errc::unsupported}; }
    Result<KeyId> agree(const AgreementRequest&) override { return Unexpected{Errc::unsupported}; }
    Result<LoadedKey> load_key(const SealedKey&) override { return Unexpected{Errc::unsupported}; }
    Result<bool> is_same_key(const KeyReference&, const KeyReference&) override {
        return Unexpected{Errc::unsupported};
    }
    Result<void> destroy_key(const KeyId& id) override {
        const auto gone = std::erase_if(keys_, [&id](const Key& key) { return key.id == id; });
        return gone != 0 ? Result<void>{} : Unexpected{Errc::key_missing};
    }
    Result<std::size_t> list_keys(std::size_t, std::span<KeyId>) override { return std::size_t{0}; }
    Result<void> destroy_all_keys() override {
        keys_.clear();
        return {};
    }

    std::optional<Errc> check_value_error;
    std::size_t fail_every = 0;  ///< 1 = each derivation fails
    DerivationRequest last_request;
    std::size_t derivations = 0;
    std::size_t derivation_calls = 0;
    std::size_t check_values = 0;

  private:
    struct Key {
        KeyId id;
        std::array<std::uint8_t, 20> octets;
    };

    [[nodiscard]] std::array<std::uint8_t, 32> hmac(KeyHandle key, std::span<const std::uint8_t> data) const {
        std::array<std::uint8_t, 32> mac{};
        unsigned size = 0;
        const auto& octets = keys_.at(static_cast<std::size_t>(key)).octets;
        HMAC(EVP_sha256(), octets.data(), static_cast<int>(octets.size()), data.data(), data.size(),
             mac.data(), &size);
        return mac;
    }

    std::vector<Key> keys_;
};

/// What is put is kept by the next commit, and lost when that fails.
class FakeStore final : public Store {
  public:
    Result<ModuleState> load_state() override { return state; }
    Result<std::optional<RegisterRow>> load_next_register(std::uint16_t after) override {
        const auto next = registers.upper_bound(after);
        if (next == registers.end()) return std::optional<RegisterRow>{};
        return std::optional(next->second);
    }
    Result<std::optional<Slot>> load_slot(std::uint8_t number) override { return find(slots, number); }
    Result<std::optional<StagedKey>> load_next_staged(std::uint16_t after) override {
        const auto next = staged.upper_bound(after);
        if (next == staged.end()) return std::optional<StagedKey>{};
        return std::optional(next->second);
    }
    Result<bool> is_approved(const Sha384& kmc_record) override {
        return std::ranges::find(approved, kmc_record) != approved.end();
    }
    Result<void> put_register(const RegisterRow& row) override {
        begin();
        registers[row.number] = row;
        return done();
    }
    Result<void> put_counters(const RegisterRow& row) override {
        begin();
        registers[row.number].units_left = row.units_left;
        registers[row.number].currency_left = row.currency_left;
        return done();
    }
    AuditHead audit_head() noexcept override {
        AuditHead head;
        head.last = audit.size();
        return head;
    }
    Result<AuditRecord> load_audit(std::uint64_t) override { return Unexpected{Errc::unsupported}; }
    std::uint64_t audit_room() noexcept override { return room; }
    Result<void> remove_register(std::uint16_t number) override {
        begin();
        registers.erase(number);
        return done();
    }
    Result<void> put_slot(const Slot& slot) override {
        begin();
        slots[slot.number] = slot;
        return done();
    }
    Result<void> remove_slot(std::uint8_t number) override {
        begin();
        slots.erase(number);
        return done();
    }
    Result<void> put_staged(const StagedKey& key) override {
        begin();
        staged[key.row.number] = key;
        return done();
    }
    Result<void> remove_all_staged() override {
        begin();
        staged.clear();
        return done();
    }
    Result<void> remove_all_approvals() override {
        approved.clear();
        return done();
    }
    Result<void> commit(const ModuleState& changed, std::span<const AuditEntry> entries) override {
        ++commits;
        if (commit_error) return roll_back(*commit_error);
        before_.reset();
        state = changed;
        for (const AuditEntry& entry : entries) {
            if (!keeps_audit) break;
            audit.push_back(std::string(audit_event_text(entry.event)) + ": " + std::string(entry.text()));
        }
        return {};
    }

    ModuleState state;
    std::map<std::uint16_t, RegisterRow> registers;
    std::map<std::uint8_t, Slot> slots;
    std::map<std::uint16_t, StagedKey> staged;
    std::vector<Sha384> approved;
    std::vector<std::string> audit;
    std::optional<Errc> commit_error;
    std::optional<Errc> put_error;
    std::size_t commits = 0;
    std::uint64_t room = 1'000'000;
    bool keeps_audit = true;  ///< false: it allocates nothing

  private:
    template <class Map, class Key>
    static std::optional<typename Map::mapped_type> find(const Map& map, Key key) {
        const auto found = map.find(key);
        return found == map.end() ? std::nullopt : std::optional(found->second);
    }
    struct Rows {
        std::map<std::uint16_t, RegisterRow> registers;
        std::map<std::uint8_t, Slot> slots;
        std::map<std::uint16_t, StagedKey> staged;
    };

    void begin() {
        if (!before_) before_ = Rows{registers, slots, staged};
    }
    [[nodiscard]] Unexpected<Errc> roll_back(Errc error) {
        if (before_)
            std::tie(registers, slots, staged) =
                std::tie(before_->registers, before_->slots, before_->staged);
        before_.reset();
        return Unexpected{error};
    }
    [[nodiscard]] Result<void> done() {
        return put_error ? Result<void>(roll_back(*put_error)) : Result<void>();
    }

    std::optional<Rows> before_;
};

/// A slot whose load has finished, for registers that a test makes by hand.
inline Slot active_slot(std::uint8_t number = 1) {
    Slot slot;
    slot.number = number;
    slot.active = true;
    static_cast<void>(slot.kmc_operator.assign("Test"));
    static_cast<void>(slot.kmc_name.assign("T" + std::to_string(number)));
    return slot;
}

class FakeClock final : public Clock {
  public:
    CivilTime now() noexcept override { return time; }
    CivilTime time = civil_time(2014, 3, 1, 13, 0, 0);
};

class FakeRandom final : public Random {
  public:
    Result<std::uint8_t> token_nibble() override {
        if (fails) return Unexpected{Errc::hsm_failed};
        return std::uint8_t{5};
    }
    bool fails = false;
};

}  // namespace sts6::test
