// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/lab_keys.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "firmware/module/register_table.hpp"
#include "sts6/hex.hpp"

namespace sts6 {

namespace {

constexpr std::uint8_t kLabSlot = 1;

/// Test keys have no KMC, and every key has a slot.
Result<void> provide_lab_slot(SqliteStore& store) {
    Slot slot;
    slot.number = kLabSlot;
    slot.active = true;
    // Short enough.
    static_cast<void>(slot.kmc_operator.assign("LAB"));
    static_cast<void>(slot.kmc_name.assign("TEST-KEYS"));
    return store.put_slot(slot);
}

template <class T>
T in_range(const nlohmann::json& value, std::int64_t min, std::int64_t max) {
    const auto number = value.get<std::int64_t>();
    if (number < min || number > max) throw std::out_of_range("a number is out of its range");
    return static_cast<T>(number);
}

std::uint32_t sgc_of(const std::string& text) {
    std::uint32_t sgc = 0;
    if (text.empty() || text.size() > 6) throw std::out_of_range("sgc must be 1 to 6 digits");
    for (const char c : text) {
        if (c < '0' || c > '9') throw std::out_of_range("sgc must be 1 to 6 digits");
        sgc = sgc * 10 + static_cast<std::uint32_t>(c - '0');
    }
    return sgc;
}

RegisterRow row_of(const nlohmann::json& source) {
    RegisterRow row;
    row.slot = kLabSlot;
    row.number = in_range<std::uint16_t>(source.at("register"), 1, RegisterTable::kMost);
    KeyAttributes& key = row.attributes;
    key.sgc = sgc_of(source.at("sgc").get<std::string>());
    key.krn = in_range<std::uint8_t>(source.at("krn"), 1, 9);
    key.ktc = static_cast<KeyType>(in_range<std::uint8_t>(source.at("kt"), 1, 3));
    key.ken = in_range<std::uint8_t>(source.at("ken"), 0, 255);
    const auto base_date = base_date_of_year(in_range<int>(source.at("base_date"), 0, 9999));
    if (!base_date) throw std::out_of_range("base_date must be 1993, 2014 or 2035");
    key.base_date = *base_date;
    key.active_from = civil_time(1993, 1, 1);
    key.expiry = civil_time(2099, 12, 31);
    key.issue_until = civil_time(2099, 12, 31);
    return row;
}

/// None for an algorithm that is withdrawn.
std::optional<Dkga> dkga_of(const nlohmann::json& value) {
    for (const Dkga dkga : {Dkga::dkga02, Dkga::dkga04}) {
        if (value == static_cast<int>(dkga)) return dkga;
    }
    return std::nullopt;
}

/// The key object of a register. unsupported when the PKCS#11 token can't hold such a key.
Result<LoadedKey> create_key_object(const nlohmann::json& source, Dkga dkga, p11::Pkcs11Hsm& hsm) {
    Secret<20> value;
    const auto octets = value.octets().first(vending_key_octets(dkga));
    if (!read_hex(source.at("vk_hex").get_ref<const std::string&>(), octets)) {
        throw std::out_of_range("vk_hex must be " + std::to_string(octets.size()) + " octets for DKGA " +
                                std::to_string(static_cast<int>(dkga)));
    }
    return hsm.create_vending_key(dkga, octets);
}

/// Gives the register's number, 0 when it was left empty.
Outcome<std::uint32_t> create_key(const nlohmann::json& source, p11::Pkcs11Hsm& hsm, SqliteStore& store) {
    RegisterRow row = row_of(source);
    const std::string name = "register " + std::to_string(row.number);
    const auto dkga = dkga_of(source.at("dkga"));
    if (!dkga) {
        spdlog::warn(name + ": DKGA " + source.at("dkga").dump() + " is withdrawn, the register stays empty");
        return 0U;
    }
    row.attributes.dkg = *dkga;
    const auto key = create_key_object(source, *dkga, hsm);
    if (!key && key.error() == Errc::unsupported) {
        spdlog::warn(name + ": the PKCS#11 token has nothing for DKGA " + source.at("dkga").dump() +
                     ", the register stays empty");
        return 0U;
    }
    if (!key) return fail_at(name, key.error());
    row.key = key->id;
    row.wrapped_key = key->wrapped_key;
    const auto handle = hsm.find_key(key->id, row.attributes.dkg);
    if (!handle) return fail_at(name, handle.error());
    const auto kcv = hsm.check_value(*handle);
    if (!kcv) return fail_at(name, kcv.error());
    row.kcv = *kcv;
    if (auto added = store.put_register(row); !added) return fail_at(name, added.error());
    std::string kcv_text(2 * kcv->size(), '0');
    write_hex(*kcv, kcv_text.data());
    spdlog::info(name + ": SGC " + source.at("sgc").get<std::string>() + ", KRN " +
                 std::to_string(row.attributes.krn) + ", KCV " + kcv_text);
    return std::uint32_t{row.number};
}

}  // namespace

Outcome<std::uint32_t> create_lab_keys(const std::filesystem::path& pack, p11::Pkcs11Hsm& hsm,
                                       SqliteStore& store) {
    std::ifstream file(pack);
    if (!file) return fail(Errc::not_found, pack.string() + ": cannot be read");
    std::uint32_t highest = 0;
    try {
        const auto json = nlohmann::json::parse(file);
        if (json.at("schema") != "sts6.vectors/1") {
            return fail(Errc::malformed, pack.string() + ": not of schema sts6.vectors/1");
        }
        if (auto done = provide_lab_slot(store); !done) return fail_at("the test keys' slot", done.error());
        std::set<std::uint32_t> taken;
        for (const auto& source : json.at("registers")) {
            const auto number = create_key(source, hsm, store);
            if (!number) return Unexpected{number.error()};
            if (*number != 0 && !taken.insert(*number).second) {
                return fail(Errc::already_exists,
                            pack.string() + ": register " + std::to_string(*number) + " comes twice");
            }
            highest = std::max(highest, *number);
        }
    } catch (const nlohmann::json::parse_error& error) {
        // The library's own message quotes what it has read last, which may be a key.
        return fail(Errc::malformed, pack.string() + ": no JSON, at octet " + std::to_string(error.byte));
    } catch (const std::exception& error) {
        return fail(Errc::malformed, pack.string() + ": " + error.what());
    }
    const auto state = store.load_state();
    if (!state) return fail_at("the module's state", state.error());
    if (auto done = store.commit(*state, {}); !done) return fail_at("the test keys", done.error());
    return highest;
}

}  // namespace sts6
