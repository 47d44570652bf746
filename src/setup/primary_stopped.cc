#include "setup/primary_stopped.h"

#include <charconv>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/time.h"
#include "pg/format/hba_file.h"
#include "pg/server/control.h"
#include "pg/server/private_server.h"
#include "setup/admin_session.h"
#include "setup/agent_look.h"
#include "setup/join_settle.h"
#include "setup/primary_look.h"
#include "setup/primary_run.h"
#include "setup/standby_control.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// One deadline for its start, recovery after a crash included.
constexpr base::Seconds kPrivateStartTimeout{600};
constexpr base::Seconds kStartTimeout{120};
/// Of a server that is just starting, from its process id to its socket: preloaded libraries, certificates.
constexpr base::Seconds kSocketTimeout{20};

Result<void> refuse_standby(const server::Cluster& cluster) {
  if (!TRY(cluster.is_standby())) return base::ok();
  return Error(ErrorCode::kPrecondition, fmt::format("\"{}\" is a standby", cluster.data_directory()),
               "Run this on its primary, and name the new standby there.");
}

PlannedChange start_change(const server::ServerControl& control) {
  return {ChangeKind::kRestart, "1.4", "start of the server: " + control.describe_start(), "it stood still"};
}

/// Changes what can be changed without a network: all but logins, slots and tokens.
Result<PrimarySetupOutcome> change_in_private(const StoppedCluster& stopped,
                                              const PrimarySetupOptions& options, const PrimaryWish& wish,
                                              const SetupEnvironment& environment) {
  const auto wait = env::Wait::for_at_most(kPrivateStartTimeout, &environment.stop);
  auto left =
      TRY(server::PrivateServer::take_over(environment.files, stopped.cluster, stopped.installation, wait));
  if (left) {
    environment.reporter.info("took over the server that an interrupted run had started on a private socket");
  } else {
    environment.reporter.info(
        "the server stands still: it is started on a private socket, and stopped again");
  }
  auto server =
      left
          ? *std::move(left)
          : TRY(server::PrivateServer::start(environment.files, stopped.cluster, stopped.installation, wait));
  auto outcome =
      PrimaryRun(options, environment, wish, stopped.store, stopped.cluster, ServerReach::kPrivate).run();
  auto ended = server.stop();
  if (outcome) {
    TRY(std::move(ended));
    environment.reporter.info("the server stands still again");
  } else if (!ended) {
    Error error = std::move(outcome).error();
    error.message += "; and " + ended.error().message;
    return error;
  }
  return outcome;
}

Result<bool> may_start(const PrimarySetupOptions& options, const SetupEnvironment& environment) {
  if (options.restart == RestartLeave::kGiven) return true;
  if (!environment.ask_yes_no) return false;
  return environment.ask_yes_no("The server stands still. Start it when all is set?");
}

// ---------------------------------------------------------------- a plan from the files alone

class FileLooker {
 public:
  FileLooker(const StoppedCluster& stopped, const SetupEnvironment& environment)
      : stopped_(stopped), environment_(environment) {}

  Result<PrimaryState> look(const PrimaryWish& wish) {
    PrimaryState state;
    state.server = {stopped_.installation.version, false, true, ""};
    state.system_id = TRY(stopped_.cluster.control_file()).system_id;
    TRY(stopped_.store.check_writable(state.system_id));
    for (const char* name : {"listen_addresses", "wal_level", "max_wal_senders", "max_replication_slots",
                             "hot_standby", "max_slot_wal_keep_size"}) {
      const std::string_view setting = name;
      if (setting == "max_slot_wal_keep_size" && !state.server.version.has_max_slot_wal_keep_size()) continue;
      const std::string text = TRY(value(name));
      // Whatever it is, it is in force once the server has started.
      state.settings.emplace(name, SettingState{text, text, false, "configuration file"});
    }
    const std::string port = TRY(value("port"));
    std::from_chars(port.data(), port.data() + port.size(), state.port);
    state.tls = TRY(value("ssl")) == "on";
    state.configuration_file = stopped_.cluster.configuration_file();
    const std::string hba_path = TRY(files().real_path(TRY(value("hba_file"))));
    state.hba_text = TRY(env::read_whole_file(files(), hba_path, pg::kMaxHbaFileBytes));
    state.hba_obstacle = TRY(access_to_file(files(), hba_path, stopped_.cluster.data_directory())).obstacle;
    state.hba_block = TRY(pg::find_block(state.hba_text));
    state.replication_role = replication_role_name(wish, state.hba_block);
    for (const std::string& name : TRY(files().list(stopped_.cluster.data_directory() + "/pg_replslot"))) {
      state.slots.emplace(name, SlotState{});
    }
    state.routes = find_routes(wish, state.hba_block, state.port);
    if (wish.agent) {
      state.agent =
          TRY(look_at_agent(stopped_.store, state.system_id, environment_.wait_at_most(kSocketTimeout)));
    }
    state.wal_directory = TRY(files().real_path(stopped_.cluster.data_directory() + "/pg_wal"));
    state.wal_disk_free_bytes = TRY(files().space(state.wal_directory)).available_bytes;
    return state;
  }

 private:
  env::FileSystem& files() const { return environment_.files; }
  Result<std::string> value(const std::string& name) const {
    const ConfiguredPlace place{stopped_.cluster.configuration_directory(),
                                stopped_.cluster.data_directory()};
    return configured_value(stopped_.installation, place, name, environment_.wait_at_most(kStatementTimeout));
  }

  const StoppedCluster& stopped_;
  const SetupEnvironment& environment_;
};

}  // namespace

Result<bool> stands_still(const server::Cluster& cluster, const SetupEnvironment& environment) {
  const auto postmaster = TRY(server::settled_postmaster(cluster, environment.wait_at_most(kSocketTimeout)));
  return !postmaster || server::is_private(environment.files, *postmaster);
}

Result<PrimarySetupOutcome> plan_stopped(const StoppedCluster& stopped, const PrimarySetupOptions& options,
                                         const PrimaryWish& wish, const SetupEnvironment& environment) {
  TRY(refuse_standby(stopped.cluster));
  const auto control = TRY(server::ServerControl::choose(environment.files, stopped.cluster,
                                                         stopped.installation, environment.root));
  const PrimaryState state = TRY(FileLooker(stopped, environment).look(wish));
  const PrimaryPlan plan = TRY(plan_primary(state, wish));
  for (const PlanNote& note : plan.notes) environment.reporter.info(note.line);
  environment.reporter.info(
      "the server stands still, so this is what the files tell: roles, passwords and the database of verify, "
      "which only the running server can tell, are taken as missing");
  PrimarySetupOutcome outcome;
  outcome.verdict = PrimaryVerdict::kPlanned;
  outcome.system_id = state.system_id;
  outcome.port = state.port;
  outcome.changes.push_back({ChangeKind::kCluster, "1.0",
                             "the server started on a private socket, and stopped once it is changed",
                             "it stands still"});
  outcome.changes.insert(outcome.changes.end(), plan.changes.begin(), plan.changes.end());
  if (options.restart == RestartLeave::kGiven) outcome.changes.push_back(start_change(control));
  outcome.members = describe_named(plan, wish);
  return outcome;
}

Result<PrimarySetupOutcome> set_up_stopped(const StoppedCluster& stopped, const PrimarySetupOptions& options,
                                           const PrimaryWish& wish, const SetupEnvironment& environment) {
  TRY(refuse_standby(stopped.cluster));
  // Found out before anything changes: with leave to start it, there must be something to start it with.
  auto control = TRY(server::ServerControl::choose(environment.files, stopped.cluster, stopped.installation,
                                                   environment.root));
  const bool starts = TRY(may_start(options, environment));
  if (starts) TRY(control.check_rights(server::ControlAction::kStart));
  PrimarySetupOutcome changed = TRY(change_in_private(stopped, options, wish, environment));
  if (!starts) {
    changed.verdict = PrimaryVerdict::kPendingRestart;
    changed.restart_command = control.describe_start();
    return changed;
  }
  environment.reporter.step("1.4", "start");
  say_service_notes(control, environment.reporter);
  const base::Stopwatch watch;
  auto started = control.start(env::Wait::for_at_most(kStartTimeout, &environment.stop));
  if (!started) return std::move(started).error().with_context("all is set, but the server did not start");
  environment.reporter.info(fmt::format("started in {}", base::format_duration(watch.elapsed())));
  PrimarySetupOutcome outcome =
      TRY(PrimaryRun(options, environment, wish, stopped.store, stopped.cluster, ServerReach::kPublic).run());
  changed.changes.push_back(start_change(control));
  outcome.changes.insert(outcome.changes.begin(), std::make_move_iterator(changed.changes.begin()),
                         std::make_move_iterator(changed.changes.end()));
  if (outcome.verdict == PrimaryVerdict::kUnchanged) outcome.verdict = PrimaryVerdict::kChanged;
  return outcome;
}

}  // namespace standfast::setup
