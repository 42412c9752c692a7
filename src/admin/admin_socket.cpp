// SPDX-License-Identifier: Apache-2.0
#include "src/admin/admin_socket.hpp"

#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>
#include <openssl/crypto.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace sts6::admin {

namespace {

using asio::local::stream_protocol;

/// One client: requests in their order, until it closes.
class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(stream_protocol::socket socket, const AdminSocket::Answer& answer)
        : socket_(std::move(socket)), answer_(answer) {}
    ~Connection() { OPENSSL_cleanse(request_.data(), request_.size()); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void read() {
        asio::async_read_until(socket_, asio::dynamic_buffer(request_, AdminSocket::kLongestRequest), '\n',
                               [self = shared_from_this()](const asio::error_code& error, std::size_t size) {
                                   if (!error) self->respond(size);
                               });
    }

  private:
    void respond(std::size_t size) {
        response_ = answer_(std::string_view(request_).substr(0, size - 1)) + "\n";
        // Requests have PINs.
        OPENSSL_cleanse(request_.data(), size);
        request_.erase(0, size);
        asio::async_write(socket_, asio::buffer(response_),
                          [self = shared_from_this()](const asio::error_code& error, std::size_t) {
                              if (!error) self->read();
                          });
    }

    stream_protocol::socket socket_;
    const AdminSocket::Answer& answer_;
    std::string request_;
    std::string response_;
};

bool somebody_listens(asio::io_context& loop, const std::filesystem::path& path) {
    stream_protocol::socket probe(loop);
    asio::error_code error;
    probe.connect(stream_protocol::endpoint(path.string()), error);
    return !error;
}

}  // namespace

struct AdminSocket::Impl {
    explicit Impl(Answer answer_to) : answer(std::move(answer_to)) {}
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        loop.stop();
        if (thread.joinable()) thread.join();
        std::error_code ignored;
        if (bound) std::filesystem::remove(path, ignored);
    }

    void accept() {
        acceptor.async_accept([this](const asio::error_code& error, stream_protocol::socket socket) {
            if (error) return;
            std::make_shared<Connection>(std::move(socket), answer)->read();
            accept();
        });
    }

    Answer answer;
    std::filesystem::path path;
    bool bound = false;
    asio::io_context loop{1};
    stream_protocol::acceptor acceptor{loop};
    std::thread thread;
};

Result<AdminSocket> AdminSocket::open(const std::filesystem::path& path, Answer answer) {
    auto impl = std::make_unique<Impl>(std::move(answer));
    impl->path = path;
    std::error_code error;
    const auto there = std::filesystem::symlink_status(path, error);
    if (std::filesystem::exists(there)) {
        if (!std::filesystem::is_socket(there)) return Unexpected{Errc::already_exists};
        if (somebody_listens(impl->loop, path)) return Unexpected{Errc::in_use};
        std::filesystem::remove(path, error);
    }
    try {
        const stream_protocol::endpoint endpoint(path.string());
        impl->acceptor.open(endpoint.protocol());
        // The mode is that of the moment it is bound: nobody else gets in between.
        const mode_t before = ::umask(0177);
        asio::error_code failed;
        impl->acceptor.bind(endpoint, failed);
        ::umask(before);
        if (failed) throw std::system_error(failed);
        impl->bound = true;
        impl->acceptor.listen();
        impl->accept();
        impl->thread = std::thread([raw = impl.get()] { raw->loop.run(); });
    } catch (const std::exception& failure) {
        spdlog::error("admin socket " + path.string() + ": " + failure.what());
        return Unexpected{Errc::io_failed};
    }
    return AdminSocket(std::move(impl));
}

AdminSocket::AdminSocket(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {
}
AdminSocket::AdminSocket(AdminSocket&&) noexcept = default;
AdminSocket::~AdminSocket() = default;

}  // namespace sts6::admin
