#include "setup/promotion_standby.h"

#include <utility>

#include <fmt/format.h>

#include "pg/client/replication_connection.h"
#include "setup/join_settings.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr auto kAskStandbyTimeout = base::Seconds(10);
constexpr base::Milliseconds kPoll{100};

/// Whether it has replayed all that is there (access/transam/xlogrecovery.c, WaitForWALToBecomeAvailable();
/// in 12 the wait between two attempts has another name).
constexpr const char* kReplayWaits =
    "SELECT coalesce(bool_or(wait_event IN ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval', "
    "'RecoveryWalAll')), false) FROM pg_stat_activity WHERE backend_type = 'startup'";

constexpr const char* kPauseSettings =
    "SELECT name, setting FROM pg_settings WHERE setting <> '' AND name IN ('recovery_target', "
    "'recovery_target_lsn', 'recovery_target_name', 'recovery_target_time', 'recovery_target_xid', "
    "'max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', "
    "'max_locks_per_transaction')";

SettingValues settings_of(const pg::ControlFile& control) {
  return {{"max_connections", control.max_connections},
          {"max_worker_processes", control.max_worker_processes},
          {"max_wal_senders", control.max_wal_senders},
          {"max_prepared_transactions", control.max_prepared_transactions},
          {"max_locks_per_transaction", control.max_locks_per_transaction}};
}

Result<PausedReplay> read_pause(client::Connection& connection, const server::Cluster& cluster,
                                const env::Wait& wait) {
  PausedReplay paused;
  SettingValues own;
  const client::Rows rows = TRY(connection.query(kPauseSettings, wait));
  for (int row = 0; row < rows.count(); ++row) {
    const std::string name = text_of(rows, row, "name");
    if (const auto number = integer_of(rows, row, "setting"); name.starts_with("max_") && number) {
      own[name] = *number;
    } else {
      paused.target = name;
    }
  }
  paused.too_low = settings_below_primary(own, settings_of(TRY(cluster.control_file())));
  return paused;
}

}  // namespace

Result<void> StandbySession::read() {
  const env::Wait wait = environment_.wait_at_most(kAskStandbyTimeout);
  if (!connection_ || !connection_->is_open()) {
    auto again = TRY(connect_to(standby_.cluster, options_, wait));
    connection_ = std::move(again);
  }
  facts_ = TRY(read_server_facts(*connection_, wait));
  return base::ok();
}

Result<void> StandbySession::ask() {
  TRY(read());
  ask_for_its_timeline();
  return base::ok();
}

/// Without a receiver SQL knows only the control file's timeline, which a switch reaches minutes later. The
/// protocol tells the one that is replayed; where it does not, the control file's is what there is.
void StandbySession::ask_for_its_timeline() {
  if (facts_.receiver || !facts_.is_in_recovery) return;
  const env::Wait wait = environment_.wait_at_most(kAskStandbyTimeout);
  auto options = standby_.cluster.local_connection("postgres");
  if (!options) return;
  if (options_.user) options->set("user", *options_.user);
  auto connection = client::ReplicationConnection::open(*options, wait);
  if (!connection) return;
  const auto identity = connection->identify_system(wait);
  if (!identity || identity->system_id != facts_.system_id) return;
  if (!facts_.timeline || *facts_.timeline < identity->timeline) facts_.timeline = identity->timeline;
}

/// Without a store none has streamed.
Result<void> StandbySession::undo_killed_run() {
  auto store = client::SecretStore::locate(environment_.files);
  if (!store) return base::ok();
  store_ = *std::move(store);
  stream_.emplace(standby_, options_, facts_, *store_, environment_);
  if (options_.mode == RunMode::kDryRun || !TRY(stream_->put_back_leftover(*connection_))) return base::ok();
  environment_.reporter.info(
      "primary_conninfo put back, which a promotion that was killed had pointed at a witness");
  TRY(ask());
  stream_.emplace(standby_, options_, facts_, *store_, environment_);
  return base::ok();
}

Result<ServerFacts> StandbySession::catch_up(const WitnessBefore& witness, const ReplicationLogin& login) {
  if (!stream_) return client::SecretStore::locate(environment_.files).error();
  return stream_->catch_up(witness, login, *connection_);
}

Result<std::optional<Error>> StandbySession::reason_to_stay_paused() {
  if (!facts_.is_replay_paused) return std::optional<Error>();
  const env::Wait wait = environment_.wait_at_most(kAskStandbyTimeout);
  return setup::reason_to_stay_paused(TRY(read_pause(*connection_, standby_.cluster, wait)));
}

std::optional<WalPosition> StandbySession::position() const {
  if (!connection_ || !facts_.timeline) return std::nullopt;
  return WalPosition{*facts_.timeline, facts_.head};
}

Result<void> StandbySession::resume_if_paused() {
  // It would ask for no WAL, and until 12 it would stay so for ever (xlog.c, recoveryPausesHere()).
  if (!facts_.is_replay_paused) return base::ok();
  TRY(connection_->query("SELECT pg_wal_replay_resume()", environment_.wait_at_most(kAskStandbyTimeout)));
  is_resumed_ = true;
  return base::ok();
}

/// A record that is only there in part is received and never replayed, so its end is no goal.
Result<void> StandbySession::replay_what_was_received() {
  TRY(read());
  const pg::Lsn goal = facts_.head;
  if (facts_.apply_delay.count() > 0 && stream_) TRY(stream_->lift_delay(*connection_));
  auto patience = environment_.wait_at_most(options_.timeout);
  std::optional<pg::Lsn> last;
  while (true) {
    const bool waits =
        TRY(connection_->query_value(kReplayWaits, environment_.wait_at_most(kAskStandbyTimeout))) == "t";
    TRY(read());
    const bool is_there = facts_.replay && *facts_.replay >= goal;
    const bool stands = waits && last == facts_.replay;
    if (stands || (is_there && (facts_.receiver || !facts_.sees_everything))) {
      ask_for_its_timeline();
      return base::ok();
    }
    if (last != facts_.replay) {
      last = facts_.replay;
      patience = environment_.wait_at_most(options_.timeout);
    }
    if (patience.deadline.passed()) {
      return Error(
          ErrorCode::kTimeout,
          fmt::format("the standby has received up to {} and stands still at {}, so what witnesses it "
                      "would learn of is not known",
                      goal.to_string(), lsn_text(facts_.replay)),
          "A query there may hold its replay up. Give it more time with -t SECONDS; its log says more.");
    }
    if (env::wait_for(-1, 0, environment_.wait_at_most(kPoll)) == env::Ready::kStopped)
      return env::cancelled_error();
  }
}

void StandbySession::put_back(Promoted promoted) {
  if (!connection_) return;
  // A Ctrl-C ends the promotion, not this.
  const env::Wait wait = env::Wait::for_at_most(kAskStandbyTimeout);
  if (!connection_->is_open()) {
    auto again = connect_to(standby_.cluster, options_, wait);
    if (again) connection_ = *std::move(again);
  }
  if (stream_ && stream_->is_changed()) {
    const auto take_up =
        promoted == Promoted::kToldTo ? WitnessStream::TakeUp::kLater : WitnessStream::TakeUp::kNow;
    if (auto done = stream_->put_back(*connection_, take_up); !done) {
      environment_.reporter.warn(
          "primary_conninfo may still name the witness: " + done.error().message,
          fmt::format(
              "The settings as they were are in \"{}\"; \"standfast standby promote\" puts them back, "
              "while this is a standby.",
              stream_->path_of_settings_before()));
    }
  }
  if (!is_resumed_ || promoted == Promoted::kToldTo) return;
  if (auto paused = connection_->query("SELECT pg_wal_replay_pause()", wait); !paused)
    environment_.reporter.warn("replay was paused before, and goes on now: " + paused.error().message, "");
}

}  // namespace standfast::setup
