// SPDX-License-Identifier: Apache-2.0
// The keys of a pack on their way into a lab module: by a KMC and a key load file, as in the field.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sts6/client.hpp"
#include "tools/conform/pack.hpp"
#include "tools/kmc/kmc.hpp"

namespace sts6::conform {

/// A KMC that has the keys of a pack, active from 1993 to the end of 2099 and without limits, and knows one
/// module. A key of a withdrawn algorithm is left out. Throws std::runtime_error for a pack's key that is
/// none.
class LabKmc {
  public:
    LabKmc(const std::vector<PackRegister>& registers, const std::string& sm_record_file);

    /// The KMC's public key, a one-record file for `sts6ctl kmc approve`.
    [[nodiscard]] std::string record_file() const;

    /// Asks for a key load file and loads it, the keys in the order of the pack's register numbers: in an
    /// empty module they get these numbers when the pack counts from 1. A key of DKG 02 that the PKCS#11
    /// token cannot hold is left out, with a line that says so. Throws std::runtime_error when anything else
    /// of the load is refused.
    std::vector<std::string> load_into(Client& client);

  private:
    kmc::Kmc kmc_;
    std::vector<PackRegister> registers_;
};

}  // namespace sts6::conform
