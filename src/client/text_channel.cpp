// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "src/client/channel.hpp"
#include "sts6/frame.hpp"

namespace sts6::client {

namespace {

/// The most octets of one answer, enveloped; whatever exceeds it is no answer.
constexpr std::size_t kLongestFrame = frame::kEnvelopeLongest + 2;

/// Whether the octets of an answer are, as far as they go, a link error without an envelope. A module can be
/// set to send it so on enveloped connections (`gler_unframed`); no envelope starts with its first character.
bool is_bare_link_error(std::string_view octets) {
    const std::size_t seen = std::min(octets.size(), kLinkError.size());
    return octets.substr(0, seen) == kLinkError.substr(0, seen);
}

class TextChannel final : public Channel {
  public:
    TextChannel(std::unique_ptr<Stream> stream, bool enveloped)
        : Channel(std::move(stream)), enveloped_(enveloped) {}

    [[nodiscard]] bool carries(std::string_view) const override { return true; }

    Result<void> open(Deadline deadline) override {
        close();
        return stream().open(deadline);
    }

    Result<void> send(Deadline deadline, std::string_view message) override {
        std::string octets(message.size() + frame::overhead(enveloped_), '\0');
        frame::encode(message, enveloped_, octets);
        report(FrameDirection::sent, octets);
        return stream().write(deadline, octets);
    }

    Result<std::string> receive(Deadline deadline) override {
        for (;;) {
            // From the front each time: an answer is short, and most come in one piece.
            LineDecoder lines;
            EnvelopeDecoder envelopes;
            std::string_view rest = held();
            const bool enveloped = enveloped_ && !is_bare_link_error(held());
            const Framed framed = enveloped ? envelopes.next(rest) : lines.next(rest);
            const bool incomplete = framed.kind == Framed::Kind::incomplete;
            if (!incomplete || held().size() > kLongestFrame) {
                const std::size_t used = held().size() - rest.size();
                report(FrameDirection::received, std::string_view(held()).substr(0, used));
                drop(used);
                if (framed.kind != Framed::Kind::message) return Unexpected{Errc::malformed};
                return std::string(framed.message);
            }
            if (const auto more = read_more(deadline); !more) return Unexpected{more.error()};
        }
    }

  private:
    bool enveloped_;
};

}  // namespace

std::unique_ptr<Channel> make_text_channel(std::unique_ptr<Stream> stream, bool enveloped) {
    return std::make_unique<TextChannel>(std::move(stream), enveloped);
}

}  // namespace sts6::client
