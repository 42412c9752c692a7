// SPDX-License-Identifier: Apache-2.0
// The configuration: sts6d.toml of a state directory, and the options of sts6d, which go before it. One table
// in config.cpp has every key, its option and its meaning.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "src/daemon/failure.hpp"
#include "src/daemon/state_dir.hpp"
#include "src/links/serial_line.hpp"
#include "src/pkcs11/token_config.hpp"

namespace sts6 {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };

struct Config {
    std::vector<std::string> tcp = {"127.0.0.1:5100"};  ///< HOST:PORT, as the next three
    std::vector<std::string> tls;
    std::vector<std::string> apdu;
    std::vector<std::string> vpcd;
    std::vector<std::string> pty;     ///< PATH
    std::vector<std::string> serial;  ///< DEV[,BAUD]
    bool allow_plaintext = false;     ///< in clear on an address that is not loopback
    std::uint32_t serial_data_bits = 8;
    SerialSettings::Parity serial_parity = SerialSettings::Parity::none;
    std::uint32_t serial_stop_bits = 1;
    SerialSettings::Handshake serial_handshake = SerialSettings::Handshake::none;
    std::filesystem::path tls_certificate;
    std::filesystem::path tls_private_key;
    std::filesystem::path tls_client_ca;   ///< empty = clients need no certificate
    std::vector<std::string> tls_clients;  ///< "ROLE SUBJECT"
    std::uint32_t max_connections = 1024;
    std::uint32_t max_requests_per_s = 0;    ///< 0 = any number
    std::uint32_t idle_timeout_s = 0;        ///< 0 = never
    std::string metrics;                     ///< HOST:PORT on this machine; empty = no metrics port
    std::uint32_t registers = 64;            ///< 1..4096
    std::uint32_t tid_window_days = 7;       ///< 0..3650; 0 = off
    bool gler_unframed = false;              ///< send GL!ER without its envelope
    std::filesystem::path sta_tables;        ///< the licensee's EA07 tables; empty = the sample set
    std::uint32_t audit_capacity = 100'000;  ///< records, 1,000..10,000,000
    bool audit_force = false;                ///< records that nobody acknowledged are never dropped
    LogLevel log_level = LogLevel::info;

    std::filesystem::path hsm_module;  ///< the PKCS#11 library
    std::string hsm_token_label;
    std::string hsm_init_args;
    std::filesystem::path hsm_pin_file;
    std::filesystem::path hsm_softhsm_conf;  ///< empty for another token
    std::filesystem::path hsm_sync_dir;      ///< empty for a token that syncs its files itself
    std::uint32_t hsm_sessions = 1;          ///< 1..64
    p11::Protection hsm_min_protection = p11::Protection::z_in_token;
};

/// A key as it is offered to people: as an option, and on the page of the configuration.
struct ConfigKey {
    std::string name;      ///< in the file: "hsm.sessions"
    std::string option;    ///< "--hsm-sessions"
    std::string takes;     ///< "1..64"
    std::string standard;  ///< what holds without it, as in the file
    std::string_view meaning;
    bool is_list = false;  ///< the option may be repeated
    bool is_flag = false;  ///< the option needs no value
};

[[nodiscard]] std::vector<ConfigKey> config_keys();

/// Options of the command line and what was given with them: "--tcp", {"127.0.0.1:0"}. A flag that is set has
/// the text "true".
using ConfigOverrides = std::map<std::string, std::vector<std::string>>;

/// Reads the file, then what goes before it. Relative paths are taken from the state directory in the file,
/// from the working directory on the command line. Refuses unknown keys, wrong types and values out of
/// range, naming line and key, or the option.
[[nodiscard]] Outcome<Config> read_config(const StateDir& dir, const ConfigOverrides& overrides = {});

/// The text of a configuration file. Paths inside the state directory are written relative to it.
[[nodiscard]] std::string config_text(const Config& config, const StateDir& dir);

}  // namespace sts6
