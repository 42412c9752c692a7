// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include <catch2/catch.hpp>

#include "firmware/keyload/file.hpp"
#include "firmware/keyload/records.hpp"
#include "tools/kmc/key_options.hpp"
#include "tools/kmc/kmc.hpp"
#include "tools/kmc/kmc_error.hpp"
#include "tools/kmc/text.hpp"

namespace sts6::kmc {

inline constexpr CivilTime kNoon = civil_time(2026, 1, 2, 12);

/// Throws a KmcError with that exit code and these words in its sentence.
inline void check_error(const std::function<void()>& action, int code, const std::string& words = {}) {
    try {
        action();
    } catch (const KmcError& error) {
        CHECK(error.exit_code() == code);
        CAPTURE(error.what(), words);
        CHECK(std::string(error.what()).find(words) != std::string::npos);
        return;
    }
    FAIL_CHECK("not refused: " << words);
}
inline void check_refused(const std::function<void()>& action, const std::string& words = {}) {
    check_error(action, kExitRefused, words);
}
inline void check_usage(const std::function<void()>& action, const std::string& words = {}) {
    check_error(action, kExitUsage, words);
}
inline void check_damaged(const std::function<void()>& action, const std::string& words = {}) {
    check_error(action, kExitIntegrity, words);
}

/// A file of that one record, whose CRC is made right.
inline std::string file_of(std::string record) {
    record.resize(record.size() - 4);
    const std::uint16_t crc = keyload::record_crc(record);
    record += hex_text(std::array{static_cast<std::uint8_t>(crc >> 8U), static_cast<std::uint8_t>(crc)});
    return keyload::write_file({record}, sha1);
}

inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

/// The PKSM record of a module that has this key.
inline std::string sm_record(const std::string& manufacturer, const std::string& module_id,
                             const EcPoint& key, const keyload::Fingerprint& named) {
    keyload::Identifier smid{.text = {},
                             .issuer = manufacturer,
                             .unique = module_id,
                             .created = civil_time(2026, 1, 1),
                             .fingerprint = named};
    const std::string text =
        written([&](TextWriter& out) { keyload::put_identifier(out, keyload::kSmidType, smid); });
    smid.text = text;
    return written([&](TextWriter& out) {
        keyload::put_sm_key(out, {.smid = smid, .firmware_id = "F1", .hardware_id = "H1", .key = key});
    });
}
inline std::string sm_file(const std::string& manufacturer, const std::string& module_id,
                           const EcPoint& key) {
    return keyload::write_file({sm_record(manufacturer, module_id, key, fingerprint(key))}, sha1);
}

/// A request of that module, which the KMC knows.
inline std::string request_file(const Kmc& kmc, const std::string& module, const EcPoint& ephemeral,
                                CivilTime time = kNoon) {
    const auto own = keyload::parse_kmc_key(kmc.record);
    const auto sm = keyload::parse_sm_key(kmc.modules.at(module));
    const keyload::LoadRequest request{own->kmcid, sm->smid, time, ephemeral};
    return keyload::write_file({written([&](TextWriter& out) { keyload::put_load_request(out, request); })},
                               sha1);
}

/// A KMC of its own that knows module Test:1.
inline Kmc lab_kmc() {
    Kmc kmc =
        make_kmc({.operator_name = "Lab", .name = "K1", .created = kNoon, .active_from = {}, .expiry = {}});
    add_sm(kmc, sm_file("Test", "1", generate_key_pair().public_key), false);
    return kmc;
}

inline KeyOptions key_options(const std::string& sgc = "123456", const std::string& dkg = "04") {
    KeyOptions options;
    options.sgc = sgc;
    options.krn = "1";
    options.ktc = "vudk";
    options.dkg = dkg;
    options.base_date = "2014";
    return options;
}

/// As `key add` does it.
inline Kcv add_key(Kmc& kmc, const KeyOptions& options) {
    return add_key(kmc, vending_key(options, kNoon), !options.value.empty());
}

}  // namespace sts6::kmc
