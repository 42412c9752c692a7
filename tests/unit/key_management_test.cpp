// SPDX-License-Identifier: Apache-2.0
// Initialisation, key agreement and key load of the module on a software HSM, against a KMC of the test's
// own.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "firmware/keyload/attributes.hpp"
#include "firmware/keyload/profile1.hpp"
#include "firmware/keyload/records.hpp"
#include "firmware/keyload/text.hpp"
#include "firmware/module/module.hpp"
#include "tests/support/software_hsm.hpp"

namespace sts6 {
namespace {

using namespace test;
using namespace std::chrono_literals;
namespace profile = keyload::profile1;

constexpr CivilTime kNow = civil_time(2026, 1, 2, 3, 4, 5);

std::string hex(std::span<const std::uint8_t> octets) {
    std::string text(2 * octets.size(), '0');
    write_hex(octets, text.data());
    return text;
}

template <class Put>
std::string written(Put put) {
    std::array<char, keyload::kLongestRecord> buffer{};
    TextWriter out(buffer);
    put(out);
    REQUIRE_FALSE(out.overflow());
    return std::string(out.written());
}

std::string identifier(std::string_view type, std::string_view issuer, std::string_view unique,
                       const EcPoint& point) {
    keyload::Identifier id{.issuer = issuer, .unique = unique, .created = civil_time(2026, 1, 1)};
    std::copy_n(sha384_of(point).begin(), id.fingerprint.size(), id.fingerprint.begin());
    return written([&](TextWriter& out) { keyload::put_identifier(out, type, id); });
}

/// The record with a right CRC again.
std::string with_crc(std::string text) {
    text.resize(text.size() - 4);
    const std::uint16_t crc = keyload::record_crc(text);
    return text + hex(std::array{static_cast<std::uint8_t>(crc >> 8U), static_cast<std::uint8_t>(crc)});
}
std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return with_crc(text.replace(at, from.size(), to));
}

struct TestKey {
    Octets value;
    KeyAttributes attributes;
};
TestKey dkg04_key(std::uint32_t sgc = 201457, std::uint8_t krn = 1, std::uint8_t fill = 0xAB) {
    TestKey key;
    key.value = Octets(20, fill);
    key.attributes.sgc = sgc;
    key.attributes.krn = krn;
    key.attributes.base_date = BaseDate::y2014;
    key.attributes.active_from = civil_time(1993, 1, 1);
    key.attributes.expiry = civil_time(2099, 1, 1);
    key.attributes.issue_until = civil_time(2099, 1, 1);
    key.attributes.ulm_units = 1000;
    key.attributes.clm_bits = 0x44FA0000;
    return key;
}
TestKey dkg02_key(std::uint32_t sgc = 123456) {
    TestKey key = dkg04_key(sgc);
    key.value = Octets(8, 0xAB);
    key.attributes.dkg = Dkga::dkga02;
    return key;
}

/// A KMC: one key pair, responses to requests.
class TestKmc {
  public:
    explicit TestKmc(std::string_view name = "T0001")
        : kmcid(identifier(keyload::kKmcidType, "Test", name, pair.point())) {
        record = written([&](TextWriter& out) {
            keyload::put_kmc_key(out, {.kmcid = {.text = kmcid},
                                       .active_from = civil_time(2026, 1, 1),
                                       .expiry = civil_time(2036, 1, 1),
                                       .curve = "P-384",
                                       .point = hex(pair.point())});
        });
    }

    /// The header record; key() then makes records of it.
    std::string respond(std::string_view request_text, const EcPoint& sm_key) {
        const auto request = keyload::parse_load_request(request_text);
        REQUIRE(request);
        REQUIRE(request->kmcid.text == kmcid);
        const profile::Parties parties{request->smid.text, request->kmcid.text, sm_key,
                                       request->ephemeral_key, pair.point()};
        std::array<std::uint8_t, profile::kMostOtherInfo> info_buffer{};
        ByteWriter info(info_buffer);
        profile::put_other_info(info, parties);
        const Octets keys =
            derive_keys(pair.agree(request->ephemeral_key), pair.agree(sm_key), info.written());
        kek_ = Octets(keys.begin() + 24, keys.end());
        const std::string body = written([&](TextWriter& out) {
            keyload::put_load_response_body(out, kmcid, request->smid.text, request->time);
        });
        std::array<std::uint8_t, profile::kMostMacData> mac_buffer{};
        ByteWriter mac(mac_buffer);
        profile::put_mac_data(mac, parties, body);
        const Octets tag = hmac_sha384(std::span(keys).first(24), mac.written());
        std::copy_n(tag.begin(), mac_tag_.size(), mac_tag_.begin());
        return written([&](TextWriter& out) { keyload::put_load_response(out, body, mac_tag_); });
    }

    std::string key(const TestKey& key, std::optional<Kcv> kcv = std::nullopt) {
        return key_of_cards(written([&](TextWriter& out) {
                                keyload::put_key_cards(out, key.attributes, kcv.value_or(kcv_of(key.value)));
                            }),
                            key.value);
    }
    std::string key_of_cards(const std::string& cards, const Octets& value) {
        ++nonce_[0];
        return key_with_nonce(nonce_, cards, value);
    }
    std::string key_with_nonce(const keyload::Nonce& nonce, const std::string& cards, const Octets& value) {
        const std::string body = written([&](TextWriter& out) { keyload::put_key_body(out, nonce, cards); });
        std::array<std::uint8_t, profile::kMostAssociatedData> buffer{};
        ByteWriter associated(buffer);
        profile::put_associated_data(associated, mac_tag_, body);
        const Octets sealed = ccm_seal(kek_, nonce, associated.written(), value);
        return written([&](TextWriter& out) { keyload::put_key(out, body, sealed); });
    }

    EcPair pair;
    std::string kmcid;
    std::string record;

  private:
    Octets kek_;
    keyload::MacTag mac_tag_{};
    keyload::Nonce nonce_{};
};

class Bench {
  public:
    Bench() {
        clock.time = kNow;
        store.state.phase = Phase::manufacturing;
        REQUIRE(settings.firmware_id.assign("STS6-001"));
        settings.registers = 8;
        settings.tid_window_days = 0;
    }

    void restart() {
        module = std::make_unique<Module>(settings, hsm, store, clock, random);
        REQUIRE(module->start());
    }
    std::string execute(const std::string& message, LinkRole role = LinkRole::full) {
        if (!module) restart();
        Exchange exchange;
        exchange.message = message;
        exchange.role = role;
        Exchange* batch = &exchange;
        module->execute({&batch, 1});
        const auto code = status_code(exchange.answer.status());
        return (exchange.answer.is_link_error() ? "GL!ER" : "") + std::string(code.data(), 2) +
               std::string(exchange.answer.body());
    }
    /// A command of one P field.
    std::string send(const std::string& header, const std::string& text) {
        return execute(header + "P" + text + "~");
    }
    static std::string initialisation(const std::string& module_id = "94000001",
                                      const std::string& manufacturer = "Acme") {
        static const EcPair instruction;
        return "SM?MIP" + manufacturer + "~P" + module_id + "~PSOFT-1~D20260101000000~H" +
               hex(instruction.point()) + "~";
    }
    void initialise() {
        const std::string answer = execute(initialisation());
        REQUIRE(answer.starts_with("00P"));
        sm_record = answer.substr(3, answer.size() - 4);
        REQUIRE(execute("SM?MF") == "00");
    }
    EcPoint sm_key() const { return keyload::parse_sm_key(sm_record)->key; }
    void approve(const TestKmc& kmc) {
        const auto* octets = reinterpret_cast<const std::uint8_t*>(kmc.record.data());
        store.approved.push_back(sha384_of({octets, kmc.record.size()}));
    }
    std::string request(const TestKmc& kmc) {
        const std::string answer = send("SM?KC", kmc.record);
        REQUIRE(answer.starts_with("00P"));
        return answer.substr(3, answer.size() - 4);
    }
    /// Up to the keys.
    void begin_load(TestKmc& kmc) {
        const std::string header = kmc.respond(request(kmc), sm_key());
        REQUIRE(send("SM?KR", header) == "00N0~");
    }
    void load(TestKmc& kmc, const std::vector<TestKey>& keys) {
        begin_load(kmc);
        for (const TestKey& key : keys) REQUIRE(send("SM?KL", kmc.key(key)).starts_with("00N"));
        REQUIRE(send("SM?KF", kmc.kmcid).starts_with("00N"));
    }
    static std::string credit(unsigned number) {
        return "SM?VCN" + std::to_string(number) + "~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~";
    }

    SoftwareHsm hsm;
    FakeStore store;
    FakeClock clock;
    FakeRandom random;
    ModuleSettings settings;
    std::unique_ptr<Module> module;
    std::string sm_record;
};

/// A module that is ready for `kmc`.
struct Ready : Bench {
    Ready() {
        initialise();
        approve(kmc);
    }
    TestKmc kmc;
};

}  // namespace

TEST_CASE("initialisation makes the agreement key and its record, once") {
    Bench bench;
    CHECK(bench.execute("SM?QI") == "00P~P~PSTS6-001~H0000000000000000~");
    CHECK(bench.execute("SM?MF") == "87");
    CHECK(bench.execute("SM?KCPx~") == "GL!ER21");
    const std::string answer = bench.execute(Bench::initialisation());
    REQUIRE(answer.starts_with("00P"));
    const std::string record = answer.substr(3, answer.size() - 4);
    const auto sm = keyload::parse_sm_key(record);
    REQUIRE(sm);
    CHECK(sm->smid.issuer == "Acme");
    CHECK(sm->smid.unique == "94000001");
    CHECK(sm->smid.created == kNow);
    CHECK(sm->firmware_id == "STS6-001");
    CHECK(sm->hardware_id == "SOFT-1");
    CHECK(is_on_curve(sm->key));
    CHECK(hex(sm->smid.fingerprint) == hex(sha384_of(sm->key)).substr(0, 16));
    CHECK(bench.hsm.owner == "94000001");
    CHECK(bench.store.state.smid.view() == sm->smid.text);
    CHECK(bench.execute(Bench::initialisation()) == "87");
    CHECK(bench.hsm.size() == 1);
    CHECK(bench.execute("SM?MF", LinkRole::vend) == "GL!ER21");
    CHECK(bench.execute("SM?MF") == "00");
    CHECK(bench.execute("SM?MF") == "GL!ER21");
    CHECK(bench.execute(Bench::initialisation()) == "GL!ER21");
    bench.restart();
    CHECK(bench.execute("SM?QI").starts_with("00P" + std::string(sm->smid.text) + "~"));
    CHECK(bench.hsm.size() == 1);
}

TEST_CASE("initialisation refuses what is no name and no point, and changes nothing") {
    Bench bench;
    const std::string good = Bench::initialisation();
    for (const auto& bad :
         {Bench::initialisation("a b"), Bench::initialisation(".a"), Bench::initialisation("a", "a/b")}) {
        CHECK(bench.execute(bad) == "87");
    }
    std::string off_curve = good;
    off_curve[off_curve.size() - 2] = off_curve[off_curve.size() - 2] == '0' ? '1' : '0';
    CHECK(bench.execute(off_curve) == "87");
    CHECK(bench.execute(good.substr(0, good.size() - 3) + "~") == "63");
    CHECK(bench.hsm.size() == 0);
    CHECK(bench.store.state.module_id.empty());
    CHECK(bench.store.state.smid.empty());
    CHECK(bench.store.commits == 1);  // of the start
    bench.hsm.away = true;
    CHECK(bench.execute(good) == "01");
    bench.hsm.away = false;
    // Somebody else's keys under that name.
    bench.hsm.vending_keys[KeyId{9}] = Octets(20, 1);
    CHECK(bench.execute(good) == "87");
    bench.hsm.vending_keys.clear();
    CHECK(bench.execute(good).starts_with("00"));
}

TEST_CASE("a stop between the name and the key of an initialisation is taken up again") {
    Bench bench;
    REQUIRE(bench.store.state.module_id.assign("94000001"));
    REQUIRE(bench.hsm.generate_ec_key(EcKeyUse::agreement));
    bench.restart();
    CHECK(bench.hsm.size() == 0);
    REQUIRE(bench.store.audit.size() == 2);
    CHECK(bench.store.audit[0].starts_with("key object without a register destroyed"));
    CHECK(bench.store.audit[1].starts_with("started"));
    CHECK(bench.execute(Bench::initialisation()).starts_with("00P"));
}

TEST_CASE("more orphans than one commit tells of are all destroyed and told of") {
    Bench bench;
    bench.initialise();
    const std::size_t told = bench.store.audit.size();
    for (std::size_t i = 0; i < 2 * AuditList::kMost + 1; ++i) {
        KeyId id{};
        id[0] = static_cast<std::uint8_t>(1 + i / 200);
        id[1] = static_cast<std::uint8_t>(i % 200);
        bench.hsm.vending_keys[id] = Octets(20, 1);
    }
    bench.restart();
    CHECK(bench.hsm.size() == 1);
    CHECK(bench.store.audit.size() == told + 2 * AuditList::kMost + 2);
    CHECK_FALSE(bench.module->in_error_state());
}

TEST_CASE("a whole key load: request, response, keys, vending") {
    Ready bench;
    const std::string request = bench.request(bench.kmc);
    const auto parsed = keyload::parse_load_request(request);
    REQUIRE(parsed);
    CHECK(parsed->time == kNow);
    CHECK(parsed->smid.text == bench.store.state.smid.view());
    const std::string header = bench.kmc.respond(request, bench.sm_key());
    CHECK(bench.send("SM?KR", header) == "00N0~");
    const TestKey first = dkg04_key();
    const TestKey second = dkg02_key();
    const std::string first_record = bench.kmc.key(first);
    CHECK(bench.send("SM?KL", first_record) == "00N1~P" + hex(kcv_of(first.value)) + "~");
    CHECK(bench.send("SM?KL", bench.kmc.key(second)) == "00N2~PC33F45~");
    // In force only from KF on.
    CHECK(bench.execute(Bench::credit(1)) == "22");
    CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "00N2~N0~");
    CHECK(bench.execute(Bench::credit(1)).starts_with("00P"));
    const std::string attributes = bench.execute("SM?GAN1~");
    CHECK(attributes.find(";KCV" + hex(kcv_of(first.value)) + ";") != std::string::npos);
    CHECK(attributes.ends_with(";ULM1000;XCL200000000;XUL9999~"));
    // The request's pair and the KEK are gone, the SM's pair and two keys are left.
    CHECK(bench.hsm.size() == 3);
    CHECK(bench.hsm.keks.empty());
    bench.restart();
    CHECK(bench.hsm.size() == 3);
    CHECK(bench.execute(Bench::credit(1)).starts_with("00P"));
}

TEST_CASE("what makes a KMC's public key no good, in order") {
    Bench bench;
    TestKmc kmc;
    bench.store.state.phase = Phase::operational;
    CHECK(bench.send("SM?KC", kmc.record) == "EEPSM not initialised~");
    bench.store.state.phase = Phase::manufacturing;
    bench.module.reset();
    bench.initialise();
    const auto refused = [&](const std::string& record) {
        const auto keys = bench.hsm.size();
        const auto commits = bench.store.commits;
        const std::string answer = bench.send("SM?KC", record);
        CHECK(bench.hsm.size() == keys);
        CHECK(bench.store.commits == commits);
        return answer;
    };
    std::string damaged = kmc.record;
    damaged[20] ^= 1;
    CHECK(refused(damaged) == "49");
    CHECK(refused("x") == "49");
    CHECK(refused(kmc.record.substr(0, kmc.record.size() - 1)) == "49");
    CHECK(refused(replaced(kmc.record, "EXP2036", "EXP2026")) == "49");
    CHECK(refused(replaced(kmc.record, ";CRVP-384", "")) == "49");
    CHECK(refused(bench.sm_record) == "EEPKMC public key record type~");
    CHECK(refused(replaced(kmc.record, "PKKMC.1", "PKKMC.2")) == "EEPKMC public key record type~");
    CHECK(refused(replaced(kmc.record, "CRVP-384", "CRVP-256")) == "EEPKMC public key curve~");
    const std::string point = hex(kmc.pair.point());
    std::string off = point;
    off.back() = off.back() == '0' ? '1' : '0';
    CHECK(refused(replaced(kmc.record, point, off)) == "EEPKMC public key invalid~");
    CHECK(refused(replaced(kmc.record, point, "02" + point.substr(2, 96))) == "EEPKMC public key invalid~");
    CHECK(refused(replaced(kmc.record, point, "04" + std::string(192, 'F'))) == "EEPKMC public key invalid~");
    CHECK(refused(replaced(kmc.record, point, "00")) == "EEPKMC public key invalid~");
    const TestKmc other;
    CHECK(refused(replaced(kmc.record, point, hex(other.pair.point()))) == "EEPKMC fingerprint mismatch~");
    CHECK(refused(kmc.record) == "EEPKMC public key not approved~");
    bench.approve(kmc);
    // Another record of the same key is another record.
    CHECK(refused(replaced(kmc.record, "EXP2036", "EXP2037")) == "EEPKMC public key not approved~");
    bench.clock.time = civil_time(2025, 12, 31, 23, 59, 59);
    bench.store.state.time_mark = bench.clock.time;
    bench.restart();
    CHECK(refused(kmc.record) == "43");
    bench.clock.time = civil_time(2036, 1, 1);
    CHECK(refused(kmc.record) == "41");
    bench.clock.time = civil_time(2035, 12, 31, 23, 59, 59);
    bench.hsm.away = true;
    CHECK(refused(kmc.record) == "01");
    bench.hsm.away = false;
    CHECK(bench.send("SM?KC", kmc.record).starts_with("00P"));
}

TEST_CASE("four KMCs have their slots, a fifth has none") {
    Ready bench;
    std::vector<TestKmc> kmcs;
    for (const char* name : {"T0002", "T0003", "T0004", "T0005"}) {
        kmcs.emplace_back(name);
        bench.approve(kmcs.back());
    }
    bench.request(bench.kmc);
    for (std::size_t i = 0; i < 3; ++i) bench.request(kmcs[i]);
    CHECK(bench.send("SM?KC", kmcs[3].record) == "27");
    CHECK(bench.send("SM?KX", kmcs[3].kmcid) == "27");
    CHECK(bench.send("SM?KX", kmcs[1].kmcid) == "00");
    CHECK(bench.send("SM?KX", kmcs[1].kmcid) == "27");
    CHECK(bench.send("SM?KC", kmcs[3].record).starts_with("00P"));
    CHECK(bench.hsm.pairs.size() == 5);
}

TEST_CASE("a resent request is the same for a minute, and another after it") {
    Ready bench;
    const std::string request = bench.request(bench.kmc);
    bench.clock.time += 60s;
    CHECK(bench.request(bench.kmc) == request);
    bench.restart();
    CHECK(bench.request(bench.kmc) == request);
    bench.clock.time += 1s;
    const std::string next = bench.request(bench.kmc);
    CHECK(next != request);
    CHECK(bench.hsm.pairs.size() == 2);
    // The response to the first is no good any more.
    CHECK(bench.send("SM?KR", bench.kmc.respond(request, bench.sm_key())) == "EEPKey confirmation failed~");
    CHECK(bench.send("SM?KR", bench.kmc.respond(next, bench.sm_key())) == "00N0~");
}

TEST_CASE("what makes a response no good, in order") {
    Ready bench;
    TestKmc other("T0002");
    bench.approve(other);
    const std::string request = bench.request(bench.kmc);
    const std::string header = bench.kmc.respond(request, bench.sm_key());
    const auto answer = [&](const std::string& record) { return bench.send("SM?KR", record); };
    std::string damaged = header;
    damaged.back() ^= 1;
    CHECK(answer(damaged) == "49");
    CHECK(answer(bench.kmc.record) == "49");
    const std::string other_sm = identifier(keyload::kSmidType, "Acme", "94000002", bench.sm_key());
    CHECK(answer(replaced(header, bench.store.state.smid.view(), other_sm)) ==
          "EEPResponse not for this SM~");
    CHECK(answer(replaced(header, bench.kmc.kmcid, other.kmcid)) == "26");
    const std::string renamed = identifier(keyload::kKmcidType, "Test", "T0001", other.pair.point());
    CHECK(answer(replaced(header, bench.kmc.kmcid, renamed)) == "EEPResponse KMC mismatch~");
    bench.request(other);
    CHECK(answer(header) == "00N0~");
    // One slot loads at a time.
    CHECK(answer(other.respond(bench.request(other), bench.sm_key())) == "26");
    // Its repeat is answered as before, also after a restart; anything else is not.
    CHECK(answer(header) == "00N0~");
    bench.restart();
    CHECK(answer(header) == "00N0~");
    CHECK(answer(replaced(header, "|20260102T030405Z|", "|20260102T030406Z|")) == "26");
    CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "00N0~N0~");
    CHECK(answer(header) == "26");
}

TEST_CASE("five wrong confirmations end a request, counted across restarts") {
    Ready bench;
    const std::string header = bench.kmc.respond(bench.request(bench.kmc), bench.sm_key());
    const std::string wrong = replaced(header, "|20260102T030405Z|", "|20260102T030406Z|");
    for (int i = 0; i < 4; ++i) {
        CHECK(bench.send("SM?KR", wrong) == "EEPKey confirmation failed~");
        bench.restart();
    }
    CHECK(bench.hsm.pairs.size() == 2);
    CHECK(bench.send("SM?KR", wrong) == "EEPKey confirmation failed~");
    CHECK(bench.hsm.pairs.size() == 1);
    CHECK(bench.send("SM?KR", wrong) == "26");
    CHECK(bench.send("SM?KR", header) == "26");
}

TEST_CASE("a request lives thirty days") {
    Ready bench;
    const std::string header = bench.kmc.respond(bench.request(bench.kmc), bench.sm_key());
    SECTION("and not a second more") {
        bench.clock.time += std::chrono::days{30} + 1s;
        CHECK(bench.send("SM?KR", header) == "EEPRequest expired~");
        CHECK(bench.hsm.pairs.size() == 1);
        CHECK(bench.send("SM?KR", header) == "26");
    }
    SECTION("to the last second") {
        bench.clock.time += std::chrono::days{30};
        CHECK(bench.send("SM?KR", header) == "00N0~");
    }
}

TEST_CASE("what makes a key record no good, and that it leaves nothing behind") {
    Ready bench;
    const TestKey key = dkg04_key();
    CHECK(bench.send("SM?KL", "x") == "49");
    bench.request(bench.kmc);
    {
        TestKmc early;
        CHECK(bench.send("SM?KL", with_crc("KEY.1|000000000000000000000000|ACT;|" + std::string(72, '0') +
                                           "|0000")) == "26");
    }
    bench.clock.time += 2min;
    bench.begin_load(bench.kmc);
    const std::string good = bench.kmc.key(key);
    const auto refused = [&](const std::string& record) {
        const auto keys = bench.hsm.size();
        const std::string answer = bench.send("SM?KL", record);
        CHECK(bench.hsm.size() == keys);
        CHECK(bench.store.staged.size() <= 1);
        return answer;
    };
    SECTION("every character counts") {
        for (std::size_t i = 0; i < good.size(); i += 7) {
            std::string other = good;
            other[i] = other[i] == '0' ? '1' : '0';
            CHECK(refused(other) == "49");
        }
        // With the CRC made right: authentication finds it, or the grammar.
        for (const auto& [from, to] : {std::pair{"KRN1", "KRN2"},
                                       {"ULM1000", "ULM9999"},
                                       {"EXP2099", "EXP2098"},
                                       {"KEY.1|01", "KEY.1|02"},
                                       {";SBMFFFF", ""},
                                       {"CLU0;", "CLU0;ABC;"}}) {
            CHECK(refused(replaced(good, from, to)) == "77");
        }
        std::string tag = good;
        tag[tag.size() - 6] = tag[tag.size() - 6] == '0' ? '1' : '0';
        CHECK(refused(with_crc(tag)) == "77");
        CHECK(refused(replaced(good, good.substr(good.size() - 9, 5), "|")) == "77");
    }
    SECTION("attributes and check value, once it is authentic") {
        const auto with = [&](auto change) {
            TestKey other = key;
            change(other.attributes);
            return bench.kmc.key(other);
        };
        CHECK(refused(with([](KeyAttributes& a) { a.dkg = Dkga::dkga02; })) == "94");
        CHECK(refused(with([](KeyAttributes& a) { a.ktc = KeyType::ditk; })) == "94");
        CHECK(refused(with([](KeyAttributes& a) { a.expiry = a.active_from; })) == "94");
        CHECK(refused(with([](KeyAttributes& a) { a.issue_until = a.expiry + 1s; })) == "94");
        CHECK(refused(with([](KeyAttributes& a) { a.clm_bits = 0x7F800000; })) == "94");
        CHECK(refused(with([](KeyAttributes& a) { a.cluster = 1; })) == "94");
        CHECK(refused(bench.kmc.key(key, Kcv{1, 2, 3})) == "94");
        CHECK(refused(bench.kmc.key_of_cards("ACT20260101T000000Z;", key.value)) == "94");
        CHECK(refused(bench.kmc.key_of_cards("", key.value)) == "94");
        for (const std::size_t size : {1U, 7U, 9U, 16U, 19U}) {
            TestKey odd = key;
            odd.value = Octets(size, 1);
            CHECK(refused(bench.kmc.key(odd, Kcv{})) == "94");
        }
    }
    SECTION("a nonce twice, an identity twice") {
        CHECK(bench.send("SM?KL", good).starts_with("00N1~"));
        CHECK(bench.send("SM?KL", good).starts_with("00N1~"));
        keyload::Nonce used{};
        used[0] = 1;
        const std::string cards(keyload::parse_key(bench.kmc.key(dkg04_key(201458)))->cards_text);
        CHECK(refused(bench.kmc.key_with_nonce(used, cards, key.value)) == "94");
        CHECK(refused(bench.kmc.key(key)) == "28");
        CHECK(refused(bench.kmc.key(dkg04_key(201457, 1, 0x11))) == "28");
        CHECK(bench.send("SM?KL", bench.kmc.key(dkg04_key(201457, 2))).starts_with("00N2~"));
    }
    SECTION("more keys than registers") {
        for (std::uint32_t i = 0; i < 8; ++i)
            CHECK(bench.send("SM?KL", bench.kmc.key(dkg04_key(i))).starts_with("00N"));
        const std::string answer = bench.send("SM?KL", bench.kmc.key(dkg04_key(8)));
        CHECK(answer == "28");
    }
    SECTION("a record of another response to another request") {
        TestKmc other("T0002");
        bench.approve(other);
        other.respond(bench.request(other), bench.sm_key());
        CHECK(refused(other.key(key)) == "77");
    }
    SECTION("the HSM is away") {
        bench.hsm.away = true;
        CHECK(refused(good) == "01");
        bench.hsm.away = false;
        CHECK(bench.send("SM?KL", good).starts_with("00N1~"));
    }
}

TEST_CASE("a register whose key was lost from the token takes the same key anew") {
    Ready bench;
    bench.load(bench.kmc, {dkg04_key(1), dkg02_key(2)});
    const std::string before = bench.execute(Bench::credit(1));
    bench.hsm.vending_keys.clear();
    bench.restart();
    CHECK(bench.execute(Bench::credit(1)) == "01");
    bench.clock.time += 2min;
    bench.begin_load(bench.kmc);
    // Another key under the name of the lost one has another check value.
    TestKey other = dkg04_key(1);
    other.value[0] = static_cast<std::uint8_t>(other.value[0] ^ 1U);
    CHECK(bench.send("SM?KL", bench.kmc.key(other)) == "28");
    CHECK(bench.send("SM?KL", bench.kmc.key(dkg04_key(1))).starts_with("00N1~"));
    CHECK(bench.send("SM?KL", bench.kmc.key(dkg02_key(2))).starts_with("00N2~"));
    CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "00N2~N0~");
    CHECK(bench.execute(Bench::credit(1)) == before);
}

TEST_CASE("zeroise leaves no key, no slot and no identity, and can be done again when the HSM fails") {
    Ready bench;
    bench.load(bench.kmc, {dkg04_key(1), dkg02_key(2)});
    const std::string old_smid(bench.store.state.smid.view());
    bench.hsm.destroy_error = Errc::hsm_failed;
    CHECK_FALSE(bench.module->zeroise("officer1 and officer2"));
    CHECK_FALSE(bench.module->in_error_state());
    CHECK(bench.execute(Bench::credit(1)).starts_with("00P"));
    CHECK_FALSE(bench.store.approved.empty());
    bench.hsm.destroy_error.reset();
    REQUIRE(bench.module->zeroise("officer1 and officer2"));
    CHECK(bench.hsm.size() == 0);
    CHECK(bench.store.approved.empty());
    CHECK(bench.execute(Bench::credit(1)) == "GL!ER21");
    CHECK(bench.execute("SM?QI").starts_with("00P~"));
    bench.clock.time += 2min;
    const std::string again = bench.execute(Bench::initialisation());
    CHECK(again.starts_with("00P"));
    CHECK(bench.store.state.smid.view() != old_smid);
    CHECK(bench.execute("SM?MF") == "00");
}

TEST_CASE("a second file refreshes limits, adds keys and revokes what is missing") {
    Ready bench;
    bench.load(bench.kmc, {dkg04_key(1), dkg04_key(2), dkg02_key(3)});
    CHECK(bench.hsm.vending_keys.size() == 3);
    bench.store.registers[1].units_left = 5;
    bench.restart();
    bench.clock.time += 2min;
    bench.begin_load(bench.kmc);
    TestKey refreshed = dkg04_key(1);
    refreshed.attributes.ulm_units = 2000;
    CHECK(bench.send("SM?KL", bench.kmc.key(refreshed)).starts_with("00N1~"));
    CHECK(bench.send("SM?KL", bench.kmc.key(dkg04_key(4))).starts_with("00N4~"));
    // Until KF what was in force stays in force.
    CHECK(bench.execute(Bench::credit(2)).starts_with("00P"));
    CHECK(bench.store.registers[1].units_left == 5U);
    CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "00N2~N2~");
    CHECK(bench.store.registers[1].units_left == 20'000U);
    CHECK(bench.execute(Bench::credit(1)).starts_with("00P"));
    CHECK(bench.execute(Bench::credit(2)) == "22");
    CHECK(bench.execute(Bench::credit(3)) == "22");
    CHECK(bench.execute(Bench::credit(4)).starts_with("00P"));
    CHECK(bench.hsm.vending_keys.size() == 2);
    // The repeat of KF is answered as before and changes nothing; after a new request it is not known.
    bench.store.registers[1].units_left = 7;
    CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "00N2~N2~");
    CHECK(bench.store.registers[1].units_left == 7U);
    bench.clock.time += 2min;
    bench.request(bench.kmc);
    CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "26");
}

TEST_CASE("a reload must be the same key with the same type, algorithm and base date") {
    Ready bench;
    bench.load(bench.kmc, {dkg04_key(1)});
    bench.clock.time += 2min;
    bench.begin_load(bench.kmc);
    const auto with = [&](auto change) {
        TestKey other = dkg04_key(1);
        change(other);
        return bench.send("SM?KL", bench.kmc.key(other));
    };
    CHECK(with([](TestKey& key) { key.value[5] ^= 1; }) == "28");
    CHECK(with([](TestKey& key) { key.attributes.ktc = KeyType::dctk; }) == "28");
    CHECK(with([](TestKey& key) { key.attributes.base_date = BaseDate::y2035; }) == "28");
    CHECK(with([](TestKey& key) {
              key.value = Octets(8, 0xAB);
              key.attributes.dkg = Dkga::dkga02;
          }) == "28");
    CHECK(bench.hsm.vending_keys.size() == 1);
    SECTION("a key that was lost is brought back by its own file") {
        bench.hsm.vending_keys.clear();
        CHECK(with([](TestKey&) {}).starts_with("00N1~"));
        CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "00N1~N0~");
        CHECK(bench.execute(Bench::credit(1)).starts_with("00P"));
    }
    SECTION("the same key stays") {
        CHECK(with([](TestKey&) {}).starts_with("00N1~"));
        CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "00N1~N0~");
        CHECK(bench.hsm.vending_keys.size() == 1);
    }
}

TEST_CASE("a load that is broken off leaves what was in force") {
    Ready bench;
    bench.load(bench.kmc, {dkg04_key(1)});
    bench.clock.time += 2min;
    bench.begin_load(bench.kmc);
    CHECK(bench.send("SM?KL", bench.kmc.key(dkg04_key(2))).starts_with("00N2~"));
    SECTION("by a new request") {
        bench.request(bench.kmc);
        CHECK(bench.hsm.pairs.size() == 2);
    }
    SECTION("by a restart, after which it goes on") {
        bench.restart();
        CHECK(bench.send("SM?KL", bench.kmc.key(dkg04_key(1))).starts_with("00N1~"));
        CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "00N2~N0~");
        return;
    }
    CHECK(bench.hsm.keks.empty());
    CHECK(bench.hsm.vending_keys.size() == 1);
    CHECK(bench.execute(Bench::credit(1)).starts_with("00P"));
    CHECK(bench.execute(Bench::credit(2)) == "22");
    CHECK(bench.send("SM?KL", bench.kmc.key(dkg04_key(2))) == "26");
    CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "26");
}

TEST_CASE("a slot that is emptied takes its keys with it, and only its own") {
    Ready bench;
    TestKmc other("T0002");
    bench.approve(other);
    bench.load(bench.kmc, {dkg04_key(1)});
    bench.load(other, {dkg04_key(1), dkg04_key(2)});
    CHECK(bench.store.registers.size() == 3);
    CHECK(bench.execute("SM?VKN1~N2~P600727000000000009~N1~N11~N2~N2~N4~") == "29");
    CHECK(bench.execute("SM?VKN2~N3~P600727000000000009~N1~N11~N2~N2~N4~").starts_with("00N0~N4~"));
    CHECK(bench.send("SM?KX", bench.kmc.kmcid) == "00");
    CHECK(bench.execute(Bench::credit(1)) == "22");
    CHECK(bench.execute(Bench::credit(2)).starts_with("00P"));
    CHECK(bench.hsm.size() == 3);
    CHECK(bench.send("SM?KF", bench.kmc.kmcid) == "26");
}

TEST_CASE("registers of a slot without a finished load are not used") {
    Ready bench;
    bench.load(bench.kmc, {dkg04_key(1), dkg04_key(2)});
    bench.store.slots[1].active = false;
    bench.restart();
    CHECK(bench.execute(Bench::credit(1)) == "26");
    CHECK(bench.execute("SM?VKN1~N2~P600727000000000009~N1~N11~N2~N2~N4~") == "26");
    CHECK(bench.execute("SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~") == "26");
}

TEST_CASE("unknown cards are taken and told of") {
    Ready bench;
    bench.begin_load(bench.kmc);
    const TestKey key = dkg04_key();
    std::string cards(keyload::parse_key(bench.kmc.key(key))->cards_text);
    CHECK(bench.send("SM?KL", bench.kmc.key_of_cards(cards + "XYZ1;", key.value)).starts_with("00N1~"));
    CHECK(std::ranges::any_of(bench.store.audit, [](const std::string& entry) {
        return entry.starts_with("key record with unknown cards");
    }));
}

TEST_CASE("a change that cannot be stored puts the module in its error state") {
    Ready bench;
    bench.begin_load(bench.kmc);
    SECTION("at the commit") {
        bench.store.commit_error = Errc::storage_failed;
    }
    SECTION("before it") {
        bench.store.put_error = Errc::storage_failed;
    }
    CHECK(bench.send("SM?KL", bench.kmc.key(dkg04_key())) == "GL!ER58");
    CHECK(bench.execute("SM?DI") == "GL!ER58");
    // The new key is an orphan, which the next start destroys when the store has not kept it.
    bench.store.commit_error.reset();
    bench.store.put_error.reset();
    bench.store.staged.clear();
    bench.restart();
    CHECK(bench.hsm.vending_keys.empty());
    CHECK(bench.hsm.keks.size() == 1);
}

TEST_CASE("key management is for links that may do it") {
    Ready bench;
    for (const char* header : {"SM?KC", "SM?KR", "SM?KL", "SM?KF", "SM?KX"}) {
        CHECK(bench.execute(std::string(header) + "Px~", LinkRole::vend) == "GL!ER21");
    }
}

}  // namespace sts6
