// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/strace.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <stdexcept>
#include <utility>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "tests/support/programs.hpp"

namespace sts6::crash {

namespace {

namespace fs = std::filesystem;

constexpr const char* kStrace = "/usr/bin/strace";

std::vector<std::string> other_threads(pid_t process) {
    std::vector<std::string> threads;
    for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
        std::string thread = task.path().filename().string();
        if (thread != std::to_string(process)) threads.push_back(std::move(thread));
    }
    return threads;
}

bool is_traced(pid_t process, const std::string& thread) {
    std::ifstream status("/proc/" + std::to_string(process) + "/task/" + thread + "/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("TracerPid:")) return std::stoi(line.substr(10)) != 0;
    }
    return false;
}

std::vector<std::string> attached_to(const std::vector<std::string>& threads,
                                     const std::vector<std::string>& words) {
    if (threads.empty()) throw std::runtime_error("the process has one thread only");
    std::vector<std::string> command = words;
    for (const std::string& thread : threads) command.insert(command.end(), {"-p", thread});
    return command;
}

}  // namespace

std::vector<std::string> strace_words(const std::vector<std::string>& calls, const fs::path& log) {
    std::string list;
    for (const std::string& call : calls) list += (list.empty() ? "" : ",") + call;
    return {kStrace, "-qq", "-s", "0", "-o", log.string(), "-e", "trace=" + list};
}

std::vector<std::string> strace_words(const Injection& injection, const fs::path& log) {
    auto words = strace_words(std::vector{injection.point.call}, log);
    const std::string when = std::to_string(injection.point.number) + (injection.onwards ? "+" : "");
    words.insert(words.end(),
                 {"-e", "inject=" + injection.point.call + ":" + injection.what + ":when=" + when});
    return words;
}

bool cannot_trace() {
    if (::geteuid() == 0 && fs::exists(kStrace)) return false;
    WARN("SKIPPED: only root, with strace, can trace the daemon");
    return true;
}

Strace::Strace(pid_t process, std::vector<std::string> words)
    : process_([&words, process] {
          const auto threads = other_threads(process);
          conform::ChildProcess strace(attached_to(threads, words), "/dev/null");
          if (!test::eventually([&] {
                  return std::ranges::all_of(
                      threads, [process](const std::string& one) { return is_traced(process, one); });
              })) {
              throw std::runtime_error("strace does not attach");
          }
          return strace;
      }()) {
}

void Strace::detach() {
    process_.wait(true);
}

std::vector<Point> points_of(const fs::path& log, pid_t thread) {
    std::ifstream lines(log);
    std::map<std::pair<std::string, std::string>, std::size_t> counts;
    for (std::string line; std::getline(lines, line);) {
        // "4711  write(2, ...", without the number when there is one thread only.
        const std::size_t name = line.find_first_not_of("0123456789 ");
        const std::size_t end = line.find('(');
        if (name == std::string::npos || end == std::string::npos || end < name) continue;
        const std::string call = line.substr(name, end - name);
        if (!std::ranges::all_of(call, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; }))
            continue;
        const std::string caller = line.substr(0, line.find_first_not_of("0123456789"));
        if (thread == 0 || caller == std::to_string(thread)) ++counts[{call, caller}];
    }
    std::map<std::string, std::size_t> most;
    for (const auto& [key, count] : counts) most[key.first] = std::max(most[key.first], count);
    std::vector<Point> points;
    for (const auto& [call, count] : most) {
        for (std::size_t number = 1; number <= count; ++number) points.push_back({call, number});
    }
    return points;
}

std::vector<Point> some_of(const std::vector<Point>& points, std::size_t most) {
    if (most == 0 || points.size() <= most) return points;
    std::vector<Point> some;
    for (std::size_t i = 0; i < most; ++i) some.push_back(points[(2 * i + 1) * points.size() / (2 * most)]);
    return some;
}

}  // namespace sts6::crash
