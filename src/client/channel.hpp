// SPDX-License-Identifier: Apache-2.0
// Messages to a module and its answers, cut out of a stream in one of the protocol's forms.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "src/client/stream.hpp"
#include "sts6/client.hpp"

namespace sts6::client {

/// What an answer begins with that comes instead of the command's own.
inline constexpr std::string_view kLinkError = "GL!ER";

class Channel {
  public:
    explicit Channel(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    virtual ~Channel() = default;

    /// Whether the form has a way to say `message`.
    [[nodiscard]] virtual bool carries(std::string_view message) const = 0;
    /// As the stream's open(); also malformed when what answers is no module.
    virtual Result<void> open(Deadline deadline) = 0;
    virtual Result<void> send(Deadline deadline, std::string_view message) = 0;
    /// The next message that came, as a line has it ("SM!VC00P..."), without CRC.
    ///   malformed  what came is none; what follows it is looked at by the next call
    ///   timed_out  what came of one so far is kept for the next call
    virtual Result<std::string> receive(Deadline deadline) = 0;

    /// Whether it is open and nothing has come in that nobody asked for.
    [[nodiscard]] bool quiet() { return held_.empty() && stream_->quiet(); }
    [[nodiscard]] bool is_open() const { return stream_->is_open(); }
    /// What came of an answer that is not whole is shown and dropped.
    void close();

    std::function<void(FrameDirection, std::string_view)> show;

  protected:
    [[nodiscard]] Stream& stream() noexcept { return *stream_; }
    /// What came and is no part of a message yet.
    [[nodiscard]] const std::string& held() const noexcept { return held_; }
    void drop(std::size_t octets) { held_.erase(0, octets); }
    Result<void> read_more(Deadline deadline);
    void report(FrameDirection direction, std::string_view octets) const;

  private:
    std::unique_ptr<Stream> stream_;
    std::string held_;
};

std::unique_ptr<Channel> make_text_channel(std::unique_ptr<Stream> stream, bool enveloped);
std::unique_ptr<Channel> make_apdu_channel(std::unique_ptr<Stream> stream);

}  // namespace sts6::client
