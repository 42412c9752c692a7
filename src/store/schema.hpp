// SPDX-License-Identifier: Apache-2.0
// The tables. A change of them is a new kSchemaVersion and a migration.
#pragma once

#include <cstdint>

namespace sts6::store {

inline constexpr std::int64_t kApplicationId = 0x53545336;  ///< "STS6"; marks the file as this product's
inline constexpr std::int64_t kSchemaVersion = 1;

// Limits that the C++ types do not express; the SQL below has the same.
inline constexpr std::int64_t kFirstSecond = -62167219200;  ///< 0000-01-01T00:00:00Z
inline constexpr std::int64_t kLastSecond = 253402300799;   ///< 9999-12-31T23:59:59Z
inline constexpr std::int64_t kMaxRegister = 4096;          ///< docs/protocol.md, Fields
inline constexpr std::int64_t kMaxSgc = 999'999;            ///< six digits
inline constexpr std::int64_t kMaxClmBits = 0x551184E7;     ///< the largest float32 up to 10^13
inline constexpr std::int64_t kMaxUlmUnits = 999'999'998;   ///< below 10^9 - 1

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
    tokens_issued INTEGER NOT NULL CHECK (tokens_issued >= 0),
    time_mark     INTEGER NOT NULL CHECK (time_mark BETWEEN -62167219200 AND 253402300799)
) STRICT;

CREATE TABLE register (
    number      INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 4096),
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
    UNIQUE (sgc, krn),
    CHECK ((wrapped_key IS NOT NULL) = (dkg = 2))
) STRICT;
)sql";

inline constexpr const char* kInsertModule =
    "INSERT INTO module (phase, module_id, hardware_id, tokens_issued, time_mark, profile, id)"
    " VALUES (?, ?, ?, ?, ?, ?, 1)";

inline constexpr const char* kSelectModule =
    "SELECT id, profile, phase, module_id, hardware_id, tokens_issued, time_mark FROM module";

/// The profile is what the module was set up as: compared, never changed.
inline constexpr const char* kUpdateModule =
    "UPDATE module SET phase = ?, module_id = ?, hardware_id = ?, tokens_issued = ?, time_mark = ?"
    " WHERE profile = ? AND id = 1";

inline constexpr const char* kSelectNextRegister =
    "SELECT number, key_id, wrapped_key, kcv, sgc, krn, ktc, dkg, base_year, ken, cluster, sbm,"
    " active_from, expiry, issue_until, clm_bits, ulm_units, sgn FROM register WHERE number > ? ORDER BY "
    "number LIMIT 1";

inline constexpr const char* kInsertRegister =
    "INSERT INTO register (number, key_id, wrapped_key, kcv, sgc, krn, ktc, dkg, base_year, ken, cluster,"
    " sbm, active_from, expiry, issue_until, clm_bits, ulm_units, sgn)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

}  // namespace sts6::store
