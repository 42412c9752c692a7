// SPDX-License-Identifier: Apache-2.0
// The tables. A change of them is a new kSchemaVersion and a migration.
#pragma once

#include <cstdint>

namespace sts6::store {

inline constexpr std::int64_t kApplicationId = 0x53545336;  ///< "STS6"; marks the file as this product's
inline constexpr std::int64_t kSchemaVersion = 3;           ///< versions 1 and 2 were never released

// Limits that the C++ types do not express; the SQL below has the same.
inline constexpr std::int64_t kFirstSecond = -62167219200;    ///< 0000-01-01T00:00:00Z
inline constexpr std::int64_t kLastSecond = 253402300799;     ///< 9999-12-31T23:59:59Z
inline constexpr std::int64_t kMaxRegister = 4096;            ///< docs/protocol.md, Fields
inline constexpr std::int64_t kMaxSgc = 999'999;              ///< six digits
inline constexpr std::int64_t kMaxClmBits = 0x551184E7;       ///< the largest float32 up to 10^13
inline constexpr std::int64_t kMaxUnitsLeft = 9'999'999'980;  ///< tenths of kMaxUlmUnits
inline constexpr std::int64_t kMaxCurrencyLeft = 1'000'000'000'000'000'000;  ///< 10^13 in 0.00001
inline constexpr std::int64_t kMaxSlot = 4;
inline constexpr std::int64_t kMaxUlmUnits = 999'999'998;  ///< below 10^9 - 1

/// Times are seconds since 1970-01-01T00:00:00Z. Text is what a P field can carry: x20..x7D.
inline constexpr const char* kCreateSchema = R"sql(
CREATE TABLE module (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    profile       INTEGER NOT NULL CHECK (profile IN (1, 2, 3)),
    phase         INTEGER NOT NULL CHECK (phase IN (1, 2)),
    module_id     TEXT    NOT NULL
                  CHECK (length(CAST(module_id AS BLOB)) <= 40 AND module_id NOT GLOB '*[^ -}]*'),
    hardware_id   TEXT    NOT NULL
                  CHECK (length(CAST(hardware_id AS BLOB)) <= 40 AND hardware_id NOT GLOB '*[^ -}]*'),
    smid          TEXT    NOT NULL
                  CHECK (length(CAST(smid AS BLOB)) <= 128 AND smid NOT GLOB '*[^ -}]*'),
    smid_firmware TEXT    NOT NULL
                  CHECK (length(CAST(smid_firmware AS BLOB)) <= 40 AND smid_firmware NOT GLOB '*[^ -}]*'),
    agreement_key BLOB    NOT NULL CHECK (length(agreement_key) = 16),
    agreement_point BLOB  NOT NULL CHECK (length(agreement_point) = 97),
    instruction_key BLOB  NOT NULL CHECK (length(instruction_key) = 97),
    tokens_issued INTEGER NOT NULL CHECK (tokens_issued >= 0),
    time_mark     INTEGER NOT NULL CHECK (time_mark BETWEEN -62167219200 AND 253402300799),
    running       INTEGER NOT NULL CHECK (running IN (0, 1)),
    tampered      INTEGER NOT NULL CHECK (tampered IN (0, 1))
) STRICT;

CREATE TABLE register (
    number      INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 4096),
    slot        INTEGER NOT NULL CHECK (slot BETWEEN 1 AND 4),
    key_id      BLOB    NOT NULL UNIQUE CHECK (length(key_id) = 16),
    wrapped_key BLOB    CHECK (length(wrapped_key) = 16),
    kcv         BLOB    NOT NULL CHECK (length(kcv) = 3),
    sgc         INTEGER NOT NULL CHECK (sgc BETWEEN 0 AND 999999),
    krn         INTEGER NOT NULL CHECK (krn BETWEEN 1 AND 9),
    ktc         INTEGER NOT NULL CHECK (ktc BETWEEN 1 AND 3),
    dkg         INTEGER NOT NULL CHECK (dkg IN (2, 4)),
    base_year   INTEGER NOT NULL CHECK (base_year IN (1993, 2014, 2035)),
    ken         INTEGER NOT NULL CHECK (ken BETWEEN 0 AND 255),
    cluster     INTEGER NOT NULL CHECK (cluster BETWEEN 0 AND 4294967295),
    sbm         INTEGER NOT NULL CHECK (sbm BETWEEN 0 AND 65535),
    active_from INTEGER NOT NULL CHECK (active_from BETWEEN -62167219200 AND 253402300799),
    expiry      INTEGER NOT NULL CHECK (expiry BETWEEN -62167219200 AND 253402300799),
    issue_until INTEGER NOT NULL CHECK (issue_until BETWEEN -62167219200 AND 253402300799),
    clm_bits    INTEGER CHECK (clm_bits BETWEEN 0 AND 1427211495),
    ulm_units   INTEGER CHECK (ulm_units BETWEEN 0 AND 999999998),
    sgn         TEXT    NOT NULL CHECK (length(CAST(sgn AS BLOB)) <= 40 AND sgn NOT GLOB '*[^ -}]*'),
    units_left    INTEGER CHECK (units_left BETWEEN 0 AND 9999999980),
    currency_left INTEGER CHECK (currency_left BETWEEN 0 AND 1000000000000000000),
    UNIQUE (slot, sgc, krn),
    CHECK ((wrapped_key IS NOT NULL) = (dkg = 2))
) STRICT;

CREATE TABLE staged (
    number      INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 4096),
    slot        INTEGER NOT NULL CHECK (slot BETWEEN 1 AND 4),
    key_id      BLOB    NOT NULL UNIQUE CHECK (length(key_id) = 16),
    wrapped_key BLOB    CHECK (length(wrapped_key) = 16),
    kcv         BLOB    NOT NULL CHECK (length(kcv) = 3),
    sgc         INTEGER NOT NULL CHECK (sgc BETWEEN 0 AND 999999),
    krn         INTEGER NOT NULL CHECK (krn BETWEEN 1 AND 9),
    ktc         INTEGER NOT NULL CHECK (ktc BETWEEN 1 AND 3),
    dkg         INTEGER NOT NULL CHECK (dkg IN (2, 4)),
    base_year   INTEGER NOT NULL CHECK (base_year IN (1993, 2014, 2035)),
    ken         INTEGER NOT NULL CHECK (ken BETWEEN 0 AND 255),
    cluster     INTEGER NOT NULL CHECK (cluster BETWEEN 0 AND 4294967295),
    sbm         INTEGER NOT NULL CHECK (sbm BETWEEN 0 AND 65535),
    active_from INTEGER NOT NULL CHECK (active_from BETWEEN -62167219200 AND 253402300799),
    expiry      INTEGER NOT NULL CHECK (expiry BETWEEN -62167219200 AND 253402300799),
    issue_until INTEGER NOT NULL CHECK (issue_until BETWEEN -62167219200 AND 253402300799),
    clm_bits    INTEGER CHECK (clm_bits BETWEEN 0 AND 1427211495),
    ulm_units   INTEGER CHECK (ulm_units BETWEEN 0 AND 999999998),
    sgn         TEXT    NOT NULL CHECK (length(CAST(sgn AS BLOB)) <= 40 AND sgn NOT GLOB '*[^ -}]*'),
    nonce       BLOB    NOT NULL UNIQUE CHECK (length(nonce) = 12),
    record      BLOB    NOT NULL UNIQUE CHECK (length(record) = 48),
    UNIQUE (slot, sgc, krn),
    CHECK ((wrapped_key IS NOT NULL) = (dkg = 2))
) STRICT;

CREATE TABLE slot (
    number          INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 4),
    kmc_operator    TEXT    NOT NULL
                    CHECK (length(CAST(kmc_operator AS BLOB)) BETWEEN 1 AND 40
                       AND kmc_operator NOT GLOB '*[^ -}]*'),
    kmc_name        TEXT    NOT NULL
                    CHECK (length(CAST(kmc_name AS BLOB)) BETWEEN 1 AND 40 AND kmc_name NOT GLOB '*[^ -}]*'),
    kmcid           TEXT    NOT NULL
                    CHECK (length(CAST(kmcid AS BLOB)) <= 128 AND kmcid NOT GLOB '*[^ -}]*'),
    active          INTEGER NOT NULL CHECK (active IN (0, 1)),
    last_loaded     INTEGER CHECK (last_loaded BETWEEN 0 AND 4096),
    last_removed    INTEGER NOT NULL CHECK (last_removed BETWEEN 0 AND 4096),
    session         INTEGER NOT NULL CHECK (session IN (0, 1, 2)),
    session_kmcid   TEXT    NOT NULL
                    CHECK (length(CAST(session_kmcid AS BLOB)) <= 128 AND session_kmcid NOT GLOB '*[^ -}]*'),
    kmc_record      BLOB    NOT NULL CHECK (length(kmc_record) = 48),
    kmc_key         BLOB    NOT NULL CHECK (length(kmc_key) = 97),
    requested       INTEGER NOT NULL CHECK (requested BETWEEN -62167219200 AND 253402300799),
    ephemeral_key   BLOB    NOT NULL CHECK (length(ephemeral_key) = 16),
    ephemeral_point BLOB    NOT NULL CHECK (length(ephemeral_point) = 97),
    failures        INTEGER NOT NULL CHECK (failures BETWEEN 0 AND 5),
    kek             BLOB    NOT NULL CHECK (length(kek) = 16),
    mac_tag         BLOB    NOT NULL CHECK (length(mac_tag) = 24),
    response        BLOB    NOT NULL CHECK (length(response) = 48),
    UNIQUE (kmc_operator, kmc_name)
) STRICT;

CREATE TABLE approved_kmc (
    record_digest BLOB    PRIMARY KEY CHECK (length(record_digest) = 48),
    kmcid         TEXT    NOT NULL UNIQUE CHECK (length(CAST(kmcid AS BLOB)) <= 128),
    record        TEXT    NOT NULL CHECK (length(CAST(record AS BLOB)) <= 1024),
    approved      INTEGER NOT NULL CHECK (approved BETWEEN -62167219200 AND 253402300799)
) STRICT;

CREATE TABLE officer (
    name     TEXT    PRIMARY KEY CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 40),
    salt     BLOB    NOT NULL CHECK (length(salt) = 16),
    verifier BLOB    NOT NULL CHECK (length(verifier) = 32),
    failures INTEGER NOT NULL CHECK (failures BETWEEN 0 AND 255)
) STRICT;

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY CHECK (sequence >= 1),
    time     INTEGER NOT NULL CHECK (time BETWEEN -62167219200 AND 253402300799),
    event    INTEGER NOT NULL CHECK (event BETWEEN 0 AND 255),
    text     TEXT    NOT NULL CHECK (length(CAST(text AS BLOB)) <= 240 AND text NOT GLOB '*[^ -}]*'),
    hash     BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TABLE audit_head (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    first        INTEGER NOT NULL CHECK (first >= 1),
    acknowledged INTEGER NOT NULL CHECK (acknowledged >= 0),
    base         BLOB    NOT NULL CHECK (length(base) = 32)
) STRICT;

INSERT INTO audit_head (id, first, acknowledged, base) VALUES (1, 1, 0, zeroblob(32));
)sql";

inline constexpr const char* kInsertModule =
    "INSERT INTO module (phase, module_id, hardware_id, smid, smid_firmware, agreement_key, agreement_point,"
    " instruction_key, tokens_issued, time_mark, running, tampered, profile, id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)";

inline constexpr const char* kSelectModule =
    "SELECT id, profile, phase, module_id, hardware_id, smid, smid_firmware, agreement_key,"
    " agreement_point, instruction_key, tokens_issued, time_mark, running, tampered FROM module";

/// The profile is what the module was set up as: compared, never changed.
inline constexpr const char* kUpdateModule =
    "UPDATE module SET phase = ?, module_id = ?, hardware_id = ?, smid = ?, smid_firmware = ?, agreement_key "
    "= ?,"
    " agreement_point = ?, instruction_key = ?, tokens_issued = ?, time_mark = ?, running = ?,"
    " tampered = ?"
    " WHERE profile = ? AND id = 1";

#define STS6_KEY_COLUMNS                                                                                     \
    "number, slot, key_id, wrapped_key, kcv, sgc, krn, ktc, dkg, base_year, ken, cluster, sbm, active_from," \
    " expiry, issue_until, clm_bits, ulm_units, sgn"
inline constexpr const char* kSelectNextRegister =
    "SELECT " STS6_KEY_COLUMNS
    ", units_left, currency_left FROM register WHERE number > ?"
    " ORDER BY number LIMIT 1";
inline constexpr const char* kInsertRegister =
    "INSERT INTO register (" STS6_KEY_COLUMNS
    ", units_left, currency_left)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
inline constexpr const char* kUpdateCounters =
    "UPDATE register SET units_left = ?, currency_left = ? WHERE number = ?";
inline constexpr const char* kRemoveRegister = "DELETE FROM register WHERE number = ?";

inline constexpr const char* kSelectNextStaged =
    "SELECT " STS6_KEY_COLUMNS ", nonce, record FROM staged WHERE number > ? ORDER BY number LIMIT 1";
inline constexpr const char* kInsertStaged =
    "INSERT INTO staged (" STS6_KEY_COLUMNS
    ", nonce, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
inline constexpr const char* kRemoveAllStaged = "DELETE FROM staged";
#undef STS6_KEY_COLUMNS

#define STS6_SLOT_COLUMNS                                                                               \
    "number, kmc_operator, kmc_name, kmcid, active, last_loaded, last_removed, session, session_kmcid," \
    " kmc_record, kmc_key, requested, ephemeral_key, ephemeral_point, failures, kek, mac_tag, response"
inline constexpr const char* kSelectSlot = "SELECT " STS6_SLOT_COLUMNS " FROM slot WHERE number = ?";
inline constexpr const char* kInsertSlot =
    "INSERT INTO slot (" STS6_SLOT_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
inline constexpr const char* kRemoveSlot = "DELETE FROM slot WHERE number = ?";
#undef STS6_SLOT_COLUMNS

inline constexpr const char* kSelectNextOfficer =
    "SELECT name, salt, verifier, failures FROM officer WHERE name > ? ORDER BY name LIMIT 1";
inline constexpr const char* kInsertOfficer =
    "INSERT INTO officer (name, salt, verifier, failures) VALUES (?, ?, ?, ?)";
inline constexpr const char* kRemoveOfficer = "DELETE FROM officer WHERE name = ?";

inline constexpr const char* kSelectNextApproval =
    "SELECT record_digest, kmcid, record, approved FROM approved_kmc WHERE kmcid > ? ORDER BY kmcid LIMIT 1";
inline constexpr const char* kInsertApproval =
    "INSERT INTO approved_kmc (record_digest, kmcid, record, approved) VALUES (?, ?, ?, ?)";
inline constexpr const char* kRemoveApproval = "DELETE FROM approved_kmc WHERE record_digest = ?";
inline constexpr const char* kRemoveAllApprovals = "DELETE FROM approved_kmc";
inline constexpr const char* kSelectApproval = "SELECT 1 FROM approved_kmc WHERE record_digest = ?";

inline constexpr const char* kInsertAudit =
    "INSERT INTO audit (sequence, time, event, text, hash) VALUES (?, ?, ?, ?, ?)";
inline constexpr const char* kSelectAudit =
    "SELECT sequence, time, event, text, hash FROM audit WHERE sequence = ?";
inline constexpr const char* kRemoveAuditBefore = "DELETE FROM audit WHERE sequence < ?";
inline constexpr const char* kSelectAuditHead =
    "SELECT first, acknowledged, base, (SELECT count(*) FROM audit), (SELECT max(sequence) FROM audit)"
    " FROM audit_head";
inline constexpr const char* kUpdateAuditHead =
    "UPDATE audit_head SET first = ?, acknowledged = ?, base = ? WHERE id = 1";

}  // namespace sts6::store
