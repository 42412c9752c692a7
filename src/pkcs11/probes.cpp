// SPDX-License-Identifier: Apache-2.0
#include "src/pkcs11/probes.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <spdlog/fmt/fmt.h>

#include "src/pkcs11/agreement_probe.hpp"
#include "src/pkcs11/operations.hpp"
#include "src/pkcs11/throwaway.hpp"
#include "src/pkcs11/vending_key_object.hpp"
#include "src/pkcs11/wrapping_key.hpp"

namespace sts6::p11 {
namespace {

constexpr const char* kProbeLabel = "sts6 known-answer test";

// RFC 4231, test case 1.
constexpr std::array<std::uint8_t, 20> kHmacKey = {0x0B, 0x0B, 0x0B, 0x0B, 0x0B, 0x0B, 0x0B,
                                                   0x0B, 0x0B, 0x0B, 0x0B, 0x0B, 0x0B, 0x0B,
                                                   0x0B, 0x0B, 0x0B, 0x0B, 0x0B, 0x0B};
constexpr std::array<std::uint8_t, 8> kHmacData = {'H', 'i', ' ', 'T', 'h', 'e', 'r', 'e'};
constexpr std::array<std::uint8_t, 32> kHmacAnswer = {
    0xB0, 0x34, 0x4C, 0x61, 0xD8, 0xDB, 0x38, 0x53, 0x5C, 0xA8, 0xAF, 0xCE, 0xAF, 0x0B, 0xF1, 0x2B,
    0x88, 0x1D, 0xC2, 0x00, 0xC9, 0x83, 0x3D, 0xA7, 0x26, 0xE9, 0x37, 0x6C, 0x2E, 0x32, 0xCF, 0xF7};

// The worked example of single DES in most textbooks.
constexpr std::array<std::uint8_t, 8> kDesKey = {0x13, 0x34, 0x57, 0x79, 0x9B, 0xBC, 0xDF, 0xF1};
constexpr std::array<std::uint8_t, 8> kDesBlock = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF};
constexpr std::array<std::uint8_t, 8> kDesAnswer = {0x85, 0xE8, 0x13, 0x54, 0x0F, 0x0A, 0xB4, 0x05};

CK_RV check_hmac(Session& session, CK_OBJECT_HANDLE key) {
    std::array<std::uint8_t, 32> mac{};
    const CK_RV rv = hmac_sha256(session, key, kHmacData, mac);
    return rv == CKR_OK && mac != kHmacAnswer ? kWrongAnswer : rv;
}

CK_RV probe_hmac(Session& session, HmacKeyForm form) {
    const Throwaway key(session, create_vending_key_object(session, Dkga::dkga04, form, Lifetime::session,
                                                           kProbeLabel, {}, kHmacKey));
    return key.rv() != CKR_OK ? key.rv() : check_hmac(session, key.handle());
}

CK_RV probe_copy(Session& session, HmacKeyForm form) {
    const Throwaway key(session, create_vending_key_object(session, Dkga::dkga04, form, Lifetime::session,
                                                           kProbeLabel, {}, kHmacKey));
    if (key.rv() != CKR_OK) return key.rv();
    const Throwaway copy(session, copy_to_session(session, key.handle()));
    return copy.rv() != CKR_OK ? copy.rv() : check_hmac(session, copy.handle());
}

CK_RV probe_des3(Session& session) {
    const Throwaway key(session, create_vending_key_object(session, Dkga::dkga02, HmacKeyForm::as_it_is,
                                                           Lifetime::session, kProbeLabel, {}, kDesKey));
    if (key.rv() != CKR_OK) return key.rv();
    std::array<std::uint8_t, 8> encrypted{};
    const CK_RV rv = des3_encrypt(session, key.handle(), kDesBlock, encrypted);
    return rv == CKR_OK && encrypted != kDesAnswer ? kWrongAnswer : rv;
}

/// The key is the token's own, so that there is no known answer: wrapping and opening must be each other's
/// opposites, and the former must change something.
CK_RV probe_aes(Session& session) {
    const Throwaway key(session, create_wrapping_key_object(session, Lifetime::session, kProbeLabel, {}));
    if (key.rv() != CKR_OK) return key.rv();
    const KeyId id{1, 2, 3, 4, 5, 6, 7, 8};
    const auto wrapped = wrap_key(session, key.handle(), kDesKey, id);
    if (!wrapped) return wrapped.error();
    if (std::equal(kDesKey.begin(), kDesKey.end(), wrapped->begin())) return kWrongAnswer;
    Secret<kDkg02Octets> opened;
    const CK_RV rv = unwrap_key(session, key.handle(), *wrapped, id, opened);
    if (rv == CKR_WRAPPED_KEY_INVALID) return kWrongAnswer;
    return rv == CKR_OK && !std::ranges::equal(opened.octets(), kDesKey) ? kWrongAnswer : rv;
}

CK_RV probe_random(Session& session) {
    std::array<std::uint8_t, 16> first{};
    std::array<std::uint8_t, 16> second{};
    for (auto* octets : {&first, &second}) {
        const CK_RV rv = session.api().C_GenerateRandom(session.handle(), octets->data(), octets->size());
        if (rv != CKR_OK) return rv;
    }
    return first == second ? kWrongAnswer : CKR_OK;
}

/// Asks once more after a failure that may pass: what a token cannot do is decided for as long as the process
/// runs.
template <class Probe>
CK_RV ask(Probe probe) {
    const CK_RV rv = probe();
    return may_pass(rv) ? probe() : rv;
}

std::string answer_text(CK_RV rv) {
    if (rv == CKR_OK) return "yes";
    return rv == kWrongAnswer ? "no, wrong answer" : "no, " + describe(rv);
}

bool note(Capabilities& capabilities, const char* what, CK_RV rv) {
    capabilities.lines.push_back(fmt::format("{}: {}", what, answer_text(rv)));
    return rv == CKR_OK;
}

/// The best way to agree on keys that gives the right answers. A CKR only when the token went away.
CK_RV probe_key_agreements(Session& session, Capabilities& found) {
    AgreementOutcome outcome;
    std::string lacking;
    const char* name = nullptr;
    for (const KeyAgreementRow& row : kKeyAgreements) {
        const CK_RV rv = ask([&] {
            outcome = probe_agreement(session, row.how);
            return outcome.first_failure();
        });
        if (fault_of(rv) == Fault::connection) return rv;
        if (outcome.agreement == CKR_OK) {
            found.key_agreement = row.how;
            name = row.name;
            break;
        }
        if (outcome.key_pairs != CKR_OK) break;
        lacking += std::string("; ") + row.name + ": " + answer_text(outcome.agreement);
    }
    found.ec_p384 = note(found, "EC P-384 key pairs", outcome.key_pairs);
    found.lines.push_back(fmt::format("key agreement: {}{}", name == nullptr ? "none" : name, lacking));
    found.aes_192_ccm = name != nullptr && outcome.ccm == CKR_OK;
    found.lines.push_back(fmt::format("AES-192-CCM: {}", found.aes_192_ccm ? "composed of ECB and CBC"
                                                         : name == nullptr ? "no"
                                                                           : answer_text(outcome.ccm)));
    return CKR_OK;
}

}  // namespace

CkResult<Capabilities> probe_capabilities(Session& session, const Quirks& quirks) {
    const CK_RV native = ask([&] { return probe_hmac(session, HmacKeyForm::as_it_is); });
    const CK_RV padded = ask([&] { return probe_hmac(session, HmacKeyForm::padded_to_32); });
    const CK_RV des3 = ask([&] { return probe_des3(session); });
    const CK_RV aes = ask([&] { return probe_aes(session); });
    const auto usable = native == CKR_OK ? HmacKeyForm::as_it_is : HmacKeyForm::padded_to_32;
    const CK_RV copy = ask([&] { return probe_copy(session, usable); });
    const CK_RV random = ask([&] { return probe_random(session); });
    for (const CK_RV rv : {native, padded, des3, aes, copy, random}) {
        if (fault_of(rv) == Fault::connection) return Unexpected{rv};
    }
    Capabilities found;
    found.hmac_native_20 = note(found, "HMAC-SHA-256 with a key of 20 octets", native);
    found.hmac_padded_32 = note(found, "HMAC-SHA-256 with that key padded to 32 octets", padded);
    found.des3_kkk = note(found, "single DES as triple DES with equal keys", des3);
    found.aes_256 = note(found, "AES-256 with a key made in the token", aes);
    found.copy_object = note(found, "copies of keys", copy);
    found.random = note(found, "random numbers", random);
    if (const CK_RV rv = probe_key_agreements(session, found); rv != CKR_OK) return Unexpected{rv};
    found.session_copies = found.copy_object && quirks.session_copies;
    found.lines.push_back(
        fmt::format("keys are used {}", found.session_copies ? "through session copies" : "in place"));
    found.lines.push_back(
        fmt::format("token family: {}{}{}", quirks.name, *quirks.note != '\0' ? "; " : "", quirks.note));
    return found;
}

}  // namespace sts6::p11
