#include "setup/join.h"

#include <algorithm>

#include <fmt/format.h>

#include "clone/claim.h"
#include "clone/interrupted.h"
#include "clone/journal.h"
#include "clone/target.h"
#include "env/process.h"
#include "pg/format/conf_file.h"
#include "pg/server/cluster.h"
#include "pg/server/control.h"
#include "setup/join_checks.h"
#include "setup/join_settle.h"
#include "setup/join_steps.h"
#include "setup/standby_login.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kConnectTimeout{30};
constexpr base::Seconds kLookTimeout{60};
constexpr base::Seconds kStopTimeout{120};

class Join {
 public:
  Join(const JoinOptions& options, const SetupEnvironment& environment)
      : options_(options),
        environment_(environment),
        reporter_(environment.reporter),
        target_(env::absolute_path(options.data_directory)) {}

  Result<JoinOutcome> run() {
    env::forget_postgres_environment();  // the token says all that there is to say
    auto outcome = run_steps();
    if (registered_here_ && !outcome_.copy) {
      claim_->give_up();
      unregister_standby(place());
    }
    // Without a copy in place, nothing needs the login that was prepared for it, unless that copy goes on.
    const bool came_about = outcome.has_value() && !outcome->planned_only;
    if (store_ && !came_about && !outcome_.copy && !existing_) {
      leave_login_of_unfinished_copy();
      forget_standby_login(login_, options_.token, *store_);
    }
    if (store_) forget_trial(options_.token, *store_);
    return outcome;
  }

 private:
  Result<JoinOutcome> run_steps() {
    reporter_.step("2.1", fmt::format("look at the primary {} and at this host", options_.token.host));
    leftover_ = TRY(take_back_half_registered(place()));
    TRY(log_in());
    TRY(look());
    TRY(check_agent_wish(place(), *store_));
    if (!outcome_.was_a_standby_already) {
      TRY(check());
      if (options_.mode == RunMode::kDryRun) return plan();
      TRY(find_agent());
      TRY(copy());
    } else if (options_.mode == RunMode::kDryRun) {
      reporter_.info("nothing to copy: this is that primary's standby already");
      tell_agents(place());
      outcome_.planned_only = true;
      return std::move(outcome_);
    } else {
      login_ = TRY(keep_standby_login(login_, options_.token, *store_));
      TRY(find_agent());
    }
    TRY(check_slot());
    outcome_.start_command = TRY(start_copy(place(), installation_, outcome_.copy));
    TRY(wait_until_streaming(place(), source_word()));
    outcome_.proof = TRY(prove_standby(place(), login_));
    const auto moved = TRY(clone::move_old_directory(*claim_, clone_environment()));
    if (moved && outcome_.copy) outcome_.copy->moved_aside_to = moved;
    outcome_.agent = TRY(start_own_agent(place(), *store_));
    return std::move(outcome_);
  }

  /// Its journal has it, for `status` and for who gives the copy up.
  void leave_login_of_unfinished_copy() {
    const auto journal = clone::read_journal(environment_.files, target_);
    if (journal && (!*journal || !(*journal)->copy)) return;
    std::erase_if(login_.new_names, [&](const std::string& name) {
      return !journal || std::ranges::count((*journal)->copy->login_files, name) > 0;
    });
  }

  JoinPlace place() const { return {options_, target_, environment_}; }

  clone::CloneEnvironment clone_environment() const {
    return {environment_.files, environment_.stop, reporter_};
  }

  /// What a run that was killed was renaming is settled first: until then nobody can say what is there.
  Result<bool> settle_target() {
    if (options_.mode == RunMode::kDryRun) {
      target_ = TRY(clone::target_of(options_.data_directory, clone_environment()));
      TRY(clone::refuse_claimed(environment_.files, target_));
    } else {
      claim_ = TRY(clone::claim_target(options_.data_directory, clone_environment()));
      target_ = claim_->target();
    }
    const auto interrupted = TRY(clone::find_interrupted(environment_.files, target_));
    if (!interrupted) return true;
    if (options_.mode == RunMode::kDryRun) return interrupted->state != clone::PlacementState::kUndone;
    TRY(clone::settle_interrupted(environment_.files, target_, reporter_));
    return true;
  }

  Result<void> log_in() {
    store_ = TRY(client::SecretStore::locate(environment_.files));
    const bool is_settled = TRY(settle_target());
    TRY(store_->refuse_inside(target_));
    // What is wrong with the target itself is told before anything is connected to or written.
    if (is_settled) {
      if (options_.on_old_directory == OnOldDirectory::kRefuse) existing_ = TRY(find_existing_standby());
      if (!existing_ && !leftover_)
        target_state_ = TRY(clone::inspect_target(environment_.files, target_, target_rules()));
    }
    login_ = TRY(try_standby_login(options_.token, *store_, environment_));
    if (!login_.certificate_file) {
      reporter_.warn("the primary has ssl = off: the copy and all WAL travel in clear",
                     "Turn ssl on at the primary unless the network between the hosts is trusted.");
    }
    return base::ok();
  }

  clone::TargetRules target_rules() const {
    clone::TargetRules rules;
    rules.source = options_.token.system_id;
    if (options_.on_old_directory == OnOldDirectory::kMoveAside)
      rules.on_data_directory = clone::OnDataDirectory::kReplace;
    if (options_.on_running_server == OnRunningServer::kStop)
      rules.on_running_server = clone::OnRunningServer::kReport;
    return rules;
  }

  std::string_view source_word() const { return primary_.in_recovery ? "standby above" : "primary"; }

  /// A standby that an earlier run made of this token: same cluster, in recovery, on the token's slot.
  Result<std::optional<server::Cluster>> find_existing_standby() {
    const std::string auto_conf = target_ + "/postgresql.auto.conf";
    if (!TRY(environment_.files.inspect(target_ + "/standby.signal")) ||
        !TRY(environment_.files.inspect(auto_conf))) {
      return std::optional<server::Cluster>();
    }
    auto cluster = TRY(server::Cluster::open(environment_.files, target_));
    const auto control = TRY(cluster.control_file());
    const auto text = TRY(env::read_whole_file(environment_.files, auto_conf, pg::kMaxConfFileBytes));
    const auto conf = TRY(pg::ConfFile::parse(text));
    if (control.system_id != options_.token.system_id ||
        conf.get("primary_slot_name") != options_.token.slot) {
      return std::optional<server::Cluster>();
    }
    return std::optional(std::move(cluster));
  }

  Result<void> look() {
    auto monitor = TRY(
        client::Connection::open(login_.monitor(options_.token), environment_.wait_at_most(kConnectTimeout)));
    primary_ = TRY(look_at_primary(monitor, options_.token.slot, environment_.wait_at_most(kLookTimeout)));
    reporter_.info(fmt::format("{}: PostgreSQL {}, system identifier {}, {} of data{}", source_word(),
                               primary_.version.to_string(), primary_.system_id.to_string(),
                               base::format_bytes(primary_.data_bytes),
                               monitor.uses_tls() ? ", TLS with the certificate of the token" : ""));
    server::InstallationQuery query;
    query.bin_directory = options_.bin_directory;
    if (!options_.bin_directory) query.major = primary_.version.major();
    installation_ =
        TRY(server::find_installation(environment_.files, query, environment_.wait_at_most(kLookTimeout)));
    reporter_.info(fmt::format("this host: PostgreSQL {} in {}", installation_.version.to_string(),
                               installation_.bin_directory));
    outcome_.was_a_standby_already = existing_.has_value();
    say_what_the_source_is();
    return base::ok();
  }

  void say_what_the_source_is() {
    const bool said = options_.from_standby == clone::FromStandby::kSaid;
    if (primary_.in_recovery) outcome_.follows_standby_of = primary_.upstream;
    if (primary_.in_recovery && (said || existing_)) {
      reporter_.info(
          fmt::format("that server is itself a standby{}{}: this standby follows a standby",
                      primary_.upstream.empty() ? ", which streams from nowhere now" : ", which follows ",
                      primary_.upstream));
    } else if (!primary_.in_recovery && said) {
      reporter_.info("that server is a primary now, not a standby: this standby follows it directly");
    }
  }

  Result<void> check() {
    HostQuestion question;
    question.target = target_;
    question.made_in = target_state_ ? clone::folder_of_bulk(*target_state_) : env::parent_of(target_);
    if (target_state_) question.old_links = TRY(clone::old_links_of(environment_.files, *target_state_));
    for (const auto& mapping : options_.tablespace_mappings)
      question.tablespace_mappings.emplace_back(mapping.from, mapping.to);
    question.port = TRY(port_to_be(place(), primary_));
    const auto running = TRY(clone::running_server_of(environment_.files, target_));
    question.port_is_this_clusters = running.has_value();
    // The standby that is to be replaced holds its slot until it is stopped.
    if (running && TRY(find_existing_standby())) primary_.slot_is_active = false;
    HostFacts host = TRY(look_at_host(environment_.files, installation_, primary_, question,
                                      environment_.wait_at_most(kLookTimeout)));
    std::vector<Error> found = what_does_not_fit(
        primary_, host, {options_.token.system_id, options_.token.slot, options_.from_standby});
    say_what_is_risky(host);
    if (found.empty()) {
      reporter_.info(fmt::format(
          "checked: versions, architecture, page sizes, collations, settings, libraries, {} tablespaces, "
          "port{}",
          primary_.tablespaces.size(),
          host.available_bytes ? fmt::format(", room ({} free)", base::format_bytes(*host.available_bytes))
                               : ""));
      return base::ok();
    }
    for (std::size_t i = 1; i < found.size(); ++i) reporter_.warn(found[i].message, found[i].hint);
    return std::move(found.front());
  }

  void say_what_is_risky(const HostFacts& host) {
    for (const PairingFinding& finding : judge_pairing(primary_, host)) {
      if (finding.severity == PairingSeverity::kWarn) reporter_.warn(finding.message, finding.hint);
      if (finding.severity == PairingSeverity::kNote) reporter_.info(finding.message);
    }
  }

  Result<void> find_agent() {
    const auto found = TRY(find_source_agent(place(), *store_));
    if (found) outcome_.member = found->membership.facts.member.name;
    // It was called once, and did not answer.
    if (options_.token.agent && !found) agent_way_ = clone::CopyWay::kProtocol;
    return base::ok();
  }

  /// Where the token says it is, unless the user knows better.
  clone::AgentUse agent_use() const {
    clone::AgentUse use = options_.agent;
    if (agent_way_) use.way = *agent_way_;
    if (!use.address && options_.token.agent)
      use.address = net::HostPort{options_.token.agent->host, options_.token.agent->port};
    return use;
  }

  clone::CloneOptions clone_options() {
    clone::CloneOptions clone;
    clone.connect = login_.replication(options_.token, primary_.version);
    clone.target = target_;
    clone.slot = options_.token.slot;
    clone.checkpoint = options_.checkpoint;
    clone.tablespace_mappings = options_.tablespace_mappings;
    clone.label = "standfast join";
    clone.wal_directory = options_.wal_directory;
    clone.move_old_to = options_.move_old_to;
    clone.max_rate_bytes_per_second = options_.max_rate_bytes_per_second;
    clone.write_recovery_settings = true;
    clone.application_name = options_.application_name.value_or(options_.token.slot);
    clone.replace = options_.on_old_directory == OnOldDirectory::kMoveAside;
    clone.expected_system_id = options_.token.system_id;
    clone.from_standby = options_.from_standby;
    clone.login_files = login_.new_names;
    clone.agent = agent_use();
    if (options_.on_running_server == OnRunningServer::kStop) {
      clone.stop_server = [this] { return stop_server_of_target(); };
    }
    return clone;
  }

  Result<void> stop_server_of_target() {
    const auto cluster = TRY(server::Cluster::open(environment_.files, target_));
    server::InstallationQuery query;
    query.bin_directory = options_.bin_directory;
    if (!options_.bin_directory) query.major = cluster.major();
    const auto installation =
        TRY(server::find_installation(environment_.files, query, environment_.wait_at_most(kLookTimeout)));
    auto control =
        TRY(server::ServerControl::choose(environment_.files, cluster, installation, environment_.root));
    reporter_.info(fmt::format("stop the server in \"{}\"", target_));
    return control.stop(server::StopMode::kFast, environment_.wait_at_most(kStopTimeout));
  }

  Result<JoinOutcome> plan() {
    const auto plan = TRY(clone::plan_clone(clone_options(), clone_environment()));
    if (TRY(is_to_be_registered(place(), primary_.version))) reporter_.info(describe_registration(place()));
    for (const std::string& line : clone::describe_places(plan)) reporter_.info(line);
    reporter_.info(fmt::format("would receive {} through slot \"{}\", start the standby, and verify it",
                               base::format_bytes(primary_.data_bytes), options_.token.slot));
    tell_agents(place());
    outcome_.planned_only = true;
    return std::move(outcome_);
  }

  Result<void> copy() {
    reporter_.step("2.1", fmt::format("copy the {}'s data into \"{}\"",
                                      primary_.in_recovery ? "standby" : "primary", target_));
    if (TRY(is_to_be_registered(place(), primary_.version))) {
      // Debian's program takes only an empty directory, and a folder that this made is taken back when it is
      // empty.
      claim_->give_up();
      TRY(register_standby(place()));
      registered_here_ = true;
    }
    login_ = TRY(keep_standby_login(login_, options_.token, *store_));
    TRY(claim_->complete());
    auto staged = TRY(clone::fetch_clone(clone_options(), clone_environment(), *claim_));
    SettleOptions settle;
    settle.staging = staged.staging_path();
    settle.target = target_;
    settle.primary_host = options_.token.host;
    settle.primary_port = options_.token.port;
    settle.port = options_.port;
    settle.socket_directory = options_.socket_directory;
    settle.listen_addresses = options_.listen_addresses;
    const Settled settled = TRY(settle_configuration(settle, installation_, primary_, environment_));
    TRY(server::remove_start_log(environment_.files, staged.staging_path()));
    const clone::CloneFacts facts = TRY(staged.put_in_place());
    reporter_.info(fmt::format(
        "{} in {}; WAL from {} to {} on timeline {}{}", base::format_bytes(facts.bytes),
        base::format_duration(facts.elapsed), facts.start_lsn.to_string(), facts.stop_lsn.to_string(),
        facts.timeline.value(), facts.manifest_checked ? "; every file matches the server's manifest" : ""));
    if (facts.agent) {
      reporter_.info(
          fmt::format("through the agent of member \"{}\": {} came in {} streams, {} was there already",
                      facts.agent->member, base::format_bytes(facts.agent->fetched_bytes),
                      facts.agent->streams, base::format_bytes(facts.agent->equal_bytes)));
    }
    if (facts.moved_aside_to)
      reporter_.info(fmt::format("the directory before is kept as \"{}\"", *facts.moved_aside_to));
    reporter_.info("standby.signal, primary_conninfo and primary_slot_name are written; the password is in " +
                   *login_.passfile);
    for (const std::string& name : settled.taken_out)
      reporter_.info(name + " was the primary's own setting: taken out");
    for (const std::string& line : settled.given) reporter_.info(line);
    if (const auto debian = TRY(debian_cluster_of(place(), primary_.version))) {
      reporter_.info(fmt::format("its postgresql.conf and pg_hba.conf are those of this host, in {}",
                                 debian->configuration_directory));
    }
    outcome_.copy = facts;
    outcome_.settings_taken_out = settled.taken_out;
    outcome_.settings_given = settled.given;
    return base::ok();
  }

  Result<void> check_slot() {
    reporter_.step("2.2",
                   fmt::format("replication slot \"{}\" on the {}", options_.token.slot, source_word()));
    if (auto error = slot_error(primary_, options_.token.slot)) return *std::move(error);
    reporter_.info("it is there, and keeps the WAL this standby has not received yet");
    return base::ok();
  }

  const JoinOptions& options_;
  const SetupEnvironment& environment_;
  base::Reporter& reporter_;
  std::string target_;
  std::optional<clone::Claim> claim_;  ///< but in a dry run
  std::optional<client::SecretStore> store_;
  StandbyLogin login_;
  PrimaryFacts primary_;
  std::optional<clone::CopyWay> agent_way_;  ///< where it is another than was asked for
  server::Installation installation_;
  std::optional<server::Cluster> existing_;
  bool registered_here_ = false;
  bool leftover_ = false;  ///< of a killed run, which a dry run leaves there
  /// Not in a plan that would first end a killed run's work.
  std::optional<clone::TargetState> target_state_;
  JoinOutcome outcome_;
};

}  // namespace

Result<JoinOutcome> run_join(const JoinOptions& options, const SetupEnvironment& environment) {
  return Join(options, environment).run();
}

}  // namespace standfast::setup
