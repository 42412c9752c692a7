// SPDX-License-Identifier: Apache-2.0
#include "src/links/listener.hpp"

#include <exception>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <vector>

#include <asio/error.hpp>
#include <asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include "src/links/apdu_protocol.hpp"
#include "src/links/command_inlet.hpp"
#include "src/links/log_limit.hpp"
#include "src/links/message_protocol.hpp"
#include "src/links/tcp_link.hpp"
#include "src/links/tls_server.hpp"

namespace sts6 {

using asio::ip::tcp;
using SteadyClock = std::chrono::steady_clock;

namespace {

Errc errc_of(const std::error_code& error) noexcept {
    if (error == asio::error::address_in_use) return Errc::in_use;
    if (error == asio::error::access_denied) return Errc::permission;
    return Errc::io_failed;
}

}  // namespace

class Listener::Server final : public LinkHost, public std::enable_shared_from_this<Server> {
  public:
    Server(asio::io_context& loop, ListenerSettings settings, const LinkServices& services)
        : settings_(std::move(settings)),
          services_(services),
          inlet_(std::make_shared<CommandInlet>(loop, services.queue)),
          acceptor_(loop, settings_.endpoint, /*reuse_addr=*/true),
          endpoint_(acceptor_.local_endpoint()),
          retry_timer_(loop) {}

    void accept();
    void close();
    void drop();

    void submit(std::shared_ptr<PendingCommand> command) override { inlet_->submit(std::move(command)); }
    void forget(const std::shared_ptr<Link>& link) override { links_.erase(link); }
    [[nodiscard]] const LinkLimits& limits() const noexcept override { return settings_.limits; }
    [[nodiscard]] std::string_view name() const noexcept override { return settings_.name; }

    [[nodiscard]] const tcp::endpoint& endpoint() const noexcept { return endpoint_; }
    [[nodiscard]] std::size_t connections() const noexcept { return links_.size(); }

  private:
    void on_accept(const std::error_code& error, tcp::socket socket);
    void welcome(tcp::socket socket);
    [[nodiscard]] std::shared_ptr<Link> make_link(tcp::socket socket);
    [[nodiscard]] bool make_room();
    void accept_later();
    void stop_accepting();

    ListenerSettings settings_;
    const LinkServices& services_;
    std::shared_ptr<CommandInlet> inlet_;
    tcp::acceptor acceptor_;
    tcp::endpoint endpoint_;
    asio::steady_timer retry_timer_;
    std::unordered_set<std::shared_ptr<Link>> links_;
    LogLimit accept_errors_;
    LogLimit refusals_;
};

void Listener::Server::accept() {
    acceptor_.async_accept([self = shared_from_this()](const std::error_code& error, tcp::socket socket) {
        self->on_accept(error, std::move(socket));
    });
}

void Listener::Server::on_accept(const std::error_code& error, tcp::socket socket) {
    if (!acceptor_.is_open()) return;
    if (error) {
        if (accept_errors_.due()) {
            spdlog::warn(settings_.name + ": cannot accept a connection: " + error.message());
        }
        accept_later();
        return;
    }
    welcome(std::move(socket));
    accept();
}

void Listener::Server::welcome(tcp::socket socket) {
    if (links_.size() >= settings_.connections && !make_room()) {
        if (refusals_.due()) {
            spdlog::warn(settings_.name + ": more than " + std::to_string(settings_.connections) +
                         " connections in use: refused");
        }
        return;
    }
    try {
        const auto link = make_link(std::move(socket));
        links_.insert(link);
        link->start();
    } catch (const std::exception& failure) {
        if (accept_errors_.due())
            spdlog::warn(settings_.name + ": a connection is refused: " + failure.what());
    }
}

std::shared_ptr<Link> Listener::Server::make_link(tcp::socket socket) {
    if (settings_.tls) {
        return settings_.tls->make_link(std::move(socket), shared_from_this(), services_, settings_.role);
    }
    std::unique_ptr<LinkProtocol> protocol;
    if (settings_.carries == ListenerSettings::Carries::apdus) {
        protocol = std::make_unique<ApduProtocol>(settings_.role);
    } else {
        protocol = std::make_unique<MessageProtocol>(services_, settings_.role);
    }
    return std::make_shared<TcpLink>(std::move(socket), shared_from_this(), std::move(protocol));
}

bool Listener::Server::make_room() {
    const auto now = SteadyClock::now();
    const auto before = [](const Link& a, const Link& b) {
        return std::pair(a.used(), a.idle_since()) < std::pair(b.used(), b.idle_since());
    };
    std::shared_ptr<Link> first;
    for (const auto& link : links_) {
        const auto enough = link->used() ? settings_.idle_enough : settings_.unused_enough;
        if (link->busy() || now - link->idle_since() < enough) continue;
        if (!first || before(*link, *first)) first = link;
    }
    if (first) first->close();
    return first != nullptr;
}

// No descriptor or memory is free: asking again at once would spin.
void Listener::Server::accept_later() {
    retry_timer_.expires_after(settings_.accept_retry);
    retry_timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
        if (!error && self->acceptor_.is_open()) self->accept();
    });
}

void Listener::Server::stop_accepting() {
    std::error_code ignored;
    acceptor_.close(ignored);
    retry_timer_.cancel();
}

void Listener::Server::close() {
    stop_accepting();
    inlet_->hand_over();  // the caller may close the queue next
    const std::vector<std::shared_ptr<Link>> links(links_.begin(), links_.end());
    for (const auto& link : links) link->finish();
}

void Listener::Server::drop() {
    stop_accepting();
    inlet_->discard();
    while (!links_.empty()) {
        const auto link = *links_.begin();
        link->close();
    }
}

Result<Listener> Listener::open(asio::io_context& loop, const ListenerSettings& settings,
                                const LinkServices& services) {
    try {
        auto server = std::make_shared<Server>(loop, settings, services);
        server->accept();
        return Listener(std::move(server));
    } catch (const std::system_error& failure) {
        spdlog::error(settings.name + ": cannot listen on port " + std::to_string(settings.endpoint.port()) +
                      ": " + failure.code().message());
        return Unexpected{errc_of(failure.code())};
    }
}

Listener::~Listener() {
    if (server_) server_->drop();
}

tcp::endpoint Listener::endpoint() const {
    return server_->endpoint();
}

std::size_t Listener::connections() const {
    return server_->connections();
}

void Listener::close() {
    server_->close();
}

}  // namespace sts6
