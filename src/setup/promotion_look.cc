#include "setup/promotion_look.h"

#include <algorithm>

#include <fmt/format.h>

#include "pg/client/reach.h"
#include "pg/format/conf_file.h"
#include "wal/serve_actions.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// A primary that is gone must not hold the promotion up for long.
constexpr auto kAskPrimaryTimeout = base::Seconds(5);
constexpr auto kReachPrimaryTimeout = base::Seconds(3);

std::string where_of(const client::ConnectOptions& options) {
  std::string host;
  std::string port = "5432";
  for (const auto& [keyword, value] : options.parameters) {
    if (keyword == "host" || (keyword == "hostaddr" && host.empty())) host = value;
    if (keyword == "port") port = value;
  }
  return fmt::format("{} port {}", host, port);
}

/// Whatever is not plainly nobody takes writes for all that is known: one that starts up, is full, is frozen
/// or does not let us in.
PrimaryState state_without_login(const client::ConnectOptions& login, const Error& error,
                                 const SetupEnvironment& environment) {
  if (error.message.find(wal::serve::kTakesNoSql) != std::string::npos) return PrimaryState::kServesWal;
  const bool may_be_nobody = error.code == ErrorCode::kConnect || error.code == ErrorCode::kTimeout;
  if (!may_be_nobody) return PrimaryState::kAnswers;
  return client::takes_connections(login, environment.wait_at_most(kReachPrimaryTimeout))
             ? PrimaryState::kAnswers
             : PrimaryState::kUnreachable;
}

void ask_primary(const client::ConnectOptions& login, pg::SystemId system_id,
                 const SetupEnvironment& environment, PrimaryBefore& primary) {
  const env::Wait wait = environment.wait_at_most(kAskPrimaryTimeout);
  auto connection = client::Connection::open(login, wait);
  const auto facts =
      connection ? read_server_facts(*connection, wait) : Result<ServerFacts>(connection.error());
  if (!facts) {
    primary.state =
        connection ? PrimaryState::kAnswers : state_without_login(login, facts.error(), environment);
    primary.why = facts.error().message;
  } else if (facts->system_id != system_id) {
    primary.state = PrimaryState::kUnreachable;
    primary.why = "another cluster's server answers there";
  } else {
    primary.state = facts->is_in_recovery ? PrimaryState::kRunsStandby : PrimaryState::kRuns;
    primary.last_known = facts->head;
    primary.was_asked = true;
  }
}

}  // namespace

std::string_view name_of(PrimaryState state) {
  switch (state) {
    case PrimaryState::kRuns:
      return "runs";
    case PrimaryState::kRunsStandby:
      return "is_a_standby";
    case PrimaryState::kServesWal:
      return "serves_wal";
    case PrimaryState::kAnswers:
      return "answers";
    case PrimaryState::kUnreachable:
      return "unreachable";
    case PrimaryState::kUnknown:
      return "unknown";
  }
  return "unknown";
}

StandbyBefore standby_before(const ServerFacts& facts) {
  StandbyBefore before;
  before.timeline = facts.timeline;
  before.received = facts.head;
  before.replayed = facts.replay;
  before.is_replay_paused = facts.is_replay_paused;
  before.apply_delay = facts.apply_delay;
  return before;
}

StandbyBefore standby_before(const pg::ControlFile& control) {
  StandbyBefore before;
  before.timeline = std::max(control.timeline, control.min_recovery_timeline);
  before.replayed = std::max(control.min_recovery_point, control.checkpoint);
  return before;
}

ServerFacts facts_on_disk(const server::Cluster& cluster, const pg::ControlFile& control,
                          const SetupEnvironment& environment) {
  ServerFacts facts;
  facts.system_id = control.system_id;
  for (const std::string& path :
       {cluster.data_directory() + "/postgresql.auto.conf", cluster.configuration_file()}) {
    const auto text = env::read_whole_file(environment.files, path, pg::kMaxConfFileBytes);
    const auto conf = text ? pg::ConfFile::parse(*text) : Result<pg::ConfFile>(text.error());
    const auto conninfo = conf ? conf->get("primary_conninfo") : std::nullopt;
    if (!conninfo) continue;
    facts.primary_conninfo = *conninfo;
    break;
  }
  return facts;
}

PrimaryBefore primary_before(const ServerFacts& standby, const SetupEnvironment& environment) {
  PrimaryBefore primary;
  // What the receiver has heard counts when the primary itself cannot be asked. It is gone with the receiver.
  if (standby.receiver) primary.last_known = standby.receiver->latest_end;
  const auto login = monitor_of_primary(standby);
  if (!login) {
    primary.why = login.error().message;
    return primary;
  }
  primary.where = where_of(*login);
  ask_primary(*login, standby.system_id, environment, primary);
  return primary;
}

bool is_alive(PrimaryState state) {
  return state == PrimaryState::kRuns || state == PrimaryState::kRunsStandby ||
         state == PrimaryState::kAnswers;
}

std::optional<Error> reason_to_stay_paused(const PausedReplay& paused) {
  if (!paused.too_low.empty()) {
    const TooLow& low = paused.too_low.front();
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("replay is paused because {} is {} here and {} on the primary: to let it go on "
                    "would stop the standby",
                    low.name, low.standby, low.primary),
        fmt::format("Set {} = {} here, restart the standby, and run this again.", low.name, low.primary));
  }
  if (paused.target.empty()) return std::nullopt;
  return Error(
      ErrorCode::kPrecondition,
      fmt::format("replay is paused and {} is set: to let it go on would end recovery there, without "
                  "what lies beyond",
                  paused.target),
      fmt::format("Take {} out of the settings, restart the standby, and run this again; or, if it is to "
                  "end just there: pg_ctl promote.",
                  paused.target));
}

Result<void> get_leave(const Danger& danger, OnLivingPrimary leave, const SetupEnvironment& environment) {
  environment.reporter.warn(fmt::format("{}: {}", danger.what, danger.then), danger.remedy);
  if (leave == OnLivingPrimary::kPromoteAnyway) return base::ok();
  if (environment.ask_yes_no) {
    if (TRY(environment.ask_yes_no("Promote this standby all the same?"))) return base::ok();
    return Error(ErrorCode::kCancelled, "not promoted; nothing has changed");
  }
  return Error(ErrorCode::kPrecondition, danger.what + ", so the standby is not promoted",
               "Stop that primary first. If it must go on running and no client writes to it, add --yes.");
}

std::string describe_standby(const StandbyBefore& standby) {
  std::string text =
      fmt::format("it is on {}, has received up to {} and replayed up to {}", timeline_text(standby.timeline),
                  lsn_text(standby.received), lsn_text(standby.replayed));
  if (!standby.received) {
    text = fmt::format("it is on {}, at {} or later", timeline_text(standby.timeline),
                       lsn_text(standby.replayed));
  }
  if (standby.is_replay_paused)
    text += "; its replay is paused: a promotion ends that and replays what is there";
  if (standby.apply_delay.count() > 0) {
    text += fmt::format("; it replays {} late: a promotion replays the rest at once",
                        base::format_duration(standby.apply_delay));
  }
  return text;
}

std::string describe_primary(const PrimaryBefore& primary) {
  const std::string at = primary.where.empty() ? "" : " at " + primary.where;
  switch (primary.state) {
    case PrimaryState::kRuns:
      return fmt::format("its primary{} runs and takes writes, its WAL is at {}", at,
                         lsn_text(primary.last_known));
    case PrimaryState::kRunsStandby:
      return fmt::format("what it streams from{} is a standby itself, and has WAL up to {}", at,
                         lsn_text(primary.last_known));
    case PrimaryState::kServesWal:
      return fmt::format(
          "what it streams from{} is a witness, which does not say whether the primary still runs", at);
    case PrimaryState::kAnswers:
      return fmt::format("its primary{} runs, but cannot be asked how far it is: {}", at, primary.why);
    case PrimaryState::kUnreachable:
      return fmt::format("its primary{} cannot be reached: {}", at, primary.why);
    case PrimaryState::kUnknown:
      return "it is not known where its primary is: " + primary.why;
  }
  return "";
}

std::string lsn_text(const std::optional<pg::Lsn>& lsn) {
  return lsn && lsn->is_valid() ? lsn->to_string() : "an unknown position";
}

std::string timeline_text(const std::optional<pg::TimelineId>& timeline) {
  return timeline ? fmt::format("timeline {}", timeline->value()) : "an unknown timeline";
}

}  // namespace standfast::setup
