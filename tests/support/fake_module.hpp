// SPDX-License-Identifier: Apache-2.0
// A module as its clients see it, with everything that can go wrong on the way to it and back. It makes no
// real tokens: the first has the number 1, and so on, so that a test sees whether a command was executed
// twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sts6/frame.hpp"

namespace sts6::test {

enum class Fault : std::uint8_t {
    none,
    lost_request,     ///< it does not arrive
    lost_answer,      ///< it is executed, and nothing comes back
    damaged_request,  ///< GL!ER20
    damaged_answer,   ///< executed
    late_answer,      ///< executed; the answer leaves in front of the next one
    noise,            ///< a GL!ER20 that noise has brought, in front of the answer
    babble,           ///< octets that are nothing, in front of the answer
    other_answers,    ///< whole answers to other commands, in front of the answer
    hang_up_before,   ///< the connection ends, nothing is executed
    hang_up_after,    ///< executed, the connection ends without the answer
    restart,          ///< executed; the module is started anew and remembers nothing
};

inline std::string line_of(std::string_view message) {
    std::string out(message.size() + frame::overhead(false), '\0');
    frame::encode(message, false, out);
    return out;
}

inline std::string token_answer(std::size_t number, const std::string& header = "SM!VC") {
    const std::string digits = std::to_string(number);
    return header + "00P" + std::string(17 - digits.size(), '0') + digits + "~P" +
           std::string(20 - digits.size(), '0') + digits + "~";
}

class FakeModule {
  public:
    struct Reply {
        std::string octets;
        bool hang_up = false;
    };

    /// What happens to the requests of a header, in order; nothing to those that come after.
    std::map<std::string, std::deque<Fault>> faults;
    /// By header, instead of what the module would answer ("SM?VC", "SM!VC76"). Link commands too.
    std::map<std::string, std::string> answers;
    /// Another client was here before.
    std::optional<std::string> memory;

    /// A line without its CR. Not for concurrent use.
    Reply take(std::string_view line) {
        const auto message = frame::check(line);
        if (!message) return {held_back() + line_of("GL!ER20")};
        requests_.emplace_back(*message);
        const std::string header(message->substr(0, frame::kHeaderLength));
        Fault fault = Fault::none;
        if (auto& planned = faults[header]; !planned.empty()) {
            fault = planned.front();
            planned.pop_front();
        }
        if (fault == Fault::lost_request) return {};
        if (fault == Fault::hang_up_before) return {{}, true};
        if (fault == Fault::damaged_request) return {held_back() + line_of("GL!ER20")};
        return reply(fault, line_of(execute(header, *message)));
    }

    void connected() {
        ++connections_;
        held_back_.clear();
    }
    /// The memory of a TCP connection ends with it.
    void forget() { memory.reset(); }

    [[nodiscard]] const std::vector<std::string>& requests() const { return requests_; }
    [[nodiscard]] std::size_t count(std::string_view header) const {
        std::size_t count = 0;
        for (const std::string& request : requests_) count += request.starts_with(header) ? 1U : 0U;
        return count;
    }
    /// Of commands that change something.
    [[nodiscard]] std::size_t executed() const { return executed_; }
    [[nodiscard]] std::size_t connections() const { return connections_; }

  private:
    Reply reply(Fault fault, const std::string& answer) {
        std::string octets = held_back();
        switch (fault) {
            case Fault::lost_answer:
                return {octets};
            case Fault::restart:
                memory.reset();
                return {octets};
            case Fault::hang_up_after:
                return {octets, true};
            case Fault::late_answer:
                held_back_ = answer;
                return {octets};
            case Fault::damaged_answer:
                octets += answer;
                octets[octets.size() - 2] ^= 1;
                return {octets};
            case Fault::noise:
                return {octets + line_of("GL!ER20") + answer};
            case Fault::babble:
                return {octets + "\xFF~\x01\r" + answer};
            case Fault::other_answers:
                return {octets + line_of("SM!QD0000000000000000~N0~") + line_of("GL!RS00") + answer};
            default:
                return {octets + answer};
        }
    }

    std::string held_back() { return std::exchange(held_back_, {}); }

    std::string execute(const std::string& header, std::string_view message) {
        if (header == "GL?RR") {
            const auto given = answers.find(header);
            return given != answers.end() ? given->second : memory.value_or("GL!ER21");
        }
        std::string answer = answer_to(header, message);
        if (header == "GL?RS") {
            memory.reset();
        } else {
            memory = answer;
        }
        return answer;
    }

    std::string answer_to(const std::string& header, std::string_view message) {
        const bool changes = header != "SM?DI" && !header.starts_with("GL");
        if (changes) ++executed_;
        if (const auto given = answers.find(header); given != answers.end()) return given->second;
        if (header == "GL?RS") return "GL!RS00";
        if (header == "GL?EC") return "GL!EC00" + std::string(message.substr(7));
        if (header == "SM?DI") return "SM!DI00PSOFTSM01~PSTS6-001~";
        if (header == "SM?VC") return token_answer(executed_);
        return "GL!ER21";
    }

    std::vector<std::string> requests_;
    std::string held_back_;
    std::size_t executed_ = 0;
    std::size_t connections_ = 0;
};

}  // namespace sts6::test
