// SPDX-License-Identifier: Apache-2.0
#include "tools/kmc/kmc.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <set>

#include "firmware/keyload/attributes.hpp"
#include "tools/kmc/agreement.hpp"
#include "tools/kmc/kmc_error.hpp"
#include "tools/kmc/text.hpp"

namespace sts6::kmc {

namespace {

constexpr CivilTime kLastDate = civil_time(9999, 12, 31, 23, 59, 59);
constexpr std::size_t kMostKeys = keyload::kMostRecords - 1;

std::string module_name(const keyload::Identifier& smid) {
    return std::string(smid.issuer) + ":" + std::string(smid.unique);
}

/// DES keys have odd parity; keys that were published have what they have.
void set_odd_parity(std::span<std::uint8_t> key) {
    for (std::uint8_t& octet : key) {
        const auto bits = static_cast<unsigned>(std::popcount(static_cast<unsigned>(octet >> 1U)));
        octet = static_cast<std::uint8_t>((octet & 0xFEU) | (~bits & 1U));
    }
}

void check_dates(CivilTime active_from, CivilTime expiry) {
    if (expiry <= active_from) usage_error("the expiry date must be after the active date");
    if (expiry > kLastDate) usage_error("the expiry date must be before the year 10000");
}

/// The one module that is meant, in full.
std::string known_module(const Kmc& kmc, const std::string& wanted) {
    std::vector<std::string> found;
    for (const auto& [name, record] : kmc.modules) {
        if (name == wanted || name.substr(name.find(':') + 1) == wanted) found.push_back(name);
    }
    if (found.empty()) refuse("there is no security module " + wanted + "; `sm add` makes it known");
    if (found.size() > 1) {
        refuse("two manufacturers have a security module " + wanted + ": say MANUFACTURER:MODULEID");
    }
    return found.front();
}

/// Characters that a card's value may have; one of the others would make a card of its own.
bool is_card_value(std::string_view value) {
    return std::ranges::all_of(
        value, [](char c) { return c >= ' ' && c <= '}' && c != ';' && c != '|' && c != '#'; });
}

void check_attributes(const KeyAttributes& key) {
    check_dates(key.active_from, key.expiry);
    if (key.active_from < CivilTime{civil_time(0, 1, 1)}) usage_error("the active date has no year");
    if (!is_card_value(key.sgn.view())) usage_error("a name is printable ASCII without ; | # ~");
    const std::string cards = written([&key](TextWriter& out) { keyload::put_key_cards(out, key, Kcv{}); });
    const auto parsed = keyload::Cards::parse(cards);
    if (!parsed || !keyload::read_key_cards(*parsed)) {
        usage_error("an attribute is out of its range (SGC 0-999999, KRN 1-9, KTC 1-3, ULM 0-999999998)");
    }
}

/// What both sides of one agreement say of themselves; it views into the records.
struct Session {
    keyload::KmcKeyRecord kmc;
    EcPoint kmc_key{};
    keyload::SmKeyRecord sm;
    keyload::LoadRequest request;

    [[nodiscard]] keyload::profile1::Parties parties() const {
        return {sm.smid.text, kmc.kmcid.text, sm.key, request.ephemeral_key, kmc_key};
    }
};

/// The request is for this KMC and of a module that it knows, by the key that it knows.
Session checked_session(const Kmc& kmc, const std::string& record) {
    const auto own = keyload::parse_kmc_key(kmc.record);
    if (!own) damaged("the KMC's own record is damaged");
    const auto request = keyload::parse_load_request(record);
    if (!request) damaged("the VKLOAD.REQ.1 record is damaged: its CRC or one of its fields is wrong");
    if (request->kmcid.text != own->kmcid.text) {
        refuse("the request is for another KMC, " + std::string(request->kmcid.text) + ", not for " +
               std::string(own->kmcid.text));
    }
    const auto module = kmc.modules.find(module_name(request->smid));
    if (module == kmc.modules.end()) {
        refuse("the request is of an unknown security module, " + std::string(request->smid.text) +
               "; `sm add` makes it known");
    }
    const auto sm = keyload::parse_sm_key(module->second);
    if (!sm) damaged("the record of " + module->first + " is damaged");
    if (request->smid.text != sm->smid.text) {
        refuse("the request names the key of its security module as " + std::string(request->smid.text) +
               ", but the key added is " + std::string(sm->smid.text));
    }
    if (fingerprint(sm->key) != sm->smid.fingerprint)
        damaged("the record of " + module->first + " is damaged");
    return {*own, kmc.key.public_key, *sm, *request};
}

std::vector<std::string> make_records(const Kmc& kmc, const Session& session, CivilTime now,
                                      const std::vector<const VendingKey*>& keys,
                                      const RandomSource& random) {
    const auto parties = session.parties();
    const SessionKeys secrets = derive_keys(shared_secret(kmc.key, session.request.ephemeral_key),
                                            shared_secret(kmc.key, session.sm.key), parties);
    const std::string body = written(
        [&](TextWriter& out) { keyload::put_load_response_body(out, parties.kmcid, parties.smid, now); });
    const keyload::MacTag tag = confirmation(secrets, parties, body);
    std::vector<std::string> records;
    records.push_back(written([&](TextWriter& out) { keyload::put_load_response(out, body, tag); }));
    std::set<keyload::Nonce> used;
    for (const VendingKey* key : keys) {
        keyload::Nonce nonce{};
        random(nonce);
        // Chance alone never does this.
        if (!used.insert(nonce).second) refuse("the random source repeats itself; nothing was made");
        KeyAttributes attributes = key->attributes;
        if (key->refresh_days) {
            attributes.issue_until = std::min(attributes.expiry, now + std::chrono::days(*key->refresh_days));
        }
        const std::string cards =
            written([&](TextWriter& out) { keyload::put_key_cards(out, attributes, key->kcv); });
        records.push_back(key_record(secrets, tag, nonce, cards, key->octets()));
    }
    return records;
}

std::size_t keys_in(const std::string& file) {
    // Header and trailer are no keys.
    return static_cast<std::size_t>(std::ranges::count(file, '\n')) - 2;
}

}  // namespace

CivilTime ten_years_after(CivilTime time) {
    using namespace std::chrono;
    const auto days_of = floor<days>(time);
    year_month_day date = year_month_day(days_of) + years(10);
    if (!date.ok()) date = date.year() / date.month() / std::chrono::last;
    return sys_days(date) + (time - days_of);
}

std::string only_record(std::string_view text, std::string_view type) {
    const keyload::RecordFile file = keyload::read_file(text, sha1);
    if (file.fault == keyload::FileFault::edition_1 || file.fault == keyload::FileFault::too_large) {
        refuse(keyload::fault_text(file.fault));
    }
    if (file.fault != keyload::FileFault::none) damaged(keyload::fault_text(file.fault));
    const std::string_view found = keyload::record_type(file.records.front());
    if (found != type) refuse("the file holds no " + std::string(type) + " record");
    if (file.records.size() != 1) refuse("the file holds more than one record");
    return file.records.front();
}

Kmc make_kmc(const NewKmc& wanted, KeyPair key) {
    if (!keyload::is_ident(wanted.operator_name) || !keyload::is_ident(wanted.name)) {
        usage_error("operator and name are 1 to 40 of A-Z a-z 0-9 _ . , - and begin with a letter or digit");
    }
    const CivilTime active_from = wanted.active_from.value_or(wanted.created);
    const CivilTime expiry = wanted.expiry.value_or(ten_years_after(active_from));
    check_dates(active_from, expiry);
    if (!is_key_pair(key)) damaged("the key pair of the KMC is damaged");
    keyload::Identifier identifier{.text = {},
                                   .issuer = wanted.operator_name,
                                   .unique = wanted.name,
                                   .created = wanted.created,
                                   .fingerprint = fingerprint(key.public_key)};
    const std::string kmcid =
        written([&](TextWriter& out) { keyload::put_identifier(out, keyload::kKmcidType, identifier); });
    identifier.text = kmcid;
    const std::string point = hex_text(key.public_key);
    const keyload::KmcKeyRecord record{identifier, active_from, expiry, keyload::kCurve, point};
    Kmc kmc;
    kmc.record = written([&](TextWriter& out) { keyload::put_kmc_key(out, record); });
    kmc.key = std::move(key);
    return kmc;
}

Kmc make_kmc(const NewKmc& wanted) {
    return make_kmc(wanted, generate_key_pair());
}

AddedSm add_sm(Kmc& kmc, std::string_view file, bool replace) {
    const std::string record = only_record(file, keyload::kSmKeyType);
    const auto sm = keyload::parse_sm_key(record);
    if (!sm) damaged("the PKSM.1 record is damaged: its CRC, its curve or another field is wrong");
    if (!is_public_key(sm->key)) refuse("the public key is no point of P-384");
    if (fingerprint(sm->key) != sm->smid.fingerprint) refuse("the fingerprint is that of another key");
    const std::string name = module_name(sm->smid);
    const auto known = kmc.modules.find(name);
    AddedSm added{std::string(sm->smid.text), SmChange::added};
    if (known != kmc.modules.end()) {
        if (known->second == record) return {added.smid, SmChange::none};
        if (!replace) {
            refuse("another record of security module " + name +
                   " is known; --replace takes this one in its place");
        }
        added.change = SmChange::replaced;
    }
    kmc.modules.insert_or_assign(name, record);
    return added;
}

Kcv add_key(Kmc& kmc, VendingKey key, bool has_value) {
    KeyAttributes& attributes = key.attributes;
    attributes.issue_until = attributes.expiry;
    check_attributes(attributes);
    const KeyName name{attributes.sgc, attributes.krn};
    if (kmc.keys.contains(name)) {
        refuse("there is a key of SGC " + std::to_string(name.first) + " KRN " + std::to_string(name.second) +
               " already; `revoke` takes it out");
    }
    if (kmc.keys.size() == kMostKeys) refuse("a KMC holds 4096 keys at most, as a key load file does");
    for (std::string& module : key.modules) module = known_module(kmc, module);
    if (!has_value) {
        const auto octets = std::span(key.value.octets()).first(vending_key_octets(attributes.dkg));
        random_octets(octets);
        if (attributes.dkg == Dkga::dkga02) set_odd_parity(octets);
    }
    key.kcv = check_value(attributes.dkg, key.octets());
    const Kcv kcv = key.kcv;
    kmc.keys.emplace(name, std::move(key));
    return kcv;
}

void revoke(Kmc& kmc, KeyName name) {
    if (kmc.keys.erase(name) == 0) {
        refuse("there is no key of SGC " + std::to_string(name.first) + " KRN " +
               std::to_string(name.second));
    }
}

Response respond(Kmc& kmc, std::string_view file, CivilTime now, const RandomSource& random) {
    const std::string record = only_record(file, keyload::kLoadRequestType);
    const Session session = checked_session(kmc, record);
    const std::string name = module_name(session.sm.smid);
    Response response{.file = {}, .smid = std::string(session.sm.smid.text), .keys = 0, .expired = {}};
    Answer answer{sha384(record), sha384(Octets(session.request.ephemeral_key)), {}};
    for (const Answer& earlier : kmc.answers) {
        if (earlier.request == answer.request) {
            response.file = earlier.file;
            response.keys = keys_in(earlier.file);
            response.repeated = true;
            return response;
        }
        if (earlier.ephemeral_key == answer.ephemeral_key) {
            // Both would be under one KEK, which promises that a nonce never comes twice.
            refuse("another request with the same ephemeral key was answered; make a new request");
        }
    }
    if (!is_public_key(session.request.ephemeral_key)) refuse("the ephemeral key is no point of P-384");
    std::vector<const VendingKey*> keys;
    for (const auto& [key_name, key] : kmc.keys) {
        if (!key.modules.empty() && std::ranges::find(key.modules, name) == key.modules.end()) continue;
        if (now >= key.attributes.expiry) {
            response.expired.push_back(key_name);
        } else {
            keys.push_back(&key);
        }
    }
    response.keys = keys.size();
    response.file = keyload::write_file(make_records(kmc, session, now, keys, random), sha1);
    if (response.file.size() > keyload::kLargestFile) {
        refuse("the keys of this security module don't fit a key load file of 1 MiB");
    }
    answer.file = response.file;
    kmc.answers.push_back(std::move(answer));
    return response;
}

}  // namespace sts6::kmc
