// SPDX-License-Identifier: Apache-2.0
// What a serial line costs, and what hostile clients of other links cost a good one.
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/benches.hpp"
#include "tools/bench/load.hpp"
#include "tools/bench/measure.hpp"
#include "tools/conform/child_process.hpp"
#include "tools/conform/lab_module.hpp"

namespace sts6::bench {

namespace {

constexpr std::size_t kSerialTokens = 3000;
constexpr int kRounds = 5;
constexpr std::chrono::milliseconds kRoundTime{2000};
// A published credit token of every pack with register 1 (docs/protocol.md, SM?VC).
constexpr std::string_view kRequest = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~DCC6\r";
constexpr std::string_view kAnswer = "SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\r";

class Descriptor {
  public:
    explicit Descriptor(int value) : value_(value) {
        if (value < 0) throw std::runtime_error("no descriptor");
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() { ::close(value_); }
    [[nodiscard]] int value() const noexcept { return value_; }

  private:
    int value_;
};

/// From the last octet in to the first octet out, in microseconds; the write that brings it is part of it.
double think_time(const Descriptor& line) {
    const double first = nanoseconds(1, [&](std::size_t) {
        pollfd ready{.fd = line.value(), .events = POLLIN, .revents = 0};
        if (::write(line.value(), kRequest.data(), kRequest.size()) !=
                static_cast<ssize_t>(kRequest.size()) ||
            ::poll(&ready, 1, 5000) != 1) {
            throw std::runtime_error("no answer on the line");
        }
    });
    std::string answer;
    while (answer.size() < kAnswer.size()) {
        std::array<char, 256> part{};
        const ssize_t size = ::read(line.value(), part.data(), part.size());
        if (size <= 0) throw std::runtime_error("the line is gone");
        answer.append(part.data(), static_cast<std::size_t>(size));
    }
    if (answer != kAnswer) throw std::runtime_error("unexpected answer: " + answer);
    return first / 1000;
}

void bench_serial(const std::string& pty) {
    const Descriptor line(::open(pty.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    std::vector<double> times;
    for (std::size_t i = 0; i < kSerialTokens; ++i) times.push_back(think_time(line));
    std::ranges::sort(times);
    std::printf(
        "serial (pty), SM?VC, last octet in to first octet out, %zu tokens: p50 %.0f us, p99 %.0f us "
        "(to hold: 2000)\n",
        times.size(), times[times.size() / 2], times[times.size() * 99 / 100]);
}

int connect_to(std::uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    static_cast<void>(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address));
    return socket;
}

void put(int socket, std::string_view octets) {
    static_cast<void>(::send(socket, octets.data(), octets.size(), MSG_NOSIGNAL));
}

/// An attack that goes on until told to stop, on a thread of its own.
class Attack {
  public:
    explicit Attack(const std::function<void()>& step)
        : thread_([this, step] {
              while (!stop_) step();
          }) {}
    Attack(const Attack&) = delete;
    Attack& operator=(const Attack&) = delete;
    ~Attack() {
        stop_ = true;
        thread_.join();
    }

  private:
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

struct Hostile {
    const char* name;
    std::function<std::unique_ptr<Attack>()> begin;
};

/// A handshake as far as the module's certificate and signature, and no further.
void begin_handshake(SSL_CTX* context, std::uint16_t port) {
    const Descriptor socket(connect_to(port));
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context), &SSL_free);
    SSL_set_fd(ssl.get(), socket.value());
    static_cast<void>(SSL_connect(ssl.get()));
}

/// What a client can do without asking for work that the module must do, one attacker at a time.
std::vector<Hostile> hostile_clients(std::uint16_t tcp, std::uint16_t tls) {
    return {
        {"TLS handshakes of a client without certificate, one after the other",
         [tls] {
             const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
             return std::make_unique<Attack>([context, tls] { begin_handshake(context.get(), tls); });
         }},
        {"500 clients that send an octet now and then",
         [tcp] {
             auto sockets = std::make_shared<std::vector<std::unique_ptr<Descriptor>>>();
             for (int i = 0; i < 500; ++i) {
                 sockets->push_back(std::make_unique<Descriptor>(connect_to(tcp)));
             }
             return std::make_unique<Attack>([sockets] {
                 for (const auto& socket : *sockets) put(socket->value(), "S");
                 std::this_thread::sleep_for(std::chrono::milliseconds(100));
             });
         }},
        {"connections opened and dropped, 1,000 a second",
         [tcp] {
             return std::make_unique<Attack>([tcp] {
                 for (int i = 0; i < 10; ++i) const Descriptor opened(connect_to(tcp));
                 std::this_thread::sleep_for(std::chrono::milliseconds(10));
             });
         }},
        {"garbage without line ends, 10 MB a second",
         [tcp] {
             auto socket = std::make_shared<Descriptor>(connect_to(tcp));
             return std::make_unique<Attack>([socket, garbage = std::string(100'000, 'x')] {
                 put(socket->value(), garbage);
                 std::this_thread::sleep_for(std::chrono::milliseconds(10));
             });
         }},
    };
}

void bench_hostile(std::uint16_t tcp, std::uint16_t tls) {
    const Load good{.port = tcp,
                    .connections = 1,
                    .duration = kRoundTime,
                    .request = std::string(kRequest),
                    .answer_prefix = std::string(kAnswer)};
    for (const Hostile& hostile : hostile_clients(tcp, tls)) {
        std::vector<double> alone;
        std::vector<double> attacked;
        for (int round = 0; round < kRounds; ++round) {
            alone.push_back(run_load(good).p99_us);
            const auto attack = hostile.begin();
            attacked.push_back(run_load(good).p99_us);
        }
        std::printf("%s: p99 of a good client's SM?VC %.0f us, alone %.0f us, ratio %.2f (to hold: 2)\n",
                    hostile.name, median(attacked), median(alone), median(ratio_of(attacked, alone)));
    }
}

}  // namespace

void bench_links(const std::filesystem::path& pack) {
    // OpenSSL writes to connections that the module has closed.
    if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) throw std::runtime_error("SIGPIPE cannot be ignored");
    const conform::TemporaryDirectory place;
    const std::string pty = (place.path() / "module").string();
    const std::string certificate = (place.path() / "module.pem").string();
    const std::string key = (place.path() / "module.key").string();
    conform::ChildProcess openssl(
        {"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=module", "-out", certificate, "-keyout", key},
        place.path() / "log");
    if (openssl.wait() != 0) throw std::runtime_error("openssl req failed");
    conform::LabModule module(pack);
    module.set_daemon_options({"--pty", pty, "--tls", "127.0.0.1:0", "--tls-certificate", certificate,
                               "--tls-private-key", key, "--tls-client-ca", certificate, "--tls-clients",
                               "vend CN=nobody"});
    module.start(std::nullopt);
    const auto port = [&module](const char* link) {
        const std::string address = module.link(link);
        return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
    };
    bench_serial(pty);
    bench_hostile(port("tcp"), port("tls"));
    module.stop();
}

}  // namespace sts6::bench
