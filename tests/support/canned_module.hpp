// SPDX-License-Identifier: Apache-2.0
// Modules that misbehave, for programs that talk to one.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sts6::test {

/// A socket of this machine on a free port, of which nothing answers yet.
class Port {
  public:
    explicit Port(bool listening);
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    ~Port();

    [[nodiscard]] int socket() const { return socket_; }
    [[nodiscard]] const std::string& url() const { return url_; }

  private:
    int socket_;
    std::string url_;
};

/// A module that gives one answer after another, whatever it is asked, and the last one again and again. An
/// empty answer closes the connection.
class CannedModule {
  public:
    explicit CannedModule(std::vector<std::string> answers);
    CannedModule(const CannedModule&) = delete;
    CannedModule& operator=(const CannedModule&) = delete;
    ~CannedModule();

    [[nodiscard]] const std::string& url() const { return port_.url(); }
    /// What it was asked so far, line by line.
    [[nodiscard]] std::vector<std::string> requests() const;

  private:
    void serve();
    /// False when the connection is to be closed.
    bool answer(int client, const std::string& request);

    Port port_{true};
    std::vector<std::string> answers_;
    std::size_t next_ = 0;
    mutable std::mutex mutex_;
    std::vector<std::string> requests_;
    std::thread thread_;
};

}  // namespace sts6::test
