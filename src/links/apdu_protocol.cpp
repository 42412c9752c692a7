// SPDX-License-Identifier: Apache-2.0
#include "src/links/apdu_protocol.hpp"

#include <algorithm>

#include "sts6/status.hpp"

namespace sts6 {

namespace {

// ISO 7816-4.
enum StatusWord : unsigned {
    kDone = 0x9000,
    kMoreData = 0x6100,  ///< and how many octets
    kSm = 0x6600,        ///< and the module's status
    kWrongLength = 0x6700,
    kConditions = 0x6985,  ///< not selected, or nothing to get
    kNoApplication = 0x6A82,
    kWrongParameters = 0x6A86,
    kUnknownInstruction = 0x6D00,
    kUnknownClass = 0x6E00,
};

constexpr unsigned kSelect = 0xA4;
constexpr unsigned kGetResponse = 0xC0;
constexpr unsigned kIsoClass = 0x00;
constexpr unsigned kClass = 0x80;
constexpr std::string_view kApplication("\xF0STS6\x01", 6);

// vpcd's messages of one octet.
constexpr std::string_view kPowerOff("\x00", 1);
constexpr std::string_view kPowerOn("\x01", 1);
constexpr std::string_view kReset("\x02", 1);
constexpr std::string_view kGetAtr("\x04", 1);

/// T=1 and no other protocol. Historical octets: "STS6" as the issuer's data; as capabilities, selection by
/// the full name and extended lengths.
constexpr std::string_view kAtr("\x3B\x8A\x01\x80\x54STS6\x73\x80\x00\x40\x8E", 14);

constexpr bool atr_is_consistent() {
    unsigned check = 0;
    for (const char c : kAtr.substr(1)) check ^= static_cast<unsigned char>(c);
    return check == 0 && (static_cast<unsigned char>(kAtr[1]) & 0x0FU) == kAtr.size() - 4;
}
static_assert(atr_is_consistent());

constexpr unsigned octet(std::string_view text, std::size_t at) noexcept {
    return static_cast<unsigned char>(text[at]);
}

constexpr unsigned number(std::string_view text, std::size_t at) noexcept {
    return octet(text, at) << 8U | octet(text, at + 1);
}

const CommandRow* find_instruction(unsigned ins) noexcept {
    if (ins == 0) return nullptr;
    const auto* row = std::ranges::find(kCommandTable, ins, &CommandRow::ins);
    return row == kCommandTable.end() ? nullptr : row;
}

/// The digits of a status code as BCD, EE as it is.
unsigned status_octet(Status status) noexcept {
    unsigned value = 0;
    for (const char c : status_code(status)) {
        value =
            value << 4U | (c <= '9' ? static_cast<unsigned>(c - '0') : static_cast<unsigned>(c - 'A' + 10));
    }
    return value;
}

}  // namespace

/// The next frame without its length; an empty one stands for one that was too long and has been skipped.
std::optional<std::string_view> ApduProtocol::next_frame() noexcept {
    if (skipped_ > 0) {
        const std::size_t size = std::min(skipped_, input_.held().size());
        input_.drop_front(size);
        skipped_ -= size;
        return skipped_ == 0 ? std::optional<std::string_view>("") : std::nullopt;
    }
    const std::string_view held = input_.held();
    if (held.size() < kLengthSize) return std::nullopt;
    const std::size_t length = number(held, 0);
    if (length > kLongestApdu) {
        input_.drop_front(kLengthSize);
        skipped_ = length;
        return next_frame();
    }
    if (held.size() < kLengthSize + length) return std::nullopt;
    input_.drop_front(kLengthSize + length);
    return held.substr(kLengthSize, length);
}

LinkStep ApduProtocol::next(Exchange& exchange) {
    while (!in_progress_) {
        const auto frame = next_frame();
        if (!frame) break;
        const bool is_control = form_ == Form::virtual_card && frame->size() == 1;
        const LinkStep step = is_control ? control(*frame) : apdu(*frame, exchange);
        if (step.kind != LinkStep::Kind::receive) return step;
    }
    return {};
}

LinkStep ApduProtocol::control(std::string_view frame) noexcept {
    if (frame == kPowerOff || frame == kPowerOn || frame == kReset) power_cycle();
    if (frame != kGetAtr) return {};
    std::ranges::copy(kAtr, response_.begin() + kLengthSize);
    response_[0] = 0;
    response_[1] = static_cast<char>(kAtr.size());
    return {LinkStep::Kind::send, {response_.data(), kLengthSize + kAtr.size()}};
}

void ApduProtocol::power_cycle() noexcept {
    selected_ = false;
    rest_ = {};
}

/// What stands behind CLA INS P1 P2 (ISO 7816-4, 5.1), or none when its lengths do not fit.
std::optional<ApduProtocol::Body> ApduProtocol::read_body(std::string_view rest) noexcept {
    constexpr std::size_t kMost = 0x10000;
    const auto or_most = [](std::size_t length, std::size_t most) { return length == 0 ? most : length; };
    // Who leaves Le out takes what there is: APDU scripts do.
    if (rest.empty()) return Body{"", kMost};
    if (rest.size() == 1) return Body{"", or_most(octet(rest, 0), 0x100)};
    if (octet(rest, 0) != 0) {
        const std::size_t size = octet(rest, 0);
        if (rest.size() == 1 + size) return Body{rest.substr(1), kMost};
        if (rest.size() != 1 + size + 1) return std::nullopt;
        return Body{rest.substr(1, size), or_most(octet(rest, 1 + size), 0x100)};
    }
    if (rest.size() < 3) return std::nullopt;
    const std::size_t size = number(rest, 1);
    if (rest.size() == 3) return Body{"", or_most(size, kMost)};
    if (size == 0) return std::nullopt;
    if (rest.size() == 3 + size) return Body{rest.substr(3), kMost};
    if (rest.size() != 3 + size + 2) return std::nullopt;
    return Body{rest.substr(3, size), or_most(number(rest, 3 + size), kMost)};
}

LinkStep ApduProtocol::apdu(std::string_view apdu, Exchange& exchange) {
    if (apdu.size() < kHeaderSize) return refuse(kWrongLength);
    const unsigned cla = octet(apdu, 0);
    const unsigned ins = octet(apdu, 1);
    if (cla != kIsoClass && cla != kClass) return refuse(kUnknownClass);
    if (cla == kIsoClass && ins == kSelect) return select(apdu);
    if (!selected_) return refuse(kConditions);
    if (cla == kIsoClass && ins != kGetResponse) return refuse(kUnknownClass);
    const CommandRow* row = find_instruction(ins);
    if (row == nullptr && ins != kGetResponse) return refuse(kUnknownInstruction);
    if (number(apdu, 2) != 0) return refuse(kWrongParameters);
    const auto body = read_body(apdu.substr(kHeaderSize));
    if (!body) return refuse(kWrongLength);
    if (row != nullptr) return command(*row, *body, exchange);
    if (!body->data.empty()) return refuse(kWrongLength);
    if (rest_.empty()) return refuse(kConditions);
    return {LinkStep::Kind::send, respond(body->expected)};
}

/// By name, the first or only occurrence (P1 P2 04 00). A name that is not there leaves the selection as it
/// was.
LinkStep ApduProtocol::select(std::string_view apdu) {
    rest_ = {};
    if (number(apdu, 2) != 0x0400) return refuse(kWrongParameters);
    const auto body = read_body(apdu.substr(kHeaderSize));
    if (!body || body->data.empty()) return refuse(kWrongLength);
    if (body->data != kApplication) return refuse(kNoApplication);
    selected_ = true;
    return {LinkStep::Kind::send, encode("", kDone)};
}

LinkStep ApduProtocol::command(const CommandRow& row, const Body& body, Exchange& exchange) {
    if (body.data.size() > kLongestBody) return refuse(kWrongLength);
    const auto end = std::ranges::copy(body.data, std::ranges::copy(row.header, message_.begin()).out).out;
    exchange.message = {message_.data(), static_cast<std::size_t>(end - message_.begin())};
    exchange.role = role_;
    exchange.expired = false;
    expected_ = body.expected;
    rest_ = {};
    in_progress_ = true;
    return {LinkStep::Kind::command, {}};
}

std::string_view ApduProtocol::release(const Exchange& exchange) noexcept {
    in_progress_ = false;
    const Answer& answer = exchange.answer;
    if (answer.is_link_error() && answer.status() == Status::invalid_request_header) {
        return encode("", kUnknownInstruction);
    }
    if (answer.status() == Status::successful) {
        status_word_ = kDone;
    } else {
        status_word_ = kSm | status_octet(answer.status());
    }
    std::string_view data = answer.body();
    if (answer.status() == Status::sts_extended_error && data.size() >= 2) {
        data = data.substr(1, data.size() - 2);  // the text of "P<text>~"
    }
    std::ranges::copy(data, data_.begin());
    rest_ = {data_.data(), data.size()};
    return respond(expected_);
}

/// As much of the rest as is expected.
std::string_view ApduProtocol::respond(std::size_t expected) noexcept {
    const std::string_view now = rest_.substr(0, expected);
    rest_.remove_prefix(now.size());
    if (rest_.empty()) return encode(now, status_word_);
    // 00: 256 or more.
    return encode(now, kMoreData | (rest_.size() < 0x100 ? static_cast<unsigned>(rest_.size()) : 0U));
}

LinkStep ApduProtocol::refuse(unsigned status_word) noexcept {
    return {LinkStep::Kind::send, encode("", status_word)};
}

std::string_view ApduProtocol::encode(std::string_view data, unsigned status_word) noexcept {
    std::size_t size = 0;
    const auto put = [&](std::size_t value) { response_[size++] = static_cast<char>(value & 0xFFU); };
    const std::size_t length = data.size() + 2;
    put(length >> 8U);
    put(length);
    for (const char c : data) response_[size++] = c;
    put(status_word >> 8U);
    put(status_word);
    return {response_.data(), size};
}

}  // namespace sts6
