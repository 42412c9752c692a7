// SPDX-License-Identifier: Apache-2.0
#include "src/links/link.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <asio/error.hpp>
#include <spdlog/spdlog.h>

namespace sts6 {

using SteadyClock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::nanoseconds kSecond = std::chrono::seconds(1);

}  // namespace

Link::Link(asio::any_io_executor executor, std::shared_ptr<LinkHost> host)
    : host_(std::move(host)),
      idle_since_(SteadyClock::now()),
      stall_timer_(executor),
      rate_timer_(executor),
      idle_timer_(executor) {
}

bool Link::busy() const noexcept {
    return (protocol_ && protocol_->in_progress()) || !unsent_.empty();
}

void Link::start() {
    last_octet_ = SteadyClock::now();
    idle_since_ = last_octet_;
    watch_idle(host_->limits().idle);
    read();
}

void Link::give_up() {
    unsent_ = {};
    stall_timer_.cancel();
    protocol_->silence();
}

void Link::resume() {
    input_ended_ = false;
    last_octet_ = SteadyClock::now();
    advance();
}

// Goes on while a command is in progress: that is how the end of the connection shows.
void Link::read() {
    if (!host_ || reading_ || input_ended_) return;
    const auto space = protocol_->input_space();
    if (space.empty()) {
        input_full_ = true;
        return;
    }
    // Octets that had to wait in the socket are no silence.
    if (std::exchange(input_full_, false)) last_octet_ = SteadyClock::now();
    reading_ = true;
    read_some(space);
}

void Link::on_read(const std::error_code& error, std::size_t size) {
    reading_ = false;
    if (!host_) return;
    if (error == asio::error::eof) {
        input_ended_ = true;
        protocol_->silence();
    } else if (error) {
        broken();
        return;
    } else {
        const auto now = SteadyClock::now();
        if (now - last_octet_ >= host_->limits().silence) protocol_->silence();
        last_octet_ = now;
        protocol_->received(size);
    }
    advance();
}

void Link::advance() {
    while (host_ && !busy()) {
        if (finishing_) {
            close();
            return;
        }
        if (must_wait()) break;
        const LinkStep step = protocol_->next(exchange);
        if (step.kind == LinkStep::Kind::receive) {
            if (!input_ended_) break;
            broken();
            return;
        }
        count_request();
        if (step.kind == LinkStep::Kind::send) {
            send(step.octets);
        } else {
            submit();
        }
    }
    read();
}

void Link::count_request() {
    used_ = true;
    idle_since_ = SteadyClock::now();
    const std::uint32_t rate = host_->limits().requests_per_s;
    if (rate > 0) next_request_ = std::max(next_request_, idle_since_) + kSecond / rate;
}

// A second's worth of requests may come at once.
bool Link::must_wait() {
    const std::uint32_t rate = host_->limits().requests_per_s;
    if (rate == 0) return false;
    if (waiting_) return true;
    const auto allowed = next_request_ - (kSecond - kSecond / rate);
    if (SteadyClock::now() >= allowed) return false;
    waiting_ = true;
    rate_timer_.expires_at(allowed);
    rate_timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
        self->waiting_ = false;
        if (!error) self->advance();
    });
    return true;
}

void Link::submit() {
    arrived = SteadyClock::now();
    host_->submit(shared_from_this());
}

void Link::released() noexcept {
    try {
        if (!host_) return;
        send(protocol_->release(exchange));
        advance();
    } catch (...) {
        // No memory to wait with. The reading side, when it waits, sees the end and closes the link.
        close_stream();
    }
}

// Most answers fit the stream's buffer and leave at once.
void Link::send(std::string_view octets) {
    std::error_code error;
    const std::size_t size = write_now(octets, error);
    if (error) {
        broken();
        return;
    }
    unsent_ = octets.substr(size);
    if (!unsent_.empty()) wait_writable();
}

void Link::wait_writable() {
    watch_stall();
    write_some(unsent_);
}

void Link::on_written(const std::error_code& error, std::size_t size) {
    if (!host_) return;
    if (error) {
        broken();
        return;
    }
    unsent_.remove_prefix(std::min(size, unsent_.size()));
    if (!unsent_.empty()) {
        wait_writable();
        return;
    }
    stall_timer_.cancel();
    advance();
}

void Link::watch_stall() {
    stalled_at_ = SteadyClock::now() + host_->limits().write_stall;
    stall_timer_.expires_at(stalled_at_);
    stall_timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
        // A wait that ended as the write went on does not count.
        if (error || !self->host_ || self->unsent_.empty() || SteadyClock::now() < self->stalled_at_) return;
        spdlog::info(std::string(self->host_->name()) + ": a client does not read its answer: given up");
        self->stalled();
    });
}

void Link::watch_idle(std::chrono::milliseconds limit) {
    idle_limit_ = limit;
    if (limit.count() == 0) {
        idle_timer_.cancel();
        return;
    }
    idle_timer_.expires_at(idle_since_ + limit);
    idle_timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
        if (!error && self->host_) self->on_idle_timer();
    });
}

void Link::on_idle_timer() {
    const auto now = SteadyClock::now();
    if (busy() || waiting_) idle_since_ = now;
    if (idle_limit_.count() > 0 && now >= idle_since_ + idle_limit_) {
        close();
    } else {
        watch_idle(idle_limit_);
    }
}

void Link::finish() {
    finishing_ = true;
    if (!busy()) close();
}

void Link::close() {
    if (!host_) return;
    dropped.store(true, std::memory_order_relaxed);
    close_stream();
    stall_timer_.cancel();
    rate_timer_.cancel();
    idle_timer_.cancel();
    // The host's reference may be the last one.
    const auto self = shared_from_this();
    std::exchange(host_, nullptr)->forget(self);
}

}  // namespace sts6
