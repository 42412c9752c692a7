// SPDX-License-Identifier: Apache-2.0
#include "src/client/link.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "sts6/commands.hpp"
#include "sts6/frame.hpp"
#include "sts6/hex.hpp"

namespace sts6::client {

namespace {

constexpr std::string_view kDamaged = "GL!ER20";
constexpr std::string_view kUnknown = "GL!ER21";
constexpr std::string_view kErrorState = "GL!ER58";
constexpr std::string_view kRepeat = "GL?RR";
constexpr std::string_view kReset = "GL?RS";
constexpr std::size_t kStatusLength = 2;

Deadline now() {
    return std::chrono::steady_clock::now();
}

std::string answer_header(std::string_view message) {
    std::string header(message.substr(0, frame::kHeaderLength));
    header[2] = '!';
    return header;
}

/// Whether the module's memory, or its table, is what the command is about: GL?RR would not bring its answer.
bool is_about_memory(std::string_view message) {
    return message.starts_with(kRepeat) || message.starts_with(kReset);
}

bool changes_nothing(std::string_view message) {
    const CommandRow* row = find_command(message);
    return row != nullptr && row->effect == Effect::reads;
}

bool makes_token(std::string_view message) {
    const CommandRow* row = find_command(message);
    return row != nullptr && (row->id == CommandId::vend_credit || row->id == CommandId::vend_management ||
                              row->id == CommandId::vend_key_change);
}

/// The answer in a message whose header is the right one, or malformed.
Result<Response> read_response(std::string_view text) {
    if (text.size() < frame::kHeaderLength + kStatusLength || !frame::is_text(text)) {
        return Unexpected{Errc::malformed};
    }
    const std::string_view code = text.substr(frame::kHeaderLength, kStatusLength);
    const auto row = find_status(code);
    Response response{.link_error = text.starts_with(kLinkError),
                      .status = row ? std::optional(row->status) : std::nullopt,
                      .code = std::string(code),
                      .body = std::string(text.substr(frame::kHeaderLength + kStatusLength)),
                      .text = std::string(text)};
    if (response.link_error && !response.body.empty()) return Unexpected{Errc::malformed};
    return response;
}

/// An echo that no other client asks for.
std::string marker() {
    std::string message = "GL?EC00008";
    std::random_device random;
    for (int i = 0; i < 8; ++i) message += hex_digit(random());
    return message;
}

}  // namespace

Link::Link(std::unique_ptr<Channel> channel, bool serial, const ClientOptions& options)
    : channel_(std::move(channel)),
      serial_(serial),
      asks_again_(options.retry == Retry::repeat && channel_->carries(kRepeat)),
      resends_all_(options.retry == Retry::resend),
      sends_once_(options.retry == Retry::none),
      retries_(options.retry == Retry::none ? 0 : options.retries),
      timeout_(options.timeout_ms),
      patience_(options.answer_ms) {
}

Deadline Link::patience(Deadline deadline) const {
    return std::min(deadline, now() + patience_);
}

void Link::close() noexcept {
    in_step_ = false;
    channel_->close();
}

Result<void> Link::connect() {
    const auto ready = get_in_step(now() + timeout_);
    in_step_ = ready.has_value();
    return ready;
}

/// Brings the link to where nothing is under way and it is known what GL?RR would bring.
Result<void> Link::get_in_step(Deadline deadline) {
    if (serial_ && channel_->is_open()) {
        const auto synchronised = synchronise(deadline);
        // The device may have been unplugged, or the other end of a pty closed.
        if (synchronised || synchronised.error() != Errc::io_failed) return synchronised;
    }
    last_answer_.reset();
    if (const auto opened = channel_->open(deadline); !opened) return opened;
    return serial_ ? synchronise(deadline) : Result<void>();
}

/// GL?RS and what it may have to wait for; then an echo, whose answer cannot be an older one. The echo is
/// what the module remembers from here on: GL!ER21 to GL?RR then says that it was started anew.
Result<void> Link::synchronise(Deadline deadline) {
    for (const std::string& request : {std::string(kReset), marker()}) {
        std::string answer = answer_header(request) + "00";
        if (request.size() > frame::kHeaderLength) answer += request.substr(answer.size());
        auto agreed = agree(deadline, request, answer);
        if (!agreed) return Unexpected{agreed.error()};
        last_answer_ = *std::move(agreed);
        last_message_ = request;
    }
    return {};
}

/// Sends `request` until `answer` comes, or what a module in its error state says to everything, and drops
/// all before.
Result<std::string> Link::agree(Deadline deadline, std::string_view request, std::string_view answer) {
    while (now() < deadline) {
        if (const auto sent = channel_->send(deadline, request); !sent) return Unexpected{sent.error()};
        const Deadline until = patience(deadline);
        for (;;) {
            auto text = channel_->receive(until);
            if (text && (*text == answer || *text == kErrorState)) return text;
            if (!text && text.error() == Errc::io_failed) return text;
            // Silence, or noise on either way.
            if (!text || *text == kDamaged) break;
        }
    }
    return Unexpected{Errc::timed_out};
}

Result<Response> Link::exchange(std::string_view message) {
    const Deadline deadline = now() + timeout_;
    if (!in_step_ || !channel_->quiet()) {
        in_step_ = false;
        if (const auto ready = get_in_step(deadline); !ready) {
            if (!serial_) channel_->close();
            return Unexpected{ready.error()};
        }
    }
    in_step_ = false;
    auto result = run(message, deadline);
    const bool broken = !result && result.error() == Errc::io_failed;
    if (!in_step_ && (!serial_ || broken)) channel_->close();
    return result;
}

/// What an exchange ends in when nothing more is tried. GL!ER20 does not say that the command was not
/// executed, and must not look like a refusal of it.
Result<Response> Link::given_up(std::string_view message, Result<Response> result) const {
    const bool damaged = result && result->text == kDamaged;
    if (damaged && !sends_once_ && !changes_nothing(message)) return Unexpected{Errc::malformed};
    return result;
}

Result<Response> Link::run(std::string_view message, Deadline deadline) {
    std::uint32_t left = retries_;
    bool first = true;
    Pending pending;
    for (;; first = false) {
        // The last try has all the time that is left.
        Attempt tried = attempt(message, pending, deadline, left == 0 ? deadline : patience(deadline));
        if (tried.outcome == Outcome::answered) {
            remember(message, *tried.result);
            in_step_ = first && !(serial_ && is_about_memory(message));
        }
        if (tried.outcome == Outcome::answered || tried.outcome == Outcome::refused) return tried.result;
        if (tried.outcome == Outcome::lost || tried.outcome == Outcome::gone) {
            if (left == 0) return given_up(message, std::move(tried.result));
            --left;
        }
        if (now() >= deadline) return given_up(message, std::move(tried.result));
        if (const auto ready = recover(tried, message, pending, deadline); !ready) {
            return Unexpected{ready.error()};
        }
    }
}

/// Makes the link ready for the next try, and decides whether that is GL?RR or the command again; an error
/// when nothing more can be done.
Result<void> Link::recover(const Attempt& attempt, std::string_view message, Pending& pending,
                           Deadline deadline) {
    const bool asks = asks_again_ && !is_about_memory(message);
    const auto given_up = [&] {
        return Unexpected{attempt.result ? Errc::malformed : attempt.result.error()};
    };
    switch (attempt.outcome) {
        case Outcome::uncertain:
            if (!changes_nothing(message)) return given_up();
            break;
        case Outcome::gone:
            if (!serial_) {
                if (!resends_all_ && !changes_nothing(message)) return given_up();
                break;
            }
            // The module remembers although the line was away.
            pending.repeat = asks;
            return channel_->open(deadline);
        case Outcome::lost:
            pending.repeat = asks;
            if (channel_->carries(kRepeat)) return {};
            if (!resends_all_ && !changes_nothing(message)) return given_up();
            break;
        case Outcome::untouched:
        case Outcome::answered:
        case Outcome::refused:
            break;
    }
    // Sent again only where no answer to an earlier GL?RR can still come.
    pending = {};
    return get_in_step(deadline);
}

Link::Attempt Link::attempt(std::string_view message, Pending& pending, Deadline deadline, Deadline until) {
    const auto failed = [&](Errc error) {
        Outcome outcome = Outcome::gone;
        if (error == Errc::timed_out) outcome = pending.copies > 0 ? Outcome::uncertain : Outcome::lost;
        // What carries APDUs damages nothing.
        if (error == Errc::malformed) outcome = channel_->carries(kRepeat) ? Outcome::lost : Outcome::refused;
        return Attempt{outcome, Unexpected{error}};
    };
    if (const auto sent = channel_->send(deadline, pending.repeat ? kRepeat : message); !sent) {
        return failed(sent.error());
    }
    if (pending.repeat) ++pending.repeats;
    for (;;) {
        const auto text = channel_->receive(until);
        if (!text) return failed(text.error());
        if (auto judged = judge(message, pending, *text)) return *std::move(judged);
    }
}

/// What a message says of the command; none when it is to be skipped.
std::optional<Link::Attempt> Link::judge(std::string_view message, Pending& pending,
                                         const std::string& text) const {
    if (text == kDamaged) return Attempt{Outcome::lost, read_response(text)};
    const Result<Response> unanswered = Unexpected{Errc::timed_out};
    if (pending.repeat && text == kUnknown) {
        return Attempt{last_answer_ ? Outcome::uncertain : Outcome::untouched, unanswered};
    }
    // In its error state a module says so to GL?RR too, whatever it answered before.
    if (pending.repeat && text == kErrorState) return Attempt{Outcome::uncertain, unanswered};
    if (pending.repeat && text == last_answer_) {
        if (shows_untouched(message)) return Attempt{Outcome::untouched, unanswered};
        // One more of them than GL?RR were sent: it is the command's own, late.
        if (++pending.copies <= pending.repeats) return std::nullopt;
    }
    if (!text.starts_with(answer_header(message)) && !text.starts_with(kLinkError)) {
        if (serial_) return std::nullopt;
        return Attempt{Outcome::refused, Unexpected{Errc::malformed}};
    }
    auto response = read_response(text);
    const Outcome outcome = response ? Outcome::answered : Outcome::refused;
    return Attempt{outcome, std::move(response)};
}

/// Whether a command whose GL?RR brings the last answer again was not executed: it would have had another
/// answer, or had no effect.
bool Link::shows_untouched(std::string_view message) const {
    if (!last_answer_->starts_with(answer_header(message) + "00") || changes_nothing(message)) return true;
    return makes_token(message) && message != last_message_;
}

void Link::remember(std::string_view message, const Response& response) {
    if (is_about_memory(message)) {
        if (response.ok()) last_answer_.reset();
        return;
    }
    last_answer_ = response.text;
    last_message_ = message;
}

}  // namespace sts6::client
