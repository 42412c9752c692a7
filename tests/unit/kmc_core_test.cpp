// SPDX-License-Identifier: Apache-2.0
// The KMC against the vectors of profile 1, and what it refuses.
#include <array>
#include <bit>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "firmware/keyload/attributes.hpp"
#include "tests/unit/kmc_test_support.hpp"
#include "tools/kmc/agreement.hpp"

namespace sts6::kmc {
namespace {

const nlohmann::json& vectors() {
    static const nlohmann::json content = [] {
        std::ifstream file(std::string(STS6_SOURCE_DIR) +
                           "/tests/data/vectors/key-management-profile-1.json");
        return nlohmann::json::parse(file);
    }();
    return content;
}
const std::string& vector_text(const char* name) {
    return vectors().at(name).get_ref<const std::string&>();
}

template <std::size_t N>
std::array<std::uint8_t, N> octets(std::string_view text) {
    std::array<std::uint8_t, N> out{};
    REQUIRE(read_hex(text, out));
    return out;
}
EcPoint point(std::string_view text) {
    return octets<kEcPointOctets>(text);
}

KeyPair vector_kmc_key() {
    KeyPair key;
    REQUIRE(read_hex(vector_text("ds_kmc"), key.private_key.octets()));
    key.public_key = point(vector_text("qs_kmc"));
    return key;
}

KeyOptions vector_key(const std::string& sgc, const std::string& dkg, const std::string& name,
                      const std::string& value) {
    KeyOptions options = key_options(sgc, dkg);
    options.ulm = "1000";
    options.clm = "2000";
    options.sgn = name;
    options.act = "20260101T000000Z";
    options.exp = "20270101T000000Z";
    options.refresh = "120";
    options.value = value;
    return options;
}

std::string pksm_file() {
    return keyload::write_file({vector_text("pksm_record")}, sha1);
}

/// The KMC of the vectors; of its two keys the one that comes second in the file is added first.
Kmc vector_kmc() {
    Kmc kmc = make_kmc({.operator_name = "Test",
                        .name = "T0001",
                        .created = civil_time(2026, 1, 1),
                        .active_from = civil_time(2026, 1, 1),
                        .expiry = civil_time(2036, 1, 1)},
                       vector_kmc_key());
    add_sm(kmc, pksm_file(), false);
    add_key(kmc, vector_key("123457", "04", "ACME DKGA04", "ABABABABABABABAB949494949494949401234567"));
    add_key(kmc, vector_key("0000123456", "02", "ACME", "ABABABABABABABAB"));
    return kmc;
}

constexpr CivilTime kVectorTime = civil_time(2026, 1, 2, 9);

/// The nonces of the vectors, one after the other.
RandomSource vector_nonces() {
    return [next = std::size_t{0}](std::span<std::uint8_t> out) mutable {
        REQUIRE(read_hex(vectors().at("keys").at(next++).at("nonce").get<std::string>(), out));
    };
}

std::vector<std::string> records_of(const std::string& file) {
    keyload::RecordFile read = keyload::read_file(file, sha1);
    REQUIRE(read.fault == keyload::FileFault::none);
    return read.records;
}

/// What the key records of a response say, in their order.
std::vector<KeyAttributes> keys_of(const std::string& file) {
    std::vector<KeyAttributes> keys;
    const auto records = records_of(file);
    for (std::size_t i = 1; i < records.size(); ++i) {
        const auto record = keyload::parse_key(records[i]);
        REQUIRE(record);
        const auto key = keyload::read_key_cards(record->cards);
        REQUIRE(key);
        keys.push_back(key->attributes);
    }
    return keys;
}

std::string fresh_request(const Kmc& kmc, const std::string& module = "Test:1") {
    return request_file(kmc, module, generate_key_pair().public_key);
}

/// Points that are none, each in another way.
std::vector<std::string> bad_points() {
    const std::string good = vector_text("qe_sm");
    const std::string zeros(96, '0');
    // (0, y) is on the curve; p is 0 in the field, but no coordinate.
    const std::string y_of_zero =
        "C306610FB0AE5A159CF45C06069F22A6C5EB3641C602D42DEA2C4B4F75550793406D80D2B91AD54F9048BD487AF1ADE1";
    const std::string p =
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF";
    REQUIRE(is_public_key(point("04" + zeros + y_of_zero)));
    return {replaced(good, "D7EF", "D7EE"),
            "04" + zeros + zeros,
            "04" + p + y_of_zero,
            "04" + std::string(192, 'F'),
            "04" + good.substr(98) + good.substr(2, 96),
            "04" + zeros + good.substr(98)};
}

}  // namespace

TEST_CASE("kmc: what it agrees and derives is what the vectors say") {
    const KeyPair own = vector_kmc_key();
    const auto sm = point(vector_text("qs_sm"));
    const auto ephemeral = point(vector_text("qe_sm"));
    const auto ze = shared_secret(own, ephemeral);
    const auto zs = shared_secret(own, sm);
    CHECK(hex_text(ze.octets()) == vector_text("ze"));
    CHECK(hex_text(zs.octets()) == vector_text("zs"));
    const keyload::profile1::Parties parties{vector_text("id_sm"), vector_text("id_kmc"), sm, ephemeral,
                                             own.public_key};
    const SessionKeys keys = derive_keys(ze, zs, parties);
    CHECK(hex_text(keys.mac_key.octets()) == vector_text("mac_key"));
    CHECK(hex_text(keys.kek.octets()) == vector_text("kek"));
    const std::string header = records_of(vector_text("vkloadresp_file"))[0];
    const auto response = keyload::parse_load_response(header);
    REQUIRE(response);
    const auto tag = confirmation(keys, parties, response->body);
    CHECK(hex_text(tag) == vector_text("mac_tag"));
    for (const auto& expected : vectors().at("keys")) {
        const auto& record = expected.at("record").get_ref<const std::string&>();
        const auto& value = expected.at("vk").get_ref<const std::string&>();
        std::vector<std::uint8_t> vending_key(value.size() / 2);
        REQUIRE(read_hex(value, vending_key));
        const auto parsed = keyload::parse_key(record);
        CHECK(key_record(keys, tag, parsed->nonce, parsed->cards_text, vending_key) == record);
        const Dkga dkg = vending_key.size() == 8 ? Dkga::dkga02 : Dkga::dkga04;
        CHECK(hex_text(check_value(dkg, vending_key)) == expected.at("kcv").get<std::string>());
    }
}

TEST_CASE("kmc: the vectors' KMC makes the vectors' record and key load file") {
    Kmc kmc = vector_kmc();
    CHECK(kmc.record == vector_text("pkkmc_record"));
    const Response response = respond(kmc, vector_text("vkloadreq_file"), kVectorTime, vector_nonces());
    CHECK(response.file == vector_text("vkloadresp_file"));
    CHECK(response.keys == 2);
    CHECK(response.smid == vector_text("id_sm"));
    CHECK_FALSE(response.repeated);
    CHECK(response.expired.empty());
}

TEST_CASE("kmc: public keys that are none") {
    CHECK(is_public_key(point(vector_text("qs_sm"))));
    for (const std::string& bad : bad_points()) {
        CAPTURE(bad);
        CHECK_FALSE(is_public_key(point(bad)));
    }
    for (const char* first : {"00", "02", "03", "05", "06", "07", "FF"}) {
        CHECK_FALSE(is_public_key(point(first + vector_text("qs_sm").substr(2))));
    }
    KeyPair pair = vector_kmc_key();
    CHECK(is_key_pair(pair));
    pair.public_key = point(vector_text("qs_sm"));
    CHECK_FALSE(is_key_pair(pair));
    CHECK_FALSE(is_key_pair(KeyPair{{}, vector_kmc_key().public_key}));
}

TEST_CASE("kmc: requests that are refused leave no trace") {
    Kmc kmc = vector_kmc();
    const std::string good = vector_text("vkloadreq_file");
    const auto answer = [&kmc](const std::string& file) {
        return [&kmc, file] { static_cast<void>(respond(kmc, file, kVectorTime, random_octets)); };
    };
    const std::string record = records_of(good)[0];
    // Another KMC: another key of this one, and quite another one.
    const std::string id_kmc = vector_text("id_kmc");
    const std::string id_sm = vector_text("id_sm");
    const auto identifier = [](const std::string& text) {
        const std::string before = text.substr(0, text.size() - 4);
        const std::uint16_t crc = keyload::record_crc(before);
        return before +
               hex_text(std::array{static_cast<std::uint8_t>(crc >> 8U), static_cast<std::uint8_t>(crc)});
    };
    for (const auto& [from, to] :
         {std::pair("82BB8BC2704BAC93", "82BB8BC2704BAC94"), {"T0001", "T0002"}, {"Test", "Tast"}}) {
        const std::string other = identifier(replaced(id_kmc, from, to));
        check_refused(answer(file_of(replaced(record, id_kmc, other))), "another KMC");
    }
    for (const auto& [from, to] : {std::pair("99000001", "99000002"), {"Test", "Tast"}}) {
        const std::string other = identifier(replaced(id_sm, from, to));
        check_refused(answer(file_of(replaced(record, id_sm, other))), "unknown security module");
    }
    for (const auto& [from, to] :
         {std::pair("F920412E4931339C", "F920412E4931339D"), {"20260101T", "20260102T"}}) {
        const std::string other = identifier(replaced(id_sm, from, to));
        check_refused(answer(file_of(replaced(record, id_sm, other))), "the key added");
    }
    for (const std::string& bad : bad_points()) {
        check_refused(answer(file_of(replaced(record, vector_text("qe_sm"), bad))), "no point");
    }
    // What the record's format does not allow.
    const std::string key = vector_text("qe_sm");
    for (const std::string& bad : {"03" + key.substr(2, 96), "02" + key.substr(2), std::string("00"),
                                   std::string(), "06" + key.substr(2), key + "00"}) {
        check_damaged(answer(file_of(replaced(record, key, bad))), "VKLOAD.REQ.1");
    }
    check_damaged(answer(file_of(replaced(record, "20260102T080000Z", "20260231T080000Z"))));
    check_refused(answer(keyload::write_file({record, record}, sha1)), "more than one");
    check_refused(answer(pksm_file()), "no VKLOAD.REQ.1");
    check_refused(answer(vector_text("vkloadresp_file")), "no VKLOAD.REQ.1");
    check_refused(answer("95000289050716STS04A600\n"), "Edition 1");
    check_refused(answer(std::string(keyload::kLargestFile + 1, 'x')), "larger");
    CHECK(kmc.answers.empty());
    CHECK(respond(kmc, good, kVectorTime, vector_nonces()).file == vector_text("vkloadresp_file"));
}

TEST_CASE("kmc: a request file that was cut or edited is damaged") {
    Kmc kmc = vector_kmc();
    const std::string good = vector_text("vkloadreq_file");
    const auto check = [&kmc](const std::string& file) {
        check_damaged([&] { static_cast<void>(respond(kmc, file, kVectorTime, random_octets)); });
    };
    for (std::size_t i = 0; i + 1 < good.size(); ++i) {
        if (good[i] == '\n') continue;
        check(good.substr(0, i));
        std::string edited = good;
        edited[i] = edited[i] == '0' ? '1' : '0';
        check(edited);
    }
    CHECK(kmc.answers.empty());
    // Mail may change line ends.
    std::string mailed = replaced(good, "\n#", "\r\n\r\n#");
    CHECK(respond(kmc, mailed, kVectorTime, vector_nonces()).file == vector_text("vkloadresp_file"));
}

TEST_CASE("kmc: one response to a request, whatever changes") {
    Kmc kmc = vector_kmc();
    const std::string request = vector_text("vkloadreq_file");
    const std::string first = respond(kmc, request, kVectorTime, random_octets).file;
    CHECK(first != vector_text("vkloadresp_file"));
    revoke(kmc, {123456, 1});
    add_key(kmc, key_options("1"));
    const Response again = respond(kmc, request, kVectorTime + std::chrono::days(400), random_octets);
    CHECK(again.file == first);
    CHECK(again.repeated);
    CHECK(again.keys == 2);
    CHECK(kmc.answers.size() == 1);
    // The same ephemeral key is the same KEK, whatever the time in the request.
    const std::string other = request_file(kmc, "Test:99000001", point(vector_text("qe_sm")), kVectorTime);
    check_refused([&] { static_cast<void>(respond(kmc, other, kVectorTime, random_octets)); },
                  "ephemeral key");
    CHECK(kmc.answers.size() == 1);
    const Response next = respond(kmc, fresh_request(kmc, "Test:99000001"), kVectorTime, random_octets);
    CHECK_FALSE(next.repeated);
    const auto keys = keys_of(next.file);
    REQUIRE(keys.size() == 2);
    CHECK(keys[0].sgc == 1);
    CHECK(keys[1].sgc == 123457);
}

TEST_CASE("kmc: nonces come from the source, and one that repeats is refused") {
    Kmc kmc = vector_kmc();
    check_refused(
        [&] {
            static_cast<void>(respond(kmc, vector_text("vkloadreq_file"), kVectorTime,
                                      [](std::span<std::uint8_t> out) { std::ranges::fill(out, 7); }));
        },
        "random");
    CHECK(kmc.answers.empty());
    std::set<keyload::Nonce> nonces;
    for (int i = 0; i < 8; ++i) {
        const auto response = respond(kmc, fresh_request(kmc, "Test:99000001"), kVectorTime, random_octets);
        const auto records = records_of(response.file);
        for (std::size_t k = 1; k < records.size(); ++k) {
            nonces.insert(keyload::parse_key(records[k])->nonce);
        }
    }
    CHECK(nonces.size() == 16);
}

TEST_CASE("kmc: security modules") {
    Kmc kmc = lab_kmc();
    const auto add = [&kmc](const std::string& file, bool replace = false) {
        return [&kmc, file, replace] { static_cast<void>(add_sm(kmc, file, replace)); };
    };
    const auto key = generate_key_pair().public_key;
    const auto before = kmc.modules;
    check_refused(add(sm_file("Test", "1", key)), "--replace");
    check_refused(add(vector_text("vkloadreq_file")), "no PKSM.1");
    check_refused(add(keyload::write_file({vector_text("pkkmc_record")}, sha1)), "no PKSM.1");
    check_damaged(add(vector_text("pksm_record")), "trailer");
    check_damaged(add(replaced(pksm_file(), "VSM-1.0", "VSM-1.1")), "trailer");
    check_damaged(
        add(keyload::write_file({replaced(vector_text("pksm_record"), "VSM-1.0", "VSM-1.1")}, sha1)),
        "PKSM.1");
    check_damaged(add(file_of(replaced(vector_text("pksm_record"), "P-384", "P-256"))), "curve");
    check_damaged(add(file_of(replaced(vector_text("pksm_record"), "|04", "|02"))), "PKSM.1");
    check_damaged(add(""), "no record");
    check_refused(add(keyload::write_file({sm_record("Test", "2", key, {})}, sha1)), "fingerprint");
    for (const std::string& bad : bad_points()) {
        check_refused(add(sm_file("Test", "2", point(bad))), "no point");
        check_refused(add(sm_file("Test", "1", point(bad)), true), "no point");
    }
    CHECK(kmc.modules == before);

    CHECK(add_sm(kmc, keyload::write_file({before.at("Test:1")}, sha1), false).change == SmChange::none);
    CHECK(add_sm(kmc, sm_file("Other", "1", key), false).change == SmChange::added);
    const std::string old_request = fresh_request(kmc);
    static_cast<void>(respond(kmc, old_request, kNoon, random_octets));
    CHECK(add_sm(kmc, sm_file("Test", "1", key), true).change == SmChange::replaced);
    CHECK(kmc.modules.size() == 2);
    // Not even the file that was made already, for a key that was given up.
    check_refused([&] { static_cast<void>(respond(kmc, old_request, kNoon, random_octets)); },
                  "the key added");
}

TEST_CASE("kmc: who gets which key") {
    Kmc kmc = lab_kmc();
    const auto key = generate_key_pair().public_key;
    KeyOptions one = key_options("100");
    one.modules = {"1"};
    add_key(kmc, one);
    add_key(kmc, key_options("200"));
    add_sm(kmc, sm_file("Test", "2", key), false);
    const auto got = [&kmc](const std::string& module) {
        std::vector<std::uint32_t> sgcs;
        const auto response = respond(kmc, fresh_request(kmc, module), kNoon, random_octets);
        for (const auto& attributes : keys_of(response.file)) sgcs.push_back(attributes.sgc);
        return sgcs;
    };
    CHECK(got("Test:1") == std::vector<std::uint32_t>{100, 200});
    CHECK(got("Test:2") == std::vector<std::uint32_t>{200});
    add_sm(kmc, sm_file("Other", "1", key), false);
    CHECK(got("Other:1") == std::vector<std::uint32_t>{200});
    one.sgc = "300";
    check_refused([&] { add_key(kmc, one); }, "two manufacturers");
    one.modules = {"3"};
    check_refused([&] { add_key(kmc, one); }, "no security module 3");
    one.modules = {"Test:3"};
    check_refused([&] { add_key(kmc, one); }, "no security module Test:3");
    one.modules = {"2", "Other:1"};
    add_key(kmc, one);
    CHECK(got("Test:1") == std::vector<std::uint32_t>{100, 200});
    CHECK(got("Test:2") == std::vector<std::uint32_t>{200, 300});
    CHECK(got("Other:1") == std::vector<std::uint32_t>{200, 300});
    for (const std::uint32_t sgc : {100U, 200U, 300U}) revoke(kmc, {sgc, 1});
    CHECK(got("Test:2").empty());
    check_refused([&] { revoke(kmc, {100, 1}); }, "no key of SGC 100 KRN 1");
}

TEST_CASE("kmc: IUT is the earlier of refresh and expiry; what has expired is left out") {
    Kmc kmc = lab_kmc();
    KeyOptions options = key_options("1");
    options.act = "20260101T000000Z";
    options.exp = "20260201T000000Z";
    options.refresh = "10";
    add_key(kmc, options);
    options.sgc = "2";
    options.refresh.clear();
    add_key(kmc, options);
    add_key(kmc, key_options("3"));
    const CivilTime expiry = civil_time(2026, 2, 1);
    const auto at = [&kmc](CivilTime now) { return respond(kmc, fresh_request(kmc), now, random_octets); };
    auto keys = keys_of(at(kNoon).file);
    REQUIRE(keys.size() == 3);
    CHECK(keys[0].issue_until == civil_time(2026, 1, 12, 12));
    CHECK(keys[1].issue_until == expiry);
    CHECK(keys[2].active_from == kNoon);
    CHECK(keys[2].expiry == civil_time(2036, 1, 2, 12));
    CHECK(keys[2].issue_until == civil_time(2036, 1, 2, 12));
    keys = keys_of(at(expiry - std::chrono::days(10) + std::chrono::seconds(1)).file);
    CHECK(keys[0].issue_until == expiry);
    CHECK(at(expiry - std::chrono::seconds(1)).keys == 3);
    const Response late = at(expiry);
    CHECK(late.keys == 1);
    CHECK(late.expired == std::vector<KeyName>{{1, 1}, {2, 1}});
    CHECK(at(civil_time(2036, 1, 2, 12)).keys == 0);
    CHECK(ten_years_after(civil_time(2024, 2, 29, 1)) == civil_time(2034, 2, 28, 1));
    CHECK(ten_years_after(civil_time(2026, 12, 31, 23, 59, 59)) == civil_time(2036, 12, 31, 23, 59, 59));
}

TEST_CASE("kmc: random keys") {
    Kmc kmc = lab_kmc();
    std::set<std::string> values;
    for (unsigned sgc = 0; sgc < 32; ++sgc) {
        const std::string dkg = sgc % 2 == 0 ? "02" : "04";
        const Kcv kcv = add_key(kmc, key_options(std::to_string(sgc), dkg));
        const VendingKey& key = kmc.keys.at({sgc, 1});
        CHECK(key.kcv == kcv);
        CHECK(key.octets().size() == (dkg == "02" ? 8U : 20U));
        values.insert(hex_text(key.octets()));
        if (dkg == "04") continue;
        for (const std::uint8_t octet : key.octets()) CHECK(std::popcount(octet) % 2 == 1);
    }
    CHECK(values.size() == 32);
    // A published key stays what it is, parity or not.
    KeyOptions published = key_options("999999", "02");
    published.value = "0000000000000002";
    add_key(kmc, published);
    CHECK(hex_text(kmc.keys.at({999999, 1}).octets()) == "0000000000000002");
}

TEST_CASE("kmc: attributes of a key, at and beyond their borders") {
    Kmc kmc = lab_kmc();
    const auto with = [&kmc](std::string KeyOptions::*option, const char* value) {
        KeyOptions options = key_options();
        options.*option = value;
        return [&kmc, options] { add_key(kmc, options); };
    };
    using O = KeyOptions;
    const std::vector<std::pair<std::string O::*, std::vector<const char*>>> refused = {
        {&O::sgc, {"", "1000000", "-1", "12a", "0x10", " 1", "1.0", "+1"}},
        {&O::krn, {"", "0", "10", "a", "-1"}},
        {&O::ktc, {"", "0", "4", "ditk", "VUDK", "01"}},
        {&O::dkg, {"", "01", "03", "2", "4", "05"}},
        {&O::base_date, {"", "1994", "93", "20140101T000000Z"}},
        {&O::ken, {"", "256", "-1", "x"}},
        {&O::ulm, {"999999999", "-1", "1.5", "x"}},
        {&O::clm, {"-1", "-0", "1e3", "x", ".", "nan", "inf", "0x1", "1,5", "10000000900000", " 1"}},
        {&O::sbm, {"", "FFF", "FFFFF", "GGGG"}},
        {&O::sgn,
         {"a;ULM5", "a|b", "a#b", "a~b", "\x7F", "\xC3\xA9", "a\nb",
          "12345678901234567890123456789012345678901"}},
        {&O::act, {"20260101", "20260231T000000Z", "20260101T000000"}},
        {&O::exp, {"20260102T120000Z", "20260102T115959Z", "19930101T000000Z", "x"}},
        {&O::refresh, {"0", "-1", "36501", "x"}},
        {&O::value, {"AB", "ABABABABABABABAB", "ABABABABABABABAB94949494949494940123456G"}},
    };
    for (const auto& [option, values] : refused) {
        for (const char* value : values) {
            CAPTURE(value);
            check_usage(with(option, value));
        }
    }
    check_usage(with(&O::act, "99991231T235959Z"), "expiry");
    CHECK(kmc.keys.empty());

    for (const auto& [sgc, krn] : {std::pair("0", "1"), {"000099", "1"}, {"99", "2"}, {"999999", "9"}}) {
        KeyOptions options = key_options(sgc);
        options.krn = krn;
        options.ken = "0";
        options.ulm = "999999998";
        options.clm = "10000000000000";
        options.sbm = "00fF";
        options.sgn = std::string(40, '}');
        add_key(kmc, options);
    }
    CHECK(kmc.keys.contains({99, 1}));
    CHECK(kmc.keys.at({0, 1}).attributes.sbm == 0x00FF);
    CHECK(kmc.keys.at({0, 1}).attributes.clm_bits == 0x551184E7);
    check_refused([&] { add_key(kmc, key_options("99")); }, "SGC 99 KRN 1 already");
    CHECK(keys_of(respond(kmc, fresh_request(kmc), kNoon, random_octets).file).size() == 4);
}

TEST_CASE("kmc: CLM is the nearest float32") {
    CHECK(clm_bits("2000") == 0x44FA0000);
    CHECK(clm_bits("2000.000") == 0x44FA0000);
    CHECK(clm_bits("0") == 0);
    CHECK(clm_bits("0.1") == 0x3DCCCCCD);
    CHECK(clm_bits("16777217") == 0x4B800000);
    CHECK(clm_bits("16777219") == 0x4B800002);
    CHECK(clm_text(0x44FA0000) == "2000");
    CHECK(clm_text(0x3DCCCCCD) == "0.1");
    CHECK(clm_text(0x4B800000) == "16777216");
    CHECK(clm_text(1) == "0." + std::string(44, '0') + "1");
}

TEST_CASE("kmc: as many keys as a key load file holds, and no more") {
    Kmc kmc = lab_kmc();
    KeyOptions options = key_options("0");
    options.sgn = std::string(40, 'x');
    options.value = "ABABABABABABABAB949494949494949401234567";
    for (unsigned sgc = 0; sgc < 4096; ++sgc) {
        options.sgc = std::to_string(sgc);
        add_key(kmc, options);
    }
    options.sgc = "999999";
    check_refused([&] { add_key(kmc, options); }, "4096");
    // With names of that length they are more than 1 MiB.
    check_refused([&] { static_cast<void>(respond(kmc, fresh_request(kmc), kNoon, random_octets)); },
                  "1 MiB");
    CHECK(kmc.answers.empty());
    for (auto& [name, key] : kmc.keys) key.attributes.sgn = {};
    const Response response = respond(kmc, fresh_request(kmc), kNoon, random_octets);
    CHECK(response.keys == 4096);
    CHECK(keys_of(response.file).size() == 4096);
}

TEST_CASE("kmc: its own name and dates") {
    const auto make = [](const std::string& operator_name, const std::string& name,
                         std::optional<CivilTime> active = {}, std::optional<CivilTime> expiry = {}) {
        return [=] {
            static_cast<void>(make_kmc({operator_name, name, kNoon, active, expiry}, vector_kmc_key()));
        };
    };
    const std::string forty(40, 'x');
    for (const char* bad : {"", "a b", "a:b", "a|b", "-a", "a~"}) {
        check_usage(make(bad, "K1"), "operator and name");
        check_usage(make("Lab", bad), "operator and name");
    }
    check_usage(make(forty + "x", "K1"));
    check_usage(make("Lab", forty + "x"));
    check_usage(make("Lab", "K1", kNoon, kNoon), "after the active date");
    check_usage(make("Lab", "K1", kNoon, kNoon - std::chrono::seconds(1)));
    check_usage(make("Lab", "K1", civil_time(9995, 1, 1)), "year 10000");
    check_damaged([] {
        KeyPair key = vector_kmc_key();
        key.private_key.octets()[47] ^= 1U;
        static_cast<void>(make_kmc({"Lab", "K1", kNoon, {}, {}}, std::move(key)));
    });
    const Kmc kmc = make_kmc({forty, forty, kNoon, {}, {}}, vector_kmc_key());
    const auto record = keyload::parse_kmc_key(kmc.record);
    REQUIRE(record);
    CHECK(record->active_from == kNoon);
    CHECK(record->expiry == civil_time(2036, 1, 2, 12));
    CHECK(record->kmcid.created == kNoon);
    CHECK(hex_text(record->kmcid.fingerprint) == "82BB8BC2704BAC93");
    CHECK(lab_kmc().record != lab_kmc().record);
}

}  // namespace sts6::kmc
