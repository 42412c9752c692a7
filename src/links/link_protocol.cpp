// SPDX-License-Identifier: Apache-2.0
#include "src/links/link_protocol.hpp"

#include <cstring>

namespace sts6 {

std::span<char> LinkInput::space() noexcept {
    if (begin_ > 0) {
        std::memmove(octets_.data(), octets_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    space_ = end_;
    return std::span(octets_).subspan(end_);
}

void LinkInput::received(std::size_t size) noexcept {
    // What was held may have been used up or dropped meanwhile.
    if (space_ != end_) std::memmove(octets_.data() + end_, octets_.data() + space_, size);
    end_ += size;
    space_ = end_;
}

}  // namespace sts6
