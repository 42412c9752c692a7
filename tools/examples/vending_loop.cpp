// SPDX-License-Identifier: Apache-2.0
// A vending loop, as short as one that does it right can be. It reads lines "PAN AMOUNT" from standard input,
// the amount in tenths of a kWh, vends on one register of a module, and prints a line for each.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <sts6/civil_time.hpp>
#include <sts6/client.hpp>
#include <sts6/ptvd.hpp>

namespace {

// Of the meters that this shop sells for. A system of its own has them in its table of meters.
constexpr std::uint32_t kTi = 1;
constexpr std::uint32_t kEa = 11;
constexpr std::uint32_t kTct = 2;
constexpr std::uint32_t kSubclass = 0;  // electricity in kWh

// A token's 16-bit amount is these numbers themselves; larger ones are coded (docs/tokens.md 9).
constexpr std::uint32_t kMostTenths = 16383;
constexpr std::uint32_t kMostTid = 0xFFFFFF;

struct Sale {
    std::string pan;
    std::uint32_t tenths = 0;
};

std::optional<Sale> read_sale(const std::string& line) {
    std::istringstream words(line);
    Sale sale;
    std::string amount;
    std::string more;
    // Whatever goes into a message is digits: anything else could bring fields of its own.
    const bool digits =
        words >> sale.pan >> amount && !(words >> more) && sale.pan.size() == 18 &&
        std::all_of(sale.pan.begin(), sale.pan.end(), [](char c) { return c >= '0' && c <= '9'; });
    const auto tenths = sts6::ptvd::parse_number(amount);
    if (!digits || !tenths || *tenths > kMostTenths) return std::nullopt;
    sale.tenths = *tenths;
    return sale;
}

/// Minutes of local time since the base year began (docs/tokens.md 8). A meter takes each TID once, so two
/// tokens for it need two; minute 00:01 of a day is reserved.
std::optional<std::uint32_t> next_tid(int base_year, std::optional<std::uint32_t> last) {
    const std::time_t now = std::time(nullptr);
    const std::tm* local = std::localtime(&now);
    if (local == nullptr) return std::nullopt;
    const auto time = sts6::civil_time(local->tm_year + 1900, static_cast<unsigned>(local->tm_mon + 1),
                                       static_cast<unsigned>(local->tm_mday), local->tm_hour, local->tm_min);
    auto tid =
        std::chrono::duration_cast<std::chrono::minutes>(time - sts6::civil_time(base_year, 1, 1)).count();
    if (tid < 0) return std::nullopt;
    if (last) tid = std::max<std::int64_t>(tid, *last + 1);
    if (tid % (24 * 60) == 1) ++tid;
    if (tid > kMostTid) return std::nullopt;
    return static_cast<std::uint32_t>(tid);
}

std::string refusal(const sts6::Response& answer) {
    const auto row = sts6::find_status(answer.code);
    return "refused: " + answer.code + " " + (row ? row->meaning : "a status that is not in the table");
}

/// The module may have made the token and taken it from the limits. Asking for another one would sell twice;
/// somebody must look for this TID in the module's audit log.
std::string unknown(std::string_view why, std::uint32_t tid) {
    std::ostringstream text;
    text << "UNKNOWN: " << why << "; a token of TID " << std::hex << std::uppercase << tid
         << " may have been made: see the audit log before selling again";
    return text.str();
}

std::string in_groups(std::string_view digits) {
    std::string text;
    for (std::size_t i = 0; i < digits.size(); i += 4) text += " " + std::string(digits.substr(i, 4));
    return text;
}

class Till {
  public:
    Till(std::string url, std::uint32_t register_number, sts6::ClientOptions options)
        : url_(std::move(url)), register_(register_number), options_(std::move(options)) {}

    /// What to print, and whether a token was sold.
    std::pair<std::string, bool> sell(const Sale& sale) {
        // Changes nothing and may be asked again and again: the sale begins when the module is there.
        const auto key = ask_until_answered("SM?GA" + register_field());
        if (!key) return {"not sold: the module does not answer", false};
        if (!key->ok()) return {refusal(*key), false};
        const std::size_t card = key->body.find(";BDT");
        const auto base_year =
            card == std::string::npos
                ? std::nullopt
                : sts6::ptvd::parse_number(std::string_view(key->body).substr(card + 4, 4));
        if (!base_year) return {"not sold: the register's base date is unknown", false};
        std::optional<std::uint32_t>& last = last_tid_[sale.pan];
        const auto tid = next_tid(static_cast<int>(*base_year), last);
        if (!tid) return {"not sold: this machine's time is out of the key's range", false};
        last = tid;  // used, whatever comes of it
        return vend(sale, *tid);
    }

  private:
    std::pair<std::string, bool> vend(const Sale& sale, std::uint32_t tid) {
        std::array<char, 128> fields{};
        sts6::PtvdWriter writer(fields);
        writer.number(register_).printable(sale.pan).number(kTi).number(kEa).number(kTct).number(kSubclass);
        writer.octets_be(sale.tenths, 2).octets_be(tid, 3);
        const auto answer = client_->exchange("SM?VC" + std::string(writer.written()));
        if (!answer) return {unknown(errc_text(answer.error()), tid), false};
        // Not a refusal, and with Retry::none an answer: it may speak of noise in front of the command.
        if (answer->link_error && answer->status == sts6::Status::checksum_error) {
            return {unknown("a damaged command, or noise before it", tid), false};
        }
        if (!answer->ok()) return {refusal(*answer), false};
        const auto parts = answer->fields();
        if (!parts || parts->size() != 2) return {"UNKNOWN: an answer without a token", false};
        return {"token" + in_groups((*parts)[1].value), true};
    }

    std::optional<sts6::Response> ask_until_answered(const std::string& message) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        for (;;) {
            if (!client_) {
                if (auto connected = sts6::Client::connect(url_, options_)) client_ = *std::move(connected);
            }
            if (client_) {
                if (auto answer = client_->exchange(message)) return *std::move(answer);
            }
            if (std::chrono::steady_clock::now() > until) return std::nullopt;
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
    }

    [[nodiscard]] std::string register_field() const { return "N" + std::to_string(register_) + "~"; }

    std::string url_;
    std::uint32_t register_;
    sts6::ClientOptions options_;
    std::optional<sts6::Client> client_;
    /// A system of its own stores them: this program, started again within the minute, uses a TID twice.
    std::map<std::string, std::optional<std::uint32_t>> last_tid_;
};

/// A module that is away comes back; a URL that is none stays so.
bool makes_sense(const std::string& url, const sts6::ClientOptions& options) {
    const auto connected = sts6::Client::connect(url, options);
    return connected || connected.error() != sts6::Errc::invalid_argument;
}

int usage() {
    std::cerr << "usage: vending_loop URL REGISTER [CA-FILE]\n";
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    const auto register_number = argc == 3 || argc == 4 ? sts6::ptvd::parse_number(argv[2]) : std::nullopt;
    if (!register_number) return usage();
    sts6::ClientOptions options;
    if (argc == 4) options.tls_ca = argv[3];
    if (!makes_sense(argv[1], options)) return usage();
    Till till(argv[1], *register_number, options);
    bool all_sold = true;
    for (std::string line; std::getline(std::cin, line);) {
        const auto sale = read_sale(line);
        const auto [text, sold] =
            sale ? till.sell(*sale)
                 : std::pair("not read: a sale is a PAN of 18 digits and 0 to 16383 tenths of a kWh", false);
        std::cout << line << ": " << text << std::endl;
        all_sold = all_sold && sold;
    }
    return all_sold ? 0 : 1;
}
