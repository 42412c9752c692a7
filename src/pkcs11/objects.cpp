// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/objects.hpp"

#include <algorithm>
#include <array>

#include "sts6/hex.hpp"

namespace sts6::p11 {

namespace {

template <class Make>
CkResult<CK_OBJECT_HANDLE> make_object(const Session& session, Attributes& attributes, Make make) {
    if (attributes.overflow()) return Unexpected<CK_RV>{CKR_ARGUMENTS_BAD};
    const auto lock = session.module().management();
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    CK_RV rv = make(attributes.all(), object);
    // CKR_ATTRIBUTE_TYPE_INVALID from most tokens that do not know one of them, CKR_GENERAL_ERROR from NSS.
    const bool refused =
        rv == CKR_GENERAL_ERROR || (rv != CKR_OK && !may_pass(rv) && fault_of(rv) != Fault::connection);
    if (refused && attributes.required().size() < attributes.all().size()) {
        rv = make(attributes.required(), object);
    }
    if (rv != CKR_OK) return Unexpected{rv};
    return object;
}

}  // namespace

std::string object_label(std::string_view prefix, std::string_view kind, const KeyId& id) {
    std::string label(prefix);
    label += kind;
    const std::size_t start = label.size();
    label.resize(start + 2 * id.size());
    write_hex(id, label.data() + start);
    return label;
}

std::optional<KeyId> named_key(std::string_view prefix, std::string_view label) {
    if (!label.starts_with(prefix)) return std::nullopt;
    label.remove_prefix(prefix.size());
    for (const std::string_view kind : kKeyKinds) {
        KeyId id{};
        if (!label.starts_with(kind)) continue;
        const std::string_view name = label.substr(kind.size());
        // read_hex() takes small letters too, object_label() writes none.
        if (read_hex(name, id) && object_label({}, {}, id) == name) return id;
    }
    return std::nullopt;
}

CkResult<CK_OBJECT_HANDLE> create_object(const Session& session, Attributes& attributes) {
    return make_object(
        session, attributes, [&session](std::span<CK_ATTRIBUTE> list, CK_OBJECT_HANDLE& object) {
            return session.api().C_CreateObject(session.handle(), list.data(), list.size(), &object);
        });
}

CkResult<CK_OBJECT_HANDLE> generate_key(const Session& session, CK_MECHANISM_TYPE type,
                                        Attributes& attributes) {
    CK_MECHANISM mechanism{type, nullptr, 0};
    return make_object(session, attributes, [&](std::span<CK_ATTRIBUTE> list, CK_OBJECT_HANDLE& object) {
        return session.api().C_GenerateKey(session.handle(), &mechanism, list.data(), list.size(), &object);
    });
}

CkResult<CK_OBJECT_HANDLE> generate_key_pair(const Session& session, CK_MECHANISM_TYPE type,
                                             Attributes& public_attributes, Attributes& attributes,
                                             CK_OBJECT_HANDLE& public_key) {
    if (public_attributes.overflow()) return Unexpected<CK_RV>{CKR_ARGUMENTS_BAD};
    CK_MECHANISM mechanism{type, nullptr, 0};
    return make_object(session, attributes, [&](std::span<CK_ATTRIBUTE> list, CK_OBJECT_HANDLE& object) {
        return session.api().C_GenerateKeyPair(session.handle(), &mechanism, public_attributes.all().data(),
                                               public_attributes.all().size(), list.data(), list.size(),
                                               &public_key, &object);
    });
}

CkResult<CK_OBJECT_HANDLE> derive_key(const Session& session, CK_MECHANISM mechanism, CK_OBJECT_HANDLE base,
                                      Attributes& attributes) {
    return make_object(session, attributes, [&](std::span<CK_ATTRIBUTE> list, CK_OBJECT_HANDLE& object) {
        return session.api().C_DeriveKey(session.handle(), &mechanism, base, list.data(), list.size(),
                                         &object);
    });
}

CkResult<CK_OBJECT_HANDLE> copy_to_session(const Session& session, CK_OBJECT_HANDLE object) {
    Attributes attributes;
    attributes.flag(CKA_TOKEN, false);
    const auto lock = session.module().management();
    CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
    const CK_RV rv = session.api().C_CopyObject(session.handle(), object, attributes.all().data(),
                                                attributes.all().size(), &copy);
    if (rv != CKR_OK) return Unexpected{rv};
    return copy;
}

CK_RV destroy_object(const Session& session, CK_OBJECT_HANDLE object) {
    const auto lock = session.module().management();
    return session.api().C_DestroyObject(session.handle(), object);
}

CkResult<std::vector<CK_OBJECT_HANDLE>> find_objects(const Session& session, Attributes& attributes) {
    if (attributes.overflow()) return Unexpected<CK_RV>{CKR_ARGUMENTS_BAD};
    const auto lock = session.module().management();
    const CK_FUNCTION_LIST& api = session.api();
    const auto begin = [&] {
        return api.C_FindObjectsInit(session.handle(), attributes.all().data(), attributes.all().size());
    };
    CK_RV rv = begin();
    // One that could not be ended.
    if (rv == CKR_OPERATION_ACTIVE && api.C_FindObjectsFinal(session.handle()) == CKR_OK) rv = begin();
    if (rv != CKR_OK) return Unexpected{rv};
    std::vector<CK_OBJECT_HANDLE> found;
    std::array<CK_OBJECT_HANDLE, 256> chunk{};
    CK_ULONG count = 0;
    do {
        rv = api.C_FindObjects(session.handle(), chunk.data(), chunk.size(), &count);
        if (rv == CKR_OK) found.insert(found.end(), chunk.begin(), chunk.begin() + count);
    } while (rv == CKR_OK && count > 0);
    // Also after a failure: a search left open would block the next one.
    const CK_RV end = api.C_FindObjectsFinal(session.handle());
    if (rv != CKR_OK || end != CKR_OK) return Unexpected{rv != CKR_OK ? rv : end};
    return found;
}

CkResult<std::vector<CK_OBJECT_HANDLE>> find_by_label(const Session& session, std::string_view label) {
    Attributes wanted;
    wanted.flag(CKA_TOKEN, true).text(CKA_LABEL, label);
    return find_objects(session, wanted);
}

CkResult<std::vector<std::string>> labels_under(const Session& session, std::string_view prefix) {
    Attributes wanted;
    wanted.flag(CKA_TOKEN, true);
    const auto objects = find_objects(session, wanted);
    if (!objects) return Unexpected{objects.error()};
    std::vector<std::string> labels;
    for (const CK_OBJECT_HANDLE object : *objects) {
        std::array<char, 256> text{};
        std::array<CK_ATTRIBUTE, 1> label{{{CKA_LABEL, text.data(), text.size()}}};
        const CK_RV rv = read_attributes(session, object, label);
        if (fault_of(rv) == Fault::connection) return Unexpected{rv};
        if (rv != CKR_OK || label[0].ulValueLen > text.size()) continue;
        const std::string_view read(text.data(), label[0].ulValueLen);
        if (read.starts_with(prefix)) labels.emplace_back(read);
    }
    return labels;
}

CkResult<bool> is_half_made(const Session& session, CK_OBJECT_HANDLE object, std::string_view prefix) {
    std::array<char, 256> text{};
    bool is_nameless = true;
    std::string_view label;
    for (const CK_ATTRIBUTE_TYPE type : {CKA_ID, CKA_LABEL}) {
        std::array<CK_ATTRIBUTE, 1> name{{{type, text.data(), text.size()}}};
        const CK_RV rv = read_attributes(session, object, name);
        // The latter from SoftHSM for an object that has not even got its type.
        const bool none = rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_VALUE_INVALID;
        if (rv != CKR_OK && !none) return Unexpected{rv};
        if (rv == CKR_OK) label = {text.data(), name[0].ulValueLen};
        is_nameless = is_nameless && (none || label.empty());
    }
    if (is_nameless) return true;
    if (!label.starts_with(prefix) || !label.substr(prefix.size()).starts_with(kWrappingKeyKind))
        return false;
    CK_BBOOL generated = CK_TRUE;
    std::array<CK_ATTRIBUTE, 1> local{{{CKA_LOCAL, &generated, sizeof generated}}};
    const CK_RV rv = read_attributes(session, object, local);
    if (rv != CKR_OK) return Unexpected{rv};
    return generated == CK_FALSE;
}

CkResult<bool> is_sealed_key(const Session& session, CK_OBJECT_HANDLE object, CK_KEY_TYPE type,
                             std::size_t octets) {
    CK_KEY_TYPE its_type = 0;
    CK_BBOOL sensitive = CK_FALSE;
    CK_BBOOL extractable = CK_TRUE;
    CK_ULONG size = 0;
    std::array<CK_ATTRIBUTE, 4> attributes{{{CKA_KEY_TYPE, &its_type, sizeof its_type},
                                            {CKA_SENSITIVE, &sensitive, sizeof sensitive},
                                            {CKA_EXTRACTABLE, &extractable, sizeof extractable},
                                            {CKA_VALUE_LEN, &size, sizeof size}}};
    const CK_RV rv = read_attributes(session, object, std::span(attributes).first(octets == 0 ? 3 : 4));
    if (fault_of(rv) == Fault::connection) return Unexpected{rv};
    return rv == CKR_OK && its_type == type && sensitive == CK_TRUE && extractable == CK_FALSE &&
           size == octets;
}

CK_RV read_attributes(const Session& session, CK_OBJECT_HANDLE object, std::span<CK_ATTRIBUTE> attributes) {
    const auto lock = session.module().management();
    // A failed call may change the sizes.
    const std::vector<CK_ATTRIBUTE> asked(attributes.begin(), attributes.end());
    const auto read = [&] {
        return session.api().C_GetAttributeValue(session.handle(), object, attributes.data(),
                                                 attributes.size());
    };
    const CK_RV rv = read();
    if (!may_pass(rv)) return rv;
    std::copy(asked.begin(), asked.end(), attributes.begin());
    return read();
}

}  // namespace sts6::p11
