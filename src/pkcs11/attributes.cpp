// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/attributes.hpp"

#include <cstring>

#include "firmware/util/wipe.hpp"

namespace sts6::p11 {

Attributes::~Attributes() {
    wipe(values_.data(), values_.size());
}

Attributes& Attributes::add(CK_ATTRIBUTE_TYPE type, const void* value, std::size_t size) {
    if (overflow_ || count_ == kMost || size > values_.size() - used_) {
        overflow_ = true;
        return *this;
    }
    std::uint8_t* place = values_.data() + used_;
    if (size > 0) std::memcpy(place, value, size);
    list_[count_++] = {type, place, size};
    const std::size_t aligned = (size + alignof(CK_ULONG) - 1) / alignof(CK_ULONG) * alignof(CK_ULONG);
    used_ = aligned > values_.size() - used_ ? values_.size() : used_ + aligned;
    return *this;
}

Attributes& Attributes::flag(CK_ATTRIBUTE_TYPE type, bool value) {
    const CK_BBOOL octet = value ? CK_TRUE : CK_FALSE;
    return add(type, &octet, sizeof octet);
}

Attributes& Attributes::number(CK_ATTRIBUTE_TYPE type, CK_ULONG value) {
    return add(type, &value, sizeof value);
}

Attributes& Attributes::octets(CK_ATTRIBUTE_TYPE type, std::span<const std::uint8_t> value) {
    return add(type, value.data(), value.size());
}

Attributes& Attributes::text(CK_ATTRIBUTE_TYPE type, std::string_view value) {
    return add(type, value.data(), value.size());
}

}  // namespace sts6::p11
