// SPDX-License-Identifier: Apache-2.0
// Files of the KMC: its state, for its owner only and for one process at a time, and what it exchanges.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include <sys/types.h>
#include <unistd.h>

#include "tools/kmc/kmc.hpp"

namespace sts6::kmc {

/// At most as much as a file of records may hold, and an octet more that shows that there was more.
[[nodiscard]] std::string read_exchange_file(const std::filesystem::path& path);

enum class Existing : std::uint8_t { refuse, replace };
/// Whole or not at all, and on the disk before it returns.
void write_whole_file(const std::filesystem::path& path, std::string_view text, mode_t mode,
                      Existing existing);

/// The state file. It must not exist.
void create_state(const std::filesystem::path& path, const Kmc& kmc);

class Descriptor {
  public:
    explicit Descriptor(int value = -1) noexcept : value_(value) {}
    Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (value_ >= 0) close(value_);
    }
    [[nodiscard]] int get() const noexcept { return value_; }

  private:
    int value_;
};

/// A state file that exists, held until the object goes: a second process waits for it.
class StateFile {
  public:
    explicit StateFile(std::filesystem::path path);

    [[nodiscard]] Kmc load() const;
    void save(const Kmc& kmc) const;

  private:
    /// False when another process has put a new file in its place meanwhile.
    [[nodiscard]] bool open_and_lock();

    std::filesystem::path path_;
    Descriptor descriptor_;
};

}  // namespace sts6::kmc
