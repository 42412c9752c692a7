// SPDX-License-Identifier: Apache-2.0
#include "tools/conform/lab_keys.hpp"

#include <algorithm>
#include <stdexcept>

#include "firmware/keyload/file.hpp"
#include "firmware/keyload/records.hpp"
#include "sts6/hex.hpp"
#include "tools/kmc/crypto.hpp"

namespace sts6::conform {

namespace {

constexpr CivilTime kActive = civil_time(1993, 1, 1);
constexpr CivilTime kExpiry = civil_time(2099, 12, 31);
// Of the KMC's clock; the module's at a load is kLabTime.
constexpr CivilTime kResponseTime = civil_time(2002, 1, 1);

bool is_withdrawn(const PackRegister& source) {
    return source.dkga == 1 || source.dkga == 3;
}

std::string name_of(const PackRegister& source) {
    return "register " + std::to_string(source.number) + " of the pack";
}

kmc::VendingKey vending_key(const PackRegister& source) {
    const bool known_algorithm = source.dkga == static_cast<unsigned>(Dkga::dkga02) ||
                                 source.dkga == static_cast<unsigned>(Dkga::dkga04);
    if (!known_algorithm) throw std::runtime_error(name_of(source) + " holds no key that a KMC could have");
    kmc::VendingKey key;
    key.attributes.sgc = source.sgc;
    key.attributes.krn = static_cast<std::uint8_t>(source.krn);
    key.attributes.ktc = static_cast<KeyType>(source.ktc);
    key.attributes.dkg = static_cast<Dkga>(source.dkga);
    key.attributes.ken = static_cast<std::uint8_t>(source.ken);
    const auto base_date = base_date_of_year(static_cast<int>(source.base_date));
    const auto value = key.value.octets().first(vending_key_octets(key.attributes.dkg));
    if (!base_date || source.sgc > 999'999 || source.krn < 1 || source.krn > 9 || source.ktc < 1 ||
        source.ktc > 3 || source.ken > 255 || !read_hex(source.value, value)) {
        throw std::runtime_error(name_of(source) + " holds no key that a KMC could have");
    }
    key.attributes.base_date = *base_date;
    key.attributes.active_from = kActive;
    key.attributes.expiry = kExpiry;
    return key;
}

Response sent(Client& client, const std::string& message) {
    auto response = client.exchange(message);
    if (!response) throw std::runtime_error(message.substr(0, 5) + ": " + errc_text(response.error()));
    return std::move(*response);
}

Response accepted(Client& client, const std::string& message) {
    Response response = sent(client, message);
    if (!response.ok()) throw std::runtime_error(message.substr(0, 5) + " was answered " + response.text);
    return response;
}

/// The KEY record of a register.
const std::string& record_of(const PackRegister& source, const std::vector<std::string>& records) {
    const auto found = std::ranges::find_if(records, [&source](const std::string& record) {
        const auto key = keyload::parse_key(record);
        std::string sgc = std::to_string(source.sgc);
        sgc.insert(0, 10 - sgc.size(), '0');
        return key && key->cards.find("SGC") == sgc && key->cards.find("KRN") == std::to_string(source.krn);
    });
    if (found == records.end()) throw std::runtime_error("the key load file lacks " + name_of(source));
    return *found;
}

}  // namespace

LabKmc::LabKmc(const std::vector<PackRegister>& registers, const std::string& sm_record_file)
    : kmc_(kmc::make_kmc({.operator_name = "LAB",
                          .name = "TEST-KEYS",
                          .created = kActive,
                          .active_from = kActive,
                          .expiry = kExpiry})) {
    static_cast<void>(kmc::add_sm(kmc_, sm_record_file, false));
    for (const PackRegister& source : registers) {
        if (is_withdrawn(source)) continue;
        static_cast<void>(kmc::add_key(kmc_, vending_key(source), true));
        registers_.push_back(source);
    }
    std::ranges::sort(registers_, {}, &PackRegister::number);
}

std::string LabKmc::record_file() const {
    return keyload::write_file({kmc_.record}, kmc::sha1);
}

std::vector<std::string> LabKmc::load_into(Client& client) {
    const Response request = accepted(client, "SM?KCP" + kmc_.record + "~");
    // One printable field.
    const std::string record = request.body.substr(1, request.body.size() - 2);
    const kmc::Response response =
        kmc::respond(kmc_, keyload::write_file({record}, kmc::sha1), kResponseTime, kmc::random_octets);
    const auto file = keyload::read_file(response.file, kmc::sha1);
    if (file.records.empty()) throw std::runtime_error(keyload::fault_text(file.fault));
    accepted(client, "SM?KRP" + file.records[0] + "~");
    std::vector<std::string> left_out;
    for (const PackRegister& source : registers_) {
        const std::string message = "SM?KLP" + record_of(source, file.records) + "~";
        const Response loaded = sent(client, message);
        const bool cannot_hold =
            source.dkga == static_cast<unsigned>(Dkga::dkga02) && loaded.status == Status::device_failure;
        if (loaded.ok()) continue;
        if (!cannot_hold) throw std::runtime_error(name_of(source) + ": SM?KL was answered " + loaded.text);
        left_out.push_back(name_of(source) + " stays empty: the PKCS#11 token has nothing for DKG 02");
    }
    const auto header = keyload::parse_load_response(file.records[0]);
    if (!header) throw std::runtime_error("the KMC's response is none");
    accepted(client, "SM?KFP" + std::string(header->kmcid.text) + "~");
    return left_out;
}

}  // namespace sts6::conform
