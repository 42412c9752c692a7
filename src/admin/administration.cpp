// SPDX-License-Identifier: Apache-2.0
#include "src/admin/administration.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include <nlohmann/json.hpp>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "firmware/keyload/records.hpp"
#include "src/admin/audit_page.hpp"
#include "src/admin/officers.hpp"
#include "src/admin/status.hpp"
#include "src/admin/text.hpp"
#include "sts6/exit_code.hpp"

namespace sts6::admin {

namespace {

using nlohmann::json;

struct Refusal : std::runtime_error {
    Refusal(int code, const std::string& text) : std::runtime_error(text), exit_code(code) {}
    int exit_code;
};

[[noreturn]] void refuse(const std::string& text, int exit_code = kExitRefused) {
    throw Refusal(exit_code, text);
}

template <class T>
T required(Result<T> result, const char* what) {
    if (!result) refuse(std::string(what) + ": " + errc_text(result.error()), kExitErrorState);
    return std::move(*result);
}
void required(const Result<void>& result, const char* what) {
    if (!result) refuse(std::string(what) + ": " + errc_text(result.error()), kExitErrorState);
}

std::vector<Officer> officers_of(AdminStore& store) {
    std::vector<Officer> officers;
    std::string after;
    while (auto next = required(store.load_next_officer(after), "the officers")) {
        after = next->name.view();
        officers.push_back(*next);
    }
    return officers;
}

std::vector<KmcApproval> approvals_of(AdminStore& store) {
    std::vector<KmcApproval> approvals;
    std::string after;
    while (auto next = required(store.load_next_approval(after), "the approved KMCs")) {
        after = next->kmcid.view();
        approvals.push_back(*next);
    }
    return approvals;
}

/// Runs `work` on the module's thread; what it throws is thrown here.
template <class Work>
void on_module(const Services& services, Work work) {
    std::exception_ptr failure;
    const bool done = services.with_module([&] {
        try {
            work();
        } catch (...) {
            failure = std::current_exception();
        }
    });
    if (failure) std::rethrow_exception(failure);
    if (!done) refuse("the module has stopped", kExitNoConnection);
}

void commit(const Services& services, AuditEvent event, const std::string& text) {
    required(services.commit(event, text), "the change could not be made durable");
}

/// What cannot be recorded is not done.
void require_audit_room(const Services& services) {
    on_module(services, [&services] {
        if (services.store.audit_room() >= AuditList::kMost) return;
        refuse("the audit log is full: export it, then `sts6ctl audit acknowledge`");
    });
}

/// A name and a PIN that somebody has presented; the PIN is wiped with it.
struct Presented {
    Presented(std::string presented_name, std::string presented_pin)
        : name(std::move(presented_name)), pin(std::move(presented_pin)) {}
    Presented(Presented&&) = default;
    ~Presented() { OPENSSL_cleanse(pin.data(), pin.size()); }

    std::string name;
    std::string pin;
};

std::vector<Presented> presented_in(const json& request) {
    std::vector<Presented> presented;
    for (const json& one : request.at("officers")) {
        presented.emplace_back(one.at("name").get<std::string>(), one.at("pin").get<std::string>());
    }
    return presented;
}

/// Counts a wrong PIN, or forgets the ones before, durably and before anybody learns which it was.
void count_attempt(const Services& services, Officer officer, bool right) {
    officer.failures = right ? std::uint8_t{0} : static_cast<std::uint8_t>(officer.failures + 1);
    on_module(services, [&] {
        required(services.admin_store.put_officer(officer), "the officers");
        commit(services, AuditEvent::officers_changed,
               std::string(officer.name.view()) + (right ? " PIN accepted again" : " wrong PIN"));
    });
}

void verify(const Services& services, const Officer& officer, const std::string& pin) {
    if (officer.failures >= kMostFailures) {
        refuse("officer " + std::string(officer.name.view()) +
               " is locked after too many wrong PINs: two other officers can set a new one");
    }
    const bool right = pin_fits(officer, pin);
    if (!right || officer.failures != 0) count_attempt(services, officer, right);
    if (!right) refuse("the PIN of officer " + std::string(officer.name.view()) + " is wrong");
}

/// Two different officers with their PINs; their names.
std::string two_officers(const Services& services, const json& request) {
    const std::vector<Presented> presented = presented_in(request);
    if (presented.size() != 2) refuse("two officers are needed", kExitUsage);
    if (presented[0].name == presented[1].name) refuse("two different officers are needed", kExitUsage);
    std::vector<Officer> known;
    on_module(services, [&] { known = officers_of(services.admin_store); });
    for (const Presented& one : presented) {
        const auto found = std::ranges::find_if(
            known, [&one](const Officer& officer) { return officer.name.view() == one.name; });
        if (found == known.end()) refuse("there is no officer " + one.name);
        verify(services, *found, one.pin);
    }
    return presented[0].name + " and " + presented[1].name;
}

/// Fit for a record of the audit.
std::string printable(std::string text) {
    for (char& c : text) c = c >= ' ' && c < '~' ? c : '?';
    return text;
}

Sha384 digest_of(std::string_view record) {
    Sha384 digest{};
    SHA384(reinterpret_cast<const unsigned char*>(record.data()), record.size(), digest.data());
    return digest;
}

json in_json(const KmcApproval& approval) {
    return {{"kmcid", approval.kmcid.view()},
            {"sha384", hex_text(approval.digest)},
            {"approved", date_text(approval.approved)}};
}

json kmc_list(const Services& services) {
    json list = json::array();
    on_module(services, [&] {
        for (const KmcApproval& approval : approvals_of(services.admin_store))
            list.push_back(in_json(approval));
    });
    return {{"ok", true}, {"kmcs", list}};
}

json kmc_approve(const Services& services, const json& request) {
    const auto text = request.at("record").get<std::string>();
    const auto record = keyload::parse_kmc_key(text);
    if (!record) refuse("that is no KMC public key record (PKKMC.1)", kExitIntegrity);
    KmcApproval approval;
    approval.digest = digest_of(text);
    if (!approval.kmcid.assign(record->kmcid.text) || !approval.record.assign(text))
        refuse("the record is too long", kExitIntegrity);
    require_audit_room(services);
    const std::string officers = two_officers(services, request);
    json answer = {{"ok", true}, {"officers", officers}};
    on_module(services, [&] {
        std::string event =
            officers + ": " + std::string(record->kmcid.text) + " " + hex_text(approval.digest);
        for (const KmcApproval& old : approvals_of(services.admin_store)) {
            const auto kmcid = keyload::parse_identifier(old.kmcid.view(), keyload::kKmcidType);
            if (!kmcid || kmcid->issuer != record->kmcid.issuer || kmcid->unique != record->kmcid.unique)
                continue;
            required(services.admin_store.remove_approval(old.digest), "the approved KMCs");
            if (old.digest == approval.digest) continue;
            event += " replaces " + hex_text(old.digest).substr(0, 16);
            answer["replaced"] = in_json(old);
        }
        approval.approved = services.now();
        required(services.admin_store.put_approval(approval), "the approved KMCs");
        commit(services, AuditEvent::kmc_approved, event);
        answer.update(in_json(approval));
    });
    return answer;
}

json kmc_remove(const Services& services, const json& request) {
    const auto name = request.at("kmc").get<std::string>();
    require_audit_room(services);
    const std::string officers = two_officers(services, request);
    on_module(services, [&] {
        for (const KmcApproval& approval : approvals_of(services.admin_store)) {
            if (approval.kmcid.view() != name && hex_text(approval.digest) != name) continue;
            required(services.admin_store.remove_approval(approval.digest), "the approved KMCs");
            commit(services, AuditEvent::kmc_removed, officers + ": " + std::string(approval.kmcid.view()));
            return;
        }
        refuse("no approved KMC has that KMCID or SHA-384");
    });
    return {{"ok", true}};
}

json officer_list(const Services& services) {
    json list = json::array();
    on_module(services, [&] {
        for (const Officer& officer : officers_of(services.admin_store)) {
            list.push_back({{"name", officer.name.view()},
                            {"failures", officer.failures},
                            {"locked", officer.failures >= kMostFailures}});
        }
    });
    return {{"ok", true}, {"officers", list}};
}

/// `officer-add` and `officer-pin`: the one is for a name that is new, the other for one that is known.
json officer_put(const Services& services, const json& request, bool is_new) {
    const Presented wanted(request.at("name").get<std::string>(), request.at("new_pin").get<std::string>());
    const auto officer = make_officer(wanted.name, wanted.pin);
    if (!officer && officer.error() == Errc::invalid_argument) {
        refuse("a name has 1 to 40 letters, digits, '.', '_' or '-'; a PIN has 8 to 255 characters",
               kExitUsage);
    }
    if (!officer) refuse(errc_text(officer.error()));
    require_audit_room(services);
    const std::string officers = two_officers(services, request);
    on_module(services, [&] {
        const auto known = officers_of(services.admin_store);
        const bool exists =
            std::ranges::any_of(known, [&](const Officer& one) { return one.name.view() == wanted.name; });
        if (exists == is_new) {
            refuse(is_new ? "there is an officer " + wanted.name + " already"
                          : "there is no officer " + wanted.name);
        }
        required(services.admin_store.put_officer(*officer), "the officers");
        commit(services, AuditEvent::officers_changed,
               officers + (is_new ? ": added " : ": new PIN of ") + wanted.name);
    });
    return {{"ok", true}};
}

json officer_remove(const Services& services, const json& request) {
    const auto name = request.at("name").get<std::string>();
    require_audit_room(services);
    const std::string officers = two_officers(services, request);
    on_module(services, [&] {
        const auto known = officers_of(services.admin_store);
        if (std::ranges::none_of(known, [&](const Officer& one) { return one.name.view() == name; }))
            refuse("there is no officer " + name);
        if (known.size() <= 2) refuse("two officers must stay");
        required(services.admin_store.remove_officer(name), "the officers");
        commit(services, AuditEvent::officers_changed, officers + ": removed " + name);
    });
    return {{"ok", true}};
}

json status(const Services& services) {
    json answer;
    on_module(services, [&] {
        answer = json::parse(
            required(status_of(services.store, services.admin_store, services.audit_limits, services.now()),
                     "the module's state"));
        json running = json::parse(services.status());
        // First what stops the module as a whole.
        json& warnings = running.at("warnings");
        for (json& warning : answer.at("warnings")) warnings.push_back(std::move(warning));
        answer.update(running);
    });
    return {{"ok", true}, {"status", answer}};
}

json metrics(const Services& services) {
    std::string text;
    on_module(services, [&] { text = services.metrics(); });
    return {{"ok", true}, {"metrics", text}};
}

/// A negative number would pass for a large one.
std::uint64_t sequence_in(const json& request, const char* name) {
    const json& value = request.at(name);
    if (!value.is_number_unsigned()) refuse(std::string(name) + " must be a sequence number", kExitUsage);
    return value.get<std::uint64_t>();
}

json audit(const Services& services, const json& request) {
    json answer;
    on_module(services, [&] {
        answer =
            json::parse(required(audit_page(services.store, sequence_in(request, "from")), "the audit log"));
    });
    answer["ok"] = true;
    return answer;
}

/// Who names the hash of a record has read it.
json audit_acknowledge(const Services& services, const json& request) {
    const auto sequence = sequence_in(request, "sequence");
    const auto hash = request.at("hash").get<std::string>();
    on_module(services, [&] {
        if (sequence <= services.store.audit_head().acknowledged)
            refuse("record " + std::to_string(sequence) + " was acknowledged already");
        const auto record = services.store.load_audit(sequence);
        if (!record || hex_text(record->hash) != hash)
            refuse("the log has no such record: that file is of another module", kExitIntegrity);
        required(services.admin_store.acknowledge_audit(sequence), "the audit log");
        commit(services, AuditEvent::log_acknowledged, "up to " + std::to_string(sequence));
    });
    return {{"ok", true}, {"acknowledged", sequence}};
}

/// From a tamper switch: nobody is asked.
json tamper(const Services& services, const json& request) {
    const auto reason = request.value("reason", std::string());
    on_module(services, [&] { required(services.tamper(printable(reason)), "the tampered state"); });
    return {{"ok", true}};
}

json zeroise(const Services& services, const json& request) {
    const auto module_id = request.at("module_id").get<std::string>();
    on_module(services, [&] {
        const ModuleState state = required(services.store.load_state(), "the module's state");
        if (state.module_id.view() != module_id)
            refuse("the ModuleID is another one: nothing was destroyed", kExitUsage);
    });
    const std::string officers = two_officers(services, request);
    on_module(services, [&] { required(services.zeroise(officers), "keys may be left: do it again"); });
    return {{"ok", true}, {"module_id", module_id}};
}

json dispatch(const Services& services, const json& request) {
    const auto command = request.at("command").get<std::string>();
    if (command == "status") return status(services);
    if (command == "metrics") return metrics(services);
    if (command == "kmc-list") return kmc_list(services);
    if (command == "kmc-approve") return kmc_approve(services, request);
    if (command == "kmc-remove") return kmc_remove(services, request);
    if (command == "audit") return audit(services, request);
    if (command == "audit-acknowledge") return audit_acknowledge(services, request);
    if (command == "tamper") return tamper(services, request);
    if (command == "zeroise") return zeroise(services, request);
    if (command == "officer-list") return officer_list(services);
    if (command == "officer-add") return officer_put(services, request, true);
    if (command == "officer-pin") return officer_put(services, request, false);
    if (command == "officer-remove") return officer_remove(services, request);
    refuse("unknown command", kExitUsage);
}

/// A request, which has PINs: every text in it is wiped with it.
struct ParsedRequest {
    ParsedRequest() = default;
    ParsedRequest(const ParsedRequest&) = delete;
    ParsedRequest& operator=(const ParsedRequest&) = delete;
    ~ParsedRequest() { wipe_texts(content); }

    static void wipe_texts(json& value) {
        if (value.is_string()) {
            auto& text = value.get_ref<std::string&>();
            OPENSSL_cleanse(text.data(), text.size());
        } else if (value.is_structured()) {
            for (auto& part : value) wipe_texts(part);
        }
    }

    json content;
};

json failure(int exit_code, const std::string& text) {
    return {{"ok", false}, {"exit_code", exit_code}, {"error", text}};
}

}  // namespace

std::string answer(const Services& services, std::string_view request) {
    ParsedRequest parsed;
    try {
        parsed.content = json::parse(request);
        return dispatch(services, parsed.content).dump();
    } catch (const Refusal& refusal) {
        return failure(refusal.exit_code, refusal.what()).dump();
    } catch (const json::exception&) {
        // The library's own words would quote the request, which has PINs.
        return failure(kExitUsage, "the request is no JSON object with the fields that its command needs")
            .dump();
    } catch (const std::exception& error) {
        return failure(kExitRefused, error.what()).dump();
    }
}

}  // namespace sts6::admin
