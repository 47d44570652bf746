#include "setup/primary_run.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "base/time.h"
#include "pg/server/installation.h"
#include "setup/login_trial.h"
#include "setup/marker_table.h"
#include "setup/names.h"
#include "setup/role_change.h"
#include "setup/scram.h"
#include "setup/setup_lock.h"

namespace standfast::setup {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr base::Seconds kStartTimeout{120};
constexpr base::Seconds kRestartTimeout{300};

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

// ---------------------------------------------------------------- looking

Result<void> PrimaryRun::open_and_lock() {
  admin_ = TRY(session_.connect());
  return options_.mode == RunMode::kDryRun ? base::ok() : lock_setup(*admin_, environment_.stop);
}

Result<PrimaryLook> PrimaryRun::look() {
  PrimaryLooker looker(environment_.files, cluster_, store_, *admin_, reach_, wait());
  PrimaryLook found = TRY(looker.look(wish_, options_.replication_password));
  if (options_.firewall == FirewallWish::kOpen) TRY(ask_firewall(found.state));
  return found;
}

Result<void> PrimaryRun::decide_restart() {
  if (plan_.restart_for.empty()) return base::ok();
  decision_ = RestartDecision::kDeclined;
  if (options_.restart == RestartLeave::kGiven) {
    decision_ = RestartDecision::kAllowed;
  } else if (environment_.ask_yes_no) {
    const std::string clients =
        TRY(admin_->query_value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                                "AND pid <> pg_backend_pid()",
                                wait()));
    const std::string question = fmt::format(
        "{} can change only with a restart of the server, which {} client connection{} would feel. "
        "Restart it?",
        fmt::join(plan_.restart_for, ", "), clients, clients == "1" ? "" : "s");
    if (TRY(environment_.ask_yes_no(question))) decision_ = RestartDecision::kAllowed;
  }
  // Found out before anything changes: with leave to restart, there must be something to restart with.
  if (decision_ == RestartDecision::kAllowed)
    TRY(TRY(control()).check_rights(server::ControlAction::kRestart));
  return base::ok();
}

Result<server::ServerControl> PrimaryRun::control() const {
  server::InstallationQuery query;
  query.bin_directory = options_.bin_directory;
  query.major = cluster_.major();
  const auto installation = TRY(server::find_installation(
      environment_.files, query, env::Wait::for_at_most(kConnectTimeout, &environment_.stop)));
  return server::ServerControl::choose(environment_.files, cluster_, installation, environment_.root);
}

void PrimaryRun::find_restart_command() {
  const auto found = control();
  restart_command_ = found ? found->describe(server::ControlAction::kRestart)
                           : fmt::format("pg_ctl -D {} restart", cluster_.data_directory());
}

void PrimaryRun::say_notes() const {
  for (const PlanNote& note : plan_.notes) {
    note.hint.empty() ? report().info(note.line) : report().warn(note.line, note.hint);
  }
}

void PrimaryRun::say_changes(std::initializer_list<ChangeKind> kinds) const {
  bool any = false;
  for (const PlannedChange& change : plan_.changes) {
    if (std::find(kinds.begin(), kinds.end(), change.kind) == kinds.end()) continue;
    report().info(fmt::format("{} ({})", change.what, change.reason));
    any = true;
  }
  if (!any) report().info("nothing to change");
}

void PrimaryRun::count_done(ChangeKind kind) {
  std::copy_if(plan_.changes.begin(), plan_.changes.end(), std::back_inserter(done_),
               [kind](const PlannedChange& change) { return change.kind == kind; });
}

// ---------------------------------------------------------------- 1.1 and 1.2

Result<void> PrimaryRun::change_settings() {
  report().step("1.1", "settings");
  say_changes({ChangeKind::kSetting});
  if (plan_.settings.empty()) return base::ok();
  auto_conf_ = TRY(AutoConfBackup::take(environment_.files, cluster_.data_directory()));
  if (auto set = alter_system(*admin_, plan_.settings, wait()); !set) {
    Error error = std::move(set).error();
    // One of them may have been set before another failed.
    if (!auto_conf_->put_back()) error.message += "; and postgresql.auto.conf could not be put back";
    if (error.code == ErrorCode::kSql) error.hint = lines_to_set(look_->state, plan_.settings);
    return error;
  }
  TRY(session_.reload(session_.reload_wait()));
  count_done(ChangeKind::kSetting);
  return base::ok();
}

Result<void> PrimaryRun::choose_passwords() {
  RolePasswords& passwords = look_->passwords;
  const auto choose = [&](const RolePlan& role, const std::optional<base::Secret>& given,
                          std::optional<base::Secret>& password) -> Result<void> {
    if (role.password == PasswordAction::kKeep) return base::ok();
    if (role.password == PasswordAction::kReplace && given) password = given;
    // Of a role that is created, an announced password is as good as a new one; a rotation wants a new one.
    if (role.password == PasswordAction::kReplace && !given && !(role.create && password)) {
      password = TRY(new_password());
    }
    CHECK(password.has_value());
    look_->password_file.announce(role.name, *password);
    return base::ok();
  };
  TRY(choose(plan_.replication, options_.replication_password, passwords.replication));
  return choose(plan_.monitor, std::nullopt, passwords.monitor);
}

Result<void> PrimaryRun::change_roles_and_database() {
  report().step("1.2", "roles, and the database of verify");
  say_changes({ChangeKind::kRole, ChangeKind::kDatabase});
  TRY(choose_passwords());
  const bool stores =
      plan_.replication.password != PasswordAction::kKeep || plan_.monitor.password != PasswordAction::kKeep;
  if (stores) TRY(look_->password_file.write_announced());
  if (plan_.replication.changes_server() || plan_.monitor.changes_server()) {
    client::Connection quiet = TRY(session_.connect());
    TRY(quiet_session(quiet, wait()));
    const RoleChange replication{plan_.replication, "LOGIN REPLICATION", look_->passwords.replication};
    const RoleChange monitor{plan_.monitor, "LOGIN", look_->passwords.monitor};
    TRY(change_roles(quiet, replication, monitor, wait()));
  }
  TRY(look_->password_file.settle());
  count_done(ChangeKind::kRole);
  if (plan_.database.create) TRY(create_monitor_database(*admin_, wait()));
  if (plan_.database.shut_out_public) TRY(shut_public_out(*admin_, wait()));
  if (plan_.database.create_table) {
    client::Connection inside = TRY(session_.connect_to(std::string(kMonitorDatabase)));
    TRY(make_marker_table(inside, wait()));
  }
  if (!plan_.database.witnesses.empty()) {
    client::Connection inside = TRY(session_.connect_to(std::string(kMonitorDatabase)));
    TRY(write_witnesses(inside, plan_.database.witnesses, wait()));
  }
  count_done(ChangeKind::kDatabase);
  return base::ok();
}

// ---------------------------------------------------------------- 1.3 and 1.4

/// Where the logins are tried: this host's own addresses towards the standbys that are named, each once.
std::vector<std::string> PrimaryRun::trial_addresses() const {
  std::vector<std::string> addresses;
  for (const PlannedMember& member : plan_.members) {
    if (!member.is_named || !member.source_address) continue;
    if (!contains(addresses, *member.source_address)) addresses.push_back(*member.source_address);
  }
  return addresses;
}

/// Whether the server takes connections to this address once steps 1.3 and 1.4 are done.
bool PrimaryRun::listens_in_time(const std::string& address) const {
  if (decision_ == RestartDecision::kAllowed) return true;
  return admits(look_->state.settings.find("listen_addresses")->second.value, address,
                look_->state.resolved_names);
}

Result<void> PrimaryRun::change_hba_and_restart() {
  SessionHbaServer server(session_);
  HbaChange change(environment_.files, server, look_->hba_path, look_->state.hba_text, look_->hba_access);
  if (auto proved = prove_hba(change); !proved) return change.take_back_after(std::move(proved).error());
  change.keep();
  if (change.copy_path()) report().info(fmt::format("what it held before is in {}", *change.copy_path()));
  count_done(ChangeKind::kHba);
  return base::ok();
}

Result<void> PrimaryRun::prove_hba(HbaChange& change) {
  report().step("1.3", "pg_hba.conf");
  say_changes({ChangeKind::kHba});
  if (plan_.hba_changes) {
    TRY(change.put(plan_.hba_text, DatedCopy::kMake));
  } else if (plan_.try_logins && look_->state.hba_obstacle) {
    // The administrator wrote the block himself; whether he loaded it too is not known.
    TRY(session_.reload(session_.reload_wait()));
  }
  TRY(restart_if_allowed());
  if (reach_ == ServerReach::kPrivate) return base::ok();
  const std::vector<std::string> addresses = trial_addresses();
  std::string text = plan_.hba_text;
  for (const std::string& address : addresses) {
    if (!listens_in_time(address)) continue;
    if (look_->state.tls && !certificate_) TRY(fetch_certificate(address));
    if (plan_.try_logins) TRY(prove_logins(change, address, text));
  }
  if (text != plan_.hba_text) TRY(change.put(plan_.hba_text, DatedCopy::kNone));
  if (plan_.try_logins) say_untried(addresses);
  return base::ok();
}

/// `text` is what pg_hba.conf holds.
Result<void> PrimaryRun::prove_logins(HbaChange& change, const std::string& address, std::string& text) {
  const std::string wanted = TRY(hba_text_for_trying(look_->state, plan_, address));
  if (wanted != text && look_->state.hba_obstacle) {
    report().info(fmt::format(
        "the logins by {} are not tried: pg_hba.conf would have to admit this host for it", address));
    return base::ok();
  }
  if (wanted != text) TRY(change.put(wanted, DatedCopy::kNone));
  text = wanted;
  return try_logins(address);
}

void PrimaryRun::say_untried(const std::vector<std::string>& addresses) const {
  if (addresses.empty()) {
    report().info("the logins are not tried, because there is no route to the standby to try them on");
  }
  for (const std::string& address : addresses) {
    if (listens_in_time(address)) continue;
    report().info(
        fmt::format("the logins by {} are not tried yet, because the server does not listen there "
                    "before its restart; the next run does it",
                    address));
  }
}

Result<void> PrimaryRun::restart_if_allowed() {
  if (plan_.restart_for.empty()) return plan_.settings.empty() ? base::ok() : check_settings_in_force();
  report().step("1.4", "restart");
  if (decision_ == RestartDecision::kDeclined) {
    report().info(fmt::format("not allowed; {} wait{} for it", fmt::join(plan_.restart_for, ", "),
                              plan_.restart_for.size() == 1 ? "s" : ""));
    return base::ok();
  }
  TRY(restart());
  count_done(ChangeKind::kRestart);
  return check_settings_in_force();
}

Result<void> PrimaryRun::restart() {
  server::ServerControl server = TRY(control());
  if (!auto_conf_) auto_conf_ = TRY(AutoConfBackup::take(environment_.files, cluster_.data_directory()));
  const auto waiting = TRY(settings_waiting_for_restart(*admin_, wait()));
  for (const SettingInForce& setting : waiting) {
    if (contains(plan_.restart_for, setting.name)) continue;
    report().info(fmt::format("{}, which somebody else changed, takes effect as well", setting.name));
  }
  const base::Stopwatch watch;
  admin_.reset();
  auto restarted = server.restart(env::Wait::for_at_most(kRestartTimeout, &environment_.stop));
  if (!restarted) return start_after_failure(server, std::move(restarted).error(), waiting);
  report().info(fmt::format("restarted in {}", base::format_duration(watch.elapsed())));
  return open_and_lock();
}

/// A primary must not stay down for what was changed here, nor for what somebody else had changed before.
Error PrimaryRun::start_after_failure(server::ServerControl& server, Error error,
                                      const std::vector<SettingInForce>& waiting) {
  error = std::move(error).with_context("the restart failed");
  // Before the hint that there is, which ends with lines of the server's log.
  const auto add_hint = [&error](const std::string& sentence) {
    error.hint = sentence + (error.hint.empty() ? "" : " ") + error.hint;
  };
  const auto start_with = [&server](const Result<void>& put_back) {
    return put_back && server.start(env::Wait::for_at_most(kStartTimeout));
  };
  if (start_with(auto_conf_->put_back())) {
    add_hint("The server runs again with the settings it had.");
    return error;
  }
  if (start_with(auto_conf_->put_back_with(waiting))) {
    std::vector<std::string> names;
    for (const SettingInForce& setting : waiting) names.push_back(setting.name);
    add_hint(
        fmt::format("The server runs again with the settings it had; what waited for a restart would have "
                    "kept it down, so these are in postgresql.auto.conf now as they were in force: {}.",
                    fmt::join(names, ", ")));
    return error;
  }
  error.message += "; and the server could not be started with the settings it had";
  add_hint("Look at its log, then start it: " + server.describe_start());
  return error;
}

/// A plan made now must not want what was just done.
Result<void> PrimaryRun::check_settings_in_force() {
  const PrimaryLook now = TRY(look());
  const PrimaryPlan left = TRY(plan_primary(now.state, wish_));
  const bool restarted = decision_ == RestartDecision::kAllowed;
  std::optional<std::string> name;
  if (restarted && !left.restart_for.empty()) name = left.restart_for.front();
  if (!left.settings.empty()) name = left.settings.front().name;
  if (!name) return base::ok();
  const SettingState& setting = now.state.settings.find(*name)->second;
  return Error(
      ErrorCode::kPrecondition,
      fmt::format("{} was set, and {} is in force, by the {}", *name, setting.value, setting.source),
      "Something overrides ALTER SYSTEM. Look for that setting on the server's command line and in its "
      "environment, take it away, and run this again.");
}

Result<void> PrimaryRun::fetch_certificate(const std::string& address) {
  const auto fetch = [&] {
    return client::fetch_server_certificate(address, look_->state.port,
                                            env::Wait::for_at_most(kConnectTimeout, &environment_.stop));
  };
  client::PeerCertificate shown = TRY(fetch());
  const auto& on_disk = look_->state.certificate;
  if (on_disk && shown.sha256_hex != on_disk->leaf.sha256_hex) {
    // It was renewed, and the server has not loaded it yet.
    TRY(session_.reload(session_.reload_wait()));
    shown = TRY(fetch());
  }
  const client::ChainVerdict verdict = TRY(client::verify_chain(shown.pem, look_->trusted_pem));
  if (verdict.finding) {
    return Error(
        ErrorCode::kCertificate,
        fmt::format("a standby could not verify the certificate that the server shows at {}: {} ({})",
                    address, verdict.finding->reason, verdict.finding->certificate),
        "Look at ssl_cert_file, or name the certificate of its CA with --ca-file.");
  }
  ca_der_ = verdict.missing_der;
  shown.pem += TRY(client::pem_of_der(ca_der_));
  TRY(store_.write(look_->state.system_id, kPrimaryCertificate, base::Secret(shown.pem)));
  certificate_ = std::move(shown);
  return base::ok();
}

Result<void> PrimaryRun::try_logins(const std::string& address) {
  const auto login_wait = env::Wait::for_at_most(kConnectTimeout, &environment_.stop);
  LoginTrial trial;
  trial.address = address;
  trial.host = wish_.advertised_host.value_or(address);
  trial.port = look_->state.port;
  trial.system_id = look_->state.system_id;
  if (certificate_) {
    trial.pinned_certificate_path = store_.path_of(trial.system_id, kPrimaryCertificate);
    trial.sslmode = TRY(client::sslmode_for(certificate_->pem, trial.host, client::own_libpq_version()));
  }
  trial.role = plan_.monitor.name;
  trial.password = *look_->passwords.monitor;
  trial.database = kMonitorDatabase;
  TRY(try_login(trial, login_wait));
  std::string tried = trial.role;
  // With wal_level = minimal there are no senders before the restart.
  const bool has_senders = decision_ == RestartDecision::kAllowed ||
                           look_->state.settings.find("max_wal_senders")->second.value != "0";
  if (has_senders) {
    trial.role = plan_.replication.name;
    trial.password = *look_->passwords.replication;
    trial.database.reset();
    TRY(try_login(trial, login_wait));
    tried = trial.role + " and " + tried;
  }
  report().info(fmt::format("logged in as {} by {} port {}{}, as the standby will", tried, address,
                            trial.port, certificate_ ? ", over TLS with the certificate verified" : ""));
  return base::ok();
}

}  // namespace standfast::setup
