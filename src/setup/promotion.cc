#include "setup/promotion.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "pg/format/conf_file.h"
#include "pg/format/wal_file.h"
#include "setup/server_facts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr auto kAskStandbyTimeout = base::Seconds(10);
/// A primary that is gone must not hold the promotion up for long.
constexpr auto kAskPrimaryTimeout = base::Seconds(5);
constexpr std::uint64_t kMaxHistoryBytes = 1U << 20U;

std::string lsn_text(const std::optional<pg::Lsn>& lsn) {
  return lsn && lsn->is_valid() ? lsn->to_string() : "an unknown position";
}

std::string timeline_text(const std::optional<pg::TimelineId>& timeline) {
  return timeline ? fmt::format("timeline {}", timeline->value()) : "an unknown timeline";
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

/// From the control file, when the standby cannot be asked: where a start would have to get to at least.
StandbyBefore standby_before(const pg::ControlFile& control) {
  StandbyBefore before;
  before.timeline = std::max(control.timeline, control.min_recovery_timeline);
  before.replayed = std::max(control.min_recovery_point, control.checkpoint);
  return before;
}

std::string where_of(const client::ConnectOptions& options) {
  std::string host;
  std::string port = "5432";
  for (const auto& [keyword, value] : options.parameters) {
    if (keyword == "host" || (keyword == "hostaddr" && host.empty())) host = value;
    if (keyword == "port") port = value;
  }
  return fmt::format("{} port {}", host, port);
}

/// Whether the error came from a server that was there.
PrimaryState state_after(ErrorCode code) {
  const bool answered = code == ErrorCode::kAuthentication || code == ErrorCode::kSql ||
                        code == ErrorCode::kCertificate || code == ErrorCode::kVersion;
  return answered ? PrimaryState::kAnswers : PrimaryState::kUnreachable;
}

void ask_primary(const client::ConnectOptions& login, pg::SystemId system_id,
                 const SetupEnvironment& environment, PrimaryBefore& primary) {
  const env::Wait wait = environment.wait_at_most(kAskPrimaryTimeout);
  auto connection = client::Connection::open(login, wait);
  const auto facts =
      connection ? read_server_facts(*connection, wait) : Result<ServerFacts>(connection.error());
  if (!facts) {
    primary.state = state_after(facts.error().code);
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
    case PrimaryState::kAnswers:
      return fmt::format("its primary{} runs, but cannot be asked how far it is: {}", at, primary.why);
    case PrimaryState::kUnreachable:
      return fmt::format("its primary{} cannot be reached: {}", at, primary.why);
    case PrimaryState::kUnknown:
      return "it is not known where its primary is: " + primary.why;
  }
  return "";
}

/// Where its primary is, of a standby that does not answer.
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

bool is_alive(PrimaryState state) {
  return state == PrimaryState::kRuns || state == PrimaryState::kRunsStandby ||
         state == PrimaryState::kAnswers;
}

/// Two primaries: the one thing that must not happen because nobody looked.
Result<void> get_leave(const PrimaryBefore& primary, OnLivingPrimary on_living_primary,
                       const SetupEnvironment& environment) {
  if (!is_alive(primary.state)) return base::ok();
  const std::string danger = fmt::format("the primary at {} still runs", primary.where);
  environment.reporter.warn(
      danger + ": after the promotion there are two, and each takes writes that the other never gets",
      fmt::format("Stop the one at {} first, or make sure that no client writes to it any more.",
                  primary.where));
  if (on_living_primary == OnLivingPrimary::kPromoteAnyway) return base::ok();
  if (environment.ask_yes_no) {
    if (TRY(environment.ask_yes_no("Promote this standby all the same?"))) return base::ok();
    return Error(ErrorCode::kCancelled, "not promoted; nothing has changed");
  }
  return Error(ErrorCode::kPrecondition, danger + ", so the standby is not promoted",
               "Stop that primary first. If it must go on running and no client writes to it, add --yes.");
}

/// A 12 that is paused stays so for ever when it is promoted (xlog.c, recoveryPausesHere()).
Result<void> resume_replay(client::Connection& connection, const SetupEnvironment& environment) {
  TRY(connection.query("SELECT pg_wal_replay_resume()", environment.wait_at_most(kAskStandbyTimeout)));
  return base::ok();
}

/// The newest history file in pg_wal is that of the timeline the server is on now.
Result<void> read_new_timeline(const server::Cluster& cluster, const SetupEnvironment& environment,
                               PromotionOutcome& outcome) {
  const std::string folder = TRY(environment.files.real_path(cluster.data_directory() + "/pg_wal"));
  std::string newest;
  for (const std::string& name : TRY(environment.files.list(folder))) {
    if (name.size() == 16 && name.ends_with(".history")) newest = std::max(newest, name);
  }
  if (newest.empty()) return Error(ErrorCode::kProtocol, "pg_wal holds no timeline history");
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(newest.data(), newest.data() + 8, number, 16);
  if (error != std::errc() || end != newest.data() + 8) {
    return Error(ErrorCode::kProtocol, fmt::format("\"{}\" in pg_wal names no timeline", newest));
  }
  outcome.timeline = pg::TimelineId(number);
  const std::string text =
      TRY(env::read_whole_file(environment.files, folder + "/" + newest, kMaxHistoryBytes));
  if (const auto last = last_switch_in(text)) outcome.begins_at = last->at;
  return base::ok();
}

class Promotion {
 public:
  Promotion(const StandbyOptions& options, OnLivingPrimary on_living_primary,
            const SetupEnvironment& environment)
      : options_(options), on_living_primary_(on_living_primary), environment_(environment) {}

  Result<PromotionOutcome> run() {
    Standby standby = TRY(open_standby(options_, environment_));
    TRY(check_runs(standby.cluster));
    TRY(look(standby.cluster));
    if (options_.mode == RunMode::kDryRun) {
      outcome_.planned_only = true;
      environment_.reporter.info(
          "would promote it" +
          std::string(is_alive(outcome_.primary.state) ? ", after a yes, because the primary runs" : ""));
      return outcome_;
    }
    TRY(get_leave(outcome_.primary, on_living_primary_, environment_));
    TRY(promote(standby));
    report(standby.cluster);
    return outcome_;
  }

 private:
  Result<void> check_runs(const server::Cluster& cluster) const {
    if (TRY(cluster.running())) return base::ok();
    return Error(ErrorCode::kPrecondition,
                 fmt::format("the standby on \"{}\" is not running", cluster.data_directory()),
                 fmt::format("Start it first: standfast standby start -D {}", cluster.data_directory()));
  }

  /// A standby that does not let us log in is promoted all the same: at that hour nobody mends pg_hba.conf
  /// first.
  Result<void> look(const server::Cluster& cluster) {
    base::Reporter& reporter = environment_.reporter;
    reporter.step("", "where the standby and its primary are");
    const env::Wait wait = environment_.wait_at_most(kAskStandbyTimeout);
    auto connection = connect_to(cluster, options_, wait);
    const auto facts =
        connection ? read_server_facts(*connection, wait) : Result<ServerFacts>(connection.error());
    if (environment_.stop.is_set()) return env::cancelled_error();
    if (facts) {
      outcome_.standby = standby_before(*facts);
      outcome_.primary = primary_before(*facts, environment_);
      connection_ = *std::move(connection);
    } else {
      reporter.warn("the standby could not be asked: " + facts.error().message, facts.error().hint);
      const pg::ControlFile control = TRY(cluster.control_file());
      outcome_.standby = standby_before(control);
      outcome_.primary = primary_before(facts_on_disk(cluster, control, environment_), environment_);
    }
    reporter.info(describe_standby(outcome_.standby));
    reporter.info(describe_primary(outcome_.primary));
    return base::ok();
  }

  Result<void> promote(Standby& standby) {
    environment_.reporter.step("", "promote the standby");
    const base::Stopwatch watch;
    if (outcome_.standby.is_replay_paused && connection_) TRY(resume_replay(*connection_, environment_));
    TRY(standby.control.promote(environment_.wait_at_most(options_.timeout)));
    outcome_.elapsed = watch.elapsed();
    return base::ok();
  }

  void report(const server::Cluster& cluster) {
    base::Reporter& reporter = environment_.reporter;
    if (auto known = read_new_timeline(cluster, environment_, outcome_); !known) {
      reporter.warn("it is a primary now, but its timeline could not be read: " + known.error().message, "");
    }
    reporter.info(fmt::format("it is a primary now, after {}: {} begins at {}",
                              base::format_duration(outcome_.elapsed), timeline_text(outcome_.timeline),
                              lsn_text(outcome_.begins_at)));
    const std::string gap = describe_gap(outcome_);
    if (outcome_.bytes_left_behind().value_or(1) == 0) {
      reporter.info(gap);
    } else {
      reporter.warn(
          gap,
          "What lies beyond is only on the old primary: keep its data directory until you know that "
          "nothing in it is missed.");
    }
    reporter.info(
        "next: lead the clients here; never start the old primary as one again; \"standfast primary setup\" "
        "here and "
        "\"standfast join\" there make it a standby of this server");
  }

  const StandbyOptions& options_;
  OnLivingPrimary on_living_primary_;
  const SetupEnvironment& environment_;
  std::optional<client::Connection> connection_;
  PromotionOutcome outcome_;
};

}  // namespace

std::string_view name_of(PrimaryState state) {
  switch (state) {
    case PrimaryState::kRuns:
      return "runs";
    case PrimaryState::kRunsStandby:
      return "is_a_standby";
    case PrimaryState::kAnswers:
      return "answers";
    case PrimaryState::kUnreachable:
      return "unreachable";
    case PrimaryState::kUnknown:
      return "unknown";
  }
  return "unknown";
}

std::optional<std::uint64_t> PromotionOutcome::bytes_left_behind() const {
  const auto own = begins_at ? begins_at : standby.received;
  if (!primary.last_known || !own) return std::nullopt;
  return primary.last_known->bytes_since(*own);
}

std::optional<TimelineSwitch> last_switch_in(std::string_view history) {
  std::optional<TimelineSwitch> last;
  while (!history.empty()) {
    const std::size_t end = std::min(history.find('\n'), history.size());
    std::string_view line = history.substr(0, end);
    history.remove_prefix(std::min(end + 1, history.size()));
    std::vector<std::string_view> words;
    while (words.size() < 2 && !line.empty() && line.front() != '#') {
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
      const std::size_t word_end = std::min(line.find_first_of(" \t"), line.size());
      if (word_end > 0) words.push_back(line.substr(0, word_end));
      line.remove_prefix(word_end);
    }
    if (words.size() < 2) continue;
    const auto parent = pg::TimelineId::parse(words[0]);
    const auto at = pg::Lsn::parse(words[1]);
    if (parent && at) last = TimelineSwitch{*parent, *at};
  }
  return last;
}

std::string describe_gap(const PromotionOutcome& outcome) {
  const auto bytes = outcome.bytes_left_behind();
  if (!bytes) {
    return fmt::format(
        "nothing is known of what the primary wrote after {}, the last that was received from it",
        lsn_text(outcome.standby.received ? outcome.standby.received : outcome.begins_at));
  }
  const std::string known =
      fmt::format("the primary was last known at {}{}", lsn_text(outcome.primary.last_known),
                  outcome.primary.was_asked ? "" : ", as it had told this standby");
  if (*bytes == 0) return known + ": nothing known of it stays behind";
  return fmt::format("{}: {} bytes of its WAL stay behind", known, *bytes);
}

Result<PromotionOutcome> run_promotion(const StandbyOptions& options, OnLivingPrimary on_living_primary,
                                       const SetupEnvironment& environment) {
  return Promotion(options, on_living_primary, environment).run();
}

}  // namespace standfast::setup
