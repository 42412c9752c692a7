// SPDX-License-Identifier: Apache-2.0
// Conformance packs, schema sts6.vectors/1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace sts6::conform {

struct PackRegister {
    std::uint32_t number = 0;
    unsigned dkga = 0;  ///< also one that is withdrawn
    unsigned ktc = 0;
    std::uint32_t sgc = 0;
    unsigned krn = 0;
    unsigned ken = 255;
    unsigned base_date = 1993;
    std::string value;  ///< of the test key, in hexadecimal; for throw-away modules only
};

enum class CaseKind : std::uint8_t { credit, management, key_change, meter_test, check_drn, unknown };

struct Case {
    std::string id;
    CaseKind kind = CaseKind::unknown;
    std::string kind_name;
    std::string sta_tables;  ///< "operational", "sample" or empty
    unsigned rnd = 5;
    std::uint32_t register_number = 0;
    std::string pan;
    unsigned ti = 0;
    unsigned ea = 0;
    unsigned subclass = 0;
    std::string tid;    ///< six hexadecimal digits
    std::string value;  ///< the coded field in hexadecimal
    std::string drn;
    std::uint32_t new_register = 0;
    unsigned new_ti = 0;
    unsigned set_size = 0;      ///< tokens of a key-change set
    std::uint64_t control = 0;  ///< of a meter test
    unsigned mfr_code = 0;      ///< of a meter test
    std::string module_time;    ///< CCYYMMDDThhmmssZ of a key change that names its time, or empty
    std::vector<std::optional<std::string>> tokens;  ///< none = not published
    std::optional<std::string> expect_status;
};

struct Pack {
    std::string name;  ///< the file's name
    std::filesystem::path path;
    std::vector<PackRegister> registers;
    std::vector<Case> cases;

    [[nodiscard]] const PackRegister* find_register(std::uint32_t number) const;
};

/// None when the file is JSON of another schema. Throws std::runtime_error when it cannot be read, is no
/// JSON, or does not follow the schema.
std::optional<Pack> read_pack(const std::filesystem::path& path);

}  // namespace sts6::conform
