// SPDX-License-Identifier: Apache-2.0
// Records and files in words.
#include <fstream>
#include <sstream>
#include <string>

#include <catch2/catch.hpp>

#include "tests/unit/kmc_test_support.hpp"
#include "tools/kmc/describe.hpp"
#include "tools/kmc/report.hpp"

namespace sts6::kmc {
namespace {

std::string published() {
    std::ifstream file(std::string(STS6_SOURCE_DIR) + "/tests/data/vectors/klf-published-sample.txt",
                       std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    REQUIRE_FALSE(text.str().empty());
    return text.str();
}

void check_shows(const std::string& file, bool sound, const std::vector<std::string>& words) {
    const Description description = describe(file);
    CHECK(description.sound == sound);
    const std::string text = in_words(description.report);
    CAPTURE(text);
    for (const std::string& word : words) {
        CAPTURE(word);
        CHECK(text.find(word) != std::string::npos);
    }
}

}  // namespace

TEST_CASE("kmc show: the published key load file") {
    check_shows(published(), true,
                {"file: the file is whole\n- record: key load file\n",
                 "KMCID: KMCID.1:Prism:K0001:20160418T121717Z:52204DE9EEFA6EB8:E7BF\n", "operator: Prism\n",
                 "ModuleID: 94000507\n", "KMC time: 20160506T122741Z\n",
                 "SGC: 112233\n  KRN: 3\n  KTC: 1 VDDK\n  DKG: 02\n  base date: 1993\n  KEN: 255\n",
                 "expiry: 20170506T215959Z\n", "issue until: 20160903T102658Z\n", "SubClasses: 0\n",
                 "unit limit: 10000\n  currency limit: 10000\n  supply group: ACME\n  KCV: C33F45\n",
                 "currency limit: 2000\n", "key octets: 8\n"});
}

TEST_CASE("kmc show: JSON has the same") {
    const std::string text = in_json(describe(published()).report);
    CHECK(text.starts_with(R"({"file":"the file is whole","records":[{"record":"key load file","KMCID":)"));
    CHECK(text.find(R"("SGC":123456,"KRN":1,"KTC":"2 VUDK")") != std::string::npos);
    CHECK(text.find(R"("unknown_attributes":false)") != std::string::npos);
    CHECK(std::ranges::count(text, '\n') == 1);
}

TEST_CASE("kmc show: records of a module and a KMC") {
    Kmc kmc = lab_kmc();
    const std::string& sm = kmc.modules.at("Test:1");
    const std::string sha = "SHA-384: " + hex_text(sha384(sm));
    check_shows(keyload::write_file({sm}, sha1), true,
                {"record: public key of a security module\n", "manufacturer: Test\n", "ModuleID: 1\n",
                 "firmware: F1\n", "public key: a point of P-384\n", sha});
    check_shows(sm + "\n", true, {"one record without a trailer", "ModuleID: 1\n"});
    check_shows(keyload::write_file({kmc.record}, sha1), true,
                {"record: public key of a KMC\n", "KMC name: K1\n", "active from: 20260102T120000Z\n",
                 "expiry: 20360102T120000Z\n", "SHA-384: " + hex_text(sha384(kmc.record))});
    const std::string request = request_file(kmc, "Test:1", generate_key_pair().public_key);
    check_shows(request, true, {"record: request for a key load file\n", "module time: 20260102T120000Z\n"});
    add_key(kmc, key_options());
    const std::string response = respond(kmc, request, kNoon, random_octets).file;
    check_shows(response, true,
                {"DKG: 04\n", "unit limit: none\n  currency limit: none\n", "key octets: 20\n",
                 "SubClasses: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n"});
}

TEST_CASE("kmc show: what is damaged is shown as such") {
    const std::string good = published();
    check_shows(replaced(good, "\n#2FC2", "\n#2FC3"), false, {"the trailer does not fit", "KCV: C33F45"});
    check_shows(replaced(good, "SGNACME", "SGNACMF"), false,
                {"the trailer does not fit", "KEY.1, damaged", "record: key load file"});
    check_shows(good.substr(0, good.find('#')), false, {"the file was cut", "KCV: C33F45"});
    check_shows("", false, {"no record"});
    check_shows("\n\n", false, {"no record"});
    check_shows("hello\n", false, {"the file was cut"});
    check_shows(std::string(keyload::kLargestFile + 1, 'x'), false, {"larger"});
    check_shows("KEY.1|\x01\n", false, {"printable ASCII"});
    check_shows(keyload::write_file({"PKSM.2|x|0000", "KEY.1|"}, sha1), false,
                {"the file is whole", "record: unknown", "record: KEY.1, damaged"});
    const std::string key =
        good.substr(good.find("KEY.1"), good.find('\n', good.find("KEY.1")) - good.find("KEY.1"));
    check_shows(file_of(replaced(key, "KTC2", "KTC0")), false, {"against the rules"});
    check_shows(file_of(replaced(key, "DKG02", "DKG04")), false, {"key octets: 8"});
    check_shows(file_of(replaced(key, "KTC2;", "KTC2;NEW1;")), true, {"unknown attributes: yes"});
    const Kmc kmc = lab_kmc();
    const EcPoint other = generate_key_pair().public_key;
    check_shows(keyload::write_file({sm_record("Test", "1", other, {})}, sha1), false,
                {"not the one in the identifier"});
    EcPoint off = other;
    off.back() ^= 1U;
    check_shows(sm_file("Test", "1", off), false, {"no point of P-384"});
    check_shows(file_of(replaced(kmc.record, "P-384", "P-256")), false, {"curve: P-256"});
    check_shows(file_of(replaced(kmc.record, ";|04", ";|02")), false, {"no uncompressed point"});
}

TEST_CASE("kmc show: Edition 1 is explained and not guessed at") {
    const Description description = describe(
        "95000289050716STS04A600404040404040404E5502AECA2F33173F611D55F72E1E3F084296C67D3E5D7C\r\n"
        "9520LK01MST87629EA3022CAF5890CD8617000000000020160428114136201408130200001255999000STS\r\n");
    CHECK(description.sound);
    const std::string text = in_words(description.report);
    CHECK(text.find("Edition 1") != std::string::npos);
    CHECK(text.find("Edition 2") != std::string::npos);
    CHECK(description.report.list.empty());
}

}  // namespace sts6::kmc
