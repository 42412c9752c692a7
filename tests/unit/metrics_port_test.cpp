// SPDX-License-Identifier: Apache-2.0
// The metrics port by itself: what it answers to whom, and when it lets go.
#include "src/daemon/metrics_port.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/post.hpp>
#include <catch2/catch.hpp>

#include "tests/support/raw_link.hpp"

namespace sts6 {
namespace {

using asio::ip::tcp;
using test::RawLink;

constexpr std::chrono::milliseconds kPatience{60'000};
const std::string kRequest = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
const std::string kAnswer =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
    "Content-Length: 6\r\nConnection: close\r\n\r\n# EOF\n";

/// A port on a loop of its own, which is asked and answers when a test says so.
class Port {
  public:
    Port() {
        auto opened = MetricsPort::open(loop_, tcp::endpoint(asio::ip::address_v4::loopback(), 0),
                                        [this](MetricsPort::Take take) {
                                            const std::lock_guard lock(mutex_);
                                            if (stopped_) return false;
                                            asked_.push_back(std::move(take));
                                            changed_.notify_all();
                                            return true;
                                        });
        REQUIRE(opened);
        url_ = "tcp:127.0.0.1:" + std::to_string(opened->endpoint().port());
        port_.emplace(std::move(*opened));
        thread_ = std::thread([this] { loop_.run(); });
    }
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    ~Port() {
        close();
        work_.reset();
        thread_.join();
    }

    [[nodiscard]] const std::string& url() const { return url_; }
    [[nodiscard]] std::size_t asked() {
        const std::lock_guard lock(mutex_);
        return asked_.size();
    }
    /// Whether so many connections wait for an answer, within a time.
    [[nodiscard]] bool waits_for(std::size_t count, std::chrono::milliseconds time = kPatience) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, time, [&] { return asked_.size() == count; });
    }
    /// To the oldest connection that waits.
    void answer(const std::string& text) {
        MetricsPort::Take take;
        {
            const std::lock_guard lock(mutex_);
            take = std::move(asked_.front());
            asked_.erase(asked_.begin());
        }
        asio::post(loop_, [take = std::move(take), text] { take(text); });
    }
    void stop_module() {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
    }
    void close() {
        asio::post(loop_, [this] {
            port_.reset();
            const std::lock_guard lock(mutex_);
            asked_.clear();
        });
    }

  private:
    asio::io_context loop_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{loop_.get_executor()};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<MetricsPort::Take> asked_;
    bool stopped_ = false;
    std::optional<MetricsPort> port_;
    std::string url_;
    std::thread thread_;
};

std::string status_of(const std::string& response) {
    CHECK(response.find("\r\nConnection: close\r\n") != std::string::npos);
    CHECK(response.find("openmetrics") == std::string::npos);
    return response.substr(0, response.find("\r\n"));
}

}  // namespace

TEST_CASE("metrics port: GET /metrics is answered when the module has answered") {
    Port port;
    for (const std::string& request :
         {kRequest, std::string("GET /metrics HTTP/1.0\r\n\r\n"), kRequest + "more of it"}) {
        RawLink link(port.url());
        link.send(request.substr(0, 7));
        link.send(request.substr(7));
        REQUIRE(port.waits_for(1));
        port.answer("# EOF\n");
        CHECK(link.rest() == kAnswer);
    }
    CHECK(port.asked() == 0);
}

TEST_CASE("metrics port: everything else is refused, and the module is not asked") {
    Port port;
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"GET / HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET /metrics/ HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET /metrics?x=1 HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET //metrics HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET /METRICS HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET metrics HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET http://localhost/metrics HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET  /metrics HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"GET /metrics HTTP/1.1 HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"POST / HTTP/1.1\r\n\r\n", "404 Not Found"},
        {"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed"},
        {"HEAD /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"},
        {"get /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"},
        {"\r\n\r\n", "400 Bad Request"},
        {" \r\n\r\n", "400 Bad Request"},
        {"GET\r\n\r\n", "400 Bad Request"},
        {"GET /metrics\r\n\r\n", "400 Bad Request"},
        {" /metrics HTTP/1.1\r\n\r\n", "400 Bad Request"},
        {"GET /metrics HTTP/2\r\n\r\n", "400 Bad Request"},
        {"GET /metrics HTTP/1.2\r\n\r\n", "400 Bad Request"},
        {"GET /metrics http/1.1\r\n\r\n", "400 Bad Request"},
        {"GET /metrics HTTP/1.1 \r\n\r\n", "400 Bad Request"},
        {"GET /metrics\nHTTP/1.1\r\n\r\n", "400 Bad Request"},
        {std::string("\0\xFF\x80\r\n\r\n", 7), "400 Bad Request"},
        {"SM?DI9A51\r\n\r\n", "400 Bad Request"},
        {std::string(4096, 'x'), "431 Request Header Fields Too Large"},
        {"GET /metrics HTTP/1.1\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n",
         "431 Request Header Fields Too Large"},
    };
    for (const auto& [request, status] : cases) {
        INFO(request.substr(0, 60));
        RawLink link(port.url());
        link.send(request);
        link.end_output();
        const std::string response = link.rest();
        CHECK(status_of(response) == "HTTP/1.1 " + status);
        CHECK((response.find("\r\nAllow: GET\r\n") != std::string::npos) == status.starts_with("405"));
    }
    CHECK(port.asked() == 0);
}

TEST_CASE("metrics port: the longest head that is taken") {
    Port port;
    const std::string begin = "GET /metrics HTTP/1.1\r\nX: ";
    const std::string end = "\r\n\r\n";
    RawLink link(port.url());
    link.send(begin + std::string(4096 - begin.size() - end.size(), 'x') + end);
    REQUIRE(port.waits_for(1));
    port.answer("# EOF\n");
    CHECK(link.rest() == kAnswer);
}

TEST_CASE("metrics port: half a request and none at all end by themselves") {
    Port port;
    RawLink silent(port.url());
    RawLink half(port.url());
    half.send(kRequest.substr(0, kRequest.size() - 1));
    RawLink ended(port.url());
    ended.send("GET /metrics");
    ended.end_output();
    { RawLink(port.url()).send("GET"); }
    RawLink(port.url()).reset();
    CHECK(ended.rest().empty());
    CHECK(half.rest().empty());
    CHECK(silent.rest().empty());
    CHECK(port.asked() == 0);
}

TEST_CASE("metrics port: eight connections, and no ninth") {
    Port port;
    std::vector<std::unique_ptr<RawLink>> links;
    for (std::size_t i = 0; i < 8; ++i) {
        links.push_back(std::make_unique<RawLink>(port.url()));
        links.back()->send(kRequest);
        REQUIRE(port.waits_for(i + 1));
    }
    RawLink ninth(port.url());
    ninth.send(kRequest);
    CHECK(ninth.rest().empty());
    CHECK(port.asked() == 8);
    port.answer("# EOF\n");
    CHECK(links.front()->rest() == kAnswer);
    links.erase(links.begin());
    // There is room again as soon as the first has gone: until then a connection is closed at once.
    const auto end = std::chrono::steady_clock::now() + kPatience;
    bool taken = false;
    while (!taken && std::chrono::steady_clock::now() < end) {
        RawLink next(port.url());
        next.send(kRequest);
        while (!taken && next.silent(std::chrono::milliseconds{1})) taken = port.asked() == 8;
    }
    CHECK(taken);
}

TEST_CASE("metrics port: clients that go, a module that stops, a port that closes") {
    Port port;
    {
        RawLink gone(port.url());
        gone.send(kRequest);
        REQUIRE(port.waits_for(1));
        gone.reset();
    }
    port.answer("# EOF\n");
    RawLink waiting(port.url());
    waiting.send(kRequest);
    REQUIRE(port.waits_for(1));
    port.stop_module();
    RawLink late(port.url());
    late.send(kRequest);
    CHECK(status_of(late.rest()) == "HTTP/1.1 503 Service Unavailable");
    port.close();
    CHECK(waiting.rest().empty());
    CHECK_THROWS(RawLink(port.url()));
}

TEST_CASE("metrics port: a port that is taken") {
    Port port;
    asio::io_context loop;
    const auto number = static_cast<asio::ip::port_type>(std::stoul(port.url().substr(14)));
    const auto opened = MetricsPort::open(loop, tcp::endpoint(asio::ip::address_v4::loopback(), number),
                                          [](const MetricsPort::Take&) { return false; });
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == Errc::in_use);
    CHECK(opened.error().text.starts_with("metrics: cannot listen on port " + std::to_string(number) + ": "));
}

}  // namespace sts6
