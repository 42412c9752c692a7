// SPDX-License-Identifier: Apache-2.0
#include "src/client/channel.hpp"

#include <array>

namespace sts6::client {

void Channel::close() {
    stream_->close();
    report(FrameDirection::received, held_);
    held_.clear();
}

Result<void> Channel::read_more(Deadline deadline) {
    std::array<char, 1024> part{};
    const auto count = stream_->read(deadline, part);
    if (!count) return Unexpected{count.error()};
    held_.append(part.data(), *count);
    return {};
}

void Channel::report(FrameDirection direction, std::string_view octets) const {
    if (show && !octets.empty()) show(direction, octets);
}

}  // namespace sts6::client
