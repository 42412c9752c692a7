// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/books.hpp"

#include <array>
#include <cstdio>
#include <set>

#include <catch2/catch.hpp>

#include "firmware/ports/audit.hpp"
#include "sts6/client.hpp"

namespace sts6::crash {

namespace {

// What a unit and a currency amount of exponent 0 can say.
constexpr std::uint32_t kMostAmount = (1U << 14U) - 1;

std::string hex(std::uint32_t value, int digits) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%0*X", digits, value);
    return text.data();
}

std::string amount_text(const Request& request) {
    return hex(request.amount, request.kind == Kind::currency ? 6 : 4);
}

/// The value of a card such as "TID014EEC;"; empty when there is none.
std::string card(const std::string& text, const std::string& tag) {
    const std::string all = ";" + text;
    const std::size_t at = all.find(";" + tag);
    if (at == std::string::npos) return {};
    const std::size_t first = at + 1 + tag.size();
    return all.substr(first, all.find(';', first) - first);
}

std::uint64_t number_card(const std::string& text, const std::string& tag) {
    const std::string value = card(text, tag);
    return value.empty() ? 0 : std::stoull(value);
}

/// What a record of a token has taken from the counters; none when the request was for another one.
std::optional<Counters> debit_of(const std::string& text, bool credit, const Request& request) {
    const Counters debit{
        .tokens = 1, .units = number_card(text, "DUL"), .currency = number_card(text, "DCL")};
    const bool right = card(text, "REG") == "1" && card(text, "SGC") == "0000203557" &&
                       card(text, "AMT") == amount_text(request) &&
                       credit == (request.kind != Kind::management) &&
                       debit.units == (request.kind == Kind::units ? request.amount : 0) &&
                       debit.currency == (request.kind == Kind::currency ? request.amount : 0);
    return right ? std::optional(debit) : std::nullopt;
}

}  // namespace

Counters counters_of(const Site& site) {
    const std::string issued = site.ask("SM?CQ");
    REQUIRE(issued.starts_with("SM!CQ00N"));
    const std::string answer = site.ask("SM?GAN1~");
    REQUIRE(answer.starts_with("SM!GA00P"));
    const std::string cards = answer.substr(8, answer.find('~') - 8);
    return {.tokens = std::stoull(issued.substr(8)),
            .units = number_card(cards, "XUL"),
            .currency = number_card(cards, "XCL")};
}

Ledger::Ledger(const Ledger& other) {
    const std::lock_guard lock(other.mutex_);
    requests_ = other.requests_;
    last_tid_ = other.last_tid_;
    acknowledged_ = other.acknowledged_.load();
}

Ledger::Next Ledger::next() {
    const std::lock_guard lock(mutex_);
    const std::uint32_t tid = ++last_tid_;
    Request request{.kind = static_cast<Kind>(tid % 3), .amount = 1 + tid % kMostAmount};
    requests_.emplace(tid, request);
    const bool credit = request.kind != Kind::management;
    const std::string subclass = request.kind == Kind::currency ? "4" : "0";
    return {tid, (credit ? "SM?VCN1~" : "SM?VMN1~") + std::string("P600727000000000009~N1~N11~N2~N") +
                     subclass + "~H" + amount_text(request) + "~H" + hex(tid, 6) + "~"};
}

void Ledger::acknowledge(std::uint32_t tid) {
    const std::lock_guard lock(mutex_);
    requests_.at(tid).acknowledged = true;
    ++acknowledged_;
}

std::size_t Ledger::sent() const {
    const std::lock_guard lock(mutex_);
    return last_tid_;
}

Counters Ledger::check(const std::vector<std::string>& audit, const Counters& initial,
                       std::size_t* in_flight) {
    const std::string credit = std::to_string(static_cast<unsigned>(AuditEvent::credit_vended)) + " ";
    const std::string management = std::to_string(static_cast<unsigned>(AuditEvent::management_vended)) + " ";
    const std::lock_guard lock(mutex_);
    std::set<std::uint32_t> made;
    Counters left = initial;
    for (const std::string& record : audit) {
        const bool is_credit = record.starts_with(credit);
        if (!is_credit && !record.starts_with(management)) continue;
        const std::string text = record.substr(record.find(' ') + 1);
        const auto tid = static_cast<std::uint32_t>(std::stoul(card(text, "TID"), nullptr, 16));
        const auto request = requests_.find(tid);
        const bool wanted = request != requests_.end() && made.insert(tid).second;
        const auto debit = wanted ? debit_of(text, is_credit, request->second) : std::nullopt;
        if (!debit) {
            FAIL_CHECK("nobody asked for this token, or it was made twice: " + text);
            continue;
        }
        left.tokens += debit->tokens;
        left.units -= debit->units;
        left.currency -= debit->currency;
    }
    std::size_t unanswered = 0;
    for (auto at = requests_.begin(); at != requests_.end();) {
        const bool recorded = made.contains(at->first);
        if (at->second.acknowledged && !recorded) {
            FAIL_CHECK("the token of TID " + hex(at->first, 6) + " was acknowledged and is not in the audit");
        }
        if (recorded && !at->second.acknowledged) ++unanswered;
        // What was not made must never turn up later.
        at = recorded ? std::next(at) : requests_.erase(at);
    }
    if (in_flight != nullptr) *in_flight = unanswered;
    return left;
}

Clients::Clients(const Site& site, Ledger& ledger, std::size_t count) : ledger_(ledger) {
    for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this, url = site.url()] { run(url); });
}

Clients::~Clients() {
    for (std::thread& thread : threads_) thread.join();
}

std::optional<Clock::time_point> Clients::first_answer() const {
    const Clock::rep first = first_;
    if (first == 0) return std::nullopt;
    return Clock::time_point(Clock::duration(first));
}

void Clients::run(const std::string& url) {
    auto client = Client::connect(url, {.timeout_ms = 60'000});
    while (client) {
        const Ledger::Next next = ledger_.next();
        const auto answer = client->exchange(next.command);
        if (!answer) return;
        if (!answer->ok()) {
            ++refused_;
            return;
        }
        ledger_.acknowledge(next.tid);
        Clock::rep none = 0;
        first_.compare_exchange_strong(none, Clock::now().time_since_epoch().count());
    }
}

void load_limited_key(Site& site) {
    site.add_key({"--sgc", "203557", "--krn", "6", "--dkg", "04", "--base-date", "2035", "--value",
                  "ABABABABABABABAB949494949494949401234567", "--ulm", "99999999", "--clm", "1000000000"});
    REQUIRE(site.load());
    const Counters initial = counters_of(site);
    CHECK(initial.tokens == 0);
    CHECK(initial.units == 999'999'990);
    CHECK(initial.currency == 100'000'000'000'000);
}

}  // namespace sts6::crash
