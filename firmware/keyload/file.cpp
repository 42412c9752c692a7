// SPDX-License-Identifier: Apache-2.0
#include "firmware/keyload/file.hpp"

#include <algorithm>

#include "firmware/keyload/text.hpp"
#include "sts6/hex.hpp"

namespace sts6::keyload {

namespace {

std::string trailer_of(const std::vector<std::string>& records, Sha1 sha1) {
    std::string text;
    for (const std::string& record : records) text += record + "\n";
    const auto digest = sha1(text);
    std::string trailer(1 + 2 * digest.size(), '#');
    write_hex(digest, trailer.data() + 1);
    return trailer;
}

/// The lines that are not blank, without their ends.
std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!line.empty()) lines.emplace_back(line);
    }
    return lines;
}

bool is_line(const std::string& line) {
    return line.size() <= kLongestRecord &&
           std::ranges::all_of(line, [](char c) { return c >= ' ' && c <= '~'; });
}

bool is_trailer(const std::string& line) {
    std::array<std::uint8_t, 20> digest{};
    return line[0] == '#' && read_upper_hex(std::string_view(line).substr(1), digest);
}

FileFault fault_of(std::string_view text, const std::vector<std::string>& lines) {
    if (text.size() > kLargestFile || lines.size() > kMostRecords + 1) return FileFault::too_large;
    if (lines.empty()) return FileFault::empty;
    if (lines.front().starts_with("9500")) return FileFault::edition_1;
    if (!std::ranges::all_of(lines, is_line)) return FileFault::not_text;
    if (!is_trailer(lines.back())) return FileFault::no_trailer;
    return lines.size() == 1 ? FileFault::empty : FileFault::none;
}

}  // namespace

const char* fault_text(FileFault fault) noexcept {
    switch (fault) {
        case FileFault::none:
            return "the file is whole";
        case FileFault::too_large:
            return "the file is larger than a file of records may be (1 MiB, 4096 key records)";
        case FileFault::empty:
            return "the file holds no record";
        case FileFault::edition_1:
            return "this is a key load file of Edition 1 (records 9500 and 9520): its keys are "
                   "under a "
                   "DES key and this module cannot load it; ask the KMC for an Edition 2 key load file";
        case FileFault::not_text:
            return "the file holds other things than lines of printable ASCII of at most 1024 characters";
        case FileFault::no_trailer:
            return "the last line is no trailer ('#' and 40 hexadecimal digits): the file was cut";
        case FileFault::wrong_trailer:
            return "the trailer does not fit the records: the file was edited, cut or put in another order";
    }
    return "unknown";
}

RecordFile read_file(std::string_view text, Sha1 sha1) {
    RecordFile file;
    // Before its lines are looked at, so that a file of any size costs nothing.
    if (text.size() > kLargestFile) return {FileFault::too_large, {}};
    std::vector<std::string> lines = lines_of(text);
    file.fault = fault_of(text, lines);
    if (file.fault != FileFault::none) return file;
    const std::string trailer = std::move(lines.back());
    lines.pop_back();
    if (trailer != trailer_of(lines, sha1)) return {FileFault::wrong_trailer, {}};
    file.records = std::move(lines);
    return file;
}

std::string write_file(const std::vector<std::string>& records, Sha1 sha1) {
    std::string text;
    for (const std::string& record : records) text += record + "\n";
    return text + trailer_of(records, sha1) + "\n";
}

}  // namespace sts6::keyload
