// SPDX-License-Identifier: Apache-2.0
// The protocol's APDU binding (ISO/IEC 7816-4) in frames of a two-octet length and an APDU.
#include <array>
#include <cstdint>
#include <string>

#include "src/client/channel.hpp"
#include "sts6/commands.hpp"
#include "sts6/frame.hpp"
#include "sts6/hex.hpp"

namespace sts6::client {

namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSelect = "\x00\xA4\x04\x00\x06\xF0\x53\x54\x53\x36\x01"sv;
constexpr std::string_view kClass = "\x80"sv;
constexpr char kGetResponse = '\xC0';
constexpr std::size_t kLengthSize = 2;
constexpr std::size_t kStatusSize = 2;
constexpr std::size_t kShortData = 255;

constexpr unsigned kDone = 0x9000;
constexpr unsigned kUnknownInstruction = 0x6D00;
constexpr unsigned kMoreData = 0x61;  // first octet; the second says how much
constexpr unsigned kRefused = 0x66;   // first octet; the second is the status

void put(std::string& octets, std::size_t value) {
    octets += static_cast<char>(value & 0xFFU);
}
void put_length(std::string& octets, std::size_t value) {
    put(octets, value >> 8U);
    put(octets, value);
}
unsigned read_two(std::string_view octets) {
    return (static_cast<unsigned>(static_cast<unsigned char>(octets[0])) << 8U) |
           static_cast<unsigned char>(octets[1]);
}

/// Lc, the data and Le, which asks for all there is; short when the data fit, else extended.
std::string command_apdu(std::uint8_t instruction, std::string_view data) {
    std::string apdu(kClass);
    put(apdu, instruction);
    put_length(apdu, 0);
    if (data.size() <= kShortData) {
        if (!data.empty()) put(apdu, data.size());
        apdu += data;
        put(apdu, 0);
        return apdu;
    }
    put(apdu, 0);
    put_length(apdu, data.size());
    apdu += data;
    put_length(apdu, 0);
    return apdu;
}

std::uint8_t instruction_of(std::string_view message) {
    const CommandRow* row = find_command(message);
    return row == nullptr ? std::uint8_t{0} : row->ins;
}

class ApduChannel final : public Channel {
  public:
    using Channel::Channel;

    [[nodiscard]] bool carries(std::string_view message) const override {
        return instruction_of(message) != 0;
    }

    Result<void> open(Deadline deadline) override {
        close();
        if (const auto opened = stream().open(deadline); !opened) return Unexpected{opened.error()};
        if (const auto sent = write(deadline, kSelect); !sent) return Unexpected{sent.error()};
        const auto answer = read(deadline);
        if (!answer) return Unexpected{answer.error()};
        if (read_two(*answer) != kDone || answer->size() != kStatusSize) return Unexpected{Errc::malformed};
        return {};
    }

    Result<void> send(Deadline deadline, std::string_view message) override {
        answer_head_ = message.substr(0, frame::kHeaderLength);
        answer_head_[2] = '!';
        return write(deadline, command_apdu(instruction_of(message), message.substr(frame::kHeaderLength)));
    }

    Result<std::string> receive(Deadline deadline) override {
        std::string data;
        for (;;) {
            const auto answer = read(deadline);
            if (!answer) return Unexpected{answer.error()};
            const std::size_t size = answer->size() - kStatusSize;
            data.append(*answer, 0, size);
            const unsigned status = read_two(std::string_view(*answer).substr(size));
            if (status >> 8U != kMoreData) return as_line(status, data);
            // A chain that brings nothing, or more than a message may be, would not end.
            if (size == 0 || data.size() > frame::kLongest) return Unexpected{Errc::malformed};
            std::string more(kClass);
            more += kGetResponse;
            put_length(more, 0);
            put(more, status);
            if (const auto sent = write(deadline, more); !sent) return Unexpected{sent.error()};
        }
    }

  private:
    /// What a line would have for a status word and its data.
    [[nodiscard]] Result<std::string> as_line(unsigned status, const std::string& data) const {
        if (status == kDone) return answer_head_ + "00" + data;
        if (status == kUnknownInstruction && data.empty()) return std::string("GL!ER21");
        if (status >> 8U != kRefused) return Unexpected{Errc::malformed};
        if ((status & 0xFFU) == 0xEE) return answer_head_ + "EEP" + data + "~";
        const std::string code{hex_digit(status >> 4U), hex_digit(status)};
        const bool decimal = code[0] <= '9' && code[1] <= '9';
        if (!data.empty() || !decimal || code == "00") return Unexpected{Errc::malformed};
        return (code == "57" || code == "58" ? "GL!ER" : answer_head_) + code;
    }

    Result<void> write(Deadline deadline, std::string_view apdu) {
        report(FrameDirection::sent, apdu);
        std::string octets;
        put_length(octets, apdu.size());
        octets += apdu;
        return stream().write(deadline, octets);
    }

    /// The next response APDU, which has a status word.
    Result<std::string> read(Deadline deadline) {
        for (;;) {
            const std::size_t size = held().size() < kLengthSize ? 0 : read_two(held());
            if (held().size() >= kLengthSize + size && held().size() >= kLengthSize) {
                std::string apdu = held().substr(kLengthSize, size);
                report(FrameDirection::received, apdu);
                drop(kLengthSize + size);
                if (size < kStatusSize) return Unexpected{Errc::malformed};
                return apdu;
            }
            if (const auto more = read_more(deadline); !more) return Unexpected{more.error()};
        }
    }

    std::string answer_head_;  ///< "SM!VC"
};

}  // namespace

std::unique_ptr<Channel> make_apdu_channel(std::unique_ptr<Stream> stream) {
    return std::make_unique<ApduChannel>(std::move(stream));
}

}  // namespace sts6::client
