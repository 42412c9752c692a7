// SPDX-License-Identifier: Apache-2.0
#include "src/daemon/daemon.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include "firmware/commands/link.hpp"
#include "firmware/module/module.hpp"
#include "src/admin/admin_socket.hpp"
#include "src/admin/administration.hpp"
#include "src/daemon/clocks.hpp"
#include "src/daemon/config.hpp"
#include "src/daemon/config_check.hpp"
#include "src/daemon/daemon_status.hpp"
#include "src/daemon/endpoint.hpp"
#include "src/daemon/firmware_identity.hpp"
#include "src/daemon/hsm_config.hpp"
#include "src/daemon/link_plan.hpp"
#include "src/daemon/link_set.hpp"
#include "src/daemon/metrics.hpp"
#include "src/daemon/metrics_port.hpp"
#include "src/daemon/module_thread.hpp"
#include "src/daemon/process.hpp"
#include "src/daemon/service_manager.hpp"
#include "src/daemon/sta_tables_file.hpp"
#include "src/daemon/state_dir.hpp"
#include "src/daemon/token_random.hpp"
#include "src/store/sqlite_store.hpp"

namespace sts6 {

namespace {

using asio::ip::tcp;

// Clients that do not take their last answer are left behind after this.
constexpr std::chrono::seconds kLongestStop{5};

// How old the stored time mark may get while nothing is vended.
constexpr std::chrono::seconds kTimeMarkAge{30};

std::string_view phase_text(const Module& module) {
    if (module.in_error_state()) return "error";
    if (module.state().tampered) return "tampered";
    return module.phase() == Phase::operational ? "operational" : "manufacturing";
}

void log_start(const ModuleState& state, const ModuleSettings& settings, const p11::Pkcs11Hsm& hsm,
               const NamedStaTables& tables) {
    spdlog::info("module \"" + std::string(state.module_id.view()) + "\", firmware " +
                 std::string(settings.firmware_id.view()));
    spdlog::info("EA07 tables: " + tables.name);
    spdlog::info("PKCS#11 token: " + token_in_words(hsm));
    if (state.profile == Profile::lab) {
        spdlog::warn("LAB profile: RND is fixed and the TID window is off; not for tokens that are sold");
    }
}

/// Token and strategies, as text of an audit record.
std::string hsm_for_audit(const p11::Pkcs11Hsm& hsm) {
    std::string text = "HSM " + hsm.identity().model + ", library " + hsm.identity().library;
    for (const std::string& line : hsm.capabilities().lines) {
        for (const char* strategy : {"key agreement", "AES-192-CCM", "keys are used"}) {
            if (line.starts_with(strategy)) text += "; " + line;
        }
    }
    for (char& c : text) c = c >= ' ' && c < '~' ? c : '?';
    return text.substr(0, decltype(ModuleSettings::hsm)::kCapacity);
}

/// The module only answers 01 for such a register.
void log_lost_keys(SqliteStore& store, p11::Pkcs11Hsm& hsm) {
    std::uint16_t number = 0;
    for (;;) {
        const auto row = store.load_next_register(number);
        if (!row || !row->has_value()) return;
        number = (*row)->number;
        const auto key = hsm.find_key((*row)->key, (*row)->attributes.dkg);
        if (!key) {
            spdlog::error("register " + std::to_string(number) +
                          " answers 01: " + std::string(errc_text(key.error())));
        }
    }
}

/// Everything between a checked state directory and the loop.
class Daemon {
  public:
    Outcome<void> prepare(const DaemonOptions& options);
    Outcome<void> serve(std::ostream& out);

  private:
    Outcome<void> read_configuration(const DaemonOptions& options);
    Outcome<void> open_state(const DaemonOptions& options);
    Outcome<void> start_module(const DaemonOptions& options);
    Outcome<void> open_admin_socket();
    Outcome<void> open_metrics_port();
    std::string metrics_text();
    std::string ready_line() const;
    void keep_time();
    void wait_for_reload();
    void stop();

    std::filesystem::path dir_;
    std::optional<StateLock> lock_;
    Config config_;
    NamedStaTables tables_;
    LinkPlan link_plan_;
    std::optional<tcp::endpoint> metrics_endpoint_;
    std::unique_ptr<SqliteStore> store_;
    ModuleState state_;
    std::unique_ptr<p11::Pkcs11Hsm> hsm_;
    std::unique_ptr<Clock> clock_;
    std::unique_ptr<Random> random_;
    std::unique_ptr<Module> module_;
    RunFacts run_;
    CommandCounts counts_;

    asio::io_context loop_{1};
    CommandQueue queue_;
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> answers_to_come_;
    LinkServices services_{queue_, commands::answer_link_command,
                           [this] { return module_->in_error_state(); }};
    LinkSet links_;
    std::string ready_line_;
    std::optional<ModuleThread> module_thread_;
    std::optional<admin::AdminSocket> admin_;
    std::optional<MetricsPort> metrics_;
    asio::steady_timer time_mark_due_{loop_};
    asio::signal_set reload_{loop_};
};

Outcome<void> Daemon::prepare(const DaemonOptions& options) {
    const StateDir dir(options.dir);
    dir_ = dir.root();
    if (auto done = read_configuration(options); !done) return done;
    auto lock = StateLock::take(dir);
    if (!lock) return Unexpected{lock.error()};
    lock_.emplace(std::move(*lock));
    if (auto done = open_state(options); !done) return done;
    auto hsm = open_hsm(config_, state_.module_id.view());
    if (!hsm) return Unexpected{hsm.error()};
    hsm_ = std::move(*hsm);
    return start_module(options);
}

Outcome<void> Daemon::read_configuration(const DaemonOptions& options) {
    auto checked = check_config(options.dir, options.overrides);
    if (!checked) return Unexpected{checked.error()};
    config_ = std::move(checked->config);
    tables_ = std::move(checked->tables);
    link_plan_ = std::move(checked->links);
    metrics_endpoint_ = checked->metrics;
    // Both count from trace on.
    spdlog::set_level(static_cast<spdlog::level::level_enum>(config_.log_level));
    return {};
}

Outcome<void> Daemon::open_state(const DaemonOptions& options) {
    const auto database = StateDir(options.dir).database();
    auto store =
        SqliteStore::open(database, {.capacity = config_.audit_capacity, .force = config_.audit_force});
    if (!store) return fail_at(database.string(), store.error());
    store_ = std::move(*store);
    auto state = store_->load_state();
    if (!state) return fail_at(database.string(), state.error());
    state_ = *state;
    if (options.lab_time && state_.profile != Profile::lab) {
        return fail(Errc::invalid_argument, "--lab-time is for a module of the lab profile");
    }
    return {};
}

Outcome<void> Daemon::start_module(const DaemonOptions& options) {
    ModuleSettings settings;
    settings.registers = config_.registers;
    settings.lab = state_.profile == Profile::lab;
    settings.tid_window_days = settings.lab ? 0 : config_.tid_window_days;
    settings.sta_tables = tables_.tables;
    settings.clock_is_preset = options.lab_time.has_value();
    if (auto named = identify_firmware(tables_.name, settings); !named) return named;
    static_cast<void>(settings.hsm.assign(hsm_for_audit(*hsm_)));

    if (options.lab_time) {
        clock_ = std::make_unique<PresetClock>(*options.lab_time);
    } else {
        clock_ = std::make_unique<HostClock>();
    }
    if (settings.lab) {
        random_ = std::make_unique<FixedRandom>();
    } else {
        random_ = std::make_unique<HsmRandom>(*hsm_);
    }
    module_ = std::make_unique<Module>(settings, *hsm_, *store_, *clock_, *random_);
    log_start(state_, settings, *hsm_, tables_);
    if (auto started = module_->start(); !started) {
        if (started.error() != Errc::invalid_argument) return fail_at("module", started.error());
        return fail(Errc::invalid_argument,
                    "a register above \"registers\" = " + std::to_string(config_.registers) +
                        " holds a key: raise it in sts6d.toml");
    }
    // A start that failed for another reason has returned.
    run_ = {.sta_tables = tables_.name,
            .self_tested = module_->now(),
            .self_test_passed = !module_->in_error_state()};
    log_lost_keys(*store_, *hsm_);
    if (module_->in_error_state()) {
        spdlog::critical("a self-test failed: the module is in its error state and answers GL!ER58 only");
    }
    return {};
}

Outcome<void> Daemon::serve(std::ostream& out) {
    services_.gler_unframed = config_.gler_unframed;
    if (auto opened = links_.open(loop_, link_plan_, services_); !opened) return opened;
    if (auto opened = open_metrics_port(); !opened) return opened;

    if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return fail(Errc::io_failed, "SIGPIPE cannot be ignored");
    asio::signal_set signals(loop_, SIGTERM, SIGINT);
    signals.async_wait([this, &signals](const asio::error_code& error, int) {
        if (error) return;
        // A second signal ends the process at once.
        signals.clear();
        stop();
    });
    reload_.add(SIGHUP);
    wait_for_reload();
    answers_to_come_.emplace(loop_.get_executor());
    // The module belongs to its thread from here on.
    ready_line_ = ready_line();
    module_thread_.emplace(*module_, queue_, loop_, counts_);
    if (auto opened = open_admin_socket(); !opened) {
        stop();
        return opened;
    }
    keep_time();
    out << ready_line_ << std::endl;
    service_manager::ready(ready_line_);
    loop_.run();
    // stop() has been called: the answers in flight leave, and the loop runs out of work.
    loop_.restart();
    loop_.run_for(kLongestStop);
    links_.drop();
    spdlog::info("stopped");
    return {};
}

std::string Daemon::ready_line() const {
    return "ready state=" + std::string(phase_text(*module_)) + links_.ready_text() +
           (metrics_ ? " metrics=" + endpoint_text(metrics_->endpoint()) : "");
}

std::string Daemon::metrics_text() {
    return openmetrics_text(counts_, read_module(*module_, *store_, hsm_->connected()));
}

Outcome<void> Daemon::open_metrics_port() {
    if (!metrics_endpoint_) return {};
    auto opened = MetricsPort::open(loop_, *metrics_endpoint_, [this](MetricsPort::Take take) {
        // The connection behind `take` is let go of on the loop only.
        return queue_.push_task([this, take = std::move(take)]() mutable {
            asio::post(loop_, [take = std::move(take), text = metrics_text()] { take(text); });
        });
    });
    if (!opened) return Unexpected{opened.error()};
    metrics_.emplace(std::move(*opened));
    return {};
}

Outcome<void> Daemon::open_admin_socket() {
    const auto services = std::make_shared<admin::Services>(admin::Services{
        .store = *store_,
        .admin_store = *store_,
        .audit_limits = {.capacity = config_.audit_capacity, .force = config_.audit_force},
        .commit = [this](AuditEvent event,
                         std::string_view text) { return module_->administer(event, text); },
        .tamper = [this](std::string_view reason) { return module_->tamper(reason); },
        .zeroise = [this](std::string_view officers) { return module_->zeroise(officers); },
        .now = [this] { return module_->now(); },
        .status = [this] { return daemon_status(*module_, *hsm_, *clock_, run_); },
        .metrics = [this] { return metrics_text(); },
        .with_module =
            [this](const std::function<void()>& work) {
                std::promise<void> done;
                const bool taken = queue_.push_task([&] {
                    work();
                    done.set_value();
                });
                if (taken) done.get_future().wait();
                return taken;
            },
    });
    const auto path = StateDir(dir_).admin_socket();
    auto opened = admin::AdminSocket::open(
        path, [services](std::string_view request) { return admin::answer(*services, request); });
    if (!opened) return fail_at(path.string(), opened.error());
    admin_.emplace(std::move(*opened));
    return {};
}

/// The time mark is stored once a minute at least, also when no command stores it.
void Daemon::keep_time() {
    time_mark_due_.expires_after(kTimeMarkAge);
    time_mark_due_.async_wait([this](const asio::error_code& error) {
        if (error) return;
        static_cast<void>(queue_.push_task([this] { static_cast<void>(module_->keep_time(kTimeMarkAge)); }));
        keep_time();
    });
}

void Daemon::wait_for_reload() {
    reload_.async_wait([this](const asio::error_code& error, int) {
        if (error) return;
        service_manager::reloading();
        links_.reload_certificates();
        service_manager::ready(ready_line_);
        wait_for_reload();
    });
}

void Daemon::stop() {
    spdlog::info("stopping");
    service_manager::stopping();
    reload_.cancel();
    time_mark_due_.cancel();
    // It waits for the module thread.
    admin_.reset();
    metrics_.reset();
    links_.close();
    queue_.close();
    module_thread_.reset();
    static_cast<void>(module_->stop());
    // The answers of the last batch are in the loop's queue now.
    answers_to_come_.reset();
    loop_.stop();
}

}  // namespace

Outcome<void> run_daemon(const DaemonOptions& options, std::ostream& out) {
    log_to_stderr();
    harden_process();
    Daemon daemon;
    if (auto prepared = daemon.prepare(options); !prepared) return prepared;
    return daemon.serve(out);
}

}  // namespace sts6
