// SPDX-License-Identifier: Apache-2.0
// Messages on a link (docs/protocol.md): header, body, four CRC digits in hexadecimal, CR; raw or in the TCP
// envelope.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "sts6/hex.hpp"
#include "sts6/status.hpp"

namespace sts6 {

/// CRC-16/ARC: reflected 0x8005, initial value 0, no final xor. "123456789" gives BB3D. `before` is the CRC
/// of the text that precedes.
constexpr std::uint16_t crc16_arc(std::string_view text, std::uint16_t before = 0) noexcept {
    constexpr auto kTable = [] {
        std::array<std::uint16_t, 256> table{};
        for (unsigned i = 0; i < table.size(); ++i) {
            unsigned value = i;
            for (int bit = 0; bit < 8; ++bit) value = (value & 1U) ? (value >> 1U) ^ 0xA001U : value >> 1U;
            table[i] = static_cast<std::uint16_t>(value);
        }
        return table;
    }();
    unsigned crc = before;
    for (const char c : text) crc = (crc >> 8U) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFFU];
    return static_cast<std::uint16_t>(crc);
}

namespace frame {

inline constexpr char kEnd = '\r';
inline constexpr std::size_t kHeaderLength = 5;  ///< "SM?VC"
inline constexpr std::size_t kCrcLength = 4;
inline constexpr std::size_t kShortest = kHeaderLength + kCrcLength;  ///< header and CRC, without CR
inline constexpr std::size_t kLongest = 4096;                         ///< header to CRC, without CR

inline constexpr std::array<std::uint8_t, 6> kEnvelopeMagic = {0xED, 0xF1, 0x2B, 0x00, 0xFE, 0xED};
inline constexpr std::size_t kEnvelopeHeader = 8;      ///< length and magic
inline constexpr std::size_t kEnvelopeLongest = 4110;  ///< the largest length field
inline constexpr std::size_t kEnvelopeShortest = 7;

/// Whether it has only characters of a message, x20..x7E.
constexpr bool is_text(std::string_view text) noexcept {
    for (const char c : text) {
        if (c < ' ' || c > '~') return false;
    }
    return true;
}

/// A line with its CRC checked and a printable header: header and body without CRC and CR, or none.
constexpr std::optional<std::string_view> check(std::string_view line) noexcept {
    if (line.size() < kShortest || line.size() > kLongest) return std::nullopt;
    const std::string_view message = line.substr(0, line.size() - kCrcLength);
    std::array<std::uint8_t, 2> crc{};
    if (!read_hex(line.substr(message.size()), crc)) return std::nullopt;
    if (crc16_arc(message) != ((crc[0] << 8U) | crc[1])) return std::nullopt;
    // The CRC does not see zeros before the message.
    if (!is_text(message.substr(0, kHeaderLength))) return std::nullopt;
    return message;
}

/// Octets that encode() adds to a message, in an envelope or without.
constexpr std::size_t overhead(bool enveloped) noexcept {
    return kCrcLength + 1 + (enveloped ? kEnvelopeHeader : 0);
}

/// Writes the message `head` + `body` with its CRC and CR, enveloped or raw, into `out`, which must hold both
/// and overhead(enveloped) more. Returns the octets written.
constexpr std::size_t encode(std::string_view head, std::string_view body, bool enveloped,
                             std::span<char> out) noexcept {
    std::size_t size = 0;
    const auto put = [&](unsigned octet) { out[size++] = static_cast<char>(octet & 0xFFU); };
    if (enveloped) {
        const std::size_t length = kEnvelopeMagic.size() + head.size() + body.size() + kCrcLength + 1;
        put(static_cast<unsigned>(length >> 8U));
        put(static_cast<unsigned>(length));
        for (const std::uint8_t octet : kEnvelopeMagic) put(octet);
    }
    for (const char c : head) out[size++] = c;
    for (const char c : body) out[size++] = c;
    const unsigned crc = crc16_arc(body, crc16_arc(head));
    for (int shift = 12; shift >= 0; shift -= 4) out[size++] = hex_digit(crc >> static_cast<unsigned>(shift));
    out[size++] = kEnd;
    return size;
}

constexpr std::size_t encode(std::string_view message, bool enveloped, std::span<char> out) noexcept {
    return encode(message, {}, enveloped, out);
}

}  // namespace frame

/// What a decoder found at the front of its input.
struct Framed {
    enum class Kind : std::uint8_t {
        incomplete,  ///< more octets are needed
        message,     ///< `message` is header and body, CRC checked and removed
        damaged,     ///< octets that are no valid message: answer GL!ER20 once
    };
    Kind kind = Kind::incomplete;
    std::string_view message;  ///< valid until the next call of the decoder
};

/// Cuts raw lines out of a stream in fixed memory. Lone CRs and an LF after a CR are skipped.
class LineDecoder {
  public:
    /// Consumes octets from the front of `in` up to the end of one message or of `in`.
    Framed next(std::string_view& in) noexcept {
        while (!in.empty()) {
            if (size_ == 0 && !too_long_ && skip_ignored(in)) continue;
            const std::size_t end = in.find(frame::kEnd);
            const std::string_view part = in.substr(0, end);
            append(part);
            after_cr_ = false;
            if (end == std::string_view::npos) {
                in = {};
                break;
            }
            in.remove_prefix(end + 1);
            after_cr_ = true;
            return finish();
        }
        return {};
    }
    /// True when octets of an unfinished line are held.
    [[nodiscard]] bool partial() const noexcept { return size_ != 0 || too_long_; }
    /// Drops an unfinished line (2 s of silence).
    void reset() noexcept {
        size_ = 0;
        too_long_ = false;
    }

  private:
    bool skip_ignored(std::string_view& in) noexcept {
        const bool ignored = in.front() == frame::kEnd || (in.front() == '\n' && after_cr_);
        if (!ignored) return false;
        after_cr_ = in.front() == frame::kEnd;
        in.remove_prefix(1);
        return true;
    }
    void append(std::string_view part) noexcept {
        if (too_long_ || part.size() > line_.size() - size_) {
            too_long_ = true;
            return;
        }
        std::memcpy(line_.data() + size_, part.data(), part.size());
        size_ += part.size();
    }
    Framed finish() noexcept {
        const auto message = too_long_ ? std::nullopt : frame::check({line_.data(), size_});
        size_ = 0;
        too_long_ = false;
        if (!message) return {Framed::Kind::damaged, {}};
        return {Framed::Kind::message, *message};
    }

    std::array<char, frame::kLongest> line_{};
    std::size_t size_ = 0;
    bool too_long_ = false;
    bool after_cr_ = false;
};

/// Cuts enveloped messages out of a stream in fixed memory. After octets that start no envelope it answers
/// `damaged` once and looks for the next one. Lone CRs and an LF after a CR between envelopes are skipped.
class EnvelopeDecoder {
  public:
    /// What the first octets of a connection say about it.
    enum class Guess : std::uint8_t { undecided, enveloped, raw };
    static constexpr Guess guess(std::string_view first) noexcept {
        if (first.empty()) return Guess::undecided;
        if (!could_start(first.substr(0, frame::kEnvelopeHeader))) return Guess::raw;
        return first.size() < frame::kEnvelopeHeader ? Guess::undecided : Guess::enveloped;
    }

    /// Consumes octets from the front of `in` up to the end of one message or of `in`.
    Framed next(std::string_view& in) noexcept {
        while (!in.empty()) {
            if (size_ < frame::kEnvelopeHeader) {
                octets_[size_++] = in.front();
                in.remove_prefix(1);
                if (could_start(held())) continue;
                if (find_next_start()) return {Framed::Kind::damaged, {}};
                continue;
            }
            searching_ = false;
            const std::size_t whole = length_of(held()) + 2;
            const std::size_t part = whole - size_ < in.size() ? whole - size_ : in.size();
            std::memcpy(octets_.data() + size_, in.data(), part);
            size_ += part;
            in.remove_prefix(part);
            if (size_ == whole) return finish();
        }
        return {};
    }
    [[nodiscard]] bool partial() const noexcept { return size_ != 0 || searching_; }
    void reset() noexcept {
        size_ = 0;
        searching_ = false;
    }

  private:
    static constexpr std::size_t length_of(std::string_view start) noexcept {
        return (static_cast<std::size_t>(static_cast<unsigned char>(start[0])) << 8U) |
               static_cast<unsigned char>(start[1]);
    }
    /// Whether one to eight octets can be the start of an envelope.
    static constexpr bool could_start(std::string_view start) noexcept {
        if (start.size() == 1) return static_cast<unsigned char>(start[0]) <= frame::kEnvelopeLongest >> 8U;
        const std::size_t length = length_of(start);
        if (length < frame::kEnvelopeShortest || length > frame::kEnvelopeLongest) return false;
        for (std::size_t i = 2; i < start.size(); ++i) {
            if (static_cast<unsigned char>(start[i]) != frame::kEnvelopeMagic[i - 2]) return false;
        }
        return true;
    }
    [[nodiscard]] std::string_view held() const noexcept { return {octets_.data(), size_}; }
    /// Drops octets until those left can start an envelope. True when a run of damage begins with them.
    bool find_next_start() noexcept {
        const bool known = searching_;
        do {
            const char dropped = octets_[0];
            searching_ |= dropped != frame::kEnd && !(dropped == '\n' && after_cr_);
            after_cr_ = dropped == frame::kEnd;
            --size_;
            std::memmove(octets_.data(), octets_.data() + 1, size_);
        } while (size_ > 0 && !could_start(held()));
        return searching_ && !known;
    }
    Framed finish() noexcept {
        const std::string_view line = held().substr(frame::kEnvelopeHeader);
        size_ = 0;
        after_cr_ = line.back() == frame::kEnd;
        const auto message = after_cr_ ? frame::check(line.substr(0, line.size() - 1)) : std::nullopt;
        if (!message) {
            // A wrong length leaves octets behind that belong to the same damage.
            searching_ = true;
            return {Framed::Kind::damaged, {}};
        }
        return {Framed::Kind::message, *message};
    }

    std::array<char, frame::kEnvelopeLongest + 2> octets_{};
    std::size_t size_ = 0;
    bool searching_ = false;  ///< in a run of damage that has been reported
    bool after_cr_ = false;
};

}  // namespace sts6
