// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/keyload.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/profile1.hpp"
#include "firmware/keyload/records.hpp"
#include "firmware/keyload/text.hpp"
#include "firmware/util/bytes.hpp"

namespace sts6::commands {

namespace {

namespace profile = keyload::profile1;

// [C]
constexpr std::chrono::seconds kResendTime{60};
constexpr std::chrono::days kRequestLife{30};
constexpr std::uint8_t kMostFailures = 5;

std::span<const std::uint8_t> octets_of(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

void put_key_name(TextWriter& text, const KeyAttributes& key, const Kcv& kcv) noexcept {
    text.put("SGC").number(key.sgc, 10).put(";KRN").number(key.krn).put(";KCV").hex(kcv);
}

// What a session holds in the token and in the tables, given up.

void drop_staged(ModuleContext& context) noexcept {
    for (std::uint32_t number = 1; number <= RegisterTable::kMost; ++number) {
        if (const StagedKey* staged = context.staged.find(number)) context.doomed.add(staged->row.key);
    }
    context.staged.clear();
    context.put(context.store.remove_all_staged());
}

void drop_session(ModuleContext& context, Slot& slot) noexcept {
    if (slot.session.state == LoadSession::State::pending) context.doomed.add(slot.session.ephemeral.id);
    if (slot.session.state == LoadSession::State::loading) {
        context.doomed.add(slot.session.kek);
        drop_staged(context);
    }
    slot.session = LoadSession{};
}

void put_request(TextWriter& out, const ModuleState& state, const LoadSession& session) noexcept {
    keyload::put_load_request(out, {.kmcid = {.text = session.kmcid.view()},
                                    .smid = {.text = state.smid.view()},
                                    .time = session.requested,
                                    .ephemeral_key = session.ephemeral.point});
}

void answer_request(const ModuleContext& context, Command& command, const LoadSession& session) noexcept {
    std::array<char, keyload::kLongestRecord> buffer{};
    TextWriter record(buffer);
    put_request(record, context.state, session);
    command.succeed(command.body().printable(record.written()));
}

/// Says in the order of docs/key-management.md 3.3 why a KMC's public key is no good, or gives it.
struct KmcKey {
    keyload::KmcKeyRecord record;
    EcPoint point{};
    Sha384 digest{};  ///< of the record
};
std::optional<KmcKey> judge_kmc_key(ModuleContext& context, Command& command,
                                    std::string_view text) noexcept {
    const auto refuse = [&command](auto reason) -> std::optional<KmcKey> {
        command.refuse(reason);
        return std::nullopt;
    };
    const bool other_type = keyload::record_type(text) != keyload::kKmcKeyType;
    const auto record = keyload::parse_kmc_key(text);
    if (other_type ? !keyload::without_crc(text, '|') : !record) return refuse(Status::df_format_error);
    if (context.state.smid.empty()) return refuse("SM not initialised");
    if (other_type) return refuse("KMC public key record type");
    if (record->curve != keyload::kCurve) return refuse("KMC public key curve");
    const auto point = keyload::read_point(record->point);
    if (!point || !context.hsm.is_valid_point(*point)) return refuse("KMC public key invalid");
    const auto point_digest = context.hsm.sha384(*point);
    const auto record_digest = context.hsm.sha384(octets_of(text));
    if (!point_digest || !record_digest) return refuse(Status::device_failure);
    if (!std::equal(record->kmcid.fingerprint.begin(), record->kmcid.fingerprint.end(),
                    point_digest->begin())) {
        return refuse("KMC fingerprint mismatch");
    }
    const auto approved = context.store.is_approved(*record_digest);
    if (!approved) return refuse(Status::device_failure);
    if (!*approved) return refuse("KMC public key not approved");
    if (context.now.time < record->active_from) return refuse(Status::key_not_yet_active);
    if (context.now.time >= record->expiry) return refuse(Status::key_expired_error);
    return KmcKey{*record, *point, *record_digest};
}

/// The slot of the KMC, its own or a free one; none when there is no free one.
std::optional<Slot> slot_for(ModuleContext& context, const keyload::Identifier& kmcid) noexcept {
    if (const Slot* found = context.slots.find(kmcid.issuer, kmcid.unique)) return *found;
    const auto number = context.slots.free_number();
    if (!number) return std::nullopt;
    Slot slot;
    slot.number = *number;
    // IDENTs, at most 40 characters.
    static_cast<void>(slot.kmc_operator.assign(kmcid.issuer));
    static_cast<void>(slot.kmc_name.assign(kmcid.unique));
    return slot;
}

bool is_resent(const ModuleContext& context, const LoadSession& session, const Sha384& record) noexcept {
    return session.state == LoadSession::State::pending && session.kmc_record == record &&
           context.now.time >= session.requested && context.now.time - session.requested <= kResendTime;
}

/// The agreement of a response with the pending request: the KEK.
Result<KeyId> agree(ModuleContext& context, const LoadSession& session,
                    const keyload::LoadResponse& response) noexcept {
    const profile::Parties parties{.smid = context.state.smid.view(),
                                   .kmcid = session.kmcid.view(),
                                   .sm_static = context.state.agreement_key.point,
                                   .sm_ephemeral = session.ephemeral.point,
                                   .kmc_static = session.kmc_key};
    std::array<std::uint8_t, profile::kMostOtherInfo> other_info_buffer{};
    ByteWriter other_info(other_info_buffer);
    profile::put_other_info(other_info, parties);
    std::array<std::uint8_t, profile::kMostMacData> mac_data_buffer{};
    ByteWriter mac_data(mac_data_buffer);
    profile::put_mac_data(mac_data, parties, response.body);
    return context.hsm.agree({.static_key = context.state.agreement_key.id,
                              .ephemeral_key = session.ephemeral.id,
                              .peer = session.kmc_key,
                              .other_info = other_info.written(),
                              .mac_data = mac_data.written(),
                              .mac_tag = response.mac_tag});
}

void end_request(ModuleContext& context, Slot& slot) noexcept {
    context.doomed.add(slot.session.ephemeral.id);
    slot.session = LoadSession{};
    context.put(context.store.put_slot(slot));
}

void confirmation_failed(ModuleContext& context, Command& command, Slot& slot) noexcept {
    ++slot.session.failures;
    context.audit.add(AuditEvent::response_refused, [&](TextWriter& text) {
        text.put(slot.session.kmcid.view()).put(" key confirmation failed, number ");
        text.number(slot.session.failures);
    });
    if (slot.session.failures >= kMostFailures) {
        end_request(context, slot);
    } else {
        context.put(context.store.put_slot(slot));
    }
    command.refuse("Key confirmation failed");
}

void answer_staged(Command& command, const RegisterRow& row) noexcept {
    std::array<char, 6> kcv{};
    TextWriter text(kcv);
    command.succeed(command.body().number(row.number).printable(text.hex(row.kcv).written()));
}

bool has_identity(const RegisterRow& row, std::uint8_t slot, const KeyAttributes& key) noexcept {
    return row.slot == slot && row.attributes.sgc == key.sgc && row.attributes.krn == key.krn;
}

/// Whether a loaded key may take the place of the register's: the same key, of the same type, algorithm and
/// base date. Of a key that was lost from the token only the check value is left to compare.
Result<bool> may_reload(ModuleContext& context, const Register& old, const LoadedKey& loaded,
                        const KeyAttributes& attributes) noexcept {
    const KeyAttributes& key = old.row.attributes;
    if (key.ktc != attributes.ktc || key.dkg != attributes.dkg || key.base_date != attributes.base_date ||
        old.row.kcv != loaded.kcv) {
        return false;
    }
    const auto handle = context.hsm.find_key(loaded.id, loaded.dkg);
    if (!handle) return Unexpected{handle.error()};
    // Not old.key: of a quarantined register that is no handle.
    const auto before = context.hsm.find_key(old.row.key, key.dkg);
    const auto same =
        before ? context.hsm.is_same_key({*before, old.row.wrapped_key}, {*handle, loaded.wrapped_key})
               : Result<bool>(Unexpected{before.error()});
    // key_mismatch: the octets were wrapped by a key that is gone.
    if (!same && (same.error() == Errc::key_missing || same.error() == Errc::key_mismatch)) return true;
    return same;
}

/// The register that a key gets, or none.
Result<std::optional<std::uint16_t>> register_for(ModuleContext& context, std::uint8_t slot,
                                                  const LoadedKey& loaded,
                                                  const KeyAttributes& attributes) noexcept {
    const auto is_it = [&](const auto& key) { return has_identity(key.row, slot, attributes); };
    if (context.staged.find_if(is_it) != nullptr) return std::optional<std::uint16_t>{};
    if (const Register* old = context.registers.find_if(is_it)) {
        const auto same = may_reload(context, *old, loaded, attributes);
        if (!same) return Unexpected{same.error()};
        return *same ? std::optional(old->row.number) : std::nullopt;
    }
    for (std::uint32_t number = 1; number <= context.settings.registers; ++number) {
        if (context.registers.find(number) == nullptr && context.staged.find(number) == nullptr)
            return std::optional(static_cast<std::uint16_t>(number));
    }
    return std::optional<std::uint16_t>{};
}

/// What becomes of a key that the token has authenticated: 94, 28, or staged.
std::optional<Status> stage(ModuleContext& context, const Slot& slot, const keyload::KeyRecord& record,
                            const LoadedKey& loaded, StagedKey& staged) noexcept {
    if (context.staged.find_if([&](const StagedKey& key) { return key.nonce == record.nonce; }) != nullptr)
        return Status::attribute_error;
    const auto cards = keyload::read_key_cards(record.cards);
    if (!cards || cards->attributes.dkg != loaded.dkg || cards->kcv != loaded.kcv)
        return Status::attribute_error;
    const auto number = register_for(context, slot.number, loaded, cards->attributes);
    if (!number) return Status::device_failure;
    if (!*number) return Status::vk_reg_not_found_error;
    staged.row = {.number = **number,
                  .slot = slot.number,
                  .key = loaded.id,
                  .wrapped_key = loaded.wrapped_key,
                  .kcv = loaded.kcv,
                  .attributes = cards->attributes,
                  .units_left = std::nullopt,
                  .currency_left = std::nullopt};
    staged.nonce = record.nonce;
    if (cards->has_unknown_tags) {
        context.audit.add(AuditEvent::unknown_cards,
                          [&](TextWriter& text) { put_key_name(text, cards->attributes, loaded.kcv); });
    }
    return std::nullopt;
}

Status refusal_of(Errc error) noexcept {
    switch (error) {
        case Errc::key_mismatch:
            return Status::authentication_error;
        case Errc::malformed:
            return Status::attribute_error;
        default:
            return Status::device_failure;
    }
}

/// `cards` are those of a record that was authentic.
void refuse_key(ModuleContext& context, Command& command, Status status,
                const keyload::Cards* cards = nullptr) noexcept {
    context.audit.add(AuditEvent::key_refused, [status, cards](TextWriter& text) {
        text.put("status ").hex(std::array{static_cast<std::uint8_t>(status)});
        if (cards == nullptr) return;
        for (const std::string_view tag : {"SGC", "KRN", "KCV"})
            text.put(";").put(tag).put(cards->find(tag).value_or("").substr(0, 40));
    });
    command.refuse(status);
}

/// Puts what was staged in force and gives up what was not; how many keys are gone.
std::uint32_t enforce(ModuleContext& context, std::uint8_t slot) noexcept {
    std::uint32_t removed = 0;
    for (std::uint32_t number = 1; number <= RegisterTable::kMost; ++number) {
        const StagedKey* staged = context.staged.find(number);
        const Register* old = context.registers.find(number);
        if (staged == nullptr) {
            if (old == nullptr || old->row.slot != slot) continue;
            context.doomed.add(old->row.key);
            context.registers.remove(static_cast<std::uint16_t>(number));
            context.put(context.store.remove_register(static_cast<std::uint16_t>(number)));
            ++removed;
            continue;
        }
        if (old != nullptr && old->row.key != staged->row.key) context.doomed.add(old->row.key);
        RegisterRow row = staged->row;
        const KeyAttributes& key = row.attributes;
        if (key.ulm_units) row.units_left = keyload::unit_limit(*key.ulm_units);
        if (key.clm_bits) row.currency_left = keyload::currency_limit(*key.clm_bits);
        Register& made = context.registers.set(row);
        const auto handle = context.hsm.find_key(row.key, key.dkg);
        if (handle) {
            made.key = *handle;
        } else {
            made.health = Register::Health::quarantined;
        }
        context.put(context.store.put_register(row));
    }
    context.staged.clear();
    context.put(context.store.remove_all_staged());
    return removed;
}

}  // namespace

void request_load(ModuleContext& context, Command& command) noexcept {
    const std::string_view text = command.fields.text(0);
    const auto key = judge_kmc_key(context, command, text);
    if (!key) return;
    auto slot = slot_for(context, key->record.kmcid);
    if (!slot) {
        command.refuse(Status::kek_slot_not_found_error);
        return;
    }
    if (is_resent(context, slot->session, key->digest)) {
        answer_request(context, command, slot->session);
        return;
    }
    const auto ephemeral = context.hsm.generate_ec_key(EcKeyUse::ephemeral);
    if (!ephemeral) {
        command.refuse(Status::device_failure);
        return;
    }
    drop_session(context, *slot);
    LoadSession& session = slot->session;
    session.state = LoadSession::State::pending;
    static_cast<void>(session.kmcid.assign(key->record.kmcid.text));
    session.kmc_record = key->digest;
    session.kmc_key = key->point;
    session.requested = context.now.time;
    session.ephemeral = *ephemeral;
    slot->last_loaded.reset();
    context.slots.set(*slot);
    context.put(context.store.put_slot(*slot));
    context.audit.add(AuditEvent::load_requested,
                      [&](TextWriter& entry) { entry.put(session.kmcid.view()); });
    answer_request(context, command, session);
}

void accept_response(ModuleContext& context, Command& command) noexcept {
    const std::string_view text = command.fields.text(0);
    const auto response = keyload::parse_load_response(text);
    const auto digest = context.hsm.sha384(octets_of(text));
    if (!response) return command.refuse(Status::df_format_error);
    if (!digest) return command.refuse(Status::device_failure);
    Slot* slot = context.slots.find(response->kmcid.issuer, response->kmcid.unique);
    const Slot* loading = context.slots.loading();
    if (loading != nullptr && loading == slot && slot->session.response == *digest)
        return command.succeed(command.body().number(0));
    if (response->smid.text != context.state.smid.view()) return command.refuse("Response not for this SM");
    if (slot == nullptr || slot->session.state != LoadSession::State::pending || loading != nullptr)
        return command.refuse(Status::kmc_key_state_error);
    if (response->kmcid.text != slot->session.kmcid.view()) return command.refuse("Response KMC mismatch");
    if (context.now.time - slot->session.requested > kRequestLife) {
        context.audit.add(AuditEvent::response_refused, [&](TextWriter& entry) {
            entry.put(slot->session.kmcid.view()).put(" request expired");
        });
        end_request(context, *slot);
        return command.refuse("Request expired");
    }
    const auto kek = agree(context, slot->session, *response);
    if (!kek) {
        if (kek.error() == Errc::key_mismatch) return confirmation_failed(context, command, *slot);
        return command.refuse(Status::device_failure);
    }
    LoadSession& session = slot->session;
    context.doomed.add(session.ephemeral.id);
    session.ephemeral = EcKey{};
    session.state = LoadSession::State::loading;
    session.kek = *kek;
    session.mac_tag = response->mac_tag;
    session.response = *digest;
    slot->kmcid = session.kmcid;
    context.put(context.store.put_slot(*slot));
    context.audit.add(AuditEvent::response_accepted,
                      [&](TextWriter& entry) { entry.put(slot->kmcid.view()); });
    command.succeed(command.body().number(0));
}

void load_key(ModuleContext& context, Command& command) noexcept {
    const std::string_view text = command.fields.text(0);
    const auto record = keyload::parse_key(text);
    if (!record) return refuse_key(context, command, Status::df_format_error);
    const auto digest = context.hsm.sha384(octets_of(text));
    if (!digest) return command.refuse(Status::device_failure);
    const Slot* slot = context.slots.loading();
    if (const StagedKey* repeated =
            context.staged.find_if([&](const StagedKey& key) { return key.record == *digest; })) {
        return answer_staged(command, repeated->row);
    }
    if (slot == nullptr) return command.refuse(Status::kmc_key_state_error);

    std::array<std::uint8_t, profile::kMostAssociatedData> associated_buffer{};
    ByteWriter associated(associated_buffer);
    profile::put_associated_data(associated, slot->session.mac_tag, record->body);
    const auto loaded = context.hsm.load_key({.kek = slot->session.kek,
                                              .nonce = record->nonce,
                                              .associated_data = associated.written(),
                                              .sealed = record->sealed()});
    if (!loaded) return refuse_key(context, command, refusal_of(loaded.error()));
    StagedKey staged;
    staged.record = *digest;
    if (const auto refusal = stage(context, *slot, *record, *loaded, staged)) {
        context.doomed.add(loaded->id);
        return refuse_key(context, command, *refusal, &record->cards);
    }
    context.staged.set(staged);
    context.put(context.store.put_staged(staged));
    context.audit.add(AuditEvent::key_staged,
                      [&](TextWriter& entry) { put_key_name(entry, staged.row.attributes, staged.row.kcv); });
    answer_staged(command, staged.row);
}

void finish_load(ModuleContext& context, Command& command) noexcept {
    const std::string_view kmcid = command.fields.text(0);
    Slot* slot = context.slots.find_if([kmcid](const Slot& one) { return one.kmcid.view() == kmcid; });
    if (slot == nullptr) return command.refuse(Status::kmc_key_state_error);
    if (slot->session.state == LoadSession::State::none && slot->last_loaded)
        return command.succeed(command.body().number(*slot->last_loaded).number(slot->last_removed));
    if (slot->session.state != LoadSession::State::loading)
        return command.refuse(Status::kmc_key_state_error);

    std::uint32_t loaded = 0;
    for (std::uint32_t number = 1; number <= RegisterTable::kMost; ++number)
        loaded += context.staged.find(number) != nullptr ? 1 : 0;
    slot->last_removed = enforce(context, slot->number);
    slot->last_loaded = loaded;
    slot->active = true;
    context.doomed.add(slot->session.kek);
    slot->session = LoadSession{};
    context.put(context.store.put_slot(*slot));
    context.audit.add(AuditEvent::load_finished, [&](TextWriter& entry) {
        entry.put(slot->kmcid.view()).put(" loaded ").number(loaded);
        entry.put(" removed ").number(slot->last_removed);
    });
    command.succeed(command.body().number(loaded).number(slot->last_removed));
}

void remove_kmc(ModuleContext& context, Command& command) noexcept {
    const std::string_view kmcid = command.fields.text(0);
    Slot* slot = context.slots.find_if(
        [kmcid](const Slot& one) { return one.kmcid.view() == kmcid || one.session.kmcid.view() == kmcid; });
    if (slot == nullptr) return command.refuse(Status::kek_slot_not_found_error);
    drop_session(context, *slot);
    const std::uint8_t emptied = slot->number;
    for (std::uint32_t number = 1; number <= RegisterTable::kMost; ++number) {
        const Register* held = context.registers.find(number);
        if (held == nullptr || held->row.slot != emptied) continue;
        context.doomed.add(held->row.key);
        context.registers.remove(static_cast<std::uint16_t>(number));
        context.put(context.store.remove_register(static_cast<std::uint16_t>(number)));
    }
    context.slots.remove(emptied);
    context.put(context.store.remove_slot(emptied));
    context.audit.add(AuditEvent::slot_emptied, [&](TextWriter& entry) { entry.put(kmcid); });
    command.succeed(command.body());
}

}  // namespace sts6::commands
