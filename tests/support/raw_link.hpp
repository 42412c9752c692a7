// SPDX-License-Identifier: Apache-2.0
// A TCP connection to a module, octet by octet. Nothing of the product's own framing is used.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace sts6::test {

/// A message with its CRC-16/ARC and CR.
std::string framed(std::string_view message);

/// What stands in an envelope with any length field.
std::string envelope_of(std::string_view content, std::size_t length);
/// The same with the length that is right.
std::string envelope_of(std::string_view content);

/// A connected socket. `url` as for RawLink. Throws std::runtime_error.
int connect_to(const std::string& url, int receive_buffer = 0);

/// Every wait has a deadline; a call that fails throws std::runtime_error. Not for concurrent use.
class RawLink {
  public:
    /// "tcp:127.0.0.1:PORT". A receive buffer of its own size is for a client that does not read.
    explicit RawLink(const std::string& url, int receive_buffer = 0);
    RawLink(const RawLink&) = delete;
    RawLink& operator=(const RawLink&) = delete;
    ~RawLink() { close(); }

    /// Sends all of it, and takes in what arrives meanwhile.
    void send(std::string_view octets);
    /// Sends `octets` again and again, taking nothing in, until the other side has taken nothing for
    /// `patience` or `most` octets have gone. Gives the number of octets sent.
    std::size_t flood(std::string_view octets, std::size_t most, std::chrono::milliseconds patience);

    /// The next octets, to the CR of a line; what there is when the connection ends before.
    std::string line();
    /// The next envelope, with its first eight octets.
    std::string envelope();
    /// What arrives before the connection ends.
    std::string rest();
    /// True when nothing arrives for so long, and the connection stays.
    bool silent(std::chrono::milliseconds time);

    std::string ask(std::string_view octets) {
        send(octets);
        return line();
    }
    std::string ask_enveloped(std::string_view octets) {
        send(octets);
        return envelope();
    }

    void end_output();
    void close();
    /// Closes with a reset instead of an orderly end.
    void reset();

  private:
    [[nodiscard]] int wait(int events, std::chrono::milliseconds time) const;
    /// False when the connection has ended.
    bool receive();
    std::string take(std::size_t size);

    int socket_ = -1;
    bool ended_ = false;
    std::string received_;
};

}  // namespace sts6::test
