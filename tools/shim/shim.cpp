// SPDX-License-Identifier: Apache-2.0
// A PKCS#11 library that wraps another, for tests and benchmarks: slow, failing, gone, as its control file
// says (control.hpp).
#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <span>
#include <string>
#include <thread>

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include "tools/shim/control.hpp"

namespace sts6::shim {
namespace {

/// The wrapped token, and what is open in it.
class Token {
  public:
    /// Each time the library is loaded: the control file may be another one by now.
    CK_RV attach() {
        const char* name = std::getenv(kControlVariable);
        if (name == nullptr) return CKR_GENERAL_ERROR;
        const std::unique_lock lock(use_);
        if (mapping_ == nullptr || name != name_) {
            mapping_ = std::make_unique<Mapping>(name, false);
            name_ = name;
            seen_drops_ = shared().drops.load();
            sessions_.clear();
            objects_.clear();
        }
        void* library = ::dlopen(shared().module.data(), RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) return CKR_GENERAL_ERROR;
        const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
        return get == nullptr ? CKR_GENERAL_ERROR : get(&real_);
    }

    [[nodiscard]] const CK_FUNCTION_LIST& real() const { return *real_; }

    /// Calls `real` unless the call is to fail; sessions come and go under `note`, which sees its answer.
    template <class Real, class Note>
    CK_RV call(std::size_t index, Real real, Note note) {
        Shared::Rule& rule = shared().rules.at(index);
        const std::uint64_t number = ++rule.calls;
        const bool fails = number >= rule.first && number <= rule.last;
        if (fails && rule.removes) shared().removed = true;
        lose_sessions();
        if (fails && !rule.executes) return rule.answer;
        if (shared().removed) return CKR_DEVICE_REMOVED;
        const std::uint32_t delay = shared().delay_us;
        if (delay > 0 && is_slow(index)) std::this_thread::sleep_for(std::chrono::microseconds(delay));
        const std::shared_lock lock(use_);
        const CK_RV rv = real();
        if (rv == CKR_OK) {
            const std::lock_guard change(change_);
            note();
            shared().sessions = static_cast<std::int64_t>(sessions_.size());
            shared().session_objects = static_cast<std::int64_t>(objects_.size());
        }
        return fails ? CK_RV{rule.answer} : rv;
    }

    void opened(CK_SLOT_ID slot, CK_SESSION_HANDLE session) { sessions_[session] = slot; }
    void closed(CK_SESSION_HANDLE session) {
        sessions_.erase(session);
        std::erase_if(objects_, [session](const auto& entry) { return entry.second == session; });
    }
    void closed_all(CK_SLOT_ID slot) {
        for (auto session = sessions_.begin(); session != sessions_.end();) {
            const auto [handle, its_slot] = *session++;
            if (its_slot == slot) closed(handle);
        }
    }
    void finalised() {
        shared().left_open = static_cast<std::int64_t>(sessions_.size());
        sessions_.clear();
        objects_.clear();
    }
    void made(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) { objects_[object] = session; }
    void destroyed(CK_OBJECT_HANDLE object) { objects_.erase(object); }

  private:
    [[nodiscard]] Shared& shared() const { return mapping_->shared(); }
    [[nodiscard]] static bool is_slow(std::size_t index) {
        return index == call_index("C_Sign") || index == call_index("C_Encrypt") ||
               index == call_index("C_Decrypt");
    }

    /// A device that goes takes sessions and their objects with it.
    void lose_sessions() {
        const bool removed = shared().removed;
        const bool was_there = there_.exchange(!removed);
        if (seen_drops_ == shared().drops && !(removed && was_there)) return;
        // Nothing else is under way in the token meanwhile.
        const std::unique_lock lock(use_);
        seen_drops_ = shared().drops.load();
        std::set<CK_SLOT_ID> slots;
        for (const auto& [session, slot] : sessions_) slots.insert(slot);
        for (const CK_SLOT_ID slot : slots) real_->C_CloseAllSessions(slot);
        sessions_.clear();
        objects_.clear();
        shared().sessions = 0;
        shared().session_objects = 0;
    }

    std::unique_ptr<Mapping> mapping_;
    std::string name_;
    CK_FUNCTION_LIST* real_ = nullptr;

    std::shared_mutex use_;
    std::mutex change_;
    std::atomic<std::uint32_t> seen_drops_{0};
    std::atomic<bool> there_{true};
    std::map<CK_SESSION_HANDLE, CK_SLOT_ID> sessions_;
    std::map<CK_OBJECT_HANDLE, CK_SESSION_HANDLE> objects_;  ///< session objects, and whose they are
};

Token& token() {
    static Token instance;
    return instance;
}

bool is_token_object(const CK_ATTRIBUTE* list, CK_ULONG count) {
    return std::ranges::any_of(std::span(list, count), [](const CK_ATTRIBUTE& attribute) {
        return attribute.type == CKA_TOKEN && attribute.ulValueLen == sizeof(CK_BBOOL) &&
               *static_cast<const CK_BBOOL*>(attribute.pValue) == CK_TRUE;
    });
}

/// What a successful call has changed: nothing, but for those below.
template <std::size_t kIndex, class... Arguments>
void note(Arguments...) {
}
template <>
void note<call_index("C_OpenSession")>(CK_SLOT_ID slot, CK_FLAGS, void*, CK_NOTIFY,
                                       CK_SESSION_HANDLE* session) {
    token().opened(slot, *session);
}
template <>
void note<call_index("C_CloseSession")>(CK_SESSION_HANDLE session) {
    token().closed(session);
}
template <>
void note<call_index("C_CloseAllSessions")>(CK_SLOT_ID slot) {
    token().closed_all(slot);
}
template <>
void note<call_index("C_Finalize")>(void*) {
    token().finalised();
}
template <>
void note<call_index("C_CreateObject")>(CK_SESSION_HANDLE session, CK_ATTRIBUTE* list, CK_ULONG count,
                                        CK_OBJECT_HANDLE* object) {
    if (!is_token_object(list, count)) token().made(session, *object);
}
template <>
void note<call_index("C_GenerateKey")>(CK_SESSION_HANDLE session, CK_MECHANISM*, CK_ATTRIBUTE* list,
                                       CK_ULONG count, CK_OBJECT_HANDLE* object) {
    if (!is_token_object(list, count)) token().made(session, *object);
}
template <>
void note<call_index("C_GenerateKeyPair")>(CK_SESSION_HANDLE session, CK_MECHANISM*,
                                           CK_ATTRIBUTE* public_list, CK_ULONG public_count,
                                           CK_ATTRIBUTE* list, CK_ULONG count,
                                           CK_OBJECT_HANDLE* public_object, CK_OBJECT_HANDLE* object) {
    if (!is_token_object(public_list, public_count)) token().made(session, *public_object);
    if (!is_token_object(list, count)) token().made(session, *object);
}
template <>
void note<call_index("C_DeriveKey")>(CK_SESSION_HANDLE session, CK_MECHANISM*, CK_OBJECT_HANDLE,
                                     CK_ATTRIBUTE* list, CK_ULONG count, CK_OBJECT_HANDLE* object) {
    if (!is_token_object(list, count)) token().made(session, *object);
}
/// The copies that are made here say that they are session objects.
template <>
void note<call_index("C_CopyObject")>(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE, CK_ATTRIBUTE* list,
                                      CK_ULONG count, CK_OBJECT_HANDLE* object) {
    if (!is_token_object(list, count)) token().made(session, *object);
}
template <>
void note<call_index("C_DestroyObject")>(CK_SESSION_HANDLE, CK_OBJECT_HANDLE object) {
    token().destroyed(object);
}

template <std::size_t kIndex, auto kMember>
struct Wrapped;
template <std::size_t kIndex, class... Arguments, CK_RV (*CK_FUNCTION_LIST::*kMember)(Arguments...)>
struct Wrapped<kIndex, kMember> {
    static CK_RV call(Arguments... arguments) {
        return token().call(
            kIndex, [&] { return (token().real().*kMember)(arguments...); },
            [&] { note<kIndex, Arguments...>(arguments...); });
    }
};

CK_FUNCTION_LIST wrapped_functions() {
    CK_FUNCTION_LIST list = token().real();
#define STS6_WRAP(name) list.name = &Wrapped<call_index(#name), &CK_FUNCTION_LIST::name>::call
    STS6_WRAP(C_Initialize);
    STS6_WRAP(C_Finalize);
    STS6_WRAP(C_GetInfo);
    STS6_WRAP(C_GetSlotList);
    STS6_WRAP(C_GetTokenInfo);
    STS6_WRAP(C_OpenSession);
    STS6_WRAP(C_CloseSession);
    STS6_WRAP(C_CloseAllSessions);
    STS6_WRAP(C_GetSessionInfo);
    STS6_WRAP(C_Login);
    STS6_WRAP(C_CreateObject);
    STS6_WRAP(C_CopyObject);
    STS6_WRAP(C_DestroyObject);
    STS6_WRAP(C_GetAttributeValue);
    STS6_WRAP(C_FindObjectsInit);
    STS6_WRAP(C_FindObjects);
    STS6_WRAP(C_FindObjectsFinal);
    STS6_WRAP(C_GenerateKey);
    STS6_WRAP(C_GenerateKeyPair);
    STS6_WRAP(C_DeriveKey);
    STS6_WRAP(C_DigestInit);
    STS6_WRAP(C_DigestUpdate);
    STS6_WRAP(C_DigestKey);
    STS6_WRAP(C_DigestFinal);
    STS6_WRAP(C_GenerateRandom);
    STS6_WRAP(C_SignInit);
    STS6_WRAP(C_Sign);
    STS6_WRAP(C_EncryptInit);
    STS6_WRAP(C_Encrypt);
    STS6_WRAP(C_DecryptInit);
    STS6_WRAP(C_Decrypt);
#undef STS6_WRAP
    return list;
}

}  // namespace
}  // namespace sts6::shim

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
    try {
        if (const CK_RV rv = sts6::shim::token().attach(); rv != CKR_OK) return rv;
        static CK_FUNCTION_LIST functions;
        functions = sts6::shim::wrapped_functions();
        functions.C_GetFunctionList = &C_GetFunctionList;
        *list = &functions;
        return CKR_OK;
    } catch (const std::exception&) {
        return CKR_GENERAL_ERROR;
    }
}
