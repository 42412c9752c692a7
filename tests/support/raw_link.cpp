// SPDX-License-Identifier: Apache-2.0
#include "tests/support/raw_link.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sts6::test {

namespace {

using namespace std::chrono_literals;

// A sanitizer build on a busy machine.
constexpr std::chrono::milliseconds kPatience = 60s;

constexpr std::string_view kMagic{"\xED\xF1\x2B\x00\xFE\xED", 6};

unsigned crc_of(std::string_view text) {
    unsigned crc = 0;
    for (const char c : text) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? (crc >> 1U) ^ 0xA001U : crc >> 1U;
    }
    return crc;
}

bool not_now() {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

}  // namespace

std::string framed(std::string_view message) {
    std::string out(message);
    const unsigned crc = crc_of(message);
    for (const unsigned shift : {12U, 8U, 4U, 0U}) out += "0123456789ABCDEF"[(crc >> shift) & 0xFU];
    return out + '\r';
}

std::string envelope_of(std::string_view content, std::size_t length) {
    std::string out;
    out += static_cast<char>(length >> 8U);
    out += static_cast<char>(length & 0xFFU);
    out += kMagic;
    return out.append(content);
}

std::string envelope_of(std::string_view content) {
    return envelope_of(content, kMagic.size() + content.size());
}

int connect_to(const std::string& url, int receive_buffer) {
    const auto port = static_cast<in_port_t>(std::stoul(url.substr(url.rfind(':') + 1)));
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (receive_buffer > 0)
        ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        ::close(socket);
        throw std::runtime_error("cannot connect to " + url);
    }
    return socket;
}

RawLink::RawLink(const std::string& url, int receive_buffer) : socket_(connect_to(url, receive_buffer)) {
}

int RawLink::wait(int events, std::chrono::milliseconds time) const {
    pollfd waited{.fd = socket_, .events = static_cast<short>(events), .revents = 0};
    return ::poll(&waited, 1, static_cast<int>(time.count())) > 0 ? waited.revents : 0;
}

bool RawLink::receive() {
    std::array<char, 65536> part{};
    const ssize_t count = ::recv(socket_, part.data(), part.size(), MSG_DONTWAIT);
    if (count < 0 && not_now()) return true;
    if (count <= 0) {
        ended_ = true;
        return false;
    }
    received_.append(part.data(), static_cast<std::size_t>(count));
    return true;
}

void RawLink::send(std::string_view octets) {
    while (!octets.empty()) {
        const int ready = wait(ended_ ? POLLOUT : POLLIN | POLLOUT, kPatience);
        if (ready == 0) throw std::runtime_error("the module takes nothing");
        if (!ended_ && (ready & POLLIN) != 0) receive();
        const ssize_t count = ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && !not_now()) throw std::runtime_error("cannot send");
        if (count > 0) octets.remove_prefix(static_cast<std::size_t>(count));
    }
}

std::size_t RawLink::flood(std::string_view octets, std::size_t most, std::chrono::milliseconds patience) {
    std::size_t sent = 0;
    while (sent < most && (wait(POLLOUT, patience) & POLLOUT) != 0) {
        const std::string_view part = octets.substr(sent % octets.size());
        const ssize_t count = ::send(socket_, part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && !not_now()) throw std::runtime_error("cannot send");
        if (count > 0) sent += static_cast<std::size_t>(count);
    }
    return sent;
}

std::string RawLink::take(std::size_t size) {
    std::string out = received_.substr(0, size);
    received_.erase(0, size);
    return out;
}

std::string RawLink::line() {
    for (;;) {
        const std::size_t end = received_.find('\r');
        if (end != std::string::npos) return take(end + 1);
        if (ended_) return take(received_.size());
        if (wait(POLLIN, kPatience) == 0) throw std::runtime_error("no answer; so far \"" + received_ + "\"");
        receive();
    }
}

std::string RawLink::envelope() {
    for (;;) {
        if (received_.size() >= 2) {
            const auto high = static_cast<unsigned char>(received_[0]);
            const std::size_t whole = 2 + high * std::size_t{256} + static_cast<unsigned char>(received_[1]);
            if (received_.size() >= whole) return take(whole);
        }
        if (ended_) return take(received_.size());
        if (wait(POLLIN, kPatience) == 0) throw std::runtime_error("no answer in an envelope");
        receive();
    }
}

std::string RawLink::rest() {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!ended_) {
        if (std::chrono::steady_clock::now() > end) throw std::runtime_error("the connection does not end");
        if (wait(POLLIN, 100ms) != 0) receive();
    }
    return take(received_.size());
}

bool RawLink::silent(std::chrono::milliseconds time) {
    return received_.empty() && !ended_ && wait(POLLIN, time) == 0;
}

void RawLink::end_output() {
    ::shutdown(socket_, SHUT_WR);
}

void RawLink::close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
    ended_ = true;
}

void RawLink::reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
}

}  // namespace sts6::test
