// SPDX-License-Identifier: Apache-2.0
// The house rules that matter are tests: who may include whom, licence lines, line lengths, left-over marks.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace sts6 {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string_view>;

const fs::path& source_dir() {
    static const fs::path dir = STS6_SOURCE_DIR;
    return dir;
}

struct Include {
    std::string name;
    bool quoted = false;
};

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        lines.emplace_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

std::vector<Include> includes_of(std::string_view text) {
    std::vector<Include> found;
    for (const std::string& line : lines_of(text)) {
        std::string_view rest = line;
        const auto skip = [&rest](std::string_view characters) {
            rest.remove_prefix(std::min(rest.find_first_not_of(characters), rest.size()));
        };
        skip(" \t");
        if (!rest.starts_with('#')) continue;
        rest.remove_prefix(1);
        skip(" \t");
        if (!rest.starts_with("include")) continue;
        rest.remove_prefix(std::string_view("include").size());
        skip(" \t");
        if (rest.empty() || (rest[0] != '"' && rest[0] != '<')) continue;
        const bool quoted = rest[0] == '"';
        rest.remove_prefix(1);
        found.push_back({std::string(rest.substr(0, rest.find(quoted ? '"' : '>'))), quoted});
    }
    return found;
}

bool starts_with_any(std::string_view text, const Names& prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [text](auto prefix) { return text.starts_with(prefix); });
}

constexpr std::string_view kStandardHeaders =
    " "
    "algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv "
    "chrono cinttypes climits clocale cmath codecvt compare complex concepts condition_variable "
    "coroutine csetjmp csignal cstdarg cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar "
    "cwctype deque exception execution filesystem format forward_list fstream functional future "
    "initializer_list iomanip ios iosfwd iostream istream iterator latch limits list locale map "
    "memory memory_resource mutex new numbers numeric optional ostream queue random ranges ratio "
    "regex scoped_allocator semaphore set shared_mutex source_location span sstream stack stdexcept "
    "stop_token streambuf string string_view syncstream system_error thread tuple type_traits "
    "typeindex typeinfo unordered_map unordered_set utility valarray variant vector version ";

bool is_standard_header(const std::string& name) {
    return kStandardHeaders.find(" " + name + " ") != std::string_view::npos;
}

// The folder that a rule speaks of: "include", "firmware/sts", "src/links", "tools/bench".
std::string room_of(std::string_view path) {
    const std::size_t top = path.find('/');
    if (top == std::string_view::npos) return {};
    if (path.starts_with("include/")) return "include";
    const std::size_t room = path.find('/', top + 1);
    return std::string(path.substr(0, room == std::string_view::npos ? top : room));
}

// What a room may name in quotes beside its own files and "sts6/...": docs/architecture.md, "Rooms".
Names neighbours_of(const std::string& room) {
    if (room == "firmware/module" || room == "firmware/commands") return {"firmware/"};
    if (room == "firmware/util") return {};
    if (room.starts_with("firmware/")) return {"firmware/util/"};
    if (room == "src/pkcs11" || room == "src/store") return {"firmware/ports/", "firmware/util/"};
    if (room == "src/links") return {"firmware/ports/"};
    if (room == "src/admin") return {"firmware/ports/", "firmware/keyload/", "firmware/util/"};
    if (room == "src/daemon") return {"firmware/", "src/"};
    if (room == "tools/sts6ctl")
        return {"src/client/", "firmware/sts/", "firmware/keyload/", "firmware/util/",
                "src/daemon/state_dir.hpp"};
    if (room == "tools/kmc") return {"src/client/", "firmware/sts/", "firmware/keyload/", "firmware/util/"};
    if (room == "tools/conform")
        return {"src/client/", "firmware/sts/", "firmware/keyload/", "firmware/util/", "tools/kmc/"};
    return {};
}

bool may_name_anything(const std::string& room) {
    return room == "tools/bench" || room.starts_with("tests");
}

bool may_name_in_quotes(const std::string& room, std::string_view name) {
    if (may_name_anything(room)) return true;
    const std::string own = room == "include" ? "sts6/" : room + "/";
    return name.starts_with("sts6/") || name.starts_with(own) || starts_with_any(name, neighbours_of(room));
}

bool may_name_in_brackets(const std::string& room, const std::string& name) {
    static const Names hsm_libraries = {"pkcs11", "p11-kit/", "libp11", "p11.h"};
    static const Names not_in_firmware = {"openssl/", "asio",     "sqlite3", "spdlog/", "filesystem",
                                          "fstream",  "thread",   "mutex",   "sys/",    "unistd",
                                          "iostream", "netinet/", "arpa/",   "pthread"};
    if (may_name_anything(room)) return true;
    if (room == "include") return is_standard_header(name);
    if (starts_with_any(name, hsm_libraries)) return room == "src/pkcs11" || room == "tools/shim";
    if (room == "firmware/util") return is_standard_header(name) && !starts_with_any(name, not_in_firmware);
    if (room.starts_with("firmware/")) return !starts_with_any(name, not_in_firmware);
    if (room.starts_with("tools/") && name.starts_with("openssl/")) {
        return room == "tools/kmc" || room == "tools/sts6ctl";  // the trailer of a file is a SHA-1
    }
    return true;
}

std::vector<std::string> include_breaches(std::string_view path, std::string_view text) {
    std::vector<std::string> breaches;
    const std::string room = room_of(path);
    for (const Include& include : includes_of(text)) {
        const bool allowed = include.quoted ? may_name_in_quotes(room, include.name)
                                            : may_name_in_brackets(room, include.name);
        if (!allowed) breaches.push_back(std::string(path) + " includes " + include.name);
    }
    return breaches;
}

bool has_extension(const fs::path& path, const Names& extensions) {
    return std::find(extensions.begin(), extensions.end(), path.extension().string()) != extensions.end();
}

bool is_cpp(const fs::path& path) {
    return has_extension(path, {".cpp", ".hpp", ".def"});
}

// A file that must say under which licence it stands: sources, build files, scripts.
bool needs_licence_line(const fs::path& path, std::string_view text) {
    return is_cpp(path) || has_extension(path, {".cmake", ".sh", ".py"}) ||
           path.filename() == "CMakeLists.txt" || text.starts_with("#!");
}

bool has_licence_line(std::string_view text) {
    const auto lines = lines_of(text);
    const std::size_t first = !lines.empty() && lines[0].starts_with("#!") ? 1 : 0;
    if (lines.size() <= first) return false;
    const std::string& line = lines[first];
    return line == "// SPDX-License-Identifier: Apache-2.0" ||
           line == "# SPDX-License-Identifier: Apache-2.0";
}

std::size_t characters(std::string_view line) {
    return static_cast<std::size_t>(std::count_if(
        line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }));
}

std::vector<std::string> line_breaches(std::string_view path, std::string_view text) {
    const std::size_t longest = path.ends_with("/commands.def") ? 120 : 110;
    std::vector<std::string> breaches;
    std::size_t number = 0;
    for (const std::string& line : lines_of(text)) {
        ++number;
        const std::string where = std::string(path) + ":" + std::to_string(number);
        if (characters(line) > longest) breaches.push_back(where + " is too long");
        if (line.find('\t') != std::string::npos) breaches.push_back(where + " has a tab");
        if (line.ends_with(' ') || line.ends_with('\r')) breaches.push_back(where + " ends in white space");
    }
    return breaches;
}

// Written apart, so that this file has none.
const Names& left_over_marks() {
    static const std::array<std::string, 3> marks = {std::string("TO") + "DO", std::string("FIX") + "ME",
                                                     std::string("XX") + "X"};
    static const Names views(marks.begin(), marks.end());
    return views;
}

// Whole words only: a template for mkdtemp is no mark.
bool has_left_over_mark(std::string_view text) {
    const auto is_word = [text](std::size_t at) {
        return at < text.size() &&
               (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_');
    };
    for (const std::string_view mark : left_over_marks()) {
        for (std::size_t at = text.find(mark); at != std::string_view::npos; at = text.find(mark, at + 1)) {
            if ((at == 0 || !is_word(at - 1)) && !is_word(at + mark.size())) return true;
        }
    }
    return false;
}

struct SourceFile {
    std::string path;  ///< relative to the project
    std::string text;
};

void read_into(std::vector<SourceFile>& files, const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    REQUIRE(in);
    files.push_back({fs::relative(path, source_dir()).generic_string(),
                     {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()}});
}

// Every file of the project's folders but test data.
const std::vector<SourceFile>& project() {
    static const std::vector<SourceFile> read = [] {
        std::vector<SourceFile> files;
        for (const char* const top : {"include", "firmware", "src", "tools", "tests", ".ci"}) {
            if (!fs::exists(source_dir() / top)) continue;
            for (auto entry = fs::recursive_directory_iterator(source_dir() / top);
                 entry != fs::recursive_directory_iterator(); ++entry) {
                if (entry->path() == source_dir() / "tests" / "data") {
                    entry.disable_recursion_pending();
                } else if (entry->is_regular_file()) {
                    read_into(files, entry->path());
                }
            }
        }
        read_into(files, source_dir() / "CMakeLists.txt");
        return files;
    }();
    return read;
}

void check_none(const std::vector<std::string>& breaches) {
    for (const std::string& breach : breaches) FAIL_CHECK(breach);
}

}  // namespace

TEST_CASE("house: the whole project is seen") {
    const auto has = [](std::string_view path) {
        return std::any_of(project().begin(), project().end(),
                           [path](const auto& file) { return file.path == path; });
    };
    CHECK(has("include/sts6/ptvd.hpp"));
    CHECK(has("include/sts6/commands.def"));
    CHECK(has("firmware/ports/hsm.hpp"));
    CHECK(has("src/daemon/main.cpp"));
    CHECK(has("tools/cmake/sts6_options.cmake"));
    CHECK(has("tools/test"));
    CHECK(has("tests/unit/house_test.cpp"));
    CHECK(has("CMakeLists.txt"));
}

TEST_CASE("house: includes follow the arrows") {
    for (const SourceFile& file : project()) {
        if (is_cpp(file.path)) check_none(include_breaches(file.path, file.text));
    }
}

TEST_CASE("house: what is included in quotes is a file of the project, named from its root") {
    for (const SourceFile& file : project()) {
        if (!is_cpp(file.path)) continue;
        for (const Include& include : includes_of(file.text)) {
            if (!include.quoted) continue;
            const bool exists = fs::is_regular_file(source_dir() / include.name) ||
                                (include.name.starts_with("sts6/") &&
                                 fs::is_regular_file(source_dir() / "include" / include.name));
            if (!exists) FAIL_CHECK(file.path << " includes " << include.name);
        }
    }
}

TEST_CASE("house: every source says its licence") {
    for (const SourceFile& file : project()) {
        if (needs_licence_line(file.path, file.text) && !has_licence_line(file.text)) FAIL_CHECK(file.path);
    }
}

TEST_CASE("house: lines are short and nothing is left over") {
    for (const SourceFile& file : project()) {
        if (is_cpp(file.path)) check_none(line_breaches(file.path, file.text));
        if (has_left_over_mark(file.text)) FAIL_CHECK(file.path << " has a left-over mark");
    }
}

TEST_CASE("house: headers are included once") {
    for (const SourceFile& file : project()) {
        if (!file.path.ends_with(".hpp")) continue;
        if (file.text.find("\n#pragma once\n") == std::string::npos) FAIL_CHECK(file.path);
    }
}

// The checker itself: each of these must be a breach, or the tests above prove nothing.
TEST_CASE("house: the include check fires") {
    struct Case {
        std::string_view path;
        std::string_view line;
    };
    constexpr std::array kBreaches = {
        Case{"include/sts6/x.hpp", "#include \"firmware/util/secret.hpp\""},
        Case{"include/sts6/x.hpp", "#include <openssl/evp.h>"},
        Case{"include/sts6/x.hpp", "#include <unistd.h>"},
        Case{"include/sts6/x.hpp", "#include <nlohmann/json.hpp>"},
        Case{"firmware/sts/x.cpp", "#include \"firmware/ports/hsm.hpp\""},
        Case{"firmware/sts/x.cpp", "#include \"firmware/module/module.hpp\""},
        Case{"firmware/keyload/x.cpp", "#include \"firmware/sts/pan.hpp\""},
        Case{"firmware/policy/x.cpp", "#include \"firmware/ports/clock.hpp\""},
        Case{"firmware/ports/x.hpp", "#include \"firmware/module/module.hpp\""},
        Case{"firmware/util/x.hpp", "#include \"firmware/ports/hsm.hpp\""},
        Case{"firmware/util/x.hpp", "#include <string.h>"},
        Case{"firmware/module/x.cpp", "#include \"src/store/sqlite_store.hpp\""},
        Case{"firmware/module/x.cpp", "  #  include \"src/store/sqlite_store.hpp\""},
        Case{"firmware/commands/x.cpp", "#include \"tests/support/fake_ports.hpp\""},
        Case{"firmware/module/x.cpp", "#include <pkcs11.h>"},
        Case{"firmware/module/x.cpp", "#include <p11-kit/pkcs11.h>"},
        Case{"firmware/module/x.cpp", "#include <libp11.h>"},
        Case{"firmware/module/x.cpp", "#include <openssl/evp.h>"},
        Case{"firmware/module/x.cpp", "#include <asio.hpp>"},
        Case{"firmware/module/x.cpp", "#include <asio/ip/tcp.hpp>"},
        Case{"firmware/module/x.cpp", "#include <sqlite3.h>"},
        Case{"firmware/module/x.cpp", "#include <spdlog/spdlog.h>"},
        Case{"firmware/module/x.cpp", "#include <filesystem>"},
        Case{"firmware/module/x.cpp", "#include <fstream>"},
        Case{"firmware/module/x.cpp", "#include <thread>"},
        Case{"firmware/module/x.cpp", "#include <mutex>"},
        Case{"firmware/module/x.cpp", "#include <sys/stat.h>"},
        Case{"firmware/module/x.cpp", "#include <unistd.h>"},
        Case{"src/links/x.cpp", "#include \"src/store/sqlite_store.hpp\""},
        Case{"src/links/x.cpp", "#include \"src/daemon/config.hpp\""},
        Case{"src/links/x.cpp", "#include \"firmware/module/module.hpp\""},
        Case{"src/links/x.cpp", "#include <p11-kit/pkcs11.h>"},
        Case{"src/pkcs11/x.cpp", "#include \"src/links/listener.hpp\""},
        Case{"tools/conform/x.cpp", "#include <p11-kit/pkcs11.h>"},
        Case{"tools/shim/x.cpp", "#include \"src/pkcs11/session.hpp\""},
        Case{"src/pkcs11/x.cpp", "#include \"firmware/policy/policy.hpp\""},
        Case{"src/store/x.cpp", "#include \"src/pkcs11/token_hsm.hpp\""},
        Case{"src/store/x.cpp", "#include <libp11.h>"},
        Case{"src/client/x.cpp", "#include \"firmware/ports/exchange.hpp\""},
        Case{"src/client/x.cpp", "#include \"firmware/util/bytes.hpp\""},
        Case{"src/daemon/x.cpp", "#include \"tools/bench/load.hpp\""},
        Case{"src/daemon/x.cpp", "#include <p11-kit/pkcs11.h>"},
        Case{"src/attic/x.cpp", "#include \"firmware/ports/hsm.hpp\""},
        Case{"tools/sts6ctl/x.cpp", "#include \"src/daemon/config.hpp\""},
        Case{"tools/conform/x.cpp", "#include <openssl/evp.h>"},
        Case{"tools/conform/x.cpp", "#include \"src/daemon/state_dir.hpp\""},
        Case{"tools/conform/x.cpp", "#include \"firmware/module/module.hpp\""},
        Case{"tools/kmc/x.cpp", "#include \"src/pkcs11/token_hsm.hpp\""},
        Case{"src/links/x.cpp", "#include \"listener.hpp\""},
    };
    for (const Case& breach : kBreaches) {
        INFO(breach.path << ": " << breach.line);
        CHECK(include_breaches(breach.path, breach.line).size() == 1);
    }
}

TEST_CASE("house: the include check lets through what the table allows") {
    const auto allowed = [](std::string_view path, std::string_view line) {
        INFO(path << ": " << line);
        CHECK(include_breaches(path, line).empty());
    };
    allowed("include/sts6/x.hpp", "#include \"sts6/hex.hpp\"");
    allowed("include/sts6/x.hpp", "#include <string_view>");
    allowed("firmware/sts/x.cpp", "#include \"firmware/sts/pan.hpp\"");
    allowed("firmware/sts/x.cpp", "#include \"firmware/util/bytes.hpp\"");
    allowed("firmware/commands/x.cpp", "#include \"firmware/sts/token.hpp\"");
    allowed("src/pkcs11/x.cpp", "#include <p11-kit/pkcs11.h>");
    allowed("tools/shim/x.cpp", "#include <p11-kit/pkcs11.h>");
    allowed("src/pkcs11/x.cpp", "#include \"firmware/util/secret.hpp\"");
    allowed("src/links/x.cpp", "#include \"firmware/ports/exchange.hpp\"");
    allowed("src/daemon/main.cpp", "#include \"src/links/listener.hpp\"");
    allowed("src/client/x.cpp", "#include \"sts6/client.hpp\"");
    allowed("tools/sts6ctl/x.cpp", "#include \"src/daemon/state_dir.hpp\"");
    allowed("tools/kmc/x.cpp", "#include <openssl/evp.h>");
    allowed("tools/bench/x.cpp", "#include <p11-kit/pkcs11.h>");
    allowed("tests/unit/x.cpp", "#include \"src/store/sqlite_store.hpp\"");
    allowed("firmware/module/x.cpp", "// #include <thread>");
}

TEST_CASE("house: the licence check fires") {
    CHECK(has_licence_line("// SPDX-License-Identifier: Apache-2.0\n#pragma once\n"));
    CHECK(has_licence_line("#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\n"));
    CHECK_FALSE(has_licence_line(""));
    CHECK_FALSE(has_licence_line("#!/usr/bin/env bash\n"));
    CHECK_FALSE(has_licence_line("#pragma once\n// SPDX-License-Identifier: Apache-2.0\n"));
    CHECK_FALSE(has_licence_line("// SPDX-License-Identifier: MIT\n"));
    CHECK(needs_licence_line("tools/deps", "#!/usr/bin/env bash\n"));
    CHECK(needs_licence_line("src/CMakeLists.txt", ""));
    CHECK(needs_licence_line("include/sts6/x.def", ""));
    CHECK(needs_licence_line("tools/cmake/x.cmake", ""));
    CHECK_FALSE(needs_licence_line("tests/conformance/x.json", "{}"));
}

TEST_CASE("house: the line check fires") {
    const std::string limit(110, 'x');
    CHECK(line_breaches("src/x.cpp", limit + "\n").empty());
    CHECK(line_breaches("src/x.cpp", "\n" + limit + "x\n") ==
          std::vector<std::string>{"src/x.cpp:2 is too long"});
    CHECK(line_breaches("src/x.cpp", limit + "x").size() == 1);
    CHECK(line_breaches("include/sts6/commands.def", std::string(120, 'x')).empty());
    CHECK(line_breaches("include/sts6/commands.def", std::string(121, 'x')).size() == 1);
    CHECK(line_breaches("src/x.cpp", limit.substr(1) + "\xC3\xA9").empty());  // one character of two octets
    CHECK(line_breaches("src/x.cpp", "\tx\n").size() == 1);
    CHECK(line_breaches("src/x.cpp", "x \n").size() == 1);
    CHECK(line_breaches("src/x.cpp", "x\r\n").size() == 1);
}

TEST_CASE("house: the check for left-over marks fires") {
    for (const std::string_view mark : left_over_marks()) {
        CHECK(has_left_over_mark(mark));
        CHECK(has_left_over_mark("// " + std::string(mark) + ": later\n"));
        CHECK(has_left_over_mark("# " + std::string(mark) + "(name) later"));
        CHECK_FALSE(has_left_over_mark("a" + std::string(mark)));
        CHECK_FALSE(has_left_over_mark(std::string(mark) + "s"));
        CHECK_FALSE(has_left_over_mark("/tmp/sts6-" + std::string(mark) + std::string(mark)));
    }
    CHECK_FALSE(has_left_over_mark("mastodon"));
}

}  // namespace sts6
