// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/module.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include <dlfcn.h>
#include <libp11.h>
#include <spdlog/spdlog.h>

namespace sts6::p11 {
namespace {

/// Every library that is loaded now, by path.
struct Registry {
    std::mutex mutex;
    std::map<std::filesystem::path, Module*> modules;
};

Registry& registry() {
    static Registry instance;
    return instance;
}

bool is_complete(const CK_FUNCTION_LIST& api) {
    return api.C_Initialize && api.C_Finalize && api.C_GetInfo && api.C_GetSlotList && api.C_GetTokenInfo &&
           api.C_OpenSession && api.C_CloseSession && api.C_GetSessionInfo && api.C_Login &&
           api.C_CreateObject && api.C_CopyObject && api.C_DestroyObject && api.C_GetAttributeValue &&
           api.C_FindObjectsInit && api.C_FindObjects && api.C_FindObjectsFinal && api.C_SignInit &&
           api.C_Sign && api.C_EncryptInit && api.C_Encrypt && api.C_GenerateRandom;
}

}  // namespace

std::string padded_text(const unsigned char* text, std::size_t size) {
    std::string copy(text, text + size);
    copy.erase(copy.find_last_not_of(std::string_view(" \0", 2)) + 1);
    return copy;
}

Module::Module(const TokenConfig& config, std::filesystem::path path)
    : path_(std::move(path)), softhsm_conf_(config.softhsm_conf), init_args_(config.init_args) {
}

Module::~Module() {
    // PKCS11_CTX_unload finalises the library itself, whoever initialised it.
    if (libp11_ != nullptr) {
        PKCS11_CTX_unload(libp11_);
        PKCS11_CTX_free(libp11_);
    } else if (finalise_) {
        functions_->C_Finalize(nullptr);
    }
    if (library_ != nullptr) ::dlclose(library_);
}

void Module::release(Module* module) {
    const std::lock_guard lock(registry().mutex);
    if (--module->users_ > 0) return;
    registry().modules.erase(module->path_);
    delete module;
}

Result<std::shared_ptr<Module>> Module::acquire(const TokenConfig& config) {
    std::error_code missing;
    const auto path = std::filesystem::canonical(config.module, missing);
    if (missing) {
        spdlog::error("PKCS#11 module " + config.module.string() + " cannot be used: " + missing.message());
        return Unexpected{Errc::hsm_missing};
    }
    std::unique_lock lock(registry().mutex);
    Module* module = nullptr;
    if (const auto known = registry().modules.find(path); known != registry().modules.end()) {
        module = known->second;
        if (module->init_args_ != config.init_args || module->softhsm_conf_ != config.softhsm_conf) {
            spdlog::error("PKCS#11 module " + path.string() + " is in use with other arguments");
            return Unexpected{Errc::in_use};
        }
    } else {
        auto* loaded = new Module(config, path);
        if (const auto result = loaded->load(); !result) {
            delete loaded;
            return Unexpected{result.error()};
        }
        registry().modules.emplace(path, loaded);
        module = loaded;
    }
    ++module->users_;
    lock.unlock();
    return std::shared_ptr<Module>(module, &Module::release);
}

Result<void> Module::load() {
    library_ = ::dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library_ == nullptr) {
        const char* reason = ::dlerror();
        spdlog::error("PKCS#11 module " + path_.string() +
                      " cannot be loaded: " + (reason ? reason : "unknown"));
        return Unexpected{Errc::hsm_missing};
    }
    const auto get_functions = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library_, "C_GetFunctionList"));
    if (get_functions == nullptr || get_functions(&functions_) != CKR_OK || functions_ == nullptr) {
        spdlog::error(path_.string() + " is no PKCS#11 module: it has no function list");
        return Unexpected{Errc::hsm_missing};
    }
    if (functions_->version.major != 2 || !is_complete(*functions_)) {
        spdlog::error("PKCS#11 module " + path_.string() + " lacks functions of Cryptoki 2");
        return Unexpected{Errc::unsupported};
    }
    if (const CK_RV rv = initialise(); rv != CKR_OK) {
        spdlog::error("PKCS#11 module " + path_.string() + " does not initialise: " + describe(rv));
        return Unexpected{Errc::hsm_failed};
    }
    CK_INFO info{};
    if (const CK_RV rv = functions_->C_GetInfo(&info); rv != CKR_OK) {
        spdlog::error("PKCS#11 module " + path_.string() + " does not identify itself: " + describe(rv));
        return Unexpected{Errc::hsm_failed};
    }
    manufacturer_ = padded_text(info.manufacturerID, sizeof info.manufacturerID);
    description_ =
        fmt::format("{} {}.{}", padded_text(info.libraryDescription, sizeof info.libraryDescription),
                    info.libraryVersion.major, info.libraryVersion.minor);
    return {};
}

CK_RV Module::initialise() {
    if (!softhsm_conf_.empty()) ::setenv("SOFTHSM2_CONF", softhsm_conf_.c_str(), 1);
    CK_C_INITIALIZE_ARGS arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;
    if (!init_args_.empty()) arguments.pReserved = init_args_.data();
    const CK_RV rv = functions_->C_Initialize(&arguments);
    finalise_ = finalise_ || rv == CKR_OK;
    ++generation_;
    return rv == CKR_CRYPTOKI_ALREADY_INITIALIZED ? CKR_OK : rv;
}

void Module::complain(const std::string& line) {
    if (news_.is_news(line)) spdlog::error(line);
}

CK_RV Module::reinitialise() {
    const auto lock = management();
    return initialise();
}

CkResult<std::vector<TokenSlot>> Module::tokens() {
    const auto lock = management();
    std::vector<CK_SLOT_ID> slots;
    CK_ULONG count = 0;
    CK_RV rv = CKR_BUFFER_TOO_SMALL;
    // A slot may appear between the two calls.
    for (int attempt = 0; attempt < 3 && rv == CKR_BUFFER_TOO_SMALL; ++attempt) {
        rv = functions_->C_GetSlotList(CK_TRUE, nullptr, &count);
        if (rv != CKR_OK) break;
        slots.resize(count);
        rv = functions_->C_GetSlotList(CK_TRUE, slots.data(), &count);
    }
    if (rv != CKR_OK) return Unexpected{rv};
    slots.resize(std::min<std::size_t>(count, slots.size()));

    std::vector<TokenSlot> tokens;
    for (const CK_SLOT_ID slot : slots) {
        CK_TOKEN_INFO info{};
        if (const CK_RV answer = functions_->C_GetTokenInfo(slot, &info); answer != CKR_OK) {
            // It may have been taken out just now.
            complain("the PKCS#11 token in slot " + std::to_string(slot) +
                     " does not identify itself: " + describe(answer));
            continue;
        }
        tokens.push_back({slot, info.flags, padded_text(info.label, sizeof info.label),
                          padded_text(info.manufacturerID, sizeof info.manufacturerID),
                          padded_text(info.model, sizeof info.model),
                          padded_text(info.serialNumber, sizeof info.serialNumber), info.ulMinPinLen,
                          info.ulMaxPinLen});
    }
    return tokens;
}

Result<PKCS11_ctx_st*> Module::libp11() {
    if (libp11_ != nullptr) return libp11_;
    PKCS11_CTX* context = PKCS11_CTX_new();
    if (context == nullptr) return Unexpected{Errc::hsm_failed};
    if (!init_args_.empty()) PKCS11_CTX_init_args(context, init_args_.c_str());
    if (PKCS11_CTX_load(context, path_.c_str()) != 0) {
        spdlog::error("libp11 does not load PKCS#11 module " + path_.string());
        PKCS11_CTX_free(context);
        return Unexpected{Errc::hsm_failed};
    }
    libp11_ = context;
    return libp11_;
}

Result<TokenSlot> find_token(Module& module, const std::string& label) {
    const auto tokens = module.tokens();
    if (!tokens) {
        module.complain("the PKCS#11 slots cannot be listed: " + describe(tokens.error()));
        return Unexpected{errc_of(tokens.error())};
    }
    const TokenSlot* found = nullptr;
    bool blank = false;
    for (const TokenSlot& token : *tokens) {
        blank = blank || !token.is_initialised();
        if (!token.is_initialised() || token.label != label) continue;
        if (found != nullptr) {
            module.complain("two PKCS#11 tokens are labelled '" + label + "': labels must be unique");
            return Unexpected{Errc::hsm_missing};
        }
        found = &token;
    }
    if (found == nullptr) {
        module.complain("no PKCS#11 token is labelled '" + label + "'" +
                        (blank ? "; there is one that is not initialised" : ""));
        return Unexpected{Errc::hsm_missing};
    }
    return *found;
}

}  // namespace sts6::p11
