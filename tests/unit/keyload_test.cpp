// SPDX-License-Identifier: Apache-2.0
// The records of key management against the published key load file and the vectors of profile 1.
#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <openssl/sha.h>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/file.hpp"
#include "firmware/keyload/profile1.hpp"
#include "firmware/keyload/records.hpp"
#include "firmware/keyload/text.hpp"

namespace sts6::keyload {
namespace {

std::string data_text(const char* name) {
    std::ifstream file(std::string(STS6_SOURCE_DIR) + "/tests/data/vectors/" + name, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    REQUIRE_FALSE(text.str().empty());
    return text.str();
}

const nlohmann::json& vectors() {
    static const nlohmann::json content = nlohmann::json::parse(data_text("key-management-profile-1.json"));
    return content;
}
const std::string& vector_text(const char* name) {
    return vectors().at(name).get_ref<const std::string&>();
}

std::array<std::uint8_t, 20> sha1(std::string_view text) {
    std::array<std::uint8_t, 20> digest{};
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    return digest;
}

std::string hex(std::span<const std::uint8_t> octets) {
    std::string text(2 * octets.size(), '0');
    write_hex(octets, text.data());
    return text;
}
template <std::size_t N>
std::array<std::uint8_t, N> octets(std::string_view text) {
    std::array<std::uint8_t, N> out{};
    REQUIRE(read_hex(text, out));
    return out;
}

/// What a writer makes, in text.
template <class Put>
std::string written(Put put) {
    std::array<char, kLongestRecord> buffer{};
    TextWriter out(buffer);
    put(out);
    REQUIRE_FALSE(out.overflow());
    return std::string(out.written());
}

const std::vector<std::string>& published() {
    static const RecordFile file = read_file(data_text("klf-published-sample.txt"), sha1);
    REQUIRE(file.fault == FileFault::none);
    return file.records;
}

/// The record with its last four characters made right again.
std::string with_crc(std::string text) {
    text.resize(text.size() - 4);
    const std::uint16_t crc = record_crc(text);
    return text + hex(std::array{static_cast<std::uint8_t>(crc >> 8U), static_cast<std::uint8_t>(crc)});
}

/// Whether any of the parsers takes it.
bool parses(std::string_view text) {
    return parse_sm_key(text) || parse_kmc_key(text) || parse_load_request(text) ||
           parse_load_response(text) || parse_key(text);
}

/// One good record of every type.
std::vector<std::string> good_records() {
    std::vector<std::string> records = published();
    records.push_back(vector_text("pksm_record"));
    records.push_back(vector_text("pkkmc_record"));
    const RecordFile request = read_file(vector_text("vkloadreq_file"), sha1);
    REQUIRE(request.records.size() == 1);
    records.push_back(request.records.front());
    return records;
}

}  // namespace

TEST_CASE("key load: the CRC of records is CRC-16/MODBUS") {
    CHECK(record_crc("123456789") == 0x4B37);
    CHECK(record_crc("") == 0xFFFF);
}

TEST_CASE("key load: the published file is read whole and written back octet for octet") {
    const std::string text = data_text("klf-published-sample.txt");
    const RecordFile file = read_file(text, sha1);
    REQUIRE(file.fault == FileFault::none);
    REQUIRE(file.records.size() == 6);
    const auto header = parse_load_response(file.records[0]);
    REQUIRE(header);
    CHECK(header->kmcid.issuer == "Prism");
    CHECK(header->kmcid.unique == "K0001");
    CHECK(header->smid.unique == "94000507");
    CHECK(header->smid.created == civil_time(2016, 5, 6, 9, 53, 38));
    CHECK(hex(header->smid.fingerprint) == "F184871DC4F23CB0");
    CHECK(header->time == civil_time(2016, 5, 6, 12, 27, 41));
    CHECK(hex(header->mac_tag) == "C9A5161F864E1978435A2CEAA611930F37824EDCE6252CEC");
    std::vector<std::string> again;
    again.push_back(written([&](TextWriter& out) {
        const std::string body = written([&](TextWriter& part) {
            put_load_response_body(part, header->kmcid.text, header->smid.text, header->time);
        });
        CHECK(body == header->body);
        put_load_response(out, body, header->mac_tag);
    }));
    for (std::size_t i = 1; i < file.records.size(); ++i) {
        const auto record = parse_key(file.records[i]);
        REQUIRE(record);
        CHECK(record->sealed().size() == 24);
        const auto key = read_key_cards(record->cards);
        REQUIRE(key);
        CHECK_FALSE(key->has_unknown_tags);
        CHECK(key->attributes.dkg == Dkga::dkga02);
        REQUIRE(key->attributes.clm_bits);
        const auto limit = currency_limit(*key->attributes.clm_bits);
        CHECK(limit == (i <= 3 ? 200'000'000U : 1'000'000'000U));  // 2000 and 10000 in 0.00001
        CHECK(key->attributes.sgc == (i <= 3 ? 112233U : 123456U));
        CHECK(key->attributes.sbm == (i <= 3 ? 0xFFFF : 0x0001));
        const std::string cards =
            written([&](TextWriter& out) { put_key_cards(out, key->attributes, key->kcv); });
        CHECK(cards == record->cards_text);
        again.push_back(written([&](TextWriter& out) {
            const std::string body =
                written([&](TextWriter& part) { put_key_body(part, record->nonce, cards); });
            CHECK(body == record->body);
            put_key(out, body, record->sealed());
        }));
    }
    CHECK(write_file(again, sha1) == text);
    const auto acme = read_key_cards(parse_key(file.records[4])->cards);
    CHECK(hex(acme->kcv) == "C33F45");
    CHECK(acme->attributes.sgn.view() == "ACME");
    CHECK(acme->attributes.ktc == KeyType::dutk);
    CHECK(acme->attributes.issue_until == civil_time(2016, 9, 3, 10, 26, 58));
    CHECK(unit_limit(*acme->attributes.ulm_units) == 100'000);
}

TEST_CASE("key load: the records of profile 1 are read and written back") {
    const auto sm = parse_sm_key(vector_text("pksm_record"));
    REQUIRE(sm);
    CHECK(sm->smid.text == vector_text("id_sm"));
    CHECK(sm->firmware_id == "VSM-1.0");
    CHECK(sm->hardware_id == "SOFT-1");
    CHECK(hex(sm->key) == vector_text("qs_sm"));
    CHECK(written([&](TextWriter& out) { put_sm_key(out, *sm); }) == vector_text("pksm_record"));
    CHECK(written([&](TextWriter& out) { put_identifier(out, kSmidType, sm->smid); }) ==
          vector_text("id_sm"));

    const auto kmc = parse_kmc_key(vector_text("pkkmc_record"));
    REQUIRE(kmc);
    CHECK(kmc->kmcid.text == vector_text("id_kmc"));
    CHECK(kmc->active_from == civil_time(2026, 1, 1));
    CHECK(kmc->expiry == civil_time(2036, 1, 1));
    CHECK(hex(*read_point(kmc->point)) == vector_text("qs_kmc"));
    CHECK(written([&](TextWriter& out) { put_kmc_key(out, *kmc); }) == vector_text("pkkmc_record"));

    const RecordFile file = read_file(vector_text("vkloadreq_file"), sha1);
    REQUIRE(file.records.size() == 1);
    const auto request = parse_load_request(file.records[0]);
    REQUIRE(request);
    CHECK(hex(request->ephemeral_key) == vector_text("qe_sm"));
    CHECK(written([&](TextWriter& out) { put_load_request(out, *request); }) == file.records[0]);
    CHECK(write_file(file.records, sha1) == vector_text("vkloadreq_file"));
}

TEST_CASE("key load: what profile 1 derives, confirms and authenticates") {
    const RecordFile file = read_file(vector_text("vkloadresp_file"), sha1);
    REQUIRE(file.records.size() == 3);
    const auto response = parse_load_response(file.records[0]);
    REQUIRE(response);
    const auto sm = octets<kEcPointOctets>(vector_text("qs_sm"));
    const auto ephemeral = octets<kEcPointOctets>(vector_text("qe_sm"));
    const auto kmc = octets<kEcPointOctets>(vector_text("qs_kmc"));
    const profile1::Parties parties{response->smid.text, response->kmcid.text, sm, ephemeral, kmc};

    std::array<std::uint8_t, profile1::kMostOtherInfo> other_info{};
    ByteWriter info(other_info);
    profile1::put_other_info(info, parties);
    REQUIRE_FALSE(info.overflow());
    CHECK(hex(info.written()) == vector_text("other_info"));

    std::array<std::uint8_t, profile1::kMostMacData> mac_data{};
    ByteWriter mac(mac_data);
    profile1::put_mac_data(mac, parties, response->body);
    CHECK(hex(mac.written()) == vector_text("mac_data"));
    CHECK(hex(response->mac_tag) == vector_text("mac_tag"));

    for (std::size_t i = 0; i < vectors().at("keys").size(); ++i) {
        const auto& expected = vectors().at("keys")[i];
        CHECK(file.records[i + 1] == expected.at("record").get<std::string>());
        const auto record = parse_key(file.records[i + 1]);
        REQUIRE(record);
        std::array<std::uint8_t, profile1::kMostAssociatedData> associated{};
        ByteWriter data(associated);
        profile1::put_associated_data(data, response->mac_tag, record->body);
        CHECK(hex(data.written()) == expected.at("aad").get<std::string>());
        CHECK(hex(record->nonce) == expected.at("nonce").get<std::string>());
        CHECK(hex(record->sealed()) == expected.at("ciphertext_tag").get<std::string>());
        CHECK(hex(read_key_cards(record->cards)->kcv) == expected.at("kcv").get<std::string>());
    }
}

TEST_CASE("key load: the longest identifiers and records fit what is set aside for them") {
    const std::string ident(kLongestIdent, 'x');
    const Identifier longest{
        .text = {}, .issuer = ident, .unique = ident, .created = civil_time(2026, 1, 1), .fingerprint = {}};
    const std::string kmcid = written([&](TextWriter& out) { put_identifier(out, kKmcidType, longest); });
    CHECK(kmcid.size() == kLongestIdentifier);
    const EcPoint point{};
    const profile1::Parties parties{kmcid, kmcid, point, point, point};
    std::array<std::uint8_t, profile1::kMostOtherInfo> buffer{};
    ByteWriter info(buffer);
    profile1::put_other_info(info, parties);
    CHECK_FALSE(info.overflow());
    std::array<std::uint8_t, profile1::kMostMacData> mac_buffer{};
    ByteWriter mac(mac_buffer);
    profile1::put_mac_data(mac, parties, std::string(kLongestRecord, 'x'));
    CHECK_FALSE(mac.overflow());
    std::array<char, 20> small{};
    TextWriter out(small);
    put_load_response(out, "VKLOAD.RESP.1|", MacTag{});
    CHECK(out.overflow());
    CHECK(out.written().empty());
}

TEST_CASE("key load: no record survives a changed, missing or added character") {
    for (const std::string& record : good_records()) {
        CAPTURE(record);
        REQUIRE(parses(record));
        for (std::size_t i = 0; i < record.size(); ++i) {
            std::string other = record;
            other[i] = other[i] == '0' ? '1' : '0';
            if (other != record) CHECK_FALSE(parses(other));
            other = record;
            other.erase(i, 1);
            CHECK_FALSE(parses(other));
            CHECK_FALSE(parses(record.substr(0, i)));
            other = record;
            other.insert(i, 1, '|');
            CHECK_FALSE(parses(other));
        }
        CHECK_FALSE(parses(record + "0"));
        CHECK_FALSE(parses(record + "\r"));
        std::string lower = record;
        std::transform(lower.end() - 4, lower.end(), lower.end() - 4,
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        if (lower != record) CHECK_FALSE(parses(lower));
    }
}

TEST_CASE("key load: fields with a right CRC that are no fields") {
    const std::string key = published()[4];
    const auto refused = [](const std::string& record, std::string_view from, std::string_view to) {
        std::string other = record;
        const std::size_t at = other.find(from);
        REQUIRE(at != std::string::npos);
        other.replace(at, from.size(), to);
        other = with_crc(other);
        CAPTURE(other);
        CHECK_FALSE(parses(other));
    };
    refused(key, "KEY.1", "KEY.2");
    refused(key, "KEY.1", "key.1");
    refused(key, "5EE5F985A1186F8A5DD1175F", "5EE5F985A1186F8A5DD1175");
    refused(key, "5EE5F985A1186F8A5DD1175F", "5ee5f985a1186f8a5dd1175f");
    refused(key, "5EE5F985A1186F8A5DD1175F", "5EE5F985A1186F8A5DD1175F00");
    refused(key, "|7865DC2B97755CFFA8B5A83C34D1AB8EB6955666F5C78A0B|", "||");
    refused(key, "7865DC2B97755CFFA8B5A83C34D1AB8EB6955666F5C78A0B", "7865DC2B97755CFFA8B5A83C34D1AB8E");
    refused(key, "7865DC2B97755CFFA8B5A83C34D1AB8EB6955666F5C78A0B", "7865DC2B97755CFFA8B5A83C34D1AB8E0");
    refused(key, "7865DC", std::string(74, '0'));
    refused(key, "ACT2014", "ACT20140813T000000Z;ACT2014");
    refused(key, "ULM10000;", "ULM10000");
    refused(key, "SGNACME", "SGN#CME");
    refused(key, "SGNACME;", ";");
    refused(key, "SGNACME", "sgnACME");
    refused(key, "SGNACME", "SG");
    const std::string header = published()[0];
    refused(header, "20160506T122741Z", "20160506T122741z");
    refused(header, "20160506T122741Z", "20160231T122741Z");
    refused(header, "20160506T122741Z", "20160506122741");
    refused(header, "C9A5161F", "C9A5161");
    refused(header, "KMCID.1:Prism", "KMCID.1:Prosm");
    const std::string kmc = vector_text("pkkmc_record");
    refused(kmc, "EXP20360101T000000Z", "EXP20260101T000000Z");
    refused(kmc, "CRVP-384;", "");
    refused(kmc, "ACT20260101T000000Z;", "");
    refused(vector_text("pksm_record"), "P-384", "P-256");
    refused(vector_text("pksm_record"), "FWIVSM-1.0", "FWI-VSM");
    refused(vector_text("pksm_record"), "|04", "|02");
}

TEST_CASE("key load: identifiers") {
    const std::string good = vector_text("id_kmc");
    REQUIRE(parse_identifier(good, kKmcidType));
    CHECK_FALSE(parse_identifier(good, kSmidType));
    CHECK_FALSE(parse_identifier("", kKmcidType));
    const auto refused = [](std::string_view issuer, std::string_view unique) {
        std::string text = "KMCID.1:" + std::string(issuer) + ":" + std::string(unique) +
                           ":20260101T000000Z:82BB8BC2704BAC93:0000";
        CHECK_FALSE(parse_identifier(with_crc(text), kKmcidType));
    };
    for (const std::string bad : {"", "-a", ".a", "a b", "a~", "a|b", "\x80", "a/b"}) {
        refused(bad, "T0001");
        refused("Test", bad);
    }
    refused(std::string(41, 'a'), "T0001");
    for (const std::string ident : {"a", "9", "A.b_c,d-e"}) CHECK(is_ident(ident));
    CHECK(is_ident(std::string(40, 'a')));
    CHECK_FALSE(
        parse_identifier(with_crc("KMCID.1:a:b:20260101T000000Z:82BB8BC2704BAC93:x:0000"), kKmcidType));
    CHECK_FALSE(parse_identifier(with_crc("KMCID.1:a:b:20260101T000000Z:0000"), kKmcidType));
}

TEST_CASE("key load: attributes at and beyond their borders") {
    const std::string good(parse_key(published()[4])->cards_text);
    const auto read = [&](std::string_view from, std::string_view to) {
        std::string text = good;
        const std::size_t at = text.find(from);
        REQUIRE(at != std::string::npos);
        text.replace(at, from.size(), to);
        CAPTURE(text);
        const auto cards = Cards::parse(text);
        REQUIRE(cards);
        return read_key_cards(*cards);
    };
    const auto refused = [&](std::string_view from, std::string_view to) {
        CAPTURE(std::string(to));
        CHECK_FALSE(read(from, to));
    };
    for (const char* tag : {"ACT20140813T000000Z;", "BDT19930101T000000Z;", "DKG02;", "EXP20170506T215959Z;",
                            "KCVC33F45;", "KEN255;", "KRN1;", "KTC2;", "SGC0000123456;"}) {
        refused(tag, "");
    }
    const auto bare = read("CLU0;DKG02;", "DKG02;");
    REQUIRE(bare);
    CHECK(bare->attributes.cluster == 0);
    CHECK_FALSE(read("CLM461c4000;", "")->attributes.clm_bits);
    CHECK_FALSE(read("ULM10000;", "")->attributes.ulm_units);
    CHECK(read("SBM0001;", "")->attributes.sbm == 0xFFFF);
    CHECK(read("SGNACME;", "")->attributes.sgn.empty());
    CHECK(read("IUT20160903T102658Z;", "")->attributes.issue_until == civil_time(2017, 5, 6, 21, 59, 59));
    CHECK(read("ULM10000;", "ULM10000;XYZ1;")->has_unknown_tags);
    CHECK(read("KEN255", "KEN0"));
    CHECK(read("KRN1", "KRN9"));
    CHECK(read("KTC2", "KTC3"));
    CHECK(read("ULM10000", "ULM0"));
    CHECK(read("ULM10000", "ULM999999998"));
    CHECK(read("CLM461c4000", "CLM461C4000"));
    CHECK(read("SGNACME", "SGN" + std::string(40, ' ')));

    refused("KEN255", "KEN256");
    refused("KEN255", "KEN025");
    refused("KRN1", "KRN0");
    refused("KRN1", "KRN10");
    refused("KTC2", "KTC0");
    refused("KTC2", "KTC4");
    refused("DKG02", "DKG01");
    refused("DKG02", "DKG03");
    refused("DKG02", "DKG2");
    refused("BDT1993", "BDT1994");
    refused("BDT19930101T000000Z", "BDT19930101T000001Z");
    refused("CLU0", "CLU1");
    refused("SBM0001", "SBM001");
    refused("SBM0001", "SBM000a");
    refused("SGC0000123456", "SGC0001123456");
    refused("SGC0000123456", "SGC000123456");
    refused("SGNACME", "SGN" + std::string(41, 'a'));
    refused("ULM10000", "ULM999999999");
    refused("ULM10000", "ULM-1");
    refused("ULM10000", "ULM1.5");
    refused("KCVC33F45", "KCVc33f45");
    refused("CLM461c4000", "CLM461c400");
    refused("CLM461c4000", "CLM80000000");
    refused("CLM461c4000", "CLM7f800000");
    refused("IUT20160903T102658Z", "IUT20170506T220000Z");
    refused("EXP20170506T215959Z", "EXP20140813T000000Z");
    refused("EXP20170506T215959Z", "EXP20170229T000000Z");
}

TEST_CASE("key load: CLM is counted exactly from the bits of its float") {
    CHECK(currency_limit(0x00000000) == 0U);
    CHECK(currency_limit(0x3F800000) == 100'000U);            // 1
    CHECK(currency_limit(0x3DCCCCCD) == 10'000U);             // 0.1 and a little
    CHECK(currency_limit(0x3DCCCCCC) == 9'999U);              // 0.1 less a little
    CHECK(currency_limit(0x44FA0000) == 200'000'000U);        // 2000
    CHECK(currency_limit(0x4B7FFFFF) == 1'677'721'500'000U);  // 2^24 - 1
    CHECK(currency_limit(0x4B000001) == 838'860'900'000U);    // 2^23 + 1
    CHECK(currency_limit(0x4AFFFFFF) == 838'860'750'000U);    // 2^23 - 0.5
    CHECK(currency_limit(0x00000001) == 0U);                  // the smallest
    CHECK(currency_limit(0x007FFFFF) == 0U);
    CHECK(currency_limit(0x551184E7) == 999'999'982'796'800'000U);  // the last one below 10^13
    CHECK_FALSE(currency_limit(0x551184E8));                        // the first one above
    CHECK_FALSE(currency_limit(0x80000000));                        // negative zero
    CHECK_FALSE(currency_limit(0xBF800000));
    CHECK_FALSE(currency_limit(0x7F800000));
    CHECK_FALSE(currency_limit(0xFF800000));
    CHECK_FALSE(currency_limit(0x7FC00000));
    CHECK_FALSE(currency_limit(0x7F7FFFFF));
}

TEST_CASE("key load: files as mail leaves them, and files that are none") {
    const std::string good = data_text("klf-published-sample.txt");
    const auto fault = [](std::string_view text) { return read_file(text, sha1).fault; };
    std::string mailed = "\r\n";
    for (const char c : good) mailed += c == '\n' ? std::string("\r\n\r\n") : std::string(1, c);
    CHECK(read_file(mailed, sha1).records == published());
    std::string open_end = good;
    open_end.pop_back();
    CHECK(fault(open_end) == FileFault::none);

    CHECK(fault("") == FileFault::empty);
    CHECK(fault("\n\r\n") == FileFault::empty);
    CHECK(fault("#DA39A3EE5E6B4B0D3255BFEF95601890AFD80709\n") == FileFault::empty);
    CHECK(fault("95000289050716STS04A600404040404040404E55\n") == FileFault::edition_1);
    CHECK(fault(good.substr(0, good.rfind('#'))) == FileFault::no_trailer);
    CHECK(fault(good + "x\n") == FileFault::no_trailer);
    std::string lower = good;
    std::transform(lower.begin() + static_cast<std::ptrdiff_t>(good.rfind('#')), lower.end(),
                   lower.begin() + static_cast<std::ptrdiff_t>(good.rfind('#')),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    CHECK(fault(lower) == FileFault::no_trailer);
    CHECK(fault(std::string(kLargestFile + 1, 'x')) == FileFault::too_large);
    CHECK(fault("\x80" + good) == FileFault::not_text);
    CHECK(fault("a\tb\n" + good) == FileFault::not_text);
    CHECK(fault(std::string(kLongestRecord + 1, 'x') + "\n" + good) == FileFault::not_text);
    std::string many;
    for (std::size_t i = 0; i < kMostRecords + 1; ++i) many += "x\n";
    CHECK(fault(many + good) == FileFault::too_large);

    const auto records = published();
    const std::string trailer = good.substr(good.rfind('#'));
    const auto joined = [&](std::vector<std::string> lines) {
        std::string text;
        for (const std::string& line : lines) text += line + "\n";
        return text + trailer;
    };
    CHECK(fault(joined(records)) == FileFault::none);
    auto changed = records;
    std::swap(changed[1], changed[2]);
    CHECK(fault(joined(changed)) == FileFault::wrong_trailer);
    changed = records;
    changed.pop_back();
    CHECK(fault(joined(changed)) == FileFault::wrong_trailer);
    changed = records;
    changed.push_back(records[1]);
    CHECK(fault(joined(changed)) == FileFault::wrong_trailer);
    changed = records;
    changed[3][20] ^= 1;
    CHECK(fault(joined(changed)) == FileFault::wrong_trailer);
}

}  // namespace sts6::keyload
