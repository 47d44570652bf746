#include "setup/primary_setup.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "env/network.h"
#include "pg/client/secret_store.h"
#include "pg/client/server_certificate.h"
#include "pg/format/sql_text.h"
#include "pg/server/cluster.h"
#include "pg/server/control.h"
#include "pg/server/installation.h"
#include "setup/admin_session.h"
#include "setup/firewall.h"
#include "setup/hba_change.h"
#include "setup/login_trial.h"
#include "setup/marker_table.h"
#include "setup/new_cluster.h"
#include "setup/primary_look.h"
#include "setup/primary_plan.h"
#include "setup/primary_tokens.h"
#include "setup/role_change.h"
#include "setup/scram.h"
#include "setup/settings_change.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// "standfast" in ASCII, cut to eight bytes: two runs of setup on one server keep each other out with it.
constexpr std::string_view kLockSql = "SELECT pg_try_advisory_lock(8319100072012837235)";
constexpr base::Seconds kLockTimeout{10};
constexpr base::Milliseconds kLockPollInterval{100};
constexpr base::Seconds kInitTimeout{600};
constexpr base::Seconds kStartTimeout{120};
constexpr base::Seconds kRestartTimeout{300};

enum class RestartDecision : std::uint8_t { kNotNeeded, kAllowed, kDeclined };

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// One run on a server that is there and running.
class PrimarySetup {
 public:
  PrimarySetup(const PrimarySetupOptions& options, const SetupEnvironment& environment,
               const PrimaryWish& wish, const client::SecretStore& store, const server::Cluster& cluster)
      : options_(options),
        environment_(environment),
        wish_(wish),
        store_(store),
        cluster_(cluster),
        session_(cluster, options.superuser, options.maintenance_database, environment.stop) {}

  Result<PrimarySetupOutcome> run();

 private:
  base::Reporter& report() const { return environment_.reporter; }
  env::Wait wait() const { return session_.wait(); }

  Result<void> open_and_lock();
  Result<PrimaryLook> look();
  Result<void> decide_restart();
  Result<server::ServerControl> control() const;
  void find_restart_command();
  void say_notes() const;
  void say_changes(std::initializer_list<ChangeKind> kinds) const;
  void count_done(ChangeKind kind);

  Result<void> change_settings();
  Result<void> choose_passwords();
  Result<void> change_roles_and_database();
  Result<void> change_hba_and_restart();
  Result<void> prove_hba(HbaChange& change);
  Result<void> restart_if_allowed();
  Result<void> restart();
  Error start_after_failure(server::ServerControl& server, Error error,
                            const std::vector<SettingInForce>& waiting);
  Result<void> check_settings_in_force();
  std::optional<std::string> trial_address() const;
  bool listens_in_time(const std::string& address) const;
  Result<void> fetch_certificate(const std::string& address);
  Result<void> try_logins(const std::string& address);
  Result<void> create_slots();
  bool can_create_slots() const;
  Result<void> write_tokens();
  void say_firewall() const;
  PrimarySetupOutcome outcome() const;
  PrimaryMember describe(const PlannedMember& member) const;

  const PrimarySetupOptions& options_;
  const SetupEnvironment& environment_;
  const PrimaryWish& wish_;
  const client::SecretStore& store_;
  const server::Cluster& cluster_;
  AdminSession session_;
  std::optional<client::Connection> admin_;
  std::optional<PrimaryLook> look_;
  PrimaryPlan plan_;
  RestartDecision decision_ = RestartDecision::kNotNeeded;
  std::optional<AutoConfBackup> auto_conf_;
  std::optional<client::PeerCertificate> certificate_;
  std::string restart_command_;
  std::vector<PlannedChange> done_;
  std::vector<PrimaryMember> members_;
};

// ---------------------------------------------------------------- looking

Result<void> PrimarySetup::open_and_lock() {
  admin_ = TRY(session_.connect());
  if (options_.mode == RunMode::kDryRun) return base::ok();
  // A run that was killed holds the lock until its last statement has ended.
  const auto lock_wait = env::Wait::for_at_most(kLockTimeout, &environment_.stop);
  while (TRY(admin_->query_value(std::string(kLockSql), wait())) != "t") {
    const auto next = base::Deadline::after(kLockPollInterval).earlier(lock_wait.deadline);
    if (env::wait_for(-1, 0, {next, lock_wait.stop}) == env::Ready::kStopped) return env::cancelled_error();
    if (lock_wait.deadline.passed()) {
      return Error(ErrorCode::kInUse, "another \"standfast primary setup\" runs on this server",
                   "Wait until it is done, then run this again.");
    }
  }
  return base::ok();
}

Result<PrimaryLook> PrimarySetup::look() {
  PrimaryLooker looker(environment_.files, cluster_, store_, *admin_, wait());
  return looker.look(wish_, options_.replication_password);
}

Result<void> PrimarySetup::decide_restart() {
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
  if (decision_ == RestartDecision::kAllowed) TRY(control());
  return base::ok();
}

Result<server::ServerControl> PrimarySetup::control() const {
  server::InstallationQuery query;
  query.bin_directory = options_.bin_directory;
  query.major = cluster_.major();
  const auto installation = TRY(server::find_installation(
      environment_.files, query, env::Wait::for_at_most(kConnectTimeout, &environment_.stop)));
  return server::ServerControl::choose(environment_.files, cluster_, installation, environment_.root);
}

void PrimarySetup::find_restart_command() {
  const auto found = control();
  restart_command_ = found ? found->describe(server::ControlAction::kRestart)
                           : fmt::format("pg_ctl -D {} restart", cluster_.data_directory());
}

void PrimarySetup::say_notes() const {
  for (const PlanNote& note : plan_.notes) {
    note.hint.empty() ? report().info(note.line) : report().warn(note.line, note.hint);
  }
}

void PrimarySetup::say_changes(std::initializer_list<ChangeKind> kinds) const {
  bool any = false;
  for (const PlannedChange& change : plan_.changes) {
    if (std::find(kinds.begin(), kinds.end(), change.kind) == kinds.end()) continue;
    report().info(fmt::format("{} ({})", change.what, change.reason));
    any = true;
  }
  if (!any) report().info("nothing to change");
}

void PrimarySetup::count_done(ChangeKind kind) {
  std::copy_if(plan_.changes.begin(), plan_.changes.end(), std::back_inserter(done_),
               [kind](const PlannedChange& change) { return change.kind == kind; });
}

// ---------------------------------------------------------------- 1.1 and 1.2

Result<void> PrimarySetup::change_settings() {
  report().step("1.1", "settings");
  say_changes({ChangeKind::kSetting});
  if (plan_.settings.empty()) return base::ok();
  auto_conf_ = TRY(AutoConfBackup::take(environment_.files, cluster_.data_directory()));
  TRY(alter_system(*admin_, plan_.settings, wait()));
  TRY(session_.reload(session_.reload_wait()));
  count_done(ChangeKind::kSetting);
  return base::ok();
}

Result<void> PrimarySetup::choose_passwords() {
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

Result<void> PrimarySetup::change_roles_and_database() {
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
  count_done(ChangeKind::kDatabase);
  return base::ok();
}

// ---------------------------------------------------------------- 1.3 and 1.4

/// Where the logins are tried: this host's own address towards a standby.
std::optional<std::string> PrimarySetup::trial_address() const {
  for (const PlannedMember& member : plan_.members) {
    if (member.is_named && member.source_address) return member.source_address;
  }
  return std::nullopt;
}

/// Whether the server takes connections to this address once steps 1.3 and 1.4 are done.
bool PrimarySetup::listens_in_time(const std::string& address) const {
  if (decision_ == RestartDecision::kAllowed) return true;
  return admits(look_->state.settings.find("listen_addresses")->second.value, address,
                look_->state.resolved_names);
}

Result<void> PrimarySetup::change_hba_and_restart() {
  SessionHbaServer server(session_);
  HbaChange change(environment_.files, server, look_->hba_path, look_->state.hba_text);
  if (auto proved = prove_hba(change); !proved) return change.take_back_after(std::move(proved).error());
  change.keep();
  if (change.copy_path()) report().info(fmt::format("what it held before is in {}", *change.copy_path()));
  count_done(ChangeKind::kHba);
  return base::ok();
}

Result<void> PrimarySetup::prove_hba(HbaChange& change) {
  report().step("1.3", "pg_hba.conf");
  say_changes({ChangeKind::kHba});
  const auto address = trial_address();
  const bool tries = plan_.try_logins && address && listens_in_time(*address);
  const DatedCopy copy = plan_.hba_changes ? DatedCopy::kMake : DatedCopy::kNone;
  std::string text = plan_.hba_text;
  if (tries) text = TRY(hba_text_for_trying(look_->state, plan_, *address));
  if (text != look_->state.hba_text) TRY(change.put(text, copy));

  TRY(restart_if_allowed());
  if (address && listens_in_time(*address) && look_->state.tls) TRY(fetch_certificate(*address));
  if (tries) TRY(try_logins(*address));
  if (plan_.try_logins && !tries) {
    report().info(address
                      ? "the logins are not tried yet, because the server does not listen there before its "
                        "restart; the next run does it"
                      : "the logins are not tried, because there is no route to the standby to try them on");
  }
  if (text != plan_.hba_text) TRY(change.put(plan_.hba_text, copy));
  return base::ok();
}

Result<void> PrimarySetup::restart_if_allowed() {
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

Result<void> PrimarySetup::restart() {
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
Error PrimarySetup::start_after_failure(server::ServerControl& server, Error error,
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
Result<void> PrimarySetup::check_settings_in_force() {
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

Result<void> PrimarySetup::fetch_certificate(const std::string& address) {
  certificate_ = TRY(client::fetch_server_certificate(
      address, look_->state.port, env::Wait::for_at_most(kConnectTimeout, &environment_.stop)));
  TRY(store_.write(look_->state.system_id, kPrimaryCertificate, base::Secret(certificate_->pem)));
  return base::ok();
}

Result<void> PrimarySetup::try_logins(const std::string& address) {
  const auto login_wait = env::Wait::for_at_most(kConnectTimeout, &environment_.stop);
  LoginTrial trial;
  trial.address = address;
  trial.port = look_->state.port;
  trial.system_id = look_->state.system_id;
  if (certificate_) {
    trial.pinned_certificate_path = store_.path_of(trial.system_id, kPrimaryCertificate);
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

// ---------------------------------------------------------------- slots, tokens, firewall

bool PrimarySetup::can_create_slots() const {
  if (decision_ != RestartDecision::kDeclined) return true;
  return !contains(plan_.restart_for, "wal_level") && !contains(plan_.restart_for, "max_replication_slots");
}

Result<void> PrimarySetup::create_slots() {
  report().step("2.1", "slots and tokens");
  if (!can_create_slots()) {
    report().info("they wait for the restart");
    return base::ok();
  }
  if (decision_ == RestartDecision::kDeclined) {
    say_changes({ChangeKind::kSlot});
    report().info("the tokens wait for the restart");
  } else {
    say_changes({ChangeKind::kSlot, ChangeKind::kToken});
  }
  for (const PlannedMember& member : plan_.members) {
    const std::optional<std::string> parameters[] = {member.slot};
    if (member.slot_action == SlotAction::kRecreate) {
      TRY(admin_->query("SELECT pg_drop_replication_slot($1)", parameters, wait()));
    }
    if (member.slot_action != SlotAction::kKeep) {
      // Unreserved: it holds back no WAL before its standby has used it.
      TRY(admin_->query("SELECT pg_create_physical_replication_slot($1, false)", parameters, wait()));
    }
  }
  count_done(ChangeKind::kSlot);
  return base::ok();
}

PrimaryMember PrimarySetup::describe(const PlannedMember& member) const {
  PrimaryMember described;
  described.slot = member.slot;
  described.address_cidr = member.address_cidr;
  described.host = wish_.advertised_host ? *wish_.advertised_host : member.source_address.value_or("");
  return described;
}

Result<void> PrimarySetup::write_tokens() {
  const PrimaryState& state = look_->state;
  if (state.tls && !certificate_) {
    // No standby's route leads here; the name it uses is all there is to ask.
    TRY(fetch_certificate(wish_.advertised_host.value_or("localhost")));
  }
  TokenBasis basis{state.system_id,           state.port,
                   plan_.replication.name,    *look_->passwords.replication,
                   *look_->passwords.monitor, std::nullopt};
  if (certificate_) basis.certificate_sha256 = certificate_->sha256_hex;
  const auto count = [&](const std::string& slot, client::SecretStore::Written written) {
    if (written == client::SecretStore::Written::kUnchanged) return;
    const bool is_new = written == client::SecretStore::Written::kNew;
    const std::string reason = is_new ? "it holds what the standby must know of this server"
                                      : "a password, the address or the certificate is another now";
    done_.push_back(
        {ChangeKind::kToken, "2.1",
         fmt::format("token for {}: {}", slot, is_new ? "written to the secret store" : "renewed"), reason});
    if (!is_new) report().info(fmt::format("{} ({})", done_.back().what, reason));
  };
  for (const PlannedMember& member : plan_.members) {
    if (!member.is_named) {
      if (const auto renewed = TRY(renew_token(store_, basis, member.slot)))
        count(member.slot, renewed->written);
      continue;
    }
    PrimaryMember described = describe(member);
    WrittenToken token = TRY(write_token(store_, basis, member.slot, described.host));
    count(member.slot, token.written);
    if (options_.token == TokenWish::kToken) {
      described.token = std::move(token.text);
      described.token_path = token.path;
    } else {
      ManualWay way{member.slot,
                    described.host,
                    state.port,
                    plan_.replication.name,
                    store_.path_of(state.system_id, kPrimaryPassfile),
                    std::nullopt};
      if (certificate_) way.certificate_path = store_.path_of(state.system_id, kPrimaryCertificate);
      described.manual = manual_commands(way);
    }
    members_.push_back(std::move(described));
  }
  return base::ok();
}

void PrimarySetup::say_firewall() const {
  report().step("1.5", "firewall");
  const auto firewall = find_firewall(environment_.files);
  bool any = false;
  for (const PlannedMember& member : plan_.members) {
    if (!member.is_named || is_loopback(member.address_cidr)) continue;
    any = true;
    if (firewall && *firewall) {
      report().info("if it is active, let the standby in: " +
                    firewall_command(**firewall, member.address_cidr, look_->state.port));
    }
  }
  if (!any) {
    report().info("none stands between servers on one host");
  } else if (!firewall || !*firewall) {
    report().info("no firewall-cmd and no ufw on this host; nothing to open as far as can be seen");
  }
}

// ---------------------------------------------------------------- all of it

PrimarySetupOutcome PrimarySetup::outcome() const {
  PrimarySetupOutcome outcome;
  outcome.system_id = look_->state.system_id;
  outcome.port = look_->state.port;
  outcome.restart_command = restart_command_;
  outcome.members = members_;
  if (options_.mode == RunMode::kDryRun) {
    outcome.changes = plan_.changes;
    outcome.verdict = plan_.changes.empty() ? PrimaryVerdict::kUnchanged : PrimaryVerdict::kPlanned;
    return outcome;
  }
  outcome.changes = done_;
  outcome.verdict = done_.empty() ? PrimaryVerdict::kUnchanged : PrimaryVerdict::kChanged;
  if (decision_ == RestartDecision::kDeclined) {
    outcome.pending_restart = plan_.restart_for;
    outcome.verdict = PrimaryVerdict::kPendingRestart;
  }
  return outcome;
}

Result<PrimarySetupOutcome> PrimarySetup::run() {
  TRY(open_and_lock());
  look_ = TRY(look());
  plan_ = TRY(plan_primary(look_->state, wish_));
  find_restart_command();
  say_notes();
  if (options_.mode == RunMode::kDryRun) {
    for (const PlannedMember& member : plan_.members) {
      if (member.is_named) members_.push_back(describe(member));
    }
    return outcome();
  }
  TRY(decide_restart());
  TRY(change_settings());
  TRY(change_roles_and_database());
  TRY(change_hba_and_restart());
  say_firewall();
  TRY(create_slots());
  if (decision_ == RestartDecision::kDeclined) {
    for (const PlannedMember& member : plan_.members) {
      if (member.is_named) members_.push_back(describe(member));
    }
  } else {
    TRY(write_tokens());
  }
  return outcome();
}

// ---------------------------------------------------------------- a cluster to work on

Result<PrimarySetupOutcome> plan_new_cluster(const PrimarySetupOptions& options, const PrimaryWish& wish,
                                             const server::Installation& installation,
                                             env::FileSystem& files) {
  std::string existing = env::absolute_path(options.data_directory);
  while (existing != "/" && !TRY(files.inspect_following(existing))) existing = env::parent_of(existing);
  const PrimaryState state = state_of_new_cluster(installation.version, wish, options.init->port,
                                                  TRY(files.space(existing)).available_bytes);
  const PrimaryPlan plan = TRY(plan_primary(state, wish));
  PrimarySetupOutcome outcome;
  outcome.verdict = PrimaryVerdict::kPlanned;
  outcome.port = options.init->port;
  outcome.changes = plan.changes;
  outcome.changes.insert(
      outcome.changes.begin(),
      {ChangeKind::kCluster, "1.0",
       fmt::format("a new cluster of PostgreSQL {} in {}", installation.version.to_string(),
                   options.data_directory),
       "--init; page checksums, local peer, host scram-sha-256, TLS with a certificate of its own"});
  for (const PlannedMember& member : plan.members) {
    PrimaryMember described;
    described.slot = member.slot;
    described.address_cidr = member.address_cidr;
    described.host = wish.advertised_host ? *wish.advertised_host : member.source_address.value_or("");
    outcome.members.push_back(std::move(described));
  }
  return outcome;
}

Result<void> make_cluster(const PrimarySetupOptions& options, const PrimaryWish& wish,
                          const server::Installation& installation, const SetupEnvironment& environment) {
  environment.reporter.step("1.0", "a new cluster");
  NewCluster cluster;
  cluster.data_directory = options.data_directory;
  cluster.superuser = options.superuser.value_or("");
  cluster.options = *options.init;
  cluster.listen_addresses = options.listen_addresses;
  if (wish.advertised_host) cluster.names.push_back(*wish.advertised_host);
  for (const Route& route : find_routes(wish, std::nullopt, options.init->port)) {
    if (route.source_address) cluster.names.push_back(*route.source_address);
  }
  const base::Stopwatch watch;
  TRY(make_new_cluster(environment.files, installation, cluster,
                       env::Wait::for_at_most(kInitTimeout, &environment.stop)));
  environment.reporter.info(fmt::format("PostgreSQL {} in {}, with page checksums and TLS, in {}",
                                        installation.version.to_string(), options.data_directory,
                                        base::format_duration(watch.elapsed())));
  return base::ok();
}

/// With --init a cluster that stands still is started: it was made just now, or by a run that was killed.
Result<void> start_cluster(const PrimarySetupOptions& options, const server::Cluster& cluster,
                           const SetupEnvironment& environment) {
  if (!options.init || options.mode == RunMode::kDryRun) {
    return Error(ErrorCode::kPrecondition, fmt::format("no server runs on \"{}\"", cluster.data_directory()),
                 "Start it, then run this again.");
  }
  if (TRY(cluster.is_standby())) {
    return Error(ErrorCode::kPrecondition, fmt::format("\"{}\" is a standby", cluster.data_directory()),
                 "Run this on its primary, and name the new standby there.");
  }
  server::InstallationQuery query;
  query.bin_directory = options.bin_directory;
  query.major = cluster.major();
  const auto installation = TRY(server::find_installation(
      environment.files, query, env::Wait::for_at_most(kConnectTimeout, &environment.stop)));
  auto control =
      TRY(server::ServerControl::choose(environment.files, cluster, installation, environment.root));
  TRY(control.start(env::Wait::for_at_most(kStartTimeout, &environment.stop)));
  environment.reporter.info("the server runs");
  return base::ok();
}

}  // namespace

Result<PrimarySetupOutcome> run_primary_setup(const PrimarySetupOptions& options,
                                              const SetupEnvironment& environment) {
  const PrimaryWish wish = TRY(wish_of(options));
  const auto store = TRY(client::SecretStore::locate(environment.files));
  TRY(store.refuse_inside(options.data_directory));
  std::optional<PlannedChange> made;
  const auto kind = TRY(inspect_data_directory(environment.files, options.data_directory));
  if (options.init && (kind == DataDirectoryKind::kMissing || kind == DataDirectoryKind::kEmpty)) {
    server::InstallationQuery query;
    query.bin_directory = options.bin_directory;
    const auto installation = TRY(server::find_installation(
        environment.files, query, env::Wait::for_at_most(kConnectTimeout, &environment.stop)));
    auto planned = TRY(plan_new_cluster(options, wish, installation, environment.files));
    if (options.mode == RunMode::kDryRun) return planned;
    TRY(make_cluster(options, wish, installation, environment));
    made = planned.changes.front();
  }
  const auto cluster = TRY(server::Cluster::open(environment.files, options.data_directory));
  if (!TRY(cluster.running())) TRY(start_cluster(options, cluster, environment));
  auto outcome = TRY(PrimarySetup(options, environment, wish, store, cluster).run());
  if (made) {
    outcome.changes.insert(outcome.changes.begin(), *made);
    if (outcome.verdict == PrimaryVerdict::kUnchanged) outcome.verdict = PrimaryVerdict::kChanged;
  }
  return outcome;
}

}  // namespace standfast::setup
