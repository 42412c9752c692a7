// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "sts6/result.hpp"

namespace sts6::p11 {

/// A PIN in OpenSSL's secure heap: locked in memory where the system allows it, never copied by accident,
/// wiped when it goes. An embedded NUL cannot occur.
class Pin {
  public:
    static constexpr std::size_t kLongest = 255;

    /// One line, its line end dropped. permission: group or others may access the file, or it belongs to
    /// somebody else; malformed: no regular file, empty, too long, more than one line, or control characters.
    [[nodiscard]] static Result<Pin> read_file(const std::filesystem::path& path);

    /// Takes `text` as it is. Precondition: it is at most kLongest characters, none of them NUL.
    [[nodiscard]] static Pin from_text(std::string_view text);

    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    Pin(Pin&& other) noexcept;
    Pin& operator=(Pin&& other) noexcept;
    ~Pin();

    /// A second owner of the same PIN, made on purpose.
    [[nodiscard]] Pin clone() const { return from_text(view()); }

    [[nodiscard]] std::string_view view() const noexcept { return {text_, size_}; }
    [[nodiscard]] const char* c_str() const noexcept { return text_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

  private:
    Pin();

    char* text_;  ///< ends in NUL; null only when moved from
    std::size_t size_ = 0;
};

}  // namespace sts6::p11
