// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "firmware/util/secret.hpp"
#include "src/admin/officers.hpp"
#include "src/daemon/config.hpp"
#include "src/daemon/hsm_config.hpp"
#include "src/daemon/manufacture.hpp"
#include "src/daemon/process.hpp"
#include "src/daemon/state_dir.hpp"
#include "src/pkcs11/pin.hpp"
#include "src/pkcs11/provision.hpp"
#include "src/store/sqlite_store.hpp"
#include "sts6/hex.hpp"

namespace sts6 {

namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenLabel = "sts6";
constexpr const char* kSoftModuleId = "SOFTSM01";

constexpr std::array kSoftHsmModules = {
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
};

/// Makes a file of mode 0600 that must not exist yet, durable when it returns.
Outcome<void> write_file(const fs::path& path, std::string_view text) {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    const auto failed = [&path] {
        return fail(Errc::storage_failed, path.string() + ": " + std::generic_category().message(errno));
    };
    if (descriptor < 0) return failed();
    const bool written = write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                         fsync(descriptor) == 0;
    if (close(descriptor) != 0 || !written) return failed();
    return {};
}

/// A random PIN of 32 characters in a file.
Outcome<p11::Pin> make_pin(const fs::path& path) {
    Secret<16> octets;
    Secret<33> line;
    if (RAND_bytes(octets.octets().data(), static_cast<int>(octets.octets().size())) != 1) {
        return fail(Errc::io_failed, "the system's random generator failed");
    }
    char* text = reinterpret_cast<char*>(line.octets().data());
    write_hex(octets.octets(), text);
    text[32] = '\n';
    if (auto written = write_file(path, {text, 33}); !written) return Unexpected{written.error()};
    return p11::Pin::from_text({text, 32});
}

Outcome<std::string> random_module_id() {
    std::array<std::uint8_t, 4> octets{};
    if (RAND_bytes(octets.data(), static_cast<int>(octets.size())) != 1) {
        return fail(Errc::io_failed, "the system's random generator failed");
    }
    std::string id = "SOFT-00000000";
    write_hex(octets, id.data() + 5);
    return id;
}

/// One set-up on its way. What it made is taken away again unless it was finished.
class Setup {
  public:
    explicit Setup(const SetupRequest& request) : request_(request), dir_(request.dir) {}
    Setup(const Setup&) = delete;
    Setup& operator=(const Setup&) = delete;
    ~Setup() {
        if (finished_ || !made_) return;
        if (hsm_ && request_.token) {
            destroy_keys();
        }
        hsm_.reset();
        store_.reset();
        std::error_code error;
        fs::remove_all(dir_.root(), error);
        if (error) spdlog::error(dir_.root().string() + " could not be removed: " + error.message());
    }

    Outcome<void> run() {
        for (const auto step : {&Setup::make_directories, &Setup::provide_token, &Setup::create_store,
                                &Setup::manufacture, &Setup::create_officers, &Setup::finish}) {
            if (auto done = (this->*step)(); !done) return done;
        }
        return {};
    }

  private:
    Outcome<void> make_directories();
    Outcome<void> provide_token();
    Outcome<void> make_softhsm_token();
    Outcome<void> create_store();
    Outcome<void> manufacture();
    Outcome<void> create_officers();
    Outcome<void> finish();
    void destroy_keys();

    const SetupRequest& request_;
    StateDir dir_;
    bool made_ = false;
    bool finished_ = false;
    Config config_;
    std::unique_ptr<p11::Pkcs11Hsm> hsm_;
    std::unique_ptr<SqliteStore> store_;
    bool owns_keys_ = false;  ///< every key of this module's name is of this set-up
};

/// Of a set-up that failed.
void Setup::destroy_keys() {
    if (!owns_keys_) return;
    if (!hsm_->destroy_all_keys()) spdlog::error("key objects were left behind in the PKCS#11 token");
}

Outcome<void> Setup::make_directories() {
    std::error_code error;
    const fs::path& root = dir_.root();
    if (!fs::is_directory(root.parent_path(), error)) {
        return fail(Errc::not_found, root.parent_path().string() + " is no directory");
    }
    if (!fs::create_directory(root, error)) {
        if (error && error != std::errc::file_exists) {
            return fail(Errc::io_failed, root.string() + ": " + error.message());
        }
        return fail(Errc::already_exists, root.string() + " exists already");
    }
    made_ = true;
    for (const fs::path& path : {dir_.database().parent_path(), dir_.pins()}) {
        if (!fs::create_directory(path, error))
            return fail(Errc::io_failed, path.string() + ": " + error.message());
    }
    return {};
}

Outcome<void> Setup::provide_token() {
    if (request_.token) {
        config_.hsm_module = fs::absolute(request_.token->module);
        config_.hsm_token_label = request_.token->token_label;
        config_.hsm_init_args = request_.token->init_args;
        config_.hsm_pin_file = fs::absolute(request_.token->pin_file);
    } else if (auto made = make_softhsm_token(); !made) {
        return made;
    }
    // A module has no name before it is initialised.
    auto hsm = open_hsm(config_, "");
    if (!hsm) return Unexpected{hsm.error()};
    hsm_ = std::move(*hsm);
    spdlog::info("PKCS#11 token: " + token_in_words(*hsm_));
    return {};
}

Outcome<void> Setup::make_softhsm_token() {
    std::error_code error;
    for (const char* module : kSoftHsmModules) {
        if (config_.hsm_module.empty() && fs::exists(module, error)) config_.hsm_module = module;
    }
    if (config_.hsm_module.empty()) {
        return fail(Errc::hsm_missing,
                    "SoftHSM is not installed (package softhsm2), and no --pkcs11-module was given");
    }
    const fs::path tokens = dir_.hsm() / "tokens";
    if (!fs::create_directories(tokens, error))
        return fail(Errc::io_failed, tokens.string() + ": " + error.message());
    config_.hsm_softhsm_conf = dir_.hsm() / "softhsm2.conf";
    config_.hsm_sync_dir = tokens;
    config_.hsm_token_label = kTokenLabel;
    config_.hsm_pin_file = dir_.pins() / "hsm-user.pin";
    // Anything above ERROR costs SoftHSM most of its speed.
    const std::string conf = "directories.tokendir = " + tokens.string() +
                             "\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n";
    if (auto written = write_file(config_.hsm_softhsm_conf, conf); !written) return written;
    const auto so_pin = make_pin(dir_.pins() / "hsm-so.pin");
    if (!so_pin) return Unexpected{so_pin.error()};
    const auto user_pin = make_pin(config_.hsm_pin_file);
    if (!user_pin) return Unexpected{user_pin.error()};
    const auto made = p11::init_token(token_config(config_, ""), *so_pin, *user_pin);
    if (!made) return fail_at("SoftHSM token in " + tokens.string(), made.error());
    spdlog::info("made a SoftHSM token in " + tokens.string());
    return {};
}

Outcome<void> Setup::create_store() {
    ModuleState state;
    state.profile = request_.profile;
    auto store = SqliteStore::create(dir_.database(), state);
    if (!store) return fail_at(dir_.database().string(), store.error());
    store_ = std::move(*store);
    return {};
}

Outcome<void> Setup::manufacture() {
    if (request_.profile == Profile::production) {
        spdlog::info("the module waits in its manufacturing phase: SM?MI and SM?MF");
        return {};
    }
    owns_keys_ = true;
    // In a token that others share, modules of one name would take each other's keys for their own.
    const auto module_id = request_.token ? random_module_id() : Outcome<std::string>(kSoftModuleId);
    if (!module_id) return Unexpected{module_id.error()};
    const auto record = manufacture_module(*hsm_, *store_, request_.profile, *module_id);
    if (!record) return Unexpected{record.error()};
    spdlog::info("initialised (SM?MI) and ended manufacturing (SM?MF) as a manufacturer would: " + *record);
    return {};
}

Outcome<void> Setup::create_officers() {
    for (const char* name : {"officer1", "officer2"}) {
        const auto pin = make_pin(dir_.pins() / (std::string(name) + ".pin"));
        if (!pin) return Unexpected{pin.error()};
        const auto officer = admin::make_officer(name, pin->view());
        if (!officer) return fail_at(name, officer.error());
        if (auto put = store_->put_officer(*officer); !put) return fail_at(name, put.error());
    }
    const auto state = store_->load_state();
    if (!state) return fail_at("the module's state", state.error());
    if (auto done = store_->commit(*state, {}); !done) return fail_at("the officers", done.error());
    spdlog::info("made officer1 and officer2, whose PINs are in " + dir_.pins().string());
    return {};
}

Outcome<void> Setup::finish() {
    // The configuration comes last: a directory without it is no finished set-up.
    if (auto written = write_file(dir_.config_file(), config_text(config_, dir_)); !written) return written;
    finished_ = true;
    return {};
}

}  // namespace

Outcome<void> set_up(const SetupRequest& request) {
    log_to_stderr();
    harden_process();
    if (request.profile == Profile::production && !request.token) {
        spdlog::warn("a production module in SoftHSM: its keys are as safe as this machine's disk");
    }
    return Setup(request).run();
}

}  // namespace sts6
