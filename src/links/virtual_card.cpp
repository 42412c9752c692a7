// SPDX-License-Identifier: Apache-2.0
#include "src/links/virtual_card.hpp"

#include <string>
#include <string_view>
#include <system_error>

#include <asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include "src/links/apdu_protocol.hpp"
#include "src/links/command_inlet.hpp"
#include "src/links/tcp_link.hpp"

namespace sts6 {

using asio::ip::tcp;

class VirtualCard::Host final : public LinkHost, public std::enable_shared_from_this<Host> {
  public:
    Host(asio::io_context& loop, const VirtualCardSettings& settings, const LinkServices& services)
        : settings_(settings),
          inlet_(std::make_shared<CommandInlet>(loop, services.queue)),
          socket_(loop),
          retry_timer_(loop) {
        settings_.limits.idle = {};  // a card that nobody asks anything stays in its reader
    }

    void connect();
    void close();
    void drop();

    void submit(std::shared_ptr<PendingCommand> command) override { inlet_->submit(std::move(command)); }
    void forget(const std::shared_ptr<Link>& link) override;
    [[nodiscard]] const LinkLimits& limits() const noexcept override { return settings_.limits; }
    [[nodiscard]] std::string_view name() const noexcept override { return "vpcd"; }

  private:
    void on_connect(const std::error_code& error);
    void connect_later();

    VirtualCardSettings settings_;
    std::shared_ptr<CommandInlet> inlet_;
    tcp::socket socket_;  ///< while it connects
    asio::steady_timer retry_timer_;
    std::shared_ptr<Link> link_;
    bool finishing_ = false;
    bool absence_told_ = false;
};

void VirtualCard::Host::connect() {
    socket_.async_connect(settings_.reader, [self = shared_from_this()](const std::error_code& error) {
        self->on_connect(error);
    });
}

void VirtualCard::Host::on_connect(const std::error_code& error) {
    if (finishing_) return;
    if (error) {
        if (!std::exchange(absence_told_, true)) {
            spdlog::info("vpcd: no reader yet: " + error.message());
        }
        std::error_code ignored;
        socket_.close(ignored);
        connect_later();
        return;
    }
    std::error_code ignored;
    // A free port of this machine may be the one that the connection comes from.
    if (socket_.local_endpoint(ignored) == socket_.remote_endpoint(ignored)) {
        socket_.close(ignored);
        connect_later();
        return;
    }
    absence_told_ = false;
    spdlog::info("vpcd: the card is in its reader");
    auto protocol = std::make_unique<ApduProtocol>(settings_.role, ApduProtocol::Form::virtual_card);
    tcp::socket connected(socket_.get_executor());
    std::swap(connected, socket_);
    link_ = std::make_shared<TcpLink>(std::move(connected), shared_from_this(), std::move(protocol));
    link_->start();
}

void VirtualCard::Host::connect_later() {
    retry_timer_.expires_after(settings_.retry);
    retry_timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
        if (!error && !self->finishing_) self->connect();
    });
}

void VirtualCard::Host::forget(const std::shared_ptr<Link>& /*link*/) {
    link_.reset();
    if (!finishing_) connect_later();
}

void VirtualCard::Host::close() {
    finishing_ = true;
    inlet_->hand_over();
    retry_timer_.cancel();
    std::error_code ignored;
    socket_.close(ignored);
    if (link_) link_->finish();
}

void VirtualCard::Host::drop() {
    close();
    if (link_) link_->close();
}

VirtualCard::VirtualCard(asio::io_context& loop, const VirtualCardSettings& settings,
                         const LinkServices& services)
    : host_(std::make_shared<Host>(loop, settings, services)) {
    host_->connect();
}

VirtualCard::~VirtualCard() {
    if (host_) host_->drop();
}

void VirtualCard::close() {
    host_->close();
}

}  // namespace sts6
