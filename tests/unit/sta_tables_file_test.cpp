// SPDX-License-Identifier: Apache-2.0
// The licensee's file of EA07 tables: what is accepted, every refusal, and that no message shows a table.
#include "src/daemon/sta_tables_file.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <stdlib.h>

#include "firmware/sts/sta.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The tables that IEC 62055-41 prints, with its worked example as known answer.
json good_file() {
    return {
        {"schema", "sts6.sta-tables/1"},
        {"name", "mine42"},
        {"substitution_1", {12, 10, 8, 4, 3, 15, 0, 2, 14, 1, 5, 13, 6, 9, 7, 11}},
        {"substitution_2", {6, 9, 7, 4, 3, 10, 12, 14, 2, 13, 1, 15, 0, 11, 8, 5}},
        {"permutation",
         {29, 27, 34, 9,  16, 62, 55, 2,  40, 49, 38, 25, 33, 61, 30, 23, 1,  41, 21, 57, 42, 15,
          5,  58, 19, 53, 22, 17, 48, 28, 24, 39, 3,  60, 36, 14, 11, 52, 54, 12, 31, 51, 10, 26,
          0,  45, 37, 43, 44, 6,  59, 4,  7,  35, 56, 50, 13, 18, 32, 47, 46, 63, 20, 8}},
        {"known_answer",
         {{"key", "0ABC12DEF3456789"}, {"block", "0B19EB230100C207"}, {"cipher", "C45ED1619406DF95"}}},
    };
}

class Place {
  public:
    [[nodiscard]] const fs::path& path() const { return dir_.path(); }

    [[nodiscard]] Outcome<NamedStaTables> read_text(std::string_view text) const {
        std::ofstream file(dir_.path() / "tables.json", std::ios::binary);
        file << text;
        if (!file.flush()) throw std::runtime_error("cannot write");
        return read_sta_tables(dir_.path() / "tables.json");
    }
    [[nodiscard]] Outcome<NamedStaTables> read(const json& content) const {
        return read_text(content.dump());
    }

  private:
    conform::TemporaryDirectory dir_;
};

void check_refused(const Place& place, const Outcome<NamedStaTables>& tables, std::string_view why) {
    REQUIRE_FALSE(tables);
    CHECK(tables.error().code == Errc::malformed);
    // The whole message, so that nothing of the file can be in it.
    CHECK(tables.error().text == (place.path() / "tables.json").string() + ": " + std::string(why));
}

constexpr std::string_view kSchema = "does not follow the schema sts6.sta-tables/1";

}  // namespace

TEST_CASE("sta tables file: the printed tables are read") {
    const Place place;
    const auto tables = place.read(good_file());
    REQUIRE(tables);
    CHECK(tables->name == "mine42");
    constexpr std::array<std::uint8_t, 8> kKey = {0x0A, 0xBC, 0x12, 0xDE, 0xF3, 0x45, 0x67, 0x89};
    CHECK(sts::sta_encrypt(tables->tables, kKey, 0x0B19EB230100C207U) == 0xC45ED1619406DF95U);
    CHECK(sts::sta_decrypt(tables->tables, kKey, 0xC45ED1619406DF95U) == 0x0B19EB230100C207U);
}

TEST_CASE("sta tables file: names") {
    const Place place;
    json file = good_file();
    for (const char* name : {"a", "9", "0123456789abcdef"}) {
        file["name"] = name;
        CHECK(place.read(file));
    }
    for (const char* name :
         {"", "0123456789abcdefg", "Mine", "mine-LAB", "my tables", "a~b", "a_b", "\xC3\xA9"}) {
        INFO(name);
        file["name"] = name;
        check_refused(place, place.read(file), "the name must be 1 to 16 of a-z and 0-9");
    }
    file["name"] = "sample";
    check_refused(place, place.read(file), "this name is that of the built-in tables");
    for (const json& name : {json(7), json(nullptr), json::array({"mine"})}) {
        file["name"] = name;
        check_refused(place, place.read(file), kSchema);
    }
}

TEST_CASE("sta tables file: another schema or none") {
    const Place place;
    json file = good_file();
    for (const json& schema : {json("sts6.sta-tables/2"), json("sts6.vectors/1"), json(""), json(1)}) {
        file["schema"] = schema;
        check_refused(place, place.read(file), "not of schema sts6.sta-tables/1");
    }
    for (const std::string text : {"", "{", "[]", "null", "7", "\"sts6.sta-tables/1\"", "{}", "\xFF\xFE"}) {
        INFO(text);
        check_refused(place, place.read_text(text), kSchema);
    }
    check_refused(place, place.read_text(good_file().dump() + "x"), kSchema);
    for (const char* key :
         {"schema", "name", "substitution_1", "substitution_2", "permutation", "known_answer"}) {
        INFO(key);
        json lacking = good_file();
        lacking.erase(key);
        check_refused(place, place.read(lacking), kSchema);
    }
}

TEST_CASE("sta tables file: a table that is none") {
    const Place place;
    for (const char* key : {"substitution_1", "substitution_2", "permutation"}) {
        CAPTURE(key);
        const auto with = [&](const json& table) {
            json file = good_file();
            file[key] = table;
            return place.read(file);
        };
        json table = good_file()[key];
        table[0] = table[1];
        check_refused(place, with(table), "a table is no permutation");
        table[0] = table.size();
        check_refused(place, with(table), "a table is no permutation");
        for (const json& value : {json(256), json(-1), json(18446744073709551615U), json("12"), json(nullptr),
                                  json(true), json(0.5), json::array()}) {
            CAPTURE(value);
            table[0] = value;
            check_refused(place, with(table), kSchema);
        }
        json shorter = good_file()[key];
        shorter.erase(shorter.size() - 1);
        check_refused(place, with(shorter), kSchema);
        json longer = good_file()[key];
        longer.push_back(longer.size());
        check_refused(place, with(longer), kSchema);
        check_refused(place, with("0123456789ABCDEF"), kSchema);
        check_refused(place, with(json::object()), kSchema);
    }
}

TEST_CASE("sta tables file: a known answer that does not hold") {
    const Place place;
    const auto with = [&](const char* key, const json& value) {
        json file = good_file();
        file["known_answer"][key] = value;
        return place.read(file);
    };
    constexpr std::string_view kWrong = "the known answer does not hold";
    check_refused(place, with("key", "0ABC12DEF3456788"), kWrong);
    check_refused(place, with("block", "0B19EB230100C206"), kWrong);
    check_refused(place, with("cipher", "C45ED1619406DF94"), kWrong);
    for (const char* key : {"key", "block", "cipher"}) {
        CAPTURE(key);
        for (const json& value :
             {json("0ABC12DEF345678"), json("0ABC12DEF34567890"), json("0ABC12DEF34567890A"),
              json("0ABC12DEF345678G"), json(""), json(7), json(nullptr)}) {
            CAPTURE(value);
            check_refused(place, with(key, value), kSchema);
        }
        json lacking = good_file();
        lacking["known_answer"].erase(key);
        check_refused(place, place.read(lacking), kSchema);
    }
    // Tables that are permutations, but not those of the answer: two entries exchanged.
    for (const char* key : {"substitution_1", "substitution_2", "permutation"}) {
        json file = good_file();
        std::swap(file[key][0], file[key][1]);
        check_refused(place, place.read(file), kWrong);
    }
    json exchanged = good_file();
    std::swap(exchanged["substitution_1"], exchanged["substitution_2"]);
    check_refused(place, place.read(exchanged), kWrong);
}

TEST_CASE("sta tables file: a file that cannot be read") {
    const Place place;
    const auto missing = read_sta_tables(place.path() / "none.json");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == Errc::not_found);
    CHECK(missing.error().text == (place.path() / "none.json").string() + ": cannot be read");
    CHECK_FALSE(read_sta_tables(place.path()));
    CHECK_FALSE(read_sta_tables({}));
}

}  // namespace sts6
