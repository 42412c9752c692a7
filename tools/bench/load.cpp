// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/load.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <stdexcept>

#include <arpa/inet.h>
#include <asio.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sts6::bench {

namespace {

using SteadyClock = std::chrono::steady_clock;

struct Connection {
    int descriptor = -1;
    std::string received;
    SteadyClock::time_point sent;

    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() {
        if (descriptor >= 0) close(descriptor);
    }
    void open(std::uint16_t port) {
        descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (descriptor < 0 ||
            connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
            throw std::runtime_error("cannot connect to 127.0.0.1:" + std::to_string(port));
        }
        const int on = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    void send_request(const std::string& request) {
        sent = SteadyClock::now();
        received.clear();
        if (send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(request.size())) {
            throw std::runtime_error("cannot send");
        }
    }
    /// True when the answer is complete.
    bool read_answer() {
        std::array<char, 4200> buffer;
        const ssize_t count = recv(descriptor, buffer.data(), buffer.size(), 0);
        if (count <= 0) throw std::runtime_error("the server closed a connection");
        received.append(buffer.data(), static_cast<std::size_t>(count));
        return received.back() == '\r';
    }
};

double percentile(std::vector<double>& sorted, double share) {
    return sorted.empty() ? 0
                          : sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

void serve_echo(asio::ip::tcp::socket socket) {
    struct Session : std::enable_shared_from_this<Session> {
        explicit Session(asio::ip::tcp::socket connected) : peer(std::move(connected)) {}
        void read() {
            peer.async_read_some(asio::buffer(octets),
                                 [self = shared_from_this()](auto error, std::size_t size) {
                                     if (!error) self->write(size);
                                 });
        }
        void write(std::size_t size) {
            asio::async_write(peer, asio::buffer(octets, size),
                              [self = shared_from_this()](auto error, std::size_t) {
                                  if (!error) self->read();
                              });
        }
        asio::ip::tcp::socket peer;
        std::array<char, 4200> octets{};
    };
    socket.set_option(asio::ip::tcp::no_delay(true));
    std::make_shared<Session>(std::move(socket))->read();
}

[[noreturn]] void run_echo_server(int report) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    asio::io_context loop(1);
    asio::ip::tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    const std::uint16_t port = acceptor.local_endpoint().port();
    if (write(report, &port, sizeof port) != sizeof port) _exit(1);
    std::function<void()> accept = [&] {
        acceptor.async_accept([&](auto error, asio::ip::tcp::socket socket) {
            if (!error) serve_echo(std::move(socket));
            accept();
        });
    };
    accept();
    loop.run();
    _exit(0);
}

}  // namespace

LoadResult run_load(const Load& load) {
    const int poller = epoll_create1(EPOLL_CLOEXEC);
    std::vector<Connection> connections(load.connections);
    for (std::size_t i = 0; i < connections.size(); ++i) {
        connections[i].open(load.port);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        epoll_ctl(poller, EPOLL_CTL_ADD, connections[i].descriptor, &event);
    }
    std::vector<double> latencies_us;
    const auto start = SteadyClock::now();
    const auto end = start + load.duration;
    for (Connection& connection : connections) connection.send_request(load.request);
    std::size_t in_flight = connections.size();
    while (in_flight > 0) {
        std::array<epoll_event, 64> events;
        const int ready = epoll_wait(poller, events.data(), static_cast<int>(events.size()), 5000);
        if (ready <= 0) throw std::runtime_error("no answer within 5 s");
        for (int i = 0; i < ready; ++i) {
            Connection& connection = connections[events[static_cast<std::size_t>(i)].data.u64];
            if (!connection.read_answer()) continue;
            if (!connection.received.starts_with(load.answer_prefix)) {
                throw std::runtime_error("unexpected answer: " + connection.received);
            }
            const auto now = SteadyClock::now();
            latencies_us.push_back(std::chrono::duration<double, std::micro>(now - connection.sent).count());
            if (now < end) {
                connection.send_request(load.request);
            } else {
                --in_flight;
            }
        }
    }
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
    close(poller);
    std::sort(latencies_us.begin(), latencies_us.end());
    return {static_cast<double>(latencies_us.size()) / seconds, percentile(latencies_us, 0.5),
            percentile(latencies_us, 0.99)};
}

EchoServer::EchoServer() {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("cannot make a pipe");
    child_ = fork();
    if (child_ == 0) run_echo_server(ends[1]);
    close(ends[1]);
    const ssize_t count = read(ends[0], &port_, sizeof port_);
    close(ends[0]);
    if (count != sizeof port_) throw std::runtime_error("the echo server did not start");
}

EchoServer::~EchoServer() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
}

}  // namespace sts6::bench
