// SPDX-License-Identifier: Apache-2.0
#include "tests/support/canned_module.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sts6::test {

Port::Port(bool listening) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (::bind(socket_, generic, size) != 0 || (listening && ::listen(socket_, 4) != 0) ||
        ::getsockname(socket_, generic, &size) != 0) {
        throw std::system_error(errno, std::generic_category(), "a socket");
    }
    url_ = "tcp:127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

Port::~Port() {
    ::close(socket_);
}

CannedModule::CannedModule(std::vector<std::string> answers)
    : answers_(std::move(answers)), thread_([this] { serve(); }) {
}

CannedModule::~CannedModule() {
    ::shutdown(port_.socket(), SHUT_RDWR);
    thread_.join();
}

std::vector<std::string> CannedModule::requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
}

void CannedModule::serve() {
    for (int client = 0; (client = ::accept(port_.socket(), nullptr, nullptr)) >= 0; ::close(client)) {
        std::string request;
        char octet = 0;
        while (::recv(client, &octet, 1, 0) == 1) {
            request += octet;
            if (octet != '\r') continue;
            if (!answer(client, request)) break;
            request.clear();
        }
    }
}

bool CannedModule::answer(int client, const std::string& request) {
    {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
    }
    const std::string& answer = answers_[std::min(next_++, answers_.size() - 1)];
    return !answer.empty() && ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL) >= 0;
}

}  // namespace sts6::test
