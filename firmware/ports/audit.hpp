// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "firmware/util/fixed_text.hpp"
#include "firmware/util/text_writer.hpp"
#include "sts6/civil_time.hpp"

namespace sts6 {

/// What happened (docs/key-management.md 3.9). The numbers are on the wire: extend only at the end.
enum class AuditEvent : std::uint8_t {
#define STS6_AUDIT_EVENT(name, text) name,
#include "firmware/ports/audit_events.def"
#undef STS6_AUDIT_EVENT
};

[[nodiscard]] constexpr const char* audit_event_text(AuditEvent event) noexcept {
    switch (event) {
#define STS6_AUDIT_EVENT(name, text) \
    case AuditEvent::name:           \
        return text;
#include "firmware/ports/audit_events.def"
#undef STS6_AUDIT_EVENT
    }
    return "unknown";
}

/// One entry, before it has its place in the chain: never a key or a secret.
struct AuditEntry {
    static constexpr std::size_t kLongestText = 240;

    AuditEvent event{};
    CivilTime time{};  ///< module time
    std::array<char, kLongestText> buffer{};
    std::size_t size = 0;

    [[nodiscard]] std::string_view text() const noexcept { return {buffer.data(), size}; }
};

/// The entries of one batch, committed with what they tell of.
class AuditList {
  public:
    static constexpr std::size_t kMost = 256;

    /// `write` gets a TextWriter for the entry's text.
    template <class Write>
    void add(AuditEvent event, Write write) noexcept {
        if (size_ == kMost) {
            overflow_ = true;
            return;
        }
        AuditEntry& entry = entries_[size_++];
        entry.event = event;
        entry.time = time_;
        TextWriter text(entry.buffer);
        write(text);
        entry.size = text.written().size();
    }
    [[nodiscard]] std::span<const AuditEntry> entries() const noexcept {
        return std::span(entries_).first(size_);
    }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    /// What entries that are added from now on happened at.
    void set_time(CivilTime time) noexcept { time_ = time; }
    /// Something happened that is not among the entries: nothing of the batch may be acknowledged.
    [[nodiscard]] bool overflow() const noexcept { return overflow_; }
    void clear() noexcept {
        size_ = 0;
        overflow_ = false;
    }

  private:
    std::array<AuditEntry, kMost> entries_{};
    CivilTime time_{};
    std::size_t size_ = 0;
    bool overflow_ = false;
};

using Sha256 = std::array<std::uint8_t, 32>;

/// An entry in its place. The chain: hash = SHA-256 of the hash before it and of the ASCII text
/// "<sequence>|<CCYYMMDDThhmmssZ>|<event>|<text>" (docs/formats.md).
struct AuditRecord {
    std::uint64_t sequence = 0;  ///< from 1 on, never used again
    CivilTime time{};
    std::uint8_t event = 0;
    FixedText<AuditEntry::kLongestText> text;
    Sha256 hash{};
};

/// The log as a whole. It is empty when last is first - 1.
struct AuditHead {
    std::uint64_t first = 1;  ///< the oldest record that is kept
    std::uint64_t last = 0;
    std::uint64_t acknowledged = 0;  ///< records up to it were exported, and may be dropped
    Sha256 base{};                   ///< the hash before `first`
    Sha256 hash{};                   ///< of `last`

    [[nodiscard]] constexpr std::uint64_t records() const noexcept { return last + 1 - first; }
    /// Records that are kept and were not exported yet.
    [[nodiscard]] constexpr std::uint64_t unacknowledged() const noexcept {
        return last - std::max(acknowledged, first - 1);
    }
};

/// How long the audit log may get.
struct AuditLimits {
    std::uint64_t capacity = 100'000;  ///< records
    /// Records that nobody has acknowledged are never dropped: what would need their place is refused.
    bool force = false;
};

}  // namespace sts6
