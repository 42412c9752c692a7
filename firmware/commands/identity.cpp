// SPDX-License-Identifier: Apache-2.0
#include "firmware/commands/identity.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "firmware/util/text_writer.hpp"

namespace sts6::commands {

namespace {

// The whole answer to SM?GA, CRC included, is at most 248 characters, so that an envelope's length fits one
// octet.
constexpr std::size_t kMostCards = 235;

/// Attribute cards joined by ';', none trailing, ascending tags (docs/protocol.md). Hexadecimal follows the
/// key load file: upper case, CLM lower case.
class CardText {
  public:
    void card(std::string_view tag, std::string_view value) noexcept {
        if (size_ != 0) put(";");
        put(tag);
        put(value);
    }
    void number(std::string_view tag, std::uint64_t value, std::size_t digits = 1) noexcept {
        std::array<char, 20> buffer{};
        TextWriter text(buffer);
        card(tag, text.number(value, digits).written());
    }
    void date(std::string_view tag, CivilTime time) noexcept {
        const auto digits = format_civil_time(time);
        const std::string_view text(digits.data(), digits.size());
        card(tag, text.substr(0, 8));
        put("T");
        put(text.substr(8));
        put("Z");
    }
    void hex(std::string_view tag, std::uint32_t value, std::size_t digits, bool lower_case) noexcept {
        std::array<char, 8> text{};
        for (std::size_t i = digits; i-- > 0; value >>= 4U) {
            text[i] = (lower_case ? "0123456789abcdef" : "0123456789ABCDEF")[value & 0xFU];
        }
        card(tag, {text.data(), digits});
    }
    void append(const CardText& cards) noexcept {
        if (size_ != 0 && cards.size_ != 0) put(";");
        put(cards.view());
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }

  private:
    void put(std::string_view part) noexcept {
        for (const char c : part) {
            if (size_ < text_.size()) text_[size_++] = c;
        }
    }

    std::array<char, kMostCards> text_{};
    std::size_t size_ = 0;
};

void write_cards(const RegisterRow& row, CardText& cards) noexcept {
    const KeyAttributes& key = row.attributes;
    cards.date("ACT", key.active_from);
    cards.date("BDT", base_time(key.base_date));
    if (key.clm_bits) cards.hex("CLM", *key.clm_bits, 8, true);
    cards.number("CLU", key.cluster);
    cards.number("DKG", static_cast<std::uint8_t>(key.dkg), 2);
    cards.date("EXP", key.expiry);
    cards.date("IUT", key.issue_until);
    cards.hex("KCV", static_cast<std::uint32_t>((row.kcv[0] << 16U) | (row.kcv[1] << 8U) | row.kcv[2]), 6,
              false);
    cards.number("KEN", key.ken);
    cards.number("KRN", key.krn);
    cards.number("KTC", static_cast<std::uint8_t>(key.ktc));
    cards.hex("SBM", key.sbm, 4, false);
    cards.number("SGC", key.sgc, 10);
    CardText tail;
    if (key.ulm_units) tail.number("ULM", *key.ulm_units);
    // The product's own, behind the standard's: what is left.
    if (row.currency_left) tail.number("XCL", *row.currency_left);
    if (row.units_left) tail.number("XUL", *row.units_left);
    if (!key.sgn.empty()) {
        // Only the name may be too long for the rest: it is cut.
        constexpr std::size_t kTagAndSeparators = 5;
        const std::size_t taken = std::min(kMostCards, cards.size() + tail.size() + kTagAndSeparators);
        cards.card("SGN", key.sgn.view().substr(0, kMostCards - taken));
    }
    cards.append(tail);
}

}  // namespace

void identify(ModuleContext& context, Command& command) noexcept {
    command.succeed(command.body()
                        .printable(context.state.module_id.view())
                        .printable(context.settings.firmware_id.view()));
}

void identify_long(ModuleContext& context, Command& command) noexcept {
    command.succeed(command.body()
                        .printable(context.state.smid.view())
                        .printable(context.state.hardware_id.view())
                        .printable(context.settings.firmware_id.view())
                        .octets(context.settings.firmware_hash));
}

void query_date(ModuleContext& context, Command& command) noexcept {
    command.succeed(command.body().date_time(context.now.time).number(context.now.tid_window_days));
}

void query_counters(ModuleContext& context, Command& command) noexcept {
    constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
    // Without a licence there is no limit, which is how the largest number reads.
    command.succeed(
        command.body()
            .number(static_cast<std::uint32_t>(std::min<std::uint64_t>(context.state.tokens_issued, kMost)))
            .number(kMost));
}

void get_attributes(ModuleContext& context, Command& command) noexcept {
    const Register* found = context.registers.find(command.fields.number(0));
    if (found == nullptr) {
        command.refuse(Status::register_empty);
        return;
    }
    CardText cards;
    write_cards(found->row, cards);
    command.succeed(command.body().printable(cards.view()));
}

}  // namespace sts6::commands
