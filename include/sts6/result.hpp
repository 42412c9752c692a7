// SPDX-License-Identifier: Apache-2.0
// A value or an error. The API is a subset of std::expected, so that C++23 can replace it.
#pragma once

#include <utility>
#include <variant>

#include "sts6/errc.hpp"

namespace sts6 {

template <class E>
struct Unexpected {
    E error;
};
template <class E>
Unexpected(E) -> Unexpected<E>;

template <class T, class E = Errc>
class [[nodiscard]] Result {
  public:
    using value_type = T;
    using error_type = E;

    constexpr Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    constexpr Result(Unexpected<E> failure) : state_(std::in_place_index<1>, std::move(failure.error)) {}

    [[nodiscard]] constexpr bool has_value() const noexcept { return state_.index() == 0; }
    constexpr explicit operator bool() const noexcept { return has_value(); }

    /// Precondition of value access: has_value(); of error(): !has_value().
    [[nodiscard]] constexpr T& operator*() & noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] constexpr const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] constexpr T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
    [[nodiscard]] constexpr T* operator->() noexcept { return std::get_if<0>(&state_); }
    [[nodiscard]] constexpr const T* operator->() const noexcept { return std::get_if<0>(&state_); }
    [[nodiscard]] constexpr const E& error() const noexcept { return *std::get_if<1>(&state_); }

  private:
    std::variant<T, E> state_;
};

template <class E>
class [[nodiscard]] Result<void, E> {
  public:
    using value_type = void;
    using error_type = E;

    constexpr Result() = default;
    constexpr Result(Unexpected<E> failure) : ok_(false), error_(std::move(failure.error)) {}

    [[nodiscard]] constexpr bool has_value() const noexcept { return ok_; }
    constexpr explicit operator bool() const noexcept { return ok_; }
    [[nodiscard]] constexpr const E& error() const noexcept { return error_; }

  private:
    bool ok_ = true;
    E error_{};
};

}  // namespace sts6
