// SPDX-License-Identifier: Apache-2.0
#include "tools/kmc/describe.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/file.hpp"
#include "firmware/keyload/records.hpp"
#include "tools/kmc/crypto.hpp"
#include "tools/kmc/key_options.hpp"
#include "tools/kmc/text.hpp"

namespace sts6::kmc {

namespace {

using keyload::FileFault;
using keyload::Identifier;

void add_smid(Report& report, const Identifier& smid) {
    report.add("SMID", std::string(smid.text));
    report.add("manufacturer", std::string(smid.issuer));
    report.add("ModuleID", std::string(smid.unique));
    report.add("SM key made", date_text(smid.created));
}
void add_kmcid(Report& report, const Identifier& kmcid) {
    report.add("KMCID", std::string(kmcid.text));
    report.add("operator", std::string(kmcid.issuer));
    report.add("KMC name", std::string(kmcid.unique));
    report.add("KMC key made", date_text(kmcid.created));
}

/// A public key, and whether it is one; false when it is not, or is not the one that the identifier names.
bool add_key(Report& report, const EcPoint& point, const Identifier* identifier) {
    const bool valid = is_public_key(point);
    const keyload::Fingerprint actual = fingerprint(point);
    const bool named = identifier == nullptr || identifier->fingerprint == actual;
    report.add("public key", valid ? "a point of P-384" : "no point of P-384");
    report.add("fingerprint", hex_text(actual) + (named ? "" : ", not the one in the identifier"));
    return valid && named;
}

bool describe_sm_key(Report& report, std::string_view text) {
    const auto record = keyload::parse_sm_key(text);
    if (!record) return false;
    report.add("record", "public key of a security module");
    add_smid(report, record->smid);
    report.add("firmware", std::string(record->firmware_id));
    report.add("hardware", std::string(record->hardware_id));
    const bool sound = add_key(report, record->key, &record->smid);
    report.add("SHA-384", hex_text(sha384(text)));
    return sound;
}

bool describe_kmc_key(Report& report, std::string_view text) {
    const auto record = keyload::parse_kmc_key(text);
    if (!record) return false;
    report.add("record", "public key of a KMC");
    add_kmcid(report, record->kmcid);
    report.add("active from", date_text(record->active_from));
    report.add("expiry", date_text(record->expiry));
    report.add("curve", std::string(record->curve));
    const auto point = keyload::read_point(record->point);
    bool sound = record->curve == keyload::kCurve && point;
    if (point) {
        sound = add_key(report, *point, &record->kmcid) && sound;
    } else {
        report.add("public key", "no uncompressed point of P-384");
    }
    report.add("SHA-384", hex_text(sha384(text)));
    return sound;
}

bool describe_request(Report& report, std::string_view text) {
    const auto record = keyload::parse_load_request(text);
    if (!record) return false;
    report.add("record", "request for a key load file");
    add_kmcid(report, record->kmcid);
    add_smid(report, record->smid);
    report.add("module time", date_text(record->time));
    return add_key(report, record->ephemeral_key, nullptr);
}

bool describe_response(Report& report, std::string_view text) {
    const auto record = keyload::parse_load_response(text);
    if (!record) return false;
    report.add("record", "key load file");
    add_kmcid(report, record->kmcid);
    add_smid(report, record->smid);
    report.add("KMC time", date_text(record->time));
    report.add("MacTag", hex_text(record->mac_tag));
    return true;
}

std::string bits_text(std::uint16_t sbm) {
    std::string text;
    for (unsigned bit = 0; bit < 16; ++bit) {
        if (((sbm >> bit) & 1U) != 0) text += (text.empty() ? "" : " ") + std::to_string(bit);
    }
    return text.empty() ? "none" : text;
}

void add_attributes(Report& report, const KeyAttributes& key) {
    report.add("SGC", std::uint64_t{key.sgc});
    report.add("KRN", std::uint64_t{key.krn});
    report.add("KTC", key_type_text(key.ktc));
    report.add("DKG", key.dkg == Dkga::dkga02 ? "02" : "04");
    report.add("base date", std::to_string(base_year(key.base_date)));
    report.add("KEN", std::uint64_t{key.ken});
    report.add("active from", date_text(key.active_from));
    report.add("expiry", date_text(key.expiry));
    report.add("issue until", date_text(key.issue_until));
    report.add("SubClasses", bits_text(key.sbm));
    report.add("unit limit", key.ulm_units ? std::to_string(*key.ulm_units) : "none");
    report.add("currency limit", key.clm_bits ? clm_text(*key.clm_bits) : "none");
    report.add("supply group", std::string(key.sgn.view()));
}

bool describe_key(Report& report, std::string_view text) {
    const auto record = keyload::parse_key(text);
    if (!record) return false;
    report.add("record", "vending key, encrypted");
    const auto key = keyload::read_key_cards(record->cards);
    if (!key) {
        report.add("attributes", "against the rules: " + std::string(record->cards_text));
        return false;
    }
    add_attributes(report, key->attributes);
    report.add("KCV", hex_text(key->kcv));
    report.add("unknown attributes", key->has_unknown_tags);
    const std::size_t octets = record->sealed().size() - keyload::kCcmTagOctets;
    report.add("key octets", std::uint64_t{octets});
    return octets == vending_key_octets(key->attributes.dkg);
}

struct Kind {
    std::string_view type;
    bool (*describe)(Report& report, std::string_view text);
};
constexpr Kind kKinds[] = {{keyload::kSmKeyType, describe_sm_key},
                           {keyload::kKmcKeyType, describe_kmc_key},
                           {keyload::kLoadRequestType, describe_request},
                           {keyload::kLoadResponseType, describe_response},
                           {keyload::kKeyType, describe_key}};

const Kind* kind_of(std::string_view record) {
    return std::ranges::find(kKinds, keyload::record_type(record), &Kind::type);
}

bool describe_record(Report& report, std::string_view text) {
    const Kind* kind = kind_of(text);
    if (kind == std::end(kKinds)) {
        report.add("record", "unknown");
        return false;
    }
    const bool sound = kind->describe(report, text);
    if (report.fields.empty()) report.add("record", std::string(kind->type) + ", damaged (CRC or a field)");
    return sound;
}

/// The lines of a file whose trailer fails, that one aside.
std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!line.empty() && line[0] != '#') lines.emplace_back(line);
    }
    // Of a file of quite another kind there is nothing more to say.
    const bool known =
        std::ranges::any_of(lines, [](const std::string& line) { return kind_of(line) != std::end(kKinds); });
    return known ? lines : std::vector<std::string>();
}

}  // namespace

Description describe(std::string_view text) {
    Description result;
    keyload::RecordFile file = keyload::read_file(text, sha1);
    if (file.fault == FileFault::no_trailer || file.fault == FileFault::wrong_trailer) {
        file.records = lines_of(text);
    }
    // A record alone, as it stands in a letter.
    const bool alone = file.fault == FileFault::no_trailer && file.records.size() == 1;
    result.report.add("file", alone ? "one record without a trailer" : keyload::fault_text(file.fault));
    if (file.fault == FileFault::edition_1) return result;
    result.sound = file.fault == FileFault::none || alone;
    result.report.list_name = "records";
    for (const std::string& record : file.records) {
        Report entry;
        if (!describe_record(entry, record)) result.sound = false;
        result.report.list.push_back(std::move(entry));
    }
    return result;
}

}  // namespace sts6::kmc
