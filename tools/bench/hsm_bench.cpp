// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include "firmware/sts/decoder_key.hpp"
#include "firmware/sts/token.hpp"
#include "src/pkcs11/pkcs11_hsm.hpp"
#include "tools/bench/benches.hpp"
#include "tools/bench/measure.hpp"
#include "tools/bench/softhsm.hpp"
#include "tools/conform/child_process.hpp"

namespace sts6::bench {

namespace {

constexpr int kRounds = 21;
constexpr std::size_t kBatch = 64;
constexpr std::size_t kPerRound = 60 * kBatch;
constexpr std::array<std::uint8_t, 20> kVendingKey = {0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB,
                                                      0xAB, 0x94, 0x94, 0x94, 0x94, 0x94, 0x94,
                                                      0x94, 0x94, 0x01, 0x23, 0x45, 0x67};

void require_ok(CK_RV rv, const char* call) {
    if (rv != CKR_OK) throw std::runtime_error(std::string(call) + " failed");
}

/// The same key used directly: the library is loaded and logged in already, both of which the process shares.
class RawKey {
  public:
    RawKey() {
        void* library = dlopen(kSoftHsm, RTLD_NOW | RTLD_LOCAL);
        auto* get = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
        require_ok(get(&api_), "C_GetFunctionList");
        std::array<CK_SLOT_ID, 8> slots{};
        CK_ULONG count = slots.size();
        require_ok(api_->C_GetSlotList(CK_TRUE, slots.data(), &count), "C_GetSlotList");
        require_ok(
            api_->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session_),
            "C_OpenSession");
        CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
        CK_BBOOL yes = CK_TRUE;
        CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &secret, sizeof secret}, {CKA_TOKEN, &yes, sizeof yes}};
        require_ok(api_->C_FindObjectsInit(session_, wanted, 2), "C_FindObjectsInit");
        require_ok(api_->C_FindObjects(session_, &object_, 1, &count), "C_FindObjects");
        require_ok(api_->C_FindObjectsFinal(session_), "C_FindObjectsFinal");
        if (count != 1) throw std::runtime_error("the key was not found");
        CK_BBOOL no = CK_FALSE;
        CK_ATTRIBUTE session_object[] = {{CKA_TOKEN, &no, sizeof no}};
        require_ok(api_->C_CopyObject(session_, object_, session_object, 1, &copy_), "C_CopyObject");
    }
    RawKey(const RawKey&) = delete;
    RawKey& operator=(const RawKey&) = delete;
    ~RawKey() { api_->C_CloseSession(session_); }

    [[nodiscard]] CK_OBJECT_HANDLE object() const { return object_; }
    [[nodiscard]] CK_OBJECT_HANDLE copy() const { return copy_; }
    void sign(CK_OBJECT_HANDLE key, std::array<std::uint8_t, sts::kDkga04DataOctets>& data) {
        CK_MECHANISM hmac = {CKM_SHA256_HMAC, nullptr, 0};
        std::array<std::uint8_t, 32> mac{};
        CK_ULONG size = mac.size();
        require_ok(api_->C_SignInit(session_, &hmac, key), "C_SignInit");
        require_ok(api_->C_Sign(session_, data.data(), data.size(), mac.data(), &size), "C_Sign");
        keep(mac);
    }

  private:
    CK_FUNCTION_LIST* api_ = nullptr;
    CK_SESSION_HANDLE session_ = 0;
    CK_OBJECT_HANDLE object_ = 0;
    CK_OBJECT_HANDLE copy_ = 0;
};

/// Batches of tokens as the module makes them: data, one call for all keys, then block, cipher and digits.
class TokenBatch {
  public:
    TokenBatch(p11::Pkcs11Hsm& hsm, KeyHandle key) : hsm_(hsm) {
        for (DerivationRequest& request : requests_)
            request = {.key = key, .dkga = Dkga::dkga04, .ea = Ea::misty1, .data = {}};
    }
    void run() {
        for (DerivationRequest& request : requests_) sts::dkga04_data(parameters_, request.data);
        hsm_.decoder_keys(requests_, results_);
        for (DerivationResult& result : results_) {
            if (result.error) throw std::runtime_error("a derivation failed");
            keep(sts::seal_token(sts::credit_token(0, 5, 0x014EEC, 1), Ea::misty1, result.key.octets(),
                                 sts::kSampleStaTables)
                     .decimal());
        }
    }

  private:
    p11::Pkcs11Hsm& hsm_;
    sts::DecoderKeyParameters parameters_{.kt = KeyType::dutk,
                                          .sgc = 201457,
                                          .ti = 1,
                                          .krn = 1,
                                          .pan = sts::Pan::parse("600727000000000009").value(),
                                          .ea = Ea::misty1,
                                          .base_date = BaseDate::y2014};
    std::array<DerivationRequest, kBatch> requests_;
    std::array<DerivationResult, kBatch> results_;
};

}  // namespace

void bench_hsm() {
    const conform::TemporaryDirectory place;
    const auto config = make_softhsm_token(place.path());
    auto hsm = p11::Pkcs11Hsm::open(config, p11::Pin::from_text(kTokenPin));
    if (!hsm) throw std::runtime_error("SoftHSM could not be opened");
    const auto created = (*hsm)->create_vending_key(Dkga::dkga04, kVendingKey);
    if (!created) throw std::runtime_error("no key could be made");
    const auto key = (*hsm)->find_key(created->id, Dkga::dkga04);
    if (!key) throw std::runtime_error("the key was not found");
    TokenBatch batch(**hsm, *key);
    RawKey raw;
    std::array<std::uint8_t, sts::kDkga04DataOctets> data{};
    std::vector<double> tokens;
    std::vector<double> copies;
    std::vector<double> objects;
    for (int round = 0; round < kRounds; ++round) {
        tokens.push_back(nanoseconds(kPerRound / kBatch, [&](std::size_t) { batch.run(); }) / kBatch);
        copies.push_back(nanoseconds(kPerRound, [&](std::size_t) { raw.sign(raw.copy(), data); }));
        objects.push_back(nanoseconds(kPerRound, [&](std::size_t) { raw.sign(raw.object(), data); }));
    }
    std::printf(
        "SoftHSM, one session: %.1f k tokens/s; raw C_SignInit + C_Sign of a session copy %.1f k/s: ratio "
        "%.2f "
        "(to hold: 0.95)\n",
        1e6 / median(tokens), 1e6 / median(copies), median(ratio_of(copies, tokens)));
    std::printf("SoftHSM, session copy against token object: ratio %.2f (to hold: 2)\n",
                median(ratio_of(objects, copies)));
}

}  // namespace sts6::bench
