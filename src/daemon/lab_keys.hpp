// SPDX-License-Identifier: Apache-2.0
// The test keys of a lab module. Until key load files are there, set-up creates them before the daemon ever
// runs; no link has a command that takes a key in clear.
#pragma once

#include <filesystem>

#include "firmware/ports/store.hpp"
#include "firmware/util/secret.hpp"
#include "src/daemon/failure.hpp"
#include "src/pkcs11/pkcs11_hsm.hpp"
#include "src/store/sqlite_store.hpp"

namespace sts6 {

/// Creates every register of a pack (schema sts6.vectors/1) that this version can hold; the others are named
/// on the log, in the slot of no KMC. Gives the highest register number in use.
[[nodiscard]] Outcome<std::uint32_t> create_lab_keys(const std::filesystem::path& pack, p11::Pkcs11Hsm& hsm,
                                                     SqliteStore& store);

}  // namespace sts6
