// SPDX-License-Identifier: Apache-2.0
// CRC, line and envelope: sm-protocol 1, octet by octet.
#include "sts6/frame.hpp"

#include <array>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace sts6 {
namespace {

using namespace std::literals;

struct Known {
    std::string_view message;
    std::string_view crc;
};

// Every frame that the protocol page works out.
constexpr std::array kKnown = {
    Known{"SM?DI", "9A51"},
    Known{"SM!DI00PSOFTSM01~PSTS6-001~", "8AB4"},
    Known{"GL?EC0000512345", "1F7F"},
    Known{"GL!EC0000512345", "0157"},
    Known{"GL?RR", "0E2E"},
    Known{"GL?RS", "CEEF"},
    Known{"GL!RS00", "B271"},
    Known{"SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~", "DCC6"},
    Known{"SM!VC00P32D98A5616345BE2E~P58625789986991357486~", "26E2"},
    Known{"SM?VCN6~P600727000000000009~N1~N11~N2~N0~H0001~H01E0~", "8D86"},
    Known{"SM?VCN1~P600727000000000009~N1~N11~N2~N4~H000001~H6D6F51~", "BB25"},
    Known{"SM?VMN1~P600727000000000009~N1~N11~N2~N1~HFFFF~H522A0B~", "FE11"},
    Known{"SM!VM00P0FB03E5B9962F5782~P18087553113701439362~", "B75D"},
    Known{"SM?VKN1~N1~P600727000000000009~N1~N11~N2~N2~N4~", "F1B7"},
    Known{"SM!VK00N0~N4~P0357DBF341198EC87026BE76CBB15E21E03A373495B96D43D66107F184C6D6B59AFA~"
          "P03854447086453451911027917994362424611526711807032935397719019019128690902932218~",
          "94DE"},
    Known{"SM?VTN1~P600727000000000009~N1~N11~P58625789986991357486~", "7CD8"},
    Known{"SM!VT00N0~N0~N0~H0001~H014EEC~", "7636"},
    Known{"GL!ER20", "A624"},
    Known{"GL!ER21", "66E5"},
    Known{"GL!ER57", "5467"},
    Known{"GL!ER58", "5027"},
    Known{"SM!VC31", "A7E5"},
    Known{"SM!VC41", "97E7"},
    Known{"SM!VC76", "A5A6"},
};

unsigned reversed(unsigned value, unsigned bits) {
    unsigned result = 0;
    for (unsigned i = 0; i < bits; ++i) result |= ((value >> i) & 1U) << (bits - 1 - i);
    return result;
}

// The textbook form: most significant bit first, octets and result reflected.
unsigned textbook_crc16_arc(std::string_view text) {
    unsigned crc = 0;
    for (const char c : text) {
        crc ^= reversed(static_cast<unsigned char>(c), 8) << 8U;
        for (int bit = 0; bit < 8; ++bit) {
            const unsigned shifted = crc << 1U;
            crc = ((crc & 0x8000U) != 0 ? shifted ^ 0x8005U : shifted) & 0xFFFFU;
        }
    }
    return reversed(crc, 16);
}

std::string encoded(std::string_view message, bool enveloped) {
    std::string out(message.size() + frame::overhead(enveloped), '?');
    CHECK(frame::encode(message, enveloped, out) == out.size());
    return out;
}

// What a decoder makes of a stream that arrives in the given parts: the messages, and "!" for each damage.
template <class Decoder>
std::vector<std::string> decoded(Decoder& decoder, const std::vector<std::string_view>& parts) {
    std::vector<std::string> found;
    for (std::string_view part : parts) {
        while (!part.empty()) {
            const Framed framed = decoder.next(part);
            if (framed.kind == Framed::Kind::message) found.emplace_back(framed.message);
            if (framed.kind == Framed::Kind::damaged) found.emplace_back("!");
        }
    }
    return found;
}

template <class Decoder>
std::vector<std::string> decoded(std::string_view stream) {
    Decoder decoder;
    return decoded(decoder, {stream});
}

// The same stream, cut once at every place, and octet by octet.
template <class Decoder>
void check_every_cut(std::string_view stream, const std::vector<std::string>& expected) {
    std::vector<std::string_view> octets;
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        Decoder decoder;
        INFO("cut at " << cut);
        CHECK(decoded(decoder, {stream.substr(0, cut), stream.substr(cut)}) == expected);
        CHECK_FALSE(decoder.partial());
        if (cut < stream.size()) octets.push_back(stream.substr(cut, 1));
    }
    Decoder decoder;
    CHECK(decoded(decoder, octets) == expected);
}

std::string message_of(std::size_t length_with_crc) {
    return "GL?EC" + std::string(length_with_crc - frame::kShortest, 'x');
}

std::string envelope_start(std::size_t length) {
    std::string start = {static_cast<char>(length >> 8U), static_cast<char>(length & 0xFFU)};
    for (const std::uint8_t octet : frame::kEnvelopeMagic) start += static_cast<char>(octet);
    return start;
}

using Messages = std::vector<std::string>;

}  // namespace

TEST_CASE("CRC-16/ARC: the check value, the empty text and every worked frame") {
    CHECK(crc16_arc("123456789") == 0xBB3D);
    CHECK(crc16_arc("") == 0);
    CHECK(textbook_crc16_arc("123456789") == 0xBB3D);
    for (const Known& known : kKnown) {
        INFO(known.message);
        const std::string line = std::string(known.message) + std::string(known.crc);
        CHECK(frame::check(line) == known.message);
        CHECK(encoded(known.message, false) == line + "\r");
        CHECK(textbook_crc16_arc(known.message) == crc16_arc(known.message));
    }
}

TEST_CASE("CRC-16/ARC agrees with its bitwise definition") {
    for (unsigned octet = 0; octet < 256; ++octet) {
        const std::string text(1, static_cast<char>(octet));
        CHECK(crc16_arc(text) == textbook_crc16_arc(text));
    }
    const auto seed = Catch::rngSeed();
    INFO("seed " << seed);
    std::mt19937 random(seed);
    for (int i = 0; i < 1000; ++i) {
        std::string text(random() % 300, '\0');
        for (char& c : text) c = static_cast<char>(random());
        CHECK(crc16_arc(text) == textbook_crc16_arc(text));
    }
}

TEST_CASE("a line's CRC: four digits in either case, high octet first") {
    CHECK(frame::check("SM?DI9A51") == "SM?DI");
    CHECK(frame::check("SM?DI9a51") == "SM?DI");
    CHECK_FALSE(frame::check("SM?DI519A"));
    CHECK_FALSE(frame::check("SM?DI9A5"));
    CHECK_FALSE(frame::check("SM?DI 9A51"));
    CHECK_FALSE(frame::check("SM?DI9A51 "));
    CHECK_FALSE(frame::check("SM?DI9A5G"));
    CHECK_FALSE(frame::check("SM?DI9A+1"));
    CHECK_FALSE(frame::check("SM?DI"));
    CHECK_FALSE(frame::check(""));
    // A CRC that fits what little there is does not make a message of it.
    CHECK_FALSE(frame::check("0000"));
    CHECK_FALSE(frame::check(encoded("SM?D", false).substr(0, 8)));
    CHECK_FALSE(frame::check("SM?VC4B37"));  // CRC-16/MODBUS, that of key load files, is another
}

TEST_CASE("every single damaged bit of a worked frame is found") {
    for (const Known& known : kKnown) {
        const std::string line = std::string(known.message) + std::string(known.crc);
        for (std::size_t bit = 0; bit < line.size() * 8; ++bit) {
            std::string damaged = line;
            damaged[bit / 8] =
                static_cast<char>(static_cast<unsigned char>(damaged[bit / 8]) ^ (1U << bit % 8));
            INFO(damaged);
            // The one exception is no damage: the case of a CRC digit.
            const bool case_only = bit / 8 >= known.message.size() && bit % 8 == 5 && line[bit / 8] >= 'A';
            CHECK(frame::check(damaged).has_value() == case_only);
        }
    }
}

TEST_CASE("an envelope is the length, the magic and the line") {
    CHECK(encoded("SM?DI", true) ==
          "\x00\x10\xED\xF1\x2B\x00\xFE\xED\x53\x4D\x3F\x44\x49\x39\x41\x35\x31\x0D"s);
    CHECK(frame::overhead(false) == 5);
    CHECK(frame::overhead(true) == 13);
    for (const std::size_t length : {std::size_t{249}, std::size_t{250}, frame::kLongest}) {
        const std::string message = message_of(length);
        const std::string envelope = encoded(message, true);
        CHECK(envelope.substr(0, 8) == envelope_start(6 + length + 1));
        CHECK(envelope.substr(8) == encoded(message, false));
    }
}

TEST_CASE("a message is the same in one piece and in two") {
    for (const Known& known : kKnown) {
        for (std::size_t cut = 0; cut <= known.message.size(); ++cut) {
            const auto head = known.message.substr(0, cut);
            const auto body = known.message.substr(cut);
            CHECK(crc16_arc(body, crc16_arc(head)) == crc16_arc(known.message));
            for (const bool enveloped : {false, true}) {
                std::string out(known.message.size() + frame::overhead(enveloped), '?');
                CHECK(frame::encode(head, body, enveloped, out) == out.size());
                CHECK(out == encoded(known.message, enveloped));
            }
        }
    }
}

TEST_CASE("lines are cut out of a stream wherever it is cut") {
    check_every_cut<LineDecoder>(
        "SM?DI9A51\rGL?RR0E2E\r\nSM?DI9A52\r\r\r\nGL?EC00005123451F7F\rnoise\rSM?DI9a51\r\n",
        {"SM?DI", "GL?RR", "!", "GL?EC0000512345", "!", "SM?DI"});
}

TEST_CASE("a lone CR and an LF after CR say nothing, an LF elsewhere is damage") {
    CHECK(decoded<LineDecoder>("\r").empty());
    CHECK(decoded<LineDecoder>("\r\r\n\r\n\r").empty());
    CHECK(decoded<LineDecoder>("\r\nSM?DI9A51\r\n") == Messages{"SM?DI"});
    CHECK(decoded<LineDecoder>("\nSM?DI9A51\r") == Messages{"!"});
    CHECK(decoded<LineDecoder>("\r\n\nSM?DI9A51\r") == Messages{"!"});
    CHECK(decoded<LineDecoder>("SM?DI9A51\n\r") == Messages{"!"});
    CHECK(decoded<LineDecoder>("SM?DI\n9A51\r") == Messages{"!"});
    CHECK(decoded<LineDecoder>(" SM?DI9A51\r") == Messages{"!"});
}

TEST_CASE("a header is printable: the CRC does not see zeros before it") {
    REQUIRE(crc16_arc("\0\0SM?DI"sv) == crc16_arc("SM?DI"));
    CHECK(decoded<LineDecoder>("\0SM?DI9A51\r"sv) == Messages{"!"});
    CHECK(decoded<LineDecoder>("\0\0\0\0\0SM?DI9A51\r"sv) == Messages{"!"});
    for (std::size_t at = 0; at < frame::kHeaderLength; ++at) {
        for (const char octet : {'\0', '\x1F', '\x7F', '\x80', '\xFF'}) {
            std::string message = "SM?DI";
            message[at] = octet;
            CHECK(decoded<LineDecoder>(encoded(message, false)) == Messages{"!"});
            CHECK(decoded<EnvelopeDecoder>(encoded(message, true)) == Messages{"!"});
        }
    }
    // What is wrong in a body is its command's to say.
    CHECK(decoded<LineDecoder>(encoded("SM?DI\x1F\x80"sv, false)) == Messages{"SM?DI\x1F\x80"});
    CHECK(decoded<LineDecoder>(encoded("SM?~ ", false)) == Messages{"SM?~ "});
}

TEST_CASE("a line has 9 to 4096 characters") {
    CHECK(decoded<LineDecoder>(encoded(message_of(9), false)) == Messages{message_of(9)});
    CHECK(decoded<LineDecoder>(encoded(message_of(4096), false)) == Messages{message_of(4096)});
    CHECK(decoded<LineDecoder>(encoded(message_of(4097), false)) == Messages{"!"});
    CHECK(decoded<LineDecoder>(encoded(message_of(100000), false)) == Messages{"!"});
    CHECK(decoded<LineDecoder>("SM?DI9A5\r") == Messages{"!"});
    CHECK(decoded<LineDecoder>("x\r") == Messages{"!"});
}

TEST_CASE("an overlong line is dropped to its CR and the next one counts") {
    const std::string stream = std::string(5000, 'x') + "\rSM?DI9A51\r";
    for (const std::size_t cut : {std::size_t{1}, std::size_t{4095}, std::size_t{4096}, std::size_t{4097},
                                  std::size_t{5000}, std::size_t{5001}}) {
        LineDecoder decoder;
        CHECK(decoded(decoder, {std::string_view(stream).substr(0, cut),
                                std::string_view(stream).substr(cut)}) == Messages{"!", "SM?DI"});
    }
    // What follows the limit is not taken for a line of its own.
    CHECK(decoded<LineDecoder>(std::string(4097, 'x') + "SM?DI9A51\r") == Messages{"!"});
}

TEST_CASE("silence drops a partial line") {
    LineDecoder decoder;
    CHECK_FALSE(decoder.partial());
    CHECK(decoded(decoder, {"SM?"}).empty());
    CHECK(decoder.partial());
    decoder.reset();
    CHECK_FALSE(decoder.partial());
    CHECK(decoded(decoder, {"SM?DI9A51\r"}) == Messages{"SM?DI"});

    const std::string overlong(5000, 'x');
    CHECK(decoded(decoder, {overlong}).empty());
    CHECK(decoder.partial());
    decoder.reset();
    CHECK_FALSE(decoder.partial());
    CHECK(decoded(decoder, {"SM?DI9A51\r"}) == Messages{"SM?DI"});
}

TEST_CASE("the first octets of a connection say whether it is enveloped") {
    using Guess = EnvelopeDecoder::Guess;
    const std::string envelope = encoded("SM?DI", true);
    for (std::size_t size = 0; size < 8; ++size) {
        CHECK(EnvelopeDecoder::guess(envelope.substr(0, size)) == Guess::undecided);
    }
    for (std::size_t size = 8; size <= envelope.size(); ++size) {
        CHECK(EnvelopeDecoder::guess(envelope.substr(0, size)) == Guess::enveloped);
    }
    for (std::size_t at = 2; at < 8; ++at) {
        std::string other = envelope;
        other[at] = static_cast<char>(other[at] ^ 1);
        CHECK(EnvelopeDecoder::guess(other) == Guess::raw);
        CHECK(EnvelopeDecoder::guess(other.substr(0, at + 1)) == Guess::raw);
        CHECK(EnvelopeDecoder::guess(other.substr(0, at)) == Guess::undecided);
    }
    CHECK(EnvelopeDecoder::guess(envelope_start(6)) == Guess::raw);
    CHECK(EnvelopeDecoder::guess(envelope_start(7)) == Guess::enveloped);
    CHECK(EnvelopeDecoder::guess(envelope_start(4110)) == Guess::enveloped);
    CHECK(EnvelopeDecoder::guess(envelope_start(4111)) == Guess::raw);
    CHECK(EnvelopeDecoder::guess("SM?DI9A51\r") == Guess::raw);
    CHECK(EnvelopeDecoder::guess("S") == Guess::raw);
    CHECK(EnvelopeDecoder::guess("\x11") == Guess::raw);
    CHECK(EnvelopeDecoder::guess("\xED") == Guess::raw);
    CHECK(EnvelopeDecoder::guess("\r\nSM?DI9A51\r") == Guess::raw);
}

TEST_CASE("envelopes are cut out of a stream wherever it is cut") {
    std::string wrong_crc = encoded("SM?DI", true);
    wrong_crc[16] = '2';
    check_every_cut<EnvelopeDecoder>(encoded("SM?DI", true) + encoded("GL?RR", true) + wrong_crc +
                                         encoded("GL?EC0000512345", true) + "noise" + encoded("SM?QD", true),
                                     {"SM?DI", "GL?RR", "!", "GL?EC0000512345", "!", "SM?QD"});
}

TEST_CASE("an envelope holds one whole line and nothing else") {
    const auto enveloped = [](const std::string& line) { return envelope_start(6 + line.size()) + line; };
    CHECK(decoded<EnvelopeDecoder>(enveloped("SM?DI9A51\r")) == Messages{"SM?DI"});
    CHECK(decoded<EnvelopeDecoder>(enveloped("SM?DI9a51\r")) == Messages{"SM?DI"});
    CHECK(decoded<EnvelopeDecoder>(enveloped("SM?DI9A51\n")) == Messages{"!"});
    CHECK(decoded<EnvelopeDecoder>(enveloped("SM?DI9A51")) == Messages{"!"});
    CHECK(decoded<EnvelopeDecoder>(enveloped("SM?DI9A51\r\r")) == Messages{"!"});
    CHECK(decoded<EnvelopeDecoder>(enveloped("\rSM?DI9A51\r")) == Messages{"!"});
    CHECK(decoded<EnvelopeDecoder>(enveloped("SM?DI9A51\rSM?DI9A51\r")) == Messages{"!"});
    CHECK(decoded<EnvelopeDecoder>(enveloped("SM?DI9A52\r")) == Messages{"!"});
    CHECK(decoded<EnvelopeDecoder>(enveloped("\r")) == Messages{"!"});
    CHECK(decoded<EnvelopeDecoder>(encoded(message_of(4096), true)) == Messages{message_of(4096)});
    CHECK(decoded<EnvelopeDecoder>(encoded(message_of(4097), true)) == Messages{"!"});
    // The largest length field that is taken for one: its line is too long.
    CHECK(decoded<EnvelopeDecoder>(encoded(message_of(4103), true)) == Messages{"!"});
}

TEST_CASE("octets that start no envelope are one damage, and the next envelope counts") {
    const std::string good = encoded("SM?DI", true);
    const Messages expected{"!", "SM?DI"};
    CHECK(decoded<EnvelopeDecoder>("x" + good) == expected);
    CHECK(decoded<EnvelopeDecoder>(std::string(5000, 'x') + good) == expected);
    CHECK(decoded<EnvelopeDecoder>("SM?DI9A51\rSM?DI9A51\r" + good) == expected);
    CHECK(decoded<EnvelopeDecoder>(envelope_start(6) + good) == expected);
    CHECK(decoded<EnvelopeDecoder>(envelope_start(4111) + std::string(50, '\0') + good) == expected);
    // A start that breaks off inside: the octets of the real one are found in what is held.
    for (std::size_t kept = 1; kept < 8; ++kept) {
        INFO("first " << kept << " octets twice");
        CHECK(decoded<EnvelopeDecoder>(good.substr(0, kept) + good) == expected);
    }
    // A length that is too short leaves octets behind, which belong to the same damage.
    std::string short_length = good;
    short_length[1] = 0x0C;
    CHECK(decoded<EnvelopeDecoder>(short_length + good) == expected);
}

TEST_CASE("two damages with a message between are two") {
    const std::string good = encoded("SM?DI", true);
    CHECK(decoded<EnvelopeDecoder>("x" + good + "y" + good) == Messages{"!", "SM?DI", "!", "SM?DI"});
    CHECK(decoded<LineDecoder>("x\ry\rSM?DI9A51\r") == Messages{"!", "!", "SM?DI"});
}

TEST_CASE("silence drops a partial envelope and ends a search") {
    const std::string good = encoded("SM?DI", true);
    for (std::size_t held = 1; held < good.size(); ++held) {
        EnvelopeDecoder decoder;
        CHECK(decoded(decoder, {std::string_view(good).substr(0, held)}).empty());
        CHECK(decoder.partial());
        decoder.reset();
        CHECK_FALSE(decoder.partial());
        CHECK(decoded(decoder, {good}) == Messages{"SM?DI"});
    }
    EnvelopeDecoder decoder;
    CHECK(decoded(decoder, {"x"}) == Messages{"!"});
    CHECK(decoder.partial());
    decoder.reset();
    CHECK(decoded(decoder, {"x"}) == Messages{"!"});
}

TEST_CASE("no stream of random octets makes a decoder accept a wrong message or lose the next one") {
    const auto seed = Catch::rngSeed();
    INFO("seed " << seed);
    std::mt19937 random(seed);
    constexpr std::string_view kPool = "\r\n\0\x10SM?DI9A51\xED\xF1\x2B\xFE"sv;
    for (int round = 0; round < 5000; ++round) {
        std::string noise(random() % 40, '\0');
        for (char& c : noise) c = kPool[random() % kPool.size()];

        LineDecoder lines;
        for (const std::string& found : decoded(lines, {noise})) CHECK((found == "!" || found == "SM?DI"));
        lines.reset();
        CHECK(decoded(lines, {"SM?DI9A51\r"}) == Messages{"SM?DI"});

        EnvelopeDecoder envelopes;
        for (const std::string& found : decoded(envelopes, {noise})) CHECK(found == "!");
        envelopes.reset();
        CHECK(decoded(envelopes, {encoded("SM?DI", true)}) == Messages{"SM?DI"});
    }
}

}  // namespace sts6
